"""The card of a trained model of bags: what it was trained on, what it may be given, how it did."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, field_validator

from medconsist._atomic import atomic_write_bytes, storage_errors
from medconsist._digests import plain_json
from medconsist._records import Record, read_record
from medconsist.errors import RefusedInputError
from medconsist.results.ids import safe_key
from medconsist.results.safetensors_file import require_regular
from medconsist.wsi.bags.bag_store import CaseBag
from medconsist.wsi.bags.header import BagHeader, EncoderRecord
from medconsist.wsi.bags.same_tiles import same_tiles

__all__ = ["CARD_NAME", "MilCard", "OperatingPointRecord", "SpaceRecord", "read_card", "write_card"]

CARD_NAME = "card.json"
Sha256 = Annotated[str, AfterValidator(safe_key)]


class SpaceRecord(Record):
    """The features that a model knows: encoder and grid of its bags.

    Parameters
    ----------
    dim
        Length of a feature.
    encoder
        None where the features came as a file that does not say.
    tile_px, step_px, target_mpp
        Of the grid; None is unknown.

    Examples
    --------
    >>> SpaceRecord(dim=64).encoder is None
    True
    """

    dim: int = Field(ge=1)
    encoder: EncoderRecord | None = None
    tile_px: int | None = None
    step_px: int | None = None
    target_mpp: float | None = None

    @classmethod
    def of(cls, header: BagHeader, dim: int) -> "SpaceRecord":
        """Return the space of a bag."""
        grid = header.grid
        return cls(
            dim=dim,
            encoder=header.encoder,
            tile_px=grid.tile_px,
            step_px=grid.step_px,
            target_mpp=grid.target_mpp,
        )

    def require(self, bag: CaseBag) -> None:
        """Refuse a case whose features are of another space.

        Raises
        ------
        RefusedInputError
            Names what differs.
        """
        for slide in bag.bags:
            for name, theirs in self.unlike(slide.header, slide.dim).items():
                msg = (
                    f"slide {slide.header.slide} has {name} {_short(theirs)}; the model was "
                    f"trained with {_short(getattr(self, name))}. Embed the slide as for training."
                )
                raise RefusedInputError(msg)

    def unlike(self, header: BagHeader, dim: int) -> dict[str, Any]:
        """Return what of a bag is another than the model's, by name; empty: it fits."""
        theirs = dict(SpaceRecord.of(header, dim))
        alike = same_tiles(self, header.grid, engines=(header.engine,))
        ignored = ("tile_px", "step_px", "target_mpp") if alike else ()
        mine = {n: value for n, value in self if value is not None and n not in ignored}
        return {name: theirs[name] for name, value in mine.items() if theirs[name] != value}


class OperatingPointRecord(Record):
    """A threshold on the probability of the positive class, and how validation did with it.

    Parameters
    ----------
    threshold
        A case is called positive at or above it.
    rule
        How it was chosen, in words.
    chosen_on
        The part of the split that it was chosen on; never the test part.
    sensitivity, specificity
        There; they flatter a little, as the threshold was chosen on the same cases.
    n_positive, n_negative
        Patients there.

    Examples
    --------
    >>> OperatingPointRecord(threshold=0.4, rule="Youden", sensitivity=0.9, specificity=0.8,
    ...                      n_positive=10, n_negative=10).chosen_on
    'validation'
    """

    threshold: float = Field(ge=0, le=1)
    rule: str
    chosen_on: Literal["validation"] = "validation"
    sensitivity: float
    specificity: float
    n_positive: int
    n_negative: int


class MilCard(Record):
    """What must be known of weights before they are used; lies beside them.

    Parameters
    ----------
    method
        Name as given to ``wsi train --method``.
    weights_sha256
        Of the weights file beside it.
    classes
        Names, in the order of the labels.
    space
        The features that it takes.
    study
        Where the bags came from: ``"study NAME"`` or the name of a features file.
    split_sha256, fold
        Of the frozen split; None without folds.
    cases, patients
        Part of the split to number.
    temperature
        Fitted on validation; logits are divided by it.
    operating_point
        For two classes; None for more, or where validation has one class alone.
    validation
        Scores there by name; they chose the checkpoint, so they flatter.
    nonconformity, spread, distance, fewest_tiles
        One number a validation patient, see `medconsist.wsi.mil.uncertainty.Verdict`.
    assumption
        Outcome of the tests of Raff and Holt on this kind of model, as lines of text.
    training
        The resolved recipe.
    notes
        What a reader must know.

    Examples
    --------
    >>> card = MilCard(method="abmil", weights_sha256="0" * 64, classes=("normal", "tumour"),
    ...                space=SpaceRecord(dim=64), study="study wsi")
    >>> card.temperature
    1.0
    """

    schema_version: Literal[1] = 1
    method: str
    weights_sha256: Sha256
    classes: tuple[str, ...]
    space: SpaceRecord
    study: str
    split_sha256: Sha256 | None = None
    fold: int | None = None
    cases: dict[str, int] = Field(default_factory=dict)
    patients: dict[str, int] = Field(default_factory=dict)
    temperature: float = Field(default=1.0, gt=0)
    operating_point: OperatingPointRecord | None = None
    validation: dict[str, float] = Field(default_factory=dict)
    nonconformity: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    distance: tuple[float, ...] = ()
    fewest_tiles: int = 1
    assumption: tuple[str, ...] = ()
    training: dict[str, JsonValue] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @field_validator("training", mode="before")
    @classmethod
    def _training_is_json(cls, value: object) -> object:
        return plain_json(value, "training")


def write_card(folder: Path, card: MilCard) -> Path:
    """Write the card atomically and return its path.

    Raises
    ------
    StorageError
        The disk is full or not writable.
    """
    path = folder / CARD_NAME
    atomic_write_bytes(path, card.model_dump_json(indent=2).encode() + b"\n")
    return path


def read_card(folder: Path) -> MilCard:
    """Return the card of a run.

    Raises
    ------
    MissingInputError
        There is none: the run has not come to its end.
    RefusedInputError
        It does not fit the schema.
    """
    path = folder / CARD_NAME
    require_regular(path, what="model card", allowed="the folder of a finished training")
    with storage_errors(path, doing="read"):
        data = path.read_bytes()
    return read_record(MilCard, data, source=str(path))


def _short(value: Any) -> str:  # noqa: ANN401  any field
    if isinstance(value, EncoderRecord):
        digest = "no weights" if value.sha256 is None else f"weights {value.sha256[:12]}"
        return f"{value.name} ({digest}, {value.precision})"
    return str(value)
