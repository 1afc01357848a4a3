"""Means with confidence intervals; every figure carries n and its unit of analysis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

import numpy as np
import torch
from torch import Generator

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.metrics._checks import FEW, refuse_confidence

__all__ = [
    "Estimate",
    "Proportion",
    "exact_binomial_interval",
    "interval",
    "paired_difference",
    "t_interval",
    "written",
]

_RESAMPLES = 4999


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over independent units, and how sure we are of it.

    Parameters
    ----------
    mean
        Arithmetic mean over the units, or the figure that a function or subclass names: an area
        under a curve is a mean over pairs.
    ci_low, ci_high
        Limits of the confidence interval, None where the data allow none.
    n
        Number of units.
    unit_of_analysis
        What was counted as independent, e.g. ``"scan"``.
    confidence
        Nominal coverage of the interval.
    note
        What the reader must know about the interval, or empty.

    Examples
    --------
    >>> Estimate(mean=0.5, ci_low=None, ci_high=None, n=1, unit_of_analysis="scan").n
    1
    """

    mean: float
    ci_low: float | None
    ci_high: float | None
    n: int
    unit_of_analysis: str
    confidence: float = 0.95
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Proportion:
    """k successes out of n, with the exact interval.

    Examples
    --------
    >>> exact_binomial_interval(0, 10, unit="site").ci_low
    0.0
    """

    proportion: float
    ci_low: float
    ci_high: float
    k: int
    n: int
    unit_of_analysis: str
    confidence: float = 0.95


def written(estimate: Estimate) -> str:
    """Return an estimate as a person reads it, with its sign: for differences too.

    Examples
    --------
    >>> written(Estimate(mean=0.5, ci_low=0.4, ci_high=0.6, n=9, unit_of_analysis="scan"))
    '+0.500 (95 % CI 0.400 to 0.600; n = 9 scans)'
    """
    low, high, share = estimate.ci_low, estimate.ci_high, 100 * estimate.confidence
    limits = "" if low is None or high is None else f"{share:g} % CI {low:.3f} to {high:.3f}; "
    note = f"; {estimate.note}" if estimate.note else ""
    return f"{estimate.mean:+.3f} ({limits}n = {estimate.n} {estimate.unit_of_analysis}s{note})"


def interval(
    values: Sequence[float],
    *,
    unit: str,
    generator: Generator,
    confidence: float = 0.95,
) -> Estimate:
    """Return the mean of independent units with a bootstrap interval (BCa).

    One value per unit: average within a patient or scan first. No interval is made up for a
    single unit, or where all values are equal; ``note`` says so, and warns below ten units.

    Parameters
    ----------
    values
        One finite number per unit, at least one.
    unit
        Name of the unit, e.g. ``"scan"``.
    generator
        Source of the resampling; the same generator state gives the same interval.
    confidence
        Nominal coverage, in (0, 1).

    Raises
    ------
    RefusedInputError
        If there is no value, or one is not finite.

    References
    ----------
    B. Efron, "Better bootstrap confidence intervals", JASA 82 (1987) 171,
    doi:10.1080/01621459.1987.10478410; computed by ``scipy.stats.bootstrap``.
    """
    refuse_confidence(confidence)
    _check_values(values)
    n = len(values)
    low, high, note = None, None, ""
    if n == 1:
        note = f"one {unit}: no interval"
    elif min(values) == max(values):
        note = f"all {n} values are equal: no interval"
    else:
        low, high = _bootstrap(values, confidence, generator)
        if n < FEW:
            note = f"only {n} units ({unit}): a bootstrap interval is too narrow below {FEW}"
    return Estimate(
        mean=math.fsum(values) / n,
        ci_low=low,
        ci_high=high,
        n=n,
        unit_of_analysis=unit,
        confidence=confidence,
        note=note,
    )


