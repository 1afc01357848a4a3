"""A trained model of signals: what it was given, how it is read, how it is asked."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.timeseries.patient_model import PatientModel, patient_model_from
from medconsist.timeseries.pooling import Evidence
from medconsist.timeseries.preparation import Preparation
from medconsist.timeseries.reference import Reference
from medconsist.timeseries.signal_card import CARD_NAME, SignalCard, read_signal_card
from medconsist.timeseries.window_set import UNKNOWN, WindowSet
from medconsist.timeseries.withheld_leads import WithheldLeads
from medconsist.training.weights import load_state, read_weights

__all__ = [
    "LEADS_NAME",
    "REFERENCE_NAME",
    "WEIGHTS_NAME",
    "SignalData",
    "SignalModel",
    "load_signal_model",
    "patients_of",
]

WEIGHTS_NAME = "model.safetensors"
REFERENCE_NAME = "reference.safetensors"
LEADS_NAME = "leads.safetensors"


@dataclass(frozen=True, kw_only=True)
class SignalData:
    """What a model is trained, chosen and calibrated on.

    Parameters
    ----------
    train, validation
        Labelled windows of different patients.
    calibration
        Of yet other patients, for the conformal sets; None takes those of validation, and says so.
    preparation
        What the windows are.
    study
        Where they come from, in words.
    split_sha256
        Of the frozen split.
    notes
        What a reader must know, such as that the patients are those of a simulator.

    Raises
    ------
    RefusedInputError
        A patient in two parts, a label that is not known, or windows of another preparation.

    Examples
    --------
    ::

        SignalData(train=train, validation=validation, preparation=Preparation.of(facts))
    """

    train: WindowSet
    validation: WindowSet
    calibration: WindowSet | None = None
    preparation: Preparation
    study: str = "windows"
    split_sha256: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for part, windows in self.parts.items():
            self.preparation.require(windows)
            if not len(windows) or (windows.table.label == UNKNOWN).any():
                count = int((windows.table.label == UNKNOWN).sum())
                msg = f"{part} has {len(windows)} windows, {count} without a label; label them all."
                raise RefusedInputError(msg)
            for name in patients_of(windows):
                if seen.setdefault(name, part) != part:
                    msg = f"patient {name} is in {seen[name]} and in {part}; split by patient."
                    raise RefusedInputError(msg)

    @property
    def parts(self) -> dict[str, WindowSet]:
        """The parts that are there, by name."""
        parts = {"train": self.train, "validation": self.validation}
        return parts if self.calibration is None else {**parts, "calibration": self.calibration}


@dataclass(frozen=True, eq=False)
class SignalModel:
    """A trained model in eval mode, its card, the trials that it knows, and the rule of its leads.

    Examples
    --------
    ::

        model = load_signal_model(Path("models/comet"))
        model.probabilities(model.network.evidence(windows))
    """

    network: PatientModel
    card: SignalCard
    reference: Reference
    leads: WithheldLeads

    @property
    def positive(self) -> int:
        """The class whose attribution is shown: the last one."""
        return len(self.card.classes) - 1

    def probabilities(self, evidence: Evidence) -> Float[Tensor, "patients classes"]:
        """Return those of each patient, after the temperature, in float64."""
        with torch.no_grad():
            logits = evidence.pooled(self.network.pool)
        return self.card.temperature.apply(logits).softmax(1)


def load_signal_model(folder: Path, *, device: str = "cpu") -> SignalModel:
    """Return the model of a finished folder, in eval mode.

    Parameters
    ----------
    folder
        As given to `fit_probe` or `finetune`.
    device
        Where it shall answer.

    Raises
    ------
    MissingInputError
        The training has not come to its end, or a file is gone.
    RefusedInputError
        A file is not that of the card, or damaged.
    """
    if not (folder / CARD_NAME).is_file():
        msg = f"{folder} holds no finished model of signals; run medconsist ts probe or finetune."
        raise MissingInputError(msg)
    card = read_signal_card(folder)
    stored = read_weights(folder / WEIGHTS_NAME)
    _require_digest(folder / WEIGHTS_NAME, stored.sha256, card.weights_sha256)
    reference, digest = Reference.read(folder / REFERENCE_NAME)
    _require_digest(folder / REFERENCE_NAME, digest, card.reference_sha256)
    leads, digest = WithheldLeads.read(folder / LEADS_NAME)
    _require_digest(folder / LEADS_NAME, digest, card.leads_sha256)
    network = patient_model_from(stored.architecture)
    load_state(network, stored.state, folder / WEIGHTS_NAME)
    network.requires_grad_(requires_grad=False)
    network.eval().classifier.to(device)
    return SignalModel(network, card, reference, leads)


def patients_of(windows: WindowSet) -> tuple[str, ...]:
    """Return the ids of the patients that have windows, sorted."""
    return tuple(sorted(windows.table.patients[n] for n in np.unique(windows.table.patient)))


def _require_digest(path: Path, found: str, wanted: str) -> None:
    if found != wanted:
        msg = (
            f"{path} has the sha256 {found[:12]}..., and its card is that of {wanted[:12]}...: the "
            "two do not belong together. Train again, or copy the folder again."
        )
        raise RefusedInputError(msg)
