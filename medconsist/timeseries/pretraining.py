"""Pre-training on windows without labels: which windows a step sees, and what is watched."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor, nn

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.consistency.collapse import LeaveOneOut, knn_loo, rankme
from medconsist.errors import RefusedInputError
from medconsist.timeseries.encoders import refuse_other_size
from medconsist.timeseries.pretext import DrawnWindows, Pretext
from medconsist.timeseries.window_set import WindowSet
from medconsist.training.draws import Place, generator_for
from medconsist.training.objective import Objective
from medconsist.training.settings import require_at_least, require_one_of

__all__ = ["OnEvaluation", "PretextObjective", "WindowSampling", "encode_all"]

OnEvaluation = Callable[[Pretext, Mapping[str, float]], None]
Order = Literal["random", "trial", "trial-frozen"]
_ORDER, _PLACES = 0, 1  # places of random numbers
_WATCHED = 512  # windows that rank and identity are measured on
_ENCODED_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class WindowSampling:
    """Which windows a step sees.

    Parameters
    ----------
    batch
        Windows a step, at least 2; the last batch of an epoch is dropped if it is shorter.
    order
        ``"random"``: every epoch in an order of its own. ``"trial"``: trials in random order, the
        windows of one beside each other, so that a batch holds positives of its levels; drawn anew
        for every epoch. ``"trial-frozen"``: drawn once, then only the batches change places, as
        COMET's released code does: the negatives of a window are the same in all epochs.
    seed
        Of the order.

    Raises
    ------
    RefusedInputError
        Fewer than 2, or an order of another name.

    Examples
    --------
    >>> WindowSampling(batch=32).order
    'trial'
    """

    batch: int = 64
    order: Order = "trial"
    seed: int = 0

    def __post_init__(self) -> None:
        require_at_least("batch", self.batch, 2)
        require_one_of("order", self.order, get_args(Order))


class PretextObjective(Objective):
    """A pretext task on the windows of training patients, whose labels are hidden from it.

    Parameters
    ----------
    make
        Builds the untrained pretext task from a generator.
    windows
        To learn from; labels are dropped here.
    sampling
        See `WindowSampling`.
    watched
        Windows whose rank and identity are measured at an evaluation, at most 512 of them, spread
        evenly; None takes those that are learnt from. Never those of a test patient.
    architecture, about
        What builds the network again, and what a reader of the weights should know.
    on_evaluation
        Called with the network and the scores of every evaluation.

    Raises
    ------
    RefusedInputError
        Fewer windows than a batch.

    Examples
    --------
    ::

        objective = PretextObjective(lambda g: Comet(size, generator=g), windows)
        fit(objective, TrainConfig(steps=500, ema=1.0), Path("run"), recipe={})
    """

    def __init__(
        self,
        make: Callable[[Generator], Pretext],
        windows: WindowSet,
        *,
        sampling: WindowSampling | None = None,
        watched: WindowSet | None = None,
        architecture: Mapping[str, Any] | None = None,
        about: Mapping[str, str] | None = None,
        on_evaluation: OnEvaluation | None = None,
    ) -> None:
        self.windows = windows.without_labels()
        self.sampling = sampling or WindowSampling()
        if len(windows) < self.sampling.batch:
            msg = (
                f"{len(windows)} windows to learn from, and a batch of {self.sampling.batch}; give "
                "more windows or a smaller batch."
            )
            raise RefusedInputError(msg)
        self._watched = _evenly(self.windows if watched is None else watched.without_labels())
        self._make = make
        self._architecture = dict(architecture or {})
        self._about = dict(about or {})
        self._on_evaluation = on_evaluation

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return len(self.windows) // self.sampling.batch

    def build(self, generator: Generator) -> nn.Module:
        """Return the untrained network."""
        return self._make(generator)

    def draw(self, generator: Generator, step: int) -> DrawnWindows:
        """Return the batch of a step of a run with one process and no micro-batches."""
        return self.draw_at(generator, Place(step=step))

    def draw_at(self, generator: Generator, place: Place) -> DrawnWindows:
        """Return the next batch of the epoch's order."""
        epoch, within = divmod(place.number, self.batches)
        seed = int(torch.randint(2**31, (), generator=generator))
        return DrawnWindows.of(self.windows, self._rows(epoch, within), seed)

    def losses(self, network: nn.Module, batch: DrawnWindows) -> dict[str, Tensor]:
        """Return what the pretext task returns; through ``forward``, for data-parallel wrappers."""
        losses: dict[str, Tensor] = network(batch)
        return losses

    @torch.no_grad()
    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Return what can be known without labels: rank, identity, and their balance.

        ``rank`` is the centred RankMe of the features over the most that it can be, in (0, 1];
        ``identity`` the share of windows whose patient the nearest windows of other trials tell,
        of patients with two trials or more, 1 if there is none, so that rank alone decides;
        ``choice = rank - identity`` is high where features are rich and say little of who it is:
        rank alone rises with identity while the test gets worse (measured, see docs/signals.md).
        """
        assert isinstance(network, Pretext)  # noqa: S101  what build returned
        features = torch.from_numpy(encode_all(network, self._watched))
        rank = float(rankme(features, center=True)) / min(features.shape)
        identity = _identity(features, self._watched)
        scores = {"rank": rank, "identity": identity, "choice": rank - identity}
        if self._on_evaluation is not None:
            self._on_evaluation(network, scores)
        return scores

    def architecture(self) -> dict[str, Any]:
        """Return what builds the network again."""
        return self._architecture

    def about(self) -> dict[str, str]:
        """Return what the weights have seen, without labels."""
        used = np.unique(self.windows.table.patient)
        patients = sorted(self.windows.table.patients[number] for number in used)
        said = {
            "trained_on": f"{len(self.windows)} windows of {len(patients)} patients, no labels",
            "patients_sha256": sha256_of_bytes(canonical_json(patients)),
            "windows_fingerprint": self.windows.fingerprint,
        }
        return said | self._about

    def _rows(self, epoch: int, within: int) -> npt.NDArray[np.int64]:
        frozen = self.sampling.order == "trial-frozen"
        order = self._order(0 if frozen else epoch)
        if frozen:
            places = generator_for(self.sampling.seed, _PLACES, epoch)
            within = int(torch.randperm(self.batches, generator=places)[within])
        return order[within * self.sampling.batch : (within + 1) * self.sampling.batch]

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        generator = generator_for(self.sampling.seed, _ORDER, epoch)
        rows = torch.randperm(len(self.windows), generator=generator).numpy()
        if self.sampling.order == "random":
            return rows
        _, trial = np.unique(self.windows.table.trial, return_inverse=True)
        places = torch.randperm(int(trial.max()) + 1, generator=generator).numpy()
        return rows[np.argsort(places[trial[rows]], kind="stable")]


def encode_all(network: Pretext, windows: WindowSet) -> npt.NDArray[np.float64]:
    """Return the features of all windows, float64 ``windows dim``, on the CPU.

    Parameters
    ----------
    network
        In eval mode; windows go to its device, a few at a time.
    windows
        Of the size that it was built for, where it knows that; their labels are not read.

    Raises
    ------
    RefusedInputError
        Windows of another number of channels, length or rate.
    """
    refuse_other_size(network, windows)
    device = next(network.parameters()).device
    found = []
    for first in range(0, len(windows), _ENCODED_AT_ONCE):
        rows = np.arange(first, min(first + _ENCODED_AT_ONCE, len(windows)))
        with torch.no_grad():
            features = network.encode(windows.batch(rows).to(device))
        found.append(features.double().cpu().numpy())
    return np.concatenate(found)


def _evenly(windows: WindowSet) -> WindowSet:
    places = np.linspace(0, len(windows) - 1, min(len(windows), _WATCHED))
    return windows.take(np.unique(places.astype(np.int64)))


def _identity(features: Tensor, windows: WindowSet) -> float:
    table = windows.table
    _, first = np.unique(table.trial, return_index=True)
    can_be_told = torch.from_numpy(np.bincount(table.patient[first])[table.patient] > 1)
    if not can_be_told.any():
        return 1.0
    patient, trial = (torch.from_numpy(column.copy()) for column in (table.patient, table.trial))
    votes = knn_loo(features, patient, trial).probability
    return LeaveOneOut(votes[can_be_told], patient[can_be_told]).accuracy
