"""Learning from labels: an encoder, pre-trained or not, with a head; patients judge it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.metrics.calibration import log_loss
from medconsist.metrics.classification import area_under_roc
from medconsist.timeseries.baselines.settings import require_settings
from medconsist.timeseries.evaluation.answers import aggregated
from medconsist.timeseries.window_set import UNKNOWN, WindowSet
from medconsist.training.draws import Place, generator_for
from medconsist.training.objective import Objective
from medconsist.training.settings import require_at_least

__all__ = ["FinetuneObjective", "HeadConfig", "LabelledWindows", "WindowClassifier", "classify_all"]

_ORDER = 0
_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """The head on an encoder.

    Parameters
    ----------
    kind
        ``"single"``: Linear, BatchNorm, ReLU, Linear to logits. ``"released"``: with dropout on the
        logits and, for two classes, the sigmoid that COMET's released code applies twice before a
        cross-entropy: the loss cannot fall below 0.584, no probability leaves [0.442, 0.558].
    width
        Of the hidden layer; 128 in COMET.
    dropout
        On the logits of ``"released"``.
    patients
        ``"equal"``: each training patient weighs the same in the loss; ``"by windows"``: as much
        as it has windows, as published.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> HeadConfig().kind
    'single'
    """

    kind: Literal["single", "released"] = "single"
    width: int = 128
    dropout: float = 0.1
    patients: Literal["equal", "by windows"] = "equal"

    def __post_init__(self) -> None:
        require_settings(self)


class WindowClassifier(nn.Module):
    """An encoder and its head.

    Parameters
    ----------
    encoder
        A `Pretext`, or any module with ``dim`` and ``encode``; trained along.
    classes
        Two or more.
    head
        See `HeadConfig`.

    Examples
    --------
    >>> from medconsist.timeseries.eegnet import EegNet
    >>> from medconsist.timeseries.pretext import PretextSize
    >>> encoder = EegNet(PretextSize(channels=2, samples=64, rate=64.0))
    >>> WindowClassifier(encoder, 3).eval()(torch.zeros(5, 64, 2)).shape
    torch.Size([5, 3])
    """

    def __init__(self, encoder: nn.Module, classes: int, head: HeadConfig | None = None) -> None:
        super().__init__()
        self.config = head or HeadConfig()
        self.encoder = encoder
        width = self.config.width
        self.head = nn.Sequential(
            nn.Linear(_dim(encoder), width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, classes),
        )
        self.classes = classes

    def forward(
        self, signals: Float[Tensor, "batch time channels"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits of each window."""
        return self.classify(self.encoder.encode(signals))  # type: ignore[operator]  # see _dim

    def classify(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch classes"]:
        """Return the logits of windows whose features are known."""
        logits: Tensor = self.head(features)
        if self.config.kind == "single":
            return logits
        logits = functional.dropout(logits, self.config.dropout, self.training)
        return logits.sigmoid().sigmoid() if self.classes == 2 else logits


@dataclass(frozen=True, eq=False)
class LabelledWindows:
    """One batch.

    Parameters
    ----------
    signals
        ``batch time channels``.
    label
        Class of each window.
    weight
        Of each window in the loss.

    Examples
    --------
    >>> LabelledWindows(torch.zeros(2, 8, 1), torch.tensor([0, 1]), torch.ones(2)).label.tolist()
    [0, 1]
    """

    signals: Float[Tensor, "batch time channels"]
    label: Int64[Tensor, " batch"]
    weight: Float[Tensor, " batch"]


class FinetuneObjective(Objective):
    """An encoder and a head on the labels of training patients; validation patients choose.

    Parameters
    ----------
    make
        Builds the classifier from a generator: a fresh encoder, or one with pre-trained weights.
    train
        Windows with labels of two classes or more.
    validation
        Windows of other patients; None scores nothing.
    batch
        Windows a step, 2 at least; all where there are fewer.
    seed
        Of their order.
    architecture
        What builds the classifier again.

    Raises
    ------
    RefusedInputError
        A label that is not known, one class alone, a patient on both sides, other classes there,
        or a batch below 2.

    Examples
    --------
    ::

        objective = FinetuneObjective(make, train, validation)
        fit(objective, TrainConfig(steps=500, evaluate_every=50), Path("run"), recipe={})
    """

    def __init__(
        self,
        make: Callable[[Generator], WindowClassifier],
        train: WindowSet,
        validation: WindowSet | None = None,
        *,
        batch: int = 64,
        seed: int = 0,
        architecture: Mapping[str, Any] | None = None,
    ) -> None:
        require_at_least("batch", batch, 2)
        _refuse(train, validation)
        self.train, self.validation = train, validation
        self.batch, self.seed = min(batch, len(train)), seed
        self._make = make
        self._architecture = dict(architecture or {})
        counts = np.bincount(train.table.patient, minlength=len(train.table.patients))
        share = len(train) / (np.count_nonzero(counts) * counts.clip(min=1))
        self._equal = torch.from_numpy(share[train.table.patient]).float()

    @property
    def batches(self) -> int:
        """Batches of an epoch; a shorter one at its end is dropped."""
        return len(self.train) // self.batch

    def build(self, generator: Generator) -> nn.Module:
        """Return the classifier before the first step."""
        return self._make(generator)

    def draw(self, generator: Generator, step: int) -> LabelledWindows:
        """Return the batch of a step of a run with one process and no micro-batches."""
        return self.draw_at(generator, Place(step=step))

    def draw_at(self, generator: Generator, place: Place) -> LabelledWindows:  # noqa: ARG002
        """Return the next windows of the epoch's order."""
        epoch, within = divmod(place.number, self.batches)
        order = torch.randperm(len(self.train), generator=generator_for(self.seed, _ORDER, epoch))
        rows = order[within * self.batch : (within + 1) * self.batch]
        label = torch.from_numpy(self.train.table.label[rows.numpy()].copy())
        return LabelledWindows(self.train.batch(rows.numpy()), label, self._equal[rows])

    def losses(self, network: nn.Module, batch: LabelledWindows) -> dict[str, Tensor]:
        """Return the cross-entropy, of which each patient or each window is an equal part."""
        each = functional.cross_entropy(network(batch.signals), batch.label, reduction="none")
        weighted = self._weighs_patients(network)
        return {"loss": (each * batch.weight).mean() if weighted else each.mean()}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Return log loss, accuracy and (of two classes) area by validation patient."""
        if self.validation is None:
            return {}
        assert isinstance(network, WindowClassifier)  # noqa: S101  what build returned
        table = self.validation.table
        logits = classify_all(network, self.validation)
        _, _, patients = aggregated(
            logits, table, table.patient_labels, round_of=0, how="probability"
        )
        right = (patients.decided == patients.label).double().mean()
        floor = torch.finfo(torch.float64).tiny
        said = {
            "log_loss": log_loss(patients.probabilities.clamp(min=floor).log(), patients.label),
            "accuracy": float(right),
        }
        positive = patients.label == 1
        two = patients.classes == 2 and bool(positive.any()) and not bool(positive.all())
        return said | ({"auc": area_under_roc(patients.score, positive)} if two else {})

    def architecture(self) -> dict[str, Any]:
        """Return what builds the classifier again."""
        return self._architecture

    def about(self) -> dict[str, str]:
        """Return what the weights have seen."""
        patients = len(np.unique(self.train.table.patient))
        return {"trained_on": f"{len(self.train)} windows of {patients} patients, with labels"}

    @staticmethod
    def _weighs_patients(network: nn.Module) -> bool:
        inner = getattr(network, "module", network)  # within a data-parallel wrapper
        return isinstance(inner, WindowClassifier) and inner.config.patients == "equal"


def classify_all(network: WindowClassifier, windows: WindowSet) -> Float[Tensor, "windows classes"]:
    """Return the logits of all windows, float64 on the CPU; labels are not read.

    Parameters
    ----------
    network
        In eval mode; windows go to its device, a few at a time.
    windows
        Of the length that it was built for.
    """
    device = next(network.parameters()).device
    found = []
    for first in range(0, len(windows), _AT_ONCE):
        rows = np.arange(first, min(first + _AT_ONCE, len(windows)))
        with torch.no_grad():
            found.append(network(windows.batch(rows).to(device)).double().cpu())
    return torch.cat(found)


def _dim(encoder: nn.Module) -> int:
    dim = getattr(encoder, "dim", None)
    if not isinstance(dim, int) or not hasattr(encoder, "encode"):
        msg = f"{type(encoder).__name__} has no dim and encode; give a Pretext, or EegNet."
        raise RefusedInputError(msg)
    return dim


def _refuse(train: WindowSet, validation: WindowSet | None) -> None:
    for windows in (train, *([] if validation is None else [validation])):
        if (windows.table.label == UNKNOWN).any():
            count = int((windows.table.label == UNKNOWN).sum())
            msg = f"{count} of {len(windows)} windows have no label; leave them out, or label them."
            raise RefusedInputError(msg)
    seen = np.unique(train.table.label)
    if len(seen) < 2:
        names = [train.table.classes[number] for number in seen]
        msg = f"all training windows are of {names}; a classifier needs two classes or more."
        raise RefusedInputError(msg)
    if validation is None:
        return
    if validation.table.classes != train.table.classes:
        msg = (
            f"classes are {list(train.table.classes)} in training and "
            f"{list(validation.table.classes)} in validation; name them alike, in one order."
        )
        raise RefusedInputError(msg)
    shared = {train.table.patients[n] for n in np.unique(train.table.patient)} & {
        validation.table.patients[n] for n in np.unique(validation.table.patient)
    }
    if shared:
        msg = (
            f"patient {min(shared)} is in training and in validation; split by patient: "
            "medconsist ts evaluate does."
        )
        raise RefusedInputError(msg)
