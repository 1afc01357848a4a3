"""What the intervals of a report really cover with so few patients, measured by simulation.

Patients of this simulation are normal feature vectors of two classes whose means are apart. A
model that stays as it is gives them normal scores; a model that is trained in every round is the
difference of the class means of its training patients. The second scatters more: near chance the
variance of a leave-pair-out area is about twice that of an area of fixed scores.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from medconsist._extras import require
from medconsist.metrics.area_score import area_score_interval

__all__ = [
    "AREAS",
    "CONTRAST_INFLATION",
    "PAIR_INFLATION",
    "Coverage",
    "contrast_size",
    "coverage_table",
    "fixed_area_coverage",
    "fold_area_coverage",
    "pair_area_coverage",
]

AREAS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
PAIR_INFLATION = 2.0
"""Of the variance of a leave-pair-out area: with it the score interval covers .95 to 1 (nominal
.95) for 5 + 5 to 20 + 20 patients; without it .83 to .84 at chance (`coverage_table`)."""

CONTRAST_INFLATION = 3.0
"""The same for the difference of two leave-pair-out areas: at 3 the test of `pair_contrast` finds
a difference where there is none in at most 5 % (nominal 5), at 1 in 19 % (`contrast_size`)."""

_SHIFTS = (0.0, 1.0, 2.0, 3.0)
_DIM = 20
_DRAWS = 2000
_FIXED_DRAWS = 10_000
_LIMIT = 2**24  # pairs in memory at once

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How often an interval holds the true value.

    Parameters
    ----------
    interval
        Which one, and of what.
    units
        Of how many patients.
    nominal
        What it claims.
    by_truth
        Measured, by true value.
    draws
        Simulated data sets for each true value.
    model
        What was simulated: a model that stays as it is, or one trained in every round.
    missing
        Largest share of the data sets, over the true values, that has no interval; not counted in
        ``by_truth``.

    Examples
    --------
    >>> seen = {0.5: 0.951, 0.9: 0.948}
    >>> Coverage(interval="score interval", units="8 + 8", nominal=0.95, by_truth=seen, draws=99,
    ...          model="fixed model").lowest
    0.948
    """

    interval: str
    units: str
    nominal: float
    by_truth: dict[float, float]
    draws: int
    model: str
    missing: float = 0.0

    @property
    def lowest(self) -> float:
        """The least over the true values."""
        return min(self.by_truth.values())

    @property
    def sentence(self) -> str:
        """For the foot of a table."""
        at = min(self.by_truth, key=lambda truth: self.by_truth[truth])
        said = (
            f"The {self.interval} with {self.units} patients covers {self.lowest:.3f} to "
            f"{max(self.by_truth.values()):.3f} (nominal {self.nominal:g}) for true values of "
            f"{min(self.by_truth):.2f} to {max(self.by_truth):.2f}, least at {at:.2f}: {self.model}"
            f", {self.draws} simulations each."
        )
        return said + (f" Up to {self.missing:.0%} have no interval." if self.missing else "")


@cache
def fixed_area_coverage(
    positives: int,
    negatives: int,
    *,
    confidence: float = 0.95,
    draws: int = _FIXED_DRAWS,
    seed: int = 0,
) -> Coverage:
    """Return what `area_score_interval` covers for normal scores of a model that stays as it is."""
    limits = _limits(positives, negatives, confidence, 1.0)
    rng = np.random.default_rng(seed)
    seen = dict[float, float]()
    for area in AREAS:
        shift = math.sqrt(2) * float(require("scipy.stats", extra="timeseries").norm.ppf(area))
        high = shift + rng.standard_normal((_fewer(positives, negatives, draws), positives))
        low = rng.standard_normal((len(high), negatives))
        orders = high[:, :, None] > low[:, None, :]
        seen[area] = _held(orders.mean((1, 2)), limits, area)
    return Coverage(
        interval="score interval of the AUC",
        units=f"{positives} + {negatives}",
        nominal=confidence,
        by_truth=seen,
        draws=_fewer(positives, negatives, draws),
        model="a model that stays as it is",
    )


