"""Conformal p-values: how unusual a score is among earlier ones, and several scores at once.

Valid if the new unit and the earlier ones are exchangeable: drawn alike, none used to fit the
model. That is assumed, not checked. Rows of one unit are more alike than rows of two: use one score
per unit.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal

from medconsist.errors import RefusedInputError

__all__ = ["Direction", "combine", "conformal_p", "joint_conformal_p"]

Direction = Literal["high_is_bad", "low_is_bad", "two_sided"]


def conformal_p(
    score: float, calibration: Sequence[float], *, direction: Direction = "high_is_bad"
) -> float:
    r"""Return the rank p-value of a score among earlier ones; never below ``1 / (n + 1)``.

    :math:`p = (1 + |\{i: s_i \ge s\}|) / (n + 1)` for ``high_is_bad``, with :math:`\le` for
    ``low_is_bad``, and ``min(1, 2 min(p_high, p_low))`` for ``two_sided``. If the n + 1 scores
    are exchangeable, :math:`P(p \le a) \le a` for every a.

    Parameters
    ----------
    score
        Of the new unit; finite.
    calibration
        Scores of earlier units; finite. None gives p = 1.
    direction
        Which scores are unusual in the bad sense.

    Raises
    ------
    RefusedInputError
        A score that is not finite.

    References
    ----------
    V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World (2005).

    Examples
    --------
    >>> conformal_p(9.0, [1.0, 2.0, 3.0])
    0.25
    """
    if not all(map(math.isfinite, [score, *calibration])):
        msg = f"got score {score} among {len(calibration)} earlier ones; all must be finite."
        raise RefusedInputError(msg)
    high = (1 + sum(s >= score for s in calibration)) / (len(calibration) + 1)
    low = (1 + sum(s <= score for s in calibration)) / (len(calibration) + 1)
    match direction:
        case "high_is_bad":
            return high
        case "low_is_bad":
            return low
        case "two_sided":
            return min(1.0, 2 * min(high, low))


def combine(p_values: Sequence[float], *, how: Literal["least", "mean"] = "least") -> float:
    r"""Return one p-value for several of one unit, valid however they depend on each other.

    ``least``: :math:`\min(1, k \min p)` (Bonferroni), for one score far out; ``mean``:
    :math:`\min(1, 2 \bar p)`, for all somewhat out. Choose before looking. Fisher's product is
    not offered: it needs independence, which scores of one unit do not have.

    Parameters
    ----------
    p_values
        One or more, each in (0, 1].
    how
        What to look for.

    Raises
    ------
    RefusedInputError
        No p-value, or one outside (0, 1].

    References
    ----------
    V. Vovk, R. Wang, "Combining p-values via averaging", Biometrika 107 (2020) 791,
    doi:10.1093/biomet/asaa027.

    Examples
    --------
    >>> combine([0.01, 0.5, 0.6]), combine([0.25, 0.25], how="mean")
    (0.03, 0.5)
    """
    if not p_values or not all(0 < p <= 1 for p in p_values):
        msg = f"got p-values {list(p_values)}; allowed: one or more, each in (0, 1]."
        raise RefusedInputError(msg)
    if how == "least":
        return min(1.0, len(p_values) * min(p_values))
    return min(1.0, 2 * math.fsum(p_values) / len(p_values))


def joint_conformal_p(scores: Sequence[float], calibration: Sequence[Sequence[float]]) -> float:
    r"""Return one p-value for several scores of a unit, exact where `combine` is cautious.

    Each score is ranked among all n + 1 units (ties take the higher rank), a unit counts by its
    highest rank, and `conformal_p` judges that number. As all n + 1 units are treated alike, p is
    valid under exchangeability of the units, whatever the dependence between the scores.

    Parameters
    ----------
    scores
        Of the new unit, high is bad; finite.
    calibration
        The same scores of each earlier unit, in the same order.

    Raises
    ------
    RefusedInputError
        No score, units with other numbers of scores, or a score that is not finite.

    Examples
    --------
    >>> joint_conformal_p([9.0, 0.0], [[1.0, 2.0], [2.0, 3.0], [3.0, 1.0]])
    0.5
    """
    units = [list(scores), *map(list, calibration)]
    if not scores or any(len(unit) != len(scores) for unit in units):
        msg = f"got {len(scores)} scores, earlier units with {sorted({*map(len, calibration)})}."
        raise RefusedInputError(msg)
    if not all(math.isfinite(value) for unit in units for value in unit):
        msg = "a score is not finite, so it has no rank. Look at what made it."
        raise RefusedInputError(msg)
    columns = [sorted(column) for column in zip(*units, strict=True)]
    ranks = [float(max(map(bisect_right, columns, unit))) for unit in units]
    return conformal_p(ranks[0], ranks[1:])
