"""Intervals and tests for cross-validation, repeated or not, whose training sets overlap.

A figure is computed within each fold and then averaged. Scores of different folds come from
different models and have no common scale, so an area over pooled scores is never computed here.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.metrics._checks import refuse_confidence
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.report import Estimate

__all__ = [
    "FoldDifference",
    "FoldScores",
    "corrected_interval",
    "corrected_test",
    "fold_areas",
    "leave_pair_out_area",
]


@dataclass(frozen=True, kw_only=True)
class FoldScores:
    """One figure per test fold of a cross-validation.

    Parameters
    ----------
    values
        ``values[r][f]``: repeat r, fold f; finite, equally many folds in each repeat, two or more.
    units
        Number of independent units in all folds of one repeat together.
    unit
        What a unit is.
    trained
        Share of the units beside a test fold that are trained on; the others, who choose a
        checkpoint or calibrate, add nothing to the training.

    Raises
    ------
    RefusedInputError
        Fewer than two folds (a pooled figure is one), unequal repeats, values not finite, a share
        out of (0, 1].

    Examples
    --------
    >>> scores = FoldScores(values=((0.8, 0.9, 0.7),), units=60, unit="patient")
    >>> scores.folds, scores.repeats, scores.test_over_train
    (3, 1, 0.5)
    """

    values: tuple[tuple[float, ...], ...]
    units: int
    unit: str
    trained: float | int = 1

    def __post_init__(self) -> None:
        if not 0 < self.trained <= 1:
            msg = f"trained got {self.trained}; allowed: a share of the units, above 0 to 1."
            raise RefusedInputError(msg)
        sizes = sorted({len(repeat) for repeat in self.values})
        if len(sizes) != 1 or sizes[0] < 2:
            msg = (
                f"got repeats of {sizes} folds; allowed: two or more, as many in each repeat. "
                "Score each fold by itself: a figure over pooled folds has no interval."
            )
            raise RefusedInputError(msg)
        if not all(math.isfinite(value) for repeat in self.values for value in repeat):
            msg = "a fold has a figure that is not finite. Look at its test units."
            raise RefusedInputError(msg)
        if self.units < self.folds:
            msg = f"got {self.units} units in {self.folds} folds; each fold tests one or more."
            raise RefusedInputError(msg)

    @property
    def folds(self) -> int:
        """Folds of each repeat."""
        return len(self.values[0])

    @property
    def repeats(self) -> int:
        """How often the units were split anew."""
        return len(self.values)

    @property
    def test_over_train(self) -> float:
        """Test units over training units, ``1 / (folds - 1) / trained``."""
        return 1 / (self.folds - 1) / self.trained


@dataclass(frozen=True, kw_only=True)
class FoldDifference(Estimate):
    """The mean over folds of the figure of a first method less that of a second.

    Parameters
    ----------
    standard_error
        Corrected for overlapping training sets; None where all differences are equal.
    degrees
        Of freedom of the t distribution.
    p
        Two-sided p-value of no difference, None where there is no standard error.

    Examples
    --------
    >>> one = FoldScores(values=((0.8, 0.9, 0.7),), units=60, unit="patient")
    >>> two = FoldScores(values=((0.7, 0.7, 0.6),), units=60, unit="patient")
    >>> corrected_test(one, two).degrees
    2
    """

    standard_error: float | None
    degrees: int
    p: float | None


def fold_areas(
    score: Float[Tensor, " units"],
    positive: Bool[Tensor, " units"],
    fold: Int64[Tensor, " units"],
) -> tuple[float, ...]:
    """Return the area under the ROC curve within each test fold, by ascending fold number.

    Parameters
    ----------
    score
        By the model that did not see the unit's fold; finite.
    positive
        The truth; both kinds in every fold.
    fold
        In which fold a unit was tested; two or more folds.

    Raises
    ------
    RefusedInputError
        One fold only (pooled scores), a fold of one kind, or a score that is not finite.
    """
    numbers = torch.unique(fold).tolist()
    if len(numbers) < 2:
        msg = (
            f"got {len(numbers)} fold; allowed: two or more. Scores of several models have no "
            "common scale: say in which fold each unit was tested, or use delong_interval."
        )
        raise RefusedInputError(msg)
    for number in numbers:
        here = positive[fold == number]
        if not 0 < int(here.sum()) < len(here):
            msg = (
                f"fold {number} has {int(here.sum())} positive of {len(here)} units, so it has no "
                "area. Stratify the folds, use fewer, or leave pairs out."
            )
            raise RefusedInputError(msg)
    return tuple(area_under_roc(score[fold == k], positive[fold == k]) for k in numbers)


def leave_pair_out_area(
    of_positive: Float[Tensor, " pairs"], of_negative: Float[Tensor, " pairs"]
) -> float:
    """Return the share of left-out pairs in the right order, a tie counting half.

    Each pair was scored by one model that saw neither of its two units, so only scores of the
    same model are compared. Without an interval: pairs share units.

    Parameters
    ----------
    of_positive, of_negative
        Scores of the positive and the negative unit of each pair; finite.

    References
    ----------
    A. Airola et al., Comput. Stat. Data Anal. 55 (2011) 1828, doi:10.1016/j.csda.2010.11.018.
    """
    if not len(of_positive) or not bool((of_positive.isfinite() & of_negative.isfinite()).all()):
        msg = f"got {len(of_positive)} pairs; allowed: one or more, all scores finite."
        raise RefusedInputError(msg)
    right, tied = of_positive > of_negative, of_positive == of_negative
    return float((right.double() + tied.double() / 2).mean())


def corrected_interval(scores: FoldScores, *, confidence: float = 0.95) -> Estimate:
    r"""Return the mean over all folds with the corrected resampled t interval.

    :math:`\bar x \pm t_{J-1} \sqrt{(1/J + n_{test}/n_{train})\, s^2}` for J = repeats x folds
    values with sample variance :math:`s^2`. The second term stands for the overlap of training
    sets; without it the interval shrinks to nothing as repeats are added. It is an
    approximation: no unbiased variance of cross-validation exists. Limits are not clipped.

    Parameters
    ----------
    scores
        One figure per fold.
    confidence
        Nominal coverage, in (0, 1).

    References
    ----------
    C. Nadeau, Y. Bengio, Mach. Learn. 52 (2003) 239, doi:10.1023/A:1024068626366.
    R. R. Bouckaert, E. Frank, PAKDD 2004, LNCS 3056, 3, doi:10.1007/978-3-540-24775-3_3
    (repeated folds). Y. Bengio, Y. Grandvalet, JMLR 5 (2004) 1089 (no unbiased variance).

    Examples
    --------
    >>> scores = FoldScores(values=((0.8, 0.9, 0.7),), units=60, unit="patient")
    >>> round(corrected_interval(scores).mean, 3)
    0.8
    """
    result = _corrected(scores, confidence)
    return Estimate(
        mean=result.mean,
        ci_low=result.ci_low,
        ci_high=result.ci_high,
        n=result.n,
        unit_of_analysis=result.unit_of_analysis,
        confidence=confidence,
        note=result.note,
    )


def corrected_test(
    first: FoldScores, second: FoldScores, *, confidence: float = 0.95
) -> FoldDifference:
    """Return the mean of ``first - second`` over the same folds, its interval and p-value.

    The differences within folds take the place of the values in `corrected_interval`.

    Raises
    ------
    RefusedInputError
        The two do not have the same folds, repeats or units, or a confidence outside (0, 1).
    """
    one, two = ((s.repeats, s.folds, s.units, s.unit, s.trained) for s in (first, second))
    if one != two:
        msg = (
            f"got repeats, folds, units, unit, share trained on {one} and {two}; a paired test "
            "needs the same folds."
        )
        raise RefusedInputError(msg)
    pairs = zip(first.values, second.values, strict=True)
    differences = tuple(tuple(a - b for a, b in zip(*pair, strict=True)) for pair in pairs)
    return _corrected(
        FoldScores(values=differences, units=first.units, unit=first.unit, trained=first.trained),
        confidence,
    )


def _corrected(scores: FoldScores, confidence: float) -> FoldDifference:
    refuse_confidence(confidence)
    values = [value for repeat in scores.values for value in repeat]
    count, mean = len(values), math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    note = f"{scores.repeats} x {scores.folds} folds, corrected for overlapping training sets"
    low, high, error, p = None, None, None, None
    if min(values) == max(values):
        note += f"; all {count} values are equal: no interval"
    else:
        student = require("scipy.stats", extra="wsi").t(count - 1)
        error = math.sqrt((1 / count + scores.test_over_train) * variance)
        half = float(student.isf((1 - confidence) / 2)) * error
        low, high, p = mean - half, mean + half, float(2 * student.sf(abs(mean) / error))
    return FoldDifference(
        mean=mean,
        ci_low=low,
        ci_high=high,
        n=scores.units,
        unit_of_analysis=scores.unit,
        confidence=confidence,
        note=note,
        standard_error=error,
        degrees=count - 1,
        p=p,
    )