@cache
def pair_area_coverage(
    positives: int,
    negatives: int,
    *,
    confidence: float = 0.95,
    inflation: float = PAIR_INFLATION,
    draws: int = _DRAWS,
    seed: int = 0,
) -> Coverage:
    """Return what the interval of a leave-pair-out area covers of the mean area of its models."""
    limits = _limits(positives, negatives, confidence, inflation)
    rng = np.random.default_rng(seed)
    draws = _fewer(positives, negatives, draws)
    seen = dict[float, float]()
    for shift in _SHIFTS:
        orders, truth = _left_out(positives, negatives, shift, draws, rng)
        seen[truth] = _held(orders.mean((1, 2)), limits, truth)
    return Coverage(
        interval="leave-pair-out interval of the AUC",
        units=f"{positives} + {negatives}",
        nominal=confidence,
        by_truth=seen,
        draws=draws,
        model="a linear model trained for every pair",
    )


@cache
def fold_area_coverage(
    folds: tuple[tuple[int, int], ...],
    *,
    confidence: float = 0.95,
    draws: int = _DRAWS,
    seed: int = 0,
) -> Coverage:
    """Return what the corrected t interval covers of areas within the folds of one repeat.

    Parameters
    ----------
    folds
        Positive and negative patients of each.
    confidence, draws, seed
        Nominal coverage, simulations for each true area, and their seed.
    """
    rng = np.random.default_rng(seed)
    draws = _fewer(sum(m for m, _ in folds), sum(n for _, n in folds), draws)
    student = require("scipy.stats", extra="timeseries").t(len(folds) - 1)
    seen, missing = dict[float, float](), 0.0
    for shift in _SHIFTS:
        values, truth = _in_folds(folds, shift, draws, rng)
        error = np.sqrt((1 / len(folds) + 1 / (len(folds) - 1)) * values.var(1, ddof=1))
        held = np.abs(values.mean(1) - truth) <= float(student.isf((1 - confidence) / 2)) * error
        exists = error > 0
        seen[truth] = float(held[exists].mean()) if exists.any() else 0.0
        missing = max(missing, float(1 - exists.mean()))
    sizes = sorted({f"{m} + {n}" for m, n in folds})
    return Coverage(
        interval=f"corrected t interval of the AUC in {len(folds)} folds",
        units=f"{' or '.join(sizes)} test",
        nominal=confidence,
        by_truth=seen,
        draws=draws,
        model="a linear model trained for every fold",
        missing=missing,
    )


def contrast_size(
    positives: int,
    negatives: int,
    *,
    shift: float,
    inflation: float = CONTRAST_INFLATION,
    draws: int = _DRAWS,
    seed: int = 0,
) -> float:
    """Return how often `pair_contrast` finds a difference at .05 where there is none.

    Two models of unrelated features that tell the classes equally well, each trained for every
    pair.

    Parameters
    ----------
    positives, negatives
        Patients.
    shift
        Distance of the class means, in standard deviations of a feature.
    inflation, draws, seed
        Of the variance; simulations and their seed.
    """
    rng = np.random.default_rng(seed)
    one, other = (_left_out(positives, negatives, shift, draws, rng)[0] for _ in range(2))
    apart = one.astype(np.float64) - other
    rows, columns = apart.mean(2).var(1, ddof=1), apart.mean(1).var(1, ddof=1)
    error = np.sqrt(inflation * (rows / positives + columns / negatives))
    t = np.abs(apart.mean((1, 2))) / np.where(error > 0, error, np.inf)
    degrees = positives + negatives - 2
    return float((t > require("scipy.stats", extra="timeseries").t.isf(0.025, degrees)).mean())


