r"""Bounds from a calibration set with a promise for the next unit, and the exact test of it.

Two promises, each for finite n and any law of the data, if the calibration units and the next one
are exchangeable, and nothing was fitted to any of them:

`conformal_bound`
    :math:`P(s_{n+1} \le \hat q) \ge 1 - \alpha`: a probability over units.
`risk_bound`
    :math:`E[L_{n+1}(\hat\lambda)] \le \alpha`: a mean of losses between 0 and 1.

Neither holds for one unit that was picked, within a subgroup, or after a shift.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from medconsist._extras import require
from medconsist.errors import RefusedInputError

__all__ = ["CoverageTest", "conformal_bound", "conformal_rank", "coverage_test", "risk_bound"]

_ROUNDING = 1e-9  # 20 * (1 - 0.05) may be 19.000000000000004: do not ask for one unit more


def conformal_rank(n: int, alpha: float) -> int:
    r"""Return :math:`k = \lceil (n + 1)(1 - \alpha) \rceil`, the place of the bound among n scores.

    At least 1; above n where n units are too few for alpha: ``ceil(1 / alpha) - 1`` are needed.

    Raises
    ------
    RefusedInputError
        Alpha outside (0, 1), or a negative n.

    Examples
    --------
    >>> conformal_rank(19, 0.05), conformal_rank(18, 0.05)
    (19, 19)
    """
    if not 0 < alpha < 1 or n < 0:
        msg = f"alpha must be in (0, 1), e.g. 0.1, and n at least 0; got {alpha} and {n}."
        raise RefusedInputError(msg)
    return max(1, math.ceil((n + 1) * (1 - alpha) - _ROUNDING))


def conformal_bound(scores: Float[Tensor, " units"], *, alpha: float) -> float:
    r"""Return the bound that the score of the next unit keeps with probability :math:`1 - \alpha`.

    The k-th smallest score, k of `conformal_rank`; infinite where k > n. For n + 1 exchangeable
    scores :math:`1 - \alpha \le P(s_{n+1} \le \hat q)`, and at most :math:`1 - \alpha + 1/(n+1)`
    if ties have probability 0.

    Parameters
    ----------
    scores
        One of each calibration unit; infinite is allowed, NaN is not.
    alpha
        In (0, 1).

    Raises
    ------
    RefusedInputError
        Alpha out of range, or a score that is NaN.

    References
    ----------
    V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World (2005); J. Lei et al.,
    JASA 113 (2018) 1094, doi:10.1080/01621459.2017.1307116, theorem 2.2.

    Examples
    --------
    >>> conformal_bound(torch.arange(1.0, 10.0), alpha=0.2)
    8.0
    """
    if bool(scores.isnan().any()):
        msg = f"{int(scores.isnan().sum())} of {len(scores)} scores are NaN and have no rank."
        raise RefusedInputError(msg)
    place = conformal_rank(len(scores), alpha)
    return math.inf if place > len(scores) else float(scores.sort().values[place - 1])


def risk_bound(scores: Sequence[Float[Tensor, " _"]], *, alpha: float) -> float:
    r"""Return the least bound for which the mean share of entries above it is controlled.

    Conformal risk control of the loss :math:`L_i(\lambda) = |\{j: s_{ij} > \lambda\}| / m_i` of
    unit i, which falls in lambda, is continuous from the right and at most 1:

    .. math:: \hat\lambda = \inf \{\lambda \ge 0: \sum_{i=1}^n L_i(\lambda) + 1
              \le \alpha (n + 1)\}, \qquad E[L_{n+1}(\hat\lambda)] \le \alpha

    and at least :math:`\alpha - 2/(n+1)` for independent units without ties (theorem 2 there).
    Computed exactly from all entries. Infinite where :math:`\alpha (n + 1) < 1`.

    Parameters
    ----------
    scores
        For each calibration unit the scores of its entries, at least one; infinite is allowed.
    alpha
        In (0, 1).

    Raises
    ------
    RefusedInputError
        Alpha out of range, a unit without entries, or a score that is NaN.

    References
    ----------
    A. Angelopoulos et al., "Conformal risk control", ICLR 2024, arXiv:2208.02814, theorem 1.

    Examples
    --------
    >>> risk_bound([torch.tensor([1.0, 2.0])] * 3, alpha=0.625)
    1.0
    """
    if not 0 < alpha < 1 or any(len(unit) == 0 or bool(unit.isnan().any()) for unit in scores):
        msg = (
            f"got alpha {alpha} and {len(scores)} units; allowed: alpha in (0, 1), e.g. 0.1, and "
            "one or more entries of each unit, none of them NaN."
        )
        raise RefusedInputError(msg)
    allowed = alpha * (len(scores) + 1) - 1 + _ROUNDING
    if allowed < 0:
        return math.inf
    zero = scores[0].new_zeros(1).double()  # the least bound
    shares = (torch.full_like(unit, 1 / len(unit), dtype=torch.float64) for unit in scores)
    ordered, order = torch.cat([zero, *scores]).clamp_min(0).sort()
    weights = torch.cat([zero, *shares])[order]
    above = weights.sum() - weights.cumsum(0)  # of ties the last has the loss at their value
    return float(ordered[int((above <= allowed).nonzero()[0])])


@dataclass(frozen=True, kw_only=True)
class CoverageTest:
    """Whether a number of covered units is what exchangeability promises.

    Parameters
    ----------
    p_low
        Probability of as few or fewer.
    p_two_sided
        ``min(1, 2 min(p_low, p_high))``: small too where far more are covered.
    expected
        Mean share covered, ``k / (n + 1)``.

    Examples
    --------
    >>> round(coverage_test(90, 100, n=99, alpha=0.1).expected, 3)
    0.9
    """

    p_low: float
    p_two_sided: float
    expected: float


def coverage_test(covered: int, units: int, *, n: int, alpha: float) -> CoverageTest:
    r"""Return the exact test of the number of units that kept a `conformal_bound`.

    With n calibration units and m others, all exchangeable and without ties, the number covered
    follows :math:`K \sim \text{BetaBinomial}(m; n + 1 - l, l)`, :math:`l = n + 1 - k` and k of
    `conformal_rank`: the luck of the calibration units, which all others share, is in it. Ties
    cover more. A plain binomial test would be too severe.

    Parameters
    ----------
    covered, units
        K, of m test units.
    n
        Calibration units.
    alpha
        As for the bound.

    Raises
    ------
    RefusedInputError
        K not in 0 to m, m below 1, or n too small for alpha: then there is no bound to test.

    References
    ----------
    V. Vovk, "Conditional validity of inductive conformal predictors", Mach. Learn. 92 (2013) 349,
    doi:10.1007/s10994-013-5355-6; P. C. Marques F., arXiv:2303.02770 (law of the number covered).
    """
    place = conformal_rank(n, alpha)
    if not 0 <= covered <= units or units < 1 or place > n:
        msg = (
            f"got {covered} of {units} covered and n = {n} at alpha {alpha}; allowed: 0 to m of "
            "one or more units, and n of at least 1 / alpha - 1."
        )
        raise RefusedInputError(msg)
    law = require("scipy.stats", extra="mri").betabinom(units, place, n + 1 - place)
    low, high = float(law.cdf(covered)), float(law.sf(covered - 1))
    return CoverageTest(
        p_low=low, p_two_sided=min(1.0, 2 * min(low, high)), expected=place / (n + 1)
    )
