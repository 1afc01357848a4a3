"""The smallest difference that a paired comparison could have detected."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.metrics.delong import AreaDifference
from medconsist.metrics.repeated_folds import FoldDifference

__all__ = [
    "Detectable",
    "smallest_area_difference",
    "smallest_fold_difference",
    "smallest_mean_difference",
]


@dataclass(frozen=True, kw_only=True)
class Detectable:
    """A true difference that the test of a comparison finds with this probability.

    Parameters
    ----------
    difference
        In the units of the figure, positive; the test is two-sided.
    power
        Probability that the test finds it.
    alpha
        Probability that the test finds one where there is none.
    n
        Number of units.
    unit_of_analysis
        What a unit is.
    test
        Which test is meant.

    Examples
    --------
    >>> found = smallest_mean_difference(n=30, sd=0.1, unit="patient")
    >>> round(found.difference, 4), found.test
    (0.0529, 'paired t')
    """

    difference: float
    power: float
    alpha: float
    n: int
    unit_of_analysis: str
    test: str


def smallest_mean_difference(
    *, n: int, sd: float, unit: str, power: float = 0.8, alpha: float = 0.05
) -> Detectable:
    r"""Return the smallest mean of n paired differences that a two-sided t test detects.

    Solves :math:`P(|T| > t_{n-1, 1-\alpha/2}) =` power for T of the non-central t distribution
    with n - 1 degrees of freedom and shift :math:`\delta \sqrt n / sd`.

    Parameters
    ----------
    n
        Pairs, one per unit; 2 or more.
    sd
        Standard deviation of the differences, positive.
    unit
        What a pair is, e.g. ``"patient"``.
    power, alpha
        In (0, 1), power above alpha.

    Raises
    ------
    RefusedInputError
        A number out of its range.
    """
    _refuse(power, alpha)
    if n < 2 or not 0 < sd < math.inf:
        msg = f"got n = {n} and sd = {sd}; allowed: two or more pairs, a positive finite sd."
        raise RefusedInputError(msg)
    shift = _smallest_shift(n - 1, power, alpha)
    return Detectable(
        difference=shift * sd / math.sqrt(n),
        power=power,
        alpha=alpha,
        n=n,
        unit_of_analysis=unit,
        test="paired t",
    )


def smallest_area_difference(
    compared: AreaDifference, *, power: float = 0.8, alpha: float = 0.05
) -> Detectable:
    r"""Return the smallest difference of two areas that DeLong's paired test detects.

    Solves :math:`\Phi(d/s - z) + \Phi(-d/s - z) =` power with the standard error s of the
    comparison (:math:`d \approx 2.80\, s` for .8 and .05), taking s as the same for all d. It
    says what these units and these two scores can show, whatever they did show.

    Raises
    ------
    RefusedInputError
        The comparison has no standard error, or power and alpha are out of range.
    """
    _refuse(power, alpha)
    error = _error(compared.standard_error, compared.note)
    normal = require("scipy.stats", extra="wsi").norm
    z = float(normal.isf(alpha / 2))
    shift = _solve(lambda d: float(normal.sf(z - d) + normal.sf(z + d)), power)
    return Detectable(
        difference=shift * error,
        power=power,
        alpha=alpha,
        n=compared.n,
        unit_of_analysis=compared.unit_of_analysis,
        test="paired DeLong",
    )


def smallest_fold_difference(
    compared: FoldDifference, *, power: float = 0.8, alpha: float = 0.05
) -> Detectable:
    """Return the smallest mean difference over folds that the corrected t test detects.

    As `smallest_mean_difference`, with the corrected standard error and the degrees of freedom of
    the comparison. Raises what `smallest_area_difference` raises.
    """
    _refuse(power, alpha)
    error = _error(compared.standard_error, compared.note)
    return Detectable(
        difference=_smallest_shift(compared.degrees, power, alpha) * error,
        power=power,
        alpha=alpha,
        n=compared.n,
        unit_of_analysis=compared.unit_of_analysis,
        test="corrected resampled t",
    )


def _smallest_shift(degrees: int, power: float, alpha: float) -> float:
    stats = require("scipy.stats", extra="wsi")
    t = float(stats.t.isf(alpha / 2, degrees))
    # T^2 is non-central F; scipy's non-central t is NaN far in the tail, its F wrong at 0 only.
    return _solve(lambda d: float(stats.ncf.sf(t**2, 1, degrees, d**2)) if d > 0 else alpha, power)


def _solve(found: Callable[[float], float], power: float) -> float:
    top = 1.0
    while found(top) < power:
        top *= 2
    root = require("scipy.optimize", extra="wsi").brentq
    return float(root(lambda d: found(d) - power, 0.0, top))


def _error(error: float | None, note: str) -> float:
    if error is None:
        msg = f"the comparison has no standard error, so nothing can be said of it: {note}."
        raise RefusedInputError(msg)
    return error


def _refuse(power: float, alpha: float) -> None:
    if not 0 < alpha < power < 1:
        msg = f"got power {power} and alpha {alpha}; allowed: 0 < alpha < power < 1."
        raise RefusedInputError(msg)