def coverage_table(
    sizes: Sequence[tuple[int, int]] = ((5, 5), (8, 8), (12, 12), (20, 20)), *, draws: int = _DRAWS
) -> list[dict[str, float | int | str]]:
    """Return the measured coverage of each interval by size and true value, for a bench."""
    rows = list[dict[str, float | int | str]]()
    for m, n in sizes:
        for label, one in (
            ("fixed", fixed_area_coverage(m, n)),
            ("pairs, inflation 1", pair_area_coverage(m, n, inflation=1.0, draws=draws)),
            (f"pairs, inflation {PAIR_INFLATION:g}", pair_area_coverage(m, n, draws=draws)),
            ("folds", fold_area_coverage(((2, 2),) * (min(m, n) // 2), draws=draws)),
        ):
            rows += [
                {
                    "interval": label,
                    "patients": f"{m} + {n}",
                    "truth": truth,
                    "coverage": seen,
                    "nominal": one.nominal,
                    "n": one.draws,
                }
                for truth, seen in one.by_truth.items()
            ]
    return rows


def _fewer(positives: int, negatives: int, draws: int) -> int:
    return max(200, min(draws, _LIMIT // (positives + negatives) ** 2))


def _limits(positives: int, negatives: int, confidence: float, inflation: float) -> Values:
    steps = 2 * positives * negatives
    found = (
        area_score_interval(
            k / steps,
            positives=positives,
            negatives=negatives,
            unit="patient",
            confidence=confidence,
            inflation=inflation,
        )
        for k in range(steps + 1)
    )
    return np.array([(one.ci_low, one.ci_high) for one in found])


def _held(seen: Values, limits: Values, truth: float) -> float:
    low, high = limits[np.rint(seen * (len(limits) - 1)).astype(int)].T
    return float(((low <= truth) & (truth <= high)).mean())


def _features(count: int, shift: float, draws: int, rng: np.random.Generator) -> Values:
    drawn = rng.standard_normal((draws, count, _DIM))
    drawn[:, :, 0] += shift
    return drawn


def _left_out(
    positives: int, negatives: int, shift: float, draws: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], float]:
    """Return which pairs are in order by the model trained on all others, and its mean area."""
    high, low = _features(positives, shift, draws, rng), _features(negatives, 0.0, draws, rng)
    of_high, of_low = high.sum(1, keepdims=True), low.sum(1, keepdims=True)
    cross = high @ low.transpose(0, 2, 1)
    m, n = positives - 1, negatives - 1
    # w = (mean of the other positives) - (mean of the other negatives), times either of the pair
    own = (high * (of_high - high)).sum(2)[:, :, None] / m
    score = own - ((high * of_low).sum(2)[:, :, None] - cross) / n
    other = (low * (of_low - low)).sum(2)[:, None, :] / n
    rival = ((low * of_high).sum(2)[:, None, :] - cross) / m - other
    weight = (of_high[:, 0] - high[:, 0]) / m - (of_low[:, 0] - low[:, 0]) / n
    return score > rival, _area(weight, shift)


def _in_folds(
    folds: Sequence[tuple[int, int]], shift: float, draws: int, rng: np.random.Generator
) -> tuple[Values, float]:
    """Return the area in each fold by the model trained on the others, and their mean area."""
    parts = [(_features(m, shift, draws, rng), _features(n, 0.0, draws, rng)) for m, n in folds]
    values, truth = list[Values](), list[float]()
    for test in range(len(folds)):
        others = [part for number, part in enumerate(parts) if number != test]
        weight = np.concatenate([one for one, _ in others], 1).mean(1)
        weight = weight - np.concatenate([one for _, one in others], 1).mean(1)
        high, low = ((one @ weight[:, :, None])[:, :, 0] for one in parts[test])
        values.append((high[:, :, None] > low[:, None, :]).mean((1, 2)))
        truth.append(_area(weight, shift))
    return np.stack(values, 1), float(np.mean(truth))


def _area(weight: Values, shift: float) -> float:
    """Return the mean over models of the area that each has on fresh patients."""
    apart = weight[:, 0] * shift / (math.sqrt(2) * np.linalg.norm(weight, axis=1))
    return float(require("scipy.stats", extra="timeseries").norm.cdf(apart).mean())
