"""The score interval of an area under a ROC curve: it exists for every area, also 0 and 1."""

import math

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.metrics._checks import FEW, refuse_confidence
from medconsist.metrics.delong import AreaEstimate

__all__ = ["area_score_interval"]

_ROUNDING = 1e-12


def area_score_interval(
    area: float,
    *,
    positives: int,
    negatives: int,
    unit: str,
    confidence: float = 0.95,
    inflation: float | int = 1,
) -> AreaEstimate:
    r"""Return all areas that the seen one does not contradict, for few units of each kind.

    The limits solve :math:`(\hat A - A)^2 = z^2 V(A)` with the variance that exponential scores
    would have (Hanley and McNeil),

    .. math:: V(A) = f\, \frac{A (1 - A)}{m n}
              \left(1 + N \left[\frac{1 - A}{2 - A} + \frac{A}{1 + A}\right]\right),
              \quad N = \frac{m + n}{2} - 1

    for m positives and n negatives, f = 1 unless said otherwise. It exists where `delong_interval`
    does not, and covers what it claims even for 8 + 8 units: see
    `medconsist.timeseries.evaluation.coverage`, which measures it.

    Parameters
    ----------
    area
        In [0, 1]: of independent units scored by one model, or of pairs that were left out.
    positives, negatives
        Units of each kind, one or more.
    inflation
        Of the variance (f), 1 or more: 1 for scores of one model that stays as it is. Left-out
        pairs, each scored by a model of its own, scatter more; see
        `medconsist.timeseries.evaluation.coverage`.
    unit
        What a unit is, e.g. ``"patient"``.
    confidence
        Nominal coverage, in (0, 1).

    Raises
    ------
    RefusedInputError
        A number out of its range.

    References
    ----------
    R. G. Newcombe, Stat. Med. 25 (2006) 559, doi:10.1002/sim.2324 (method 5). J. A. Hanley,
    B. J. McNeil, Radiology 143 (1982) 29, doi:10.1148/radiology.143.1.7063747.

    Examples
    --------
    >>> found = area_score_interval(1.0, positives=8, negatives=8, unit="patient")
    >>> round(found.ci_low, 3), found.ci_high
    (0.756, 1.0)
    """
    refuse_confidence(confidence)
    if not 0 <= area <= 1 or min(positives, negatives) < 1 or not 1 <= inflation < math.inf:
        msg = (
            f"got an area of {area} over {positives} positive and {negatives} negative units, "
            f"inflation {inflation}; allowed: 0 to 1, one or more of each, 1 or more."
        )
        raise RefusedInputError(msg)
    z = float(require("scipy.stats", extra="timeseries").norm.isf((1 - confidence) / 2))
    z *= math.sqrt(inflation)
    few = min(positives, negatives) < FEW
    return AreaEstimate(
        mean=area,
        ci_low=_limit(area, positives, negatives, z, side=-1),
        ci_high=_limit(area, positives, negatives, z, side=1),
        n=positives + negatives,
        unit_of_analysis=unit,
        confidence=confidence,
        note=f"only {positives} positive and {negatives} negative units" if few else "",
        standard_error=None,
        n_positive=positives,
        n_negative=negatives,
    )


def _limit(seen: float, m: int, n: int, z: float, *, side: int) -> float:
    end = 0.0 if side < 0 else 1.0
    if abs(seen - end) <= _ROUNDING:
        return end

    def excess(area: float) -> float:
        spread = 1 + ((m + n) / 2 - 1) * ((1 - area) / (2 - area) + area / (1 + area))
        return abs(seen - area) - z * math.sqrt(area * (1 - area) * spread / (m * n))

    # the excess is negative at the seen area and positive at the end
    inner = seen + side * _ROUNDING
    root = require("scipy.optimize", extra="timeseries").brentq
    return float(root(excess, min(end, inner), max(end, inner)))