def t_interval(values: Sequence[float], *, unit: str, confidence: float = 0.95) -> Estimate:
    """Return the mean of independent units with the interval of Student's t.

    For few units: exact for normal values, where BCa at ten of them covers 90 % of nominal 95 %.

    Parameters
    ----------
    values
        One finite number per unit, at least one; of differences, one per pair.
    unit
        Name of the unit.
    confidence
        In (0, 1).

    Raises
    ------
    RefusedInputError
        If there is no value, or one is not finite.

    Examples
    --------
    >>> written(t_interval([0.1, 0.2, 0.3], unit="draw"))
    '+0.200 (95 % CI -0.048 to 0.448; n = 3 draws)'
    """
    refuse_confidence(confidence)
    _check_values(values)
    n, mean = len(values), math.fsum(values) / len(values)
    low, high = None, None
    if n == 1 or min(values) == max(values):
        note = f"one {unit}: no interval" if n == 1 else f"all {n} values are equal: no interval"
    else:
        stats, note = require("scipy.stats", extra="mri"), ""
        reach = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * stdev(values) / math.sqrt(n)
        low, high = mean - reach, mean + reach
    return Estimate(
        mean=mean,
        ci_low=low,
        ci_high=high,
        n=n,
        unit_of_analysis=unit,
        confidence=confidence,
        note=note,
    )


def paired_difference(
    first: Sequence[float],
    second: Sequence[float],
    *,
    unit: str,
    generator: Generator,
    confidence: float = 0.95,
) -> Estimate:
    """Return the mean of ``first - second`` over the same units, with its interval.

    The interval is that of `interval` on the differences: units, not methods, are resampled.
    """
    if len(first) != len(second):
        msg = (
            f"paired values need the same units: got {len(first)} and {len(second)}. "
            "Pass one value of each method per unit, in the same order."
        )
        raise RefusedInputError(msg)
    _check_values(first)
    _check_values(second)
    differences = [a - b for a, b in zip(first, second, strict=True)]
    return interval(differences, unit=unit, generator=generator, confidence=confidence)


def exact_binomial_interval(k: int, n: int, *, unit: str, confidence: float = 0.95) -> Proportion:
    """Return k out of n with the interval of Clopper and Pearson, which never covers too little.

    Parameters
    ----------
    k
        Successes, 0 to n.
    n
        Trials, at least 1.
    unit
        Name of a trial, e.g. ``"site"``.
    confidence
        Least coverage, in (0, 1).

    References
    ----------
    C. J. Clopper, E. S. Pearson, Biometrika 26 (1934) 404, doi:10.1093/biomet/26.4.404; computed
    by ``scipy.stats.binomtest``.
    """
    refuse_confidence(confidence)
    if n < 1 or not 0 <= k <= n:
        msg = f"got k={k} out of n={n}; allowed: n >= 1 and 0 <= k <= n."
        raise RefusedInputError(msg)
    stats = require("scipy.stats", extra="mri")
    limits = stats.binomtest(k, n).proportion_ci(confidence, method="exact")
    return Proportion(
        proportion=k / n,
        ci_low=float(limits.low),
        ci_high=float(limits.high),
        k=k,
        n=n,
        unit_of_analysis=unit,
        confidence=confidence,
    )


def _bootstrap(
    values: Sequence[float], confidence: float, generator: Generator
) -> tuple[float, float]:
    stats = require("scipy.stats", extra="mri")
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    limits = stats.bootstrap(
        (np.asarray(values, dtype=float),),
        np.mean,
        n_resamples=_RESAMPLES,
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(int(seed)),
    ).confidence_interval
    return float(limits.low), float(limits.high)


def _check_values(values: Sequence[float]) -> None:
    if not values or not all(math.isfinite(value) for value in values):
        bad = sum(not math.isfinite(value) for value in values)
        msg = f"got {len(values)} values, {bad} of them not finite; allowed: one or more finite."
        raise RefusedInputError(msg)
