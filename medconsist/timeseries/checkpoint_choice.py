"""Which weights of a pre-training to keep when no label may say: rank less identity.

The loss of a contrast goes on falling while a probe on labels gets worse (stored notebooks of
COMET's release: validation AUC .875 after one epoch and .737 after 99 on TDBrain, loss 21.7 to
8.2), and the released code keeps the last weights. `PretextObjective.evaluate` measures how many
directions the features fill, and how well they tell patients apart; the choice is the evaluation
with the highest rank less identity. What it costs is its regret: how far the chosen weights fall
short of those which the test would have chosen, and whether they are better than the last ones.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medconsist.errors import RefusedInputError
from medconsist.timeseries.pretext import Pretext
from medconsist.timeseries.pretrained import Pretraining
from medconsist.timeseries.pretraining import encode_all
from medconsist.timeseries.window_set import WindowSet

__all__ = ["Checkpoint", "Regret", "checkpoints", "chosen", "regret"]

_CHOICE = "choice"


@dataclass(frozen=True, eq=False, kw_only=True)
class Checkpoint:
    """What an evaluation during a pre-training saw.

    Parameters
    ----------
    scores
        ``rank``, ``identity`` and ``choice``, see `PretextObjective.evaluate`.
    features
        Of the windows that were asked for, ``windows dim``.

    Examples
    --------
    >>> Checkpoint(scores={"choice": 0.4}, features=np.zeros((2, 3))).scores["choice"]
    0.4
    """

    scores: Mapping[str, float]
    features: npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Regret:
    """What a choice of weights cost, in units of a figure in which more is better.

    Parameters
    ----------
    chosen, best, last
        The figure of the chosen weights, of the best ones, and of the last ones. Which are best is
        known only afterwards, so that ``best`` flatters by luck as well.

    Examples
    --------
    >>> found = Regret(chosen=0.75, best=0.875, last=0.625)
    >>> found.against_best, found.gain_on_last
    (0.125, 0.125)
    """

    chosen: float
    best: float
    last: float

    @property
    def against_best(self) -> float:
        """Best less chosen: 0 or more."""
        return self.best - self.chosen

    @property
    def gain_on_last(self) -> float:
        """Chosen less last: below 0 where the last weights would have been better."""
        return self.chosen - self.last


def checkpoints(
    how: Pretraining, windows: WindowSet, asked: WindowSet, *, seed: int = 0
) -> tuple[Checkpoint, ...]:
    """Pre-train, and return what the weights of each evaluation say of other windows.

    Parameters
    ----------
    how
        The pre-training; ``how.evaluations`` are the checkpoints.
    windows
        To learn from; their labels are hidden.
    asked
        To encode at each evaluation; their labels are not read.
    seed
        Of the training.

    Raises
    ------
    RefusedInputError
        As `Pretraining.run`.

    Examples
    --------
    ::

        taken = checkpoints(Pretraining(epochs=8, evaluations=8), train, windows)
        features = taken[chosen(taken)].features
    """
    taken = list[Checkpoint]()

    def keep(network: Pretext, scores: Mapping[str, float]) -> None:
        taken.append(Checkpoint(scores=dict(scores), features=encode_all(network, asked)))

    with tempfile.TemporaryDirectory() as folder:
        how.run(windows, Path(folder), progress=False, seed=seed, on_evaluation=keep)
    return tuple(taken)


def chosen(taken: Sequence[Checkpoint]) -> int:
    """Return the place of the highest rank less identity, the first of equal ones.

    Raises
    ------
    RefusedInputError
        No checkpoint.

    Examples
    --------
    >>> none = np.zeros((0, 1))
    >>> chosen([Checkpoint(scores={"choice": c}, features=none) for c in (0.1, 0.3, 0.3)])
    1
    """
    if not taken:
        msg = "there is no checkpoint to choose from; evaluate once or more during the training."
        raise RefusedInputError(msg)
    return int(np.argmax([one.scores[_CHOICE] for one in taken]))


def regret(taken: Sequence[Checkpoint], figures: Sequence[float]) -> Regret:
    """Return what `chosen` costs.

    Parameters
    ----------
    taken
        In the order of the training.
    figures
        Of each, such as the patient-level AUC of a probe on patients that nothing has seen.

    Raises
    ------
    RefusedInputError
        Not one figure a checkpoint, or none.
    """
    if len(taken) != len(figures):
        msg = f"{len(figures)} figures of {len(taken)} checkpoints; give one each."
        raise RefusedInputError(msg)
    return Regret(chosen=figures[chosen(taken)], best=max(figures), last=figures[-1])
