"""Sets of classes that hold the true one with a stated probability, and the check of that claim.

Valid for a new unit that is exchangeable with the calibration units: one row per unit, and none of
them used to fit the model, its checkpoint or its temperature.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.metrics._checks import refuse_labels, refuse_probabilities, refuse_test
from medconsist.metrics.conformal_bound import conformal_bound, conformal_rank, coverage_test
from medconsist.metrics.report import Proportion, exact_binomial_interval

__all__ = ["ConformalSets", "Coverage", "calibrate_sets", "check_coverage"]


@dataclass(frozen=True, kw_only=True)
class ConformalSets:
    """A rule that gives each unit the set of classes which cannot be ruled out.

    Class c is in the set where ``1 - p_c <= limits[c]``.

    Parameters
    ----------
    limits
        One per class; None admits the class always, as the calibration units are too few.
    alpha
        The true class is missing with at most this probability.
    n
        Calibration units of each class.
    by_class
        Whether the promise holds for each true class by itself, or on average over them.
    calibrated_on, unit_of_analysis
        The part of the data, and what a unit is.

    Examples
    --------
    >>> import torch
    >>> p, label = torch.tensor([[0.9, 0.1], [0.2, 0.8]] * 5), torch.tensor([0, 1] * 5)
    >>> rule = calibrate_sets(p, label, alpha=0.2, calibrated_on="calibration", unit="patient")
    >>> rule.predict(torch.tensor([[0.95, 0.05], [0.5, 0.5]])).tolist()
    [[True, False], [False, False]]
    """

    limits: tuple[float | None, ...]
    alpha: float
    n: tuple[int, ...]
    by_class: bool
    calibrated_on: str
    unit_of_analysis: str

    def predict(
        self, probabilities: Float[Tensor, "units classes"]
    ) -> Bool[Tensor, "units classes"]:
        """Return which classes are in the set of each unit.

        A set of several classes is undecided; an empty one fits no class as the calibration units
        did. Neither is a decision.
        """
        refuse_probabilities(probabilities)
        if probabilities.shape[1] != len(self.limits):
            msg = f"got {probabilities.shape[1]} classes; calibrated for {len(self.limits)}."
            raise RefusedInputError(msg)
        limits = [math.inf if limit is None else limit for limit in self.limits]
        bound = torch.tensor(limits, dtype=torch.float64, device=probabilities.device)
        return 1 - probabilities.double() <= bound


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How often the sets of other units held the true class, and whether that refutes the promise.

    Parameters
    ----------
    covered
        Units whose set holds the true class, with the exact interval.
    promised
        ``1 - alpha``.
    p_binomial
        Probability of as few or fewer if each unit were covered with exactly the promised
        probability.
    p_exchangeable
        The same if calibration and test units are exchangeable, which allows for the luck of the
        calibration units too; None for sets by class, whose law depends on the class shares.
    mean_size
        Classes per set.
    empty
        Units with an empty set.

    Examples
    --------
    >>> import torch
    >>> p, label = torch.tensor([[0.9, 0.1], [0.2, 0.8]] * 5), torch.tensor([0, 1] * 5)
    >>> rule = calibrate_sets(p, label, alpha=0.2, calibrated_on="calibration", unit="patient")
    >>> check_coverage(rule, p, label).covered.k
    10
    """

    covered: Proportion
    promised: float
    p_binomial: float
    p_exchangeable: float | None
    mean_size: float
    empty: int


def calibrate_sets(
    probabilities: Float[Tensor, "units classes"],
    label: Int64[Tensor, " units"],
    *,
    alpha: float,
    calibrated_on: str,
    unit: str,
    by_class: bool = False,
) -> ConformalSets:
    r"""Return the rule whose sets miss the true class with probability at most alpha.

    The score of a calibration unit is :math:`1 - p_y`; the limit is its k-th smallest value with
    :math:`k = \lceil (n + 1)(1 - \alpha) \rceil`, and no limit where k > n.

    Parameters
    ----------
    probabilities
        Of calibration units, one row per unit.
    label
        Their classes.
    alpha
        In (0, 1), e.g. .1. A limit needs ``ceil(1 / alpha) - 1`` units: 9 for .1, 19 for .05.
    calibrated_on
        Name of the part of the data; not the test.
    unit
        What a row is, e.g. ``"patient"``.
    by_class
        True takes n and the limit within each class, so that a rare class is covered too.

    Raises
    ------
    RefusedInputError
        Rows that are no distributions, labels or alpha out of range, or a part called test.

    References
    ----------
    M. Sadinle, J. Lei, L. Wasserman, JASA 114 (2019) 223, doi:10.1080/01621459.2017.1395341;
    by class: V. Vovk, Mach. Learn. 92 (2013) 349, doi:10.1007/s10994-013-5355-6.
    """
    refuse_probabilities(probabilities)
    classes = probabilities.shape[1]
    refuse_labels(label, classes)
    refuse_test(calibrated_on, "a limit")
    if not 0 < alpha < 1:
        msg = f"alpha must be in (0, 1), e.g. 0.1, got {alpha}."
        raise RefusedInputError(msg)
    score = 1 - probabilities.double().gather(1, label[:, None])[:, 0]
    groups = [score[label == c] if by_class else score for c in range(classes)]
    return ConformalSets(
        limits=tuple(_limit(group, alpha) for group in groups),
        alpha=alpha,
        n=tuple(torch.bincount(label, minlength=classes).tolist()),
        by_class=by_class,
        calibrated_on=calibrated_on,
        unit_of_analysis=unit,
    )


def check_coverage(
    rule: ConformalSets,
    probabilities: Float[Tensor, "units classes"],
    label: Int64[Tensor, " units"],
) -> Coverage:
    r"""Return how often sets hold the true class on units that were not calibrated on.

    With n calibration units and :math:`k = \lceil (n + 1)(1 - \alpha) \rceil`, the number covered
    of m units follows the beta-binomial law (m, k, n + 1 - k) if all are exchangeable and no
    scores are tied; ties cover more.

    Parameters
    ----------
    rule
        From `calibrate_sets`.
    probabilities
        Of test units, one row per unit.
    label
        Their classes.

    References
    ----------
    P. C. Marques F., arXiv:2303.02770 (law of the coverage).
    """
    sets = rule.predict(probabilities)
    refuse_labels(label, len(rule.limits))
    k, m = int(sets.gather(1, label[:, None]).sum()), len(label)
    stats = require("scipy.stats", extra="wsi")
    n, exact = sum(rule.n), None
    if not rule.by_class:
        unlimited = conformal_rank(n, rule.alpha) > n
        exact = 1.0 if unlimited else coverage_test(k, m, n=n, alpha=rule.alpha).p_low
    return Coverage(
        covered=exact_binomial_interval(k, m, unit=rule.unit_of_analysis),
        promised=1 - rule.alpha,
        p_binomial=float(stats.binom.cdf(k, m, 1 - rule.alpha)),
        p_exchangeable=exact,
        mean_size=float(sets.sum(1).double().mean()),
        empty=int((~sets.any(1)).sum()),
    )


def _limit(score: Float[Tensor, " units"], alpha: float) -> float | None:
    bound = conformal_bound(score, alpha=alpha)
    return None if math.isinf(bound) else bound
