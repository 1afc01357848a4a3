"""The one comparison that was named before: two candidates on the same patients, paired."""

import math

from jaxtyping import Float64
from torch import Tensor

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.metrics.delong import AreaDifference
from medconsist.metrics.power import Detectable, smallest_mean_difference
from medconsist.timeseries.evaluation.coverage import CONTRAST_INFLATION

__all__ = ["pair_contrast", "pair_detectable"]

_ROUNDING = 1e-12


def pair_contrast(
    first: Float64[Tensor, "positives negatives"],
    second: Float64[Tensor, "positives negatives"],
    *,
    unit: str = "patient",
    confidence: float = 0.95,
) -> AreaDifference:
    r"""Return the difference of two leave-pair-out areas, paired by patient.

    With :math:`d_{ij}` the first less the second order of pair (i, j), the variance of its mean is
    :math:`f\, (\mathrm{var}_i(\bar d_{i \cdot}) / m + \mathrm{var}_j(\bar d_{\cdot j}) / n)`:
    DeLong's, for two scores, times the `CONTRAST_INFLATION` f that models trained for each pair
    need. The limits are those of t with m + n - 2 degrees of freedom. Without f, two equal models
    of unrelated features differ significantly in up to 19 % of simulations (nominal 5), with it in
    5 % at most; see `coverage.contrast_size`.

    Parameters
    ----------
    first, second
        Of `figures.pair_order`; two or more of each kind.
    unit
        What was left out.
    confidence
        Nominal coverage.

    Raises
    ------
    RefusedInputError
        Other patients, or fewer than two of a kind.
    """
    if first.shape != second.shape or min(first.shape) < 2:
        msg = (
            f"orders of shape {tuple(first.shape)} and {tuple(second.shape)}; allowed: the same "
            "pairs, of two or more of each kind."
        )
        raise RefusedInputError(msg)
    m, n = first.shape
    apart = first - second
    variance = CONTRAST_INFLATION * float(apart.mean(1).var() / m + apart.mean(0).var() / n)
    difference = float(apart.mean())
    low, high, error, p = None, None, None, None
    note = f"difference {difference:g} with a variance of zero: neither interval nor p-value"
    if variance > _ROUNDING:
        error, note = math.sqrt(variance), ""
        student = require("scipy.stats", extra="timeseries").t(m + n - 2)
        half = float(student.isf((1 - confidence) / 2)) * error
        low, high = difference - half, difference + half
        p = float(2 * student.sf(abs(difference) / error))
    return AreaDifference(
        mean=difference,
        ci_low=low,
        ci_high=high,
        n=m + n,
        unit_of_analysis=unit,
        confidence=confidence,
        note=note,
        standard_error=error,
        n_positive=m,
        n_negative=n,
        first=float(first.mean()),
        second=float(second.mean()),
        p=p,
    )


def pair_detectable(
    compared: AreaDifference, *, power: float = 0.8, alpha: float = 0.05
) -> Detectable | None:
    """Return the smallest difference that `pair_contrast` finds, None without a standard error."""
    if compared.standard_error is None:
        return None
    found = smallest_mean_difference(
        n=compared.n - 1,  # m + n - 2 degrees of freedom
        sd=compared.standard_error * math.sqrt(compared.n - 1),
        unit=compared.unit_of_analysis,
        power=power,
        alpha=alpha,
    )
    return Detectable(
        difference=found.difference,
        power=power,
        alpha=alpha,
        n=compared.n,
        unit_of_analysis=compared.unit_of_analysis,
        test="paired t over left-out pairs",
    )
