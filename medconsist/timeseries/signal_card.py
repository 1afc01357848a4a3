"""The card of a model of signals: what it was trained on, what it may be given, how it did."""

from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, field_validator

from medconsist._atomic import atomic_write_bytes, storage_errors
from medconsist._digests import plain_json
from medconsist._records import Record, read_record
from medconsist.metrics.calibration import Temperature
from medconsist.metrics.conformal_sets import ConformalSets
from medconsist.metrics.operating_point import OperatingPoint
from medconsist.results.environment import Environment
from medconsist.results.safetensors_file import require_regular
from medconsist.timeseries.label_budget import DrawnLabels
from medconsist.timeseries.preparation import Preparation
from medconsist.timeseries.prepared import read_prepared, read_prepared_record
from medconsist.timeseries.window_set import WindowSet

__all__ = [
    "CARD_NAME",
    "Preparation",
    "SignalCard",
    "prepared_for",
    "read_signal_card",
    "write_signal_card",
]

CARD_NAME = "card.json"


class SignalCard(Record):
    """What must be known of weights before they are used; lies beside them, written last.

    Parameters
    ----------
    method
        ``"probe"`` (partial fine-tuning), ``"finetuned"``, ``"scratch"`` or ``"eegnet"``.
    encoder
        What the encoder is: name of the pretext task, or EEGNet.
    weights_sha256, reference_sha256, leads_sha256
        Of the files beside it.
    classes
        Names, in the order of the labels.
    preparation
        See its class.
    study
        Where the windows came from, in words.
    windows_fingerprint, split_sha256, patients_sha256
        Of the prepared windows, of the frozen split (None without one), and of the ids of the
        training patients.
    patients, trials
        Part of the split to number.
    labels
        Which labels were used, frozen.
    temperature, operating_point
        Fitted on validation patients; the point for two classes that both occur there.
    sets
        The conformal rule.
    validation
        Scores there; they flatter, as validation chose.
    distance_limit
        Percentile above which a recording is unlike training.
    training
        The resolved recipe.
    environment
        What made it.
    notes
        What a reader must know.

    Examples
    --------
    >>> sorted(SignalCard.model_fields)[:3]
    ['classes', 'distance_limit', 'encoder']
    """

    kind: Literal["medconsist-signal-model"] = "medconsist-signal-model"
    schema_version: Literal[1] = 1
    method: Literal["probe", "finetuned", "scratch", "eegnet"]
    encoder: str
    weights_sha256: str
    reference_sha256: str
    leads_sha256: str
    classes: tuple[str, ...]
    preparation: Preparation
    study: str
    windows_fingerprint: str
    split_sha256: str | None = None
    patients_sha256: str
    patients: dict[str, int]
    trials: dict[str, int]
    labels: DrawnLabels
    temperature: Temperature
    operating_point: OperatingPoint | None
    sets: ConformalSets
    validation: dict[str, float] = Field(default_factory=dict)
    distance_limit: float = 95.0
    training: dict[str, JsonValue] = Field(default_factory=dict)
    environment: Environment
    notes: tuple[str, ...] = ()

    @field_validator("training", mode="before")
    @classmethod
    def _training_is_json(cls, value: object) -> object:
        return plain_json(value, "training")


def write_signal_card(folder: Path, card: SignalCard) -> Path:
    """Write the card atomically and return its path.

    Raises
    ------
    StorageError
        The disk is full or not writable.
    """
    path = folder / CARD_NAME
    atomic_write_bytes(path, card.model_dump_json(indent=2).encode() + b"\n")
    return path


def read_signal_card(folder: Path) -> SignalCard:
    """Return the card of a model folder.

    Raises
    ------
    MissingInputError
        There is none: the training has not come to its end.
    RefusedInputError
        It does not fit the schema.
    """
    path = folder / CARD_NAME
    require_regular(path, what="model card", allowed="the folder of a finished training")
    with storage_errors(path, doing="read"):
        data = path.read_bytes()
    return read_record(SignalCard, data, source=str(path))


def prepared_for(card: SignalCard, folder: Path) -> WindowSet:
    """Return the windows of a prepared folder, if they were prepared as the model's were.

    Raises
    ------
    RefusedInputError
        Another preparation, down to filter and normalisation; names what differs.
    MedconsistError
        As of `read_prepared`.
    """
    card.preparation.require_same(Preparation.of(read_prepared_record(folder).facts))
    return read_prepared(folder)
