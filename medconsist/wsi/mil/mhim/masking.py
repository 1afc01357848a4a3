"""Which instances the student does not see: at random, the least and the most attended."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from medconsist.consistency.schedules import cosine
from medconsist.errors import RefusedInputError, ShapeError
from medconsist.networks.ragged import Segments
from medconsist.wsi.mil.mhim.ragged_top import hold_top, noise

__all__ = ["Course", "MaskConfig", "mhim_mask"]

Course = Literal["constant", "cosine"]


@dataclass(frozen=True, kw_only=True)
class MaskConfig:
    """Shares of a bag that are hidden; the three sets are found by themselves and then united.

    Parameters
    ----------
    random
        r in [0, 1): ``ceil(r N)`` instances at random.
    low
        l in [0, 1): the ``ceil(l N)`` of lowest score (L-HAM).
    high
        h in [0, 1): of the ``ceil(N h / rho)`` of highest score, ``ceil(rho ...)`` at random
        (H-HAM; R-HAM for rho < 1).
    rho
        In (0, 1]; 1 hides the highest themselves. For ``h / rho > 1``, ``ceil(h N)`` of all.
    course
        ``"cosine"`` lets h fall to 0, ``h_i = h (1 + cos(pi i / T)) / 2``.
    steps
        T, optimiser steps of the run; ``"cosine"`` needs it, see :meth:`over`.

    Raises
    ------
    RefusedInputError
        A share out of its range, another course, or fewer than one step.

    Examples
    --------
    >>> MaskConfig(high=0.02, course="cosine").over(100).high_at(100)
    0.0
    """

    random: float | int = 0.0
    low: float | int = 0.0
    high: float | int = 0.0
    rho: float | int = 1.0
    course: Course = "constant"
    steps: int | None = None

    def __post_init__(self) -> None:
        shares = (self.random, self.low, self.high)
        if not all(0 <= share < 1 for share in shares) or not 0 < self.rho <= 1:
            msg = (
                f"random, low, high and rho got {self.random}, {self.low}, {self.high} and "
                f"{self.rho}; allowed: shares in [0, 1), and a rho in (0, 1]. To hide nothing of "
                "high score, take high = 0."
            )
            raise RefusedInputError(msg)
        if self.course not in get_args(Course) or (self.steps is not None and self.steps < 1):
            msg = (
                f"course and steps got {self.course!r} and {self.steps}; allowed: "
                f"{' or '.join(get_args(Course))}, and one step or more."
            )
            raise RefusedInputError(msg)

    def over(self, steps: int) -> "MaskConfig":
        """Return the same for a run of so many optimiser steps."""
        return replace(self, steps=steps)

    def high_at(self, step: int) -> float:
        """Return h at a step, counted from 0.

        Raises
        ------
        RefusedInputError
            It falls, and ``steps`` is None.
        """
        if self.course == "constant":
            return float(self.high)
        if self.steps is None:
            msg = (
                "The share of high scores falls over the run, and steps is None; call over(steps)."
            )
            raise RefusedInputError(msg)
        return cosine(self.high, 0, self.steps)(step)


def mhim_mask(
    scores: Float[Tensor, "instances heads"],
    segments: Segments,
    config: MaskConfig,
    step: int,
    generator: torch.Generator,
) -> Bool[Tensor, " instances"]:
    """Return which instances the student sees; True = visible.

    What is hidden is the union of the three sets of `MaskConfig`, each computed on all N instances
    of a bag, not on what the others leave. With several heads each marks its own top, and the top
    of the sum of marks counts (``vote``; among equal sums the first in the bag). While h_i > 0 a
    bag of two instances or more hides one; no bag hides all: where the union does, its highest
    score outside the high set stays.

    A pure function without transfers from the device (see `hold_top`); a keep mask has no order of
    its own, so that survivors stay in ascending order. The released code builds Python sets of
    ``ids.tolist()``, whose order it then takes for that of the bag.

    Parameters
    ----------
    scores
        More is easier; detached. NaN counts as highest.
    segments
        The bags.
    config
        See `MaskConfig`.
    step
        i, optimiser steps done so far, 0 for the first; read by a course only.
    generator
        On the device of ``scores``.

    Raises
    ------
    RefusedInputError
        A course without its number of steps.
    ShapeError
        Not one row of scores for each instance.

    References
    ----------
    Tang et al. 2023, arXiv:2307.15254; ceil rules and votes as in the released code, branch v1.

    Examples
    --------
    >>> scores, bag = torch.tensor([[0.1], [0.6], [0.2], [0.1]]), Segments.of_sizes([4])
    >>> mhim_mask(scores, bag, MaskConfig(high=0.25), 0, torch.Generator()).tolist()
    [True, False, True, True]
    """
    if len(scores) != segments.rows:
        msg = f"scores have {len(scores)} rows, the bags {segments.rows}; give one an instance."
        raise ShapeError(msg)
    high, rho = config.high_at(step), config.rho
    easiest = hold_top(_votes(scores, segments, high / rho), segments, high, rho, generator)
    lowest = hold_top(_votes(-scores, segments, config.low), segments, config.low)
    drawn = hold_top(noise(segments, generator), segments, config.random)
    keep = ~(easiest | lowest | drawn)
    score = scores.mean(1, keepdim=True)
    outside = score.masked_fill(easiest | score.isnan(), -torch.inf)
    last = torch.zeros_like(keep).index_fill_(0, segments.argmax(outside)[:, 0], value=True)
    all_hidden = segments.sum(keep.float()) == 0
    return (keep | last & segments.spread(all_hidden))[:, 0]


def _votes(scores: Tensor, segments: Segments, share: float) -> Tensor:
    """Return one score an instance: its own, or how many heads have it among their top."""
    # all instances are the top of every head: their votes would say nothing
    if scores.shape[1] == 1 or share >= 1:
        return scores[:, :1]
    return hold_top(scores, segments, share).sum(1, keepdim=True)
