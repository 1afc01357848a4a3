"""Thresholds that are chosen on validation units, and what they do on others.

A unit is called positive where ``score >= threshold``, in float64. Candidates are the distinct
scores of the validation units and the next number above their maximum, which calls none positive.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.metrics._checks import refuse_confidence, refuse_scores, refuse_test
from medconsist.metrics.report import Proportion, exact_binomial_interval

__all__ = ["OperatingPoint", "OperatingReport", "at_least", "judge_at", "youden"]

Kind = Literal["sensitivity", "specificity"]


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """A threshold, the rule that chose it, and the units it was chosen on.

    Parameters
    ----------
    threshold
        Positive where ``score >= threshold``.
    rule
        E.g. ``"youden"`` or ``"sensitivity >= 0.95"``.
    chosen_on
        The part of the data, e.g. ``"validation"``.
    sensitivity, specificity
        On that part: better than on others, as the threshold was fitted to it.
    n_positive, n_negative
        Units of that part.
    unit_of_analysis
        What a unit is.

    Raises
    ------
    RefusedInputError
        If the part is called test.

    Examples
    --------
    >>> import torch
    >>> score, positive = torch.tensor([0.1, 0.4, 0.3, 0.9]), torch.tensor([0, 0, 1, 1]).bool()
    >>> point = at_least("sensitivity", 1.0, score, positive, chosen_on="validation", unit="case")
    >>> round(point.threshold, 3), point.specificity
    (0.3, 0.5)
    """

    threshold: float
    rule: str
    chosen_on: str
    sensitivity: float
    specificity: float
    n_positive: int
    n_negative: int
    unit_of_analysis: str

    def __post_init__(self) -> None:
        refuse_test(self.chosen_on, "a threshold")


@dataclass(frozen=True, kw_only=True)
class OperatingReport:
    """What a threshold does on units that it was not chosen on, with exact intervals.

    Parameters
    ----------
    point
        The threshold and where it came from.
    judged_on
        The part of the data that is judged.
    sensitivity, specificity
        Shares of the positive and of the negative units that are called rightly.
    ppv, npv
        Shares of the units called positive and negative that are; None if none is called so.
        They hold for this prevalence only.
    prevalence
        Share of positive units in the part.

    Examples
    --------
    >>> import torch
    >>> score, positive = torch.tensor([0.1, 0.4, 0.3, 0.9]), torch.tensor([0, 0, 1, 1]).bool()
    >>> point = youden(score, positive, chosen_on="validation", unit="case")
    >>> judge_at(point, score + 0.3, positive, judged_on="site B").sensitivity.k
    2
    """

    point: OperatingPoint
    judged_on: str
    sensitivity: Proportion
    specificity: Proportion
    ppv: Proportion | None
    npv: Proportion | None
    prevalence: float


def youden(
    score: Float[Tensor, " units"],
    positive: Bool[Tensor, " units"],
    *,
    chosen_on: str,
    unit: str,
) -> OperatingPoint:
    """Return the threshold of the largest ``sensitivity + specificity - 1``.

    Of several, the lowest, which misses the fewest positives. W. J. Youden, Cancer 3 (1950) 32.

    Parameters
    ----------
    score
        More is more positive; finite; one per unit, of validation units.
    positive
        The truth; both kinds must occur.
    chosen_on
        Name of the part of the data, e.g. ``"validation"``.
    unit
        What a row is, e.g. ``"patient"``.

    Raises
    ------
    RefusedInputError
        One kind only, a score that is not finite, or a part called test.
    """
    thresholds, found, spared = _candidates(score, positive)
    # Whole numbers keep ties exact: TP * N + TN * P orders as the sum of the two shares does.
    high = int(positive.sum())
    merit = found * (len(positive) - high) + spared * high
    best = int(merit.argmax())
    counts = (int(found[best]), int(spared[best]))
    return _point(float(thresholds[best]), "youden", counts, positive, (chosen_on, unit))


def at_least(
    kind: Kind,
    share: float,
    score: Float[Tensor, " units"],
    positive: Bool[Tensor, " units"],
    *,
    chosen_on: str,
    unit: str,
) -> OperatingPoint:
    """Return the threshold with at least this sensitivity (or specificity) and most of the other.

    For sensitivity the highest threshold that has it, for specificity the lowest. The promise
    holds on these units; `judge_at` tells how it holds on others.

    Parameters
    ----------
    kind
        Which of the two is promised.
    share
        How much of it, in (0, 1].
    score, positive, chosen_on, unit
        As in `youden`.

    Raises
    ------
    RefusedInputError
        A share outside (0, 1], or what `youden` refuses.
    """
    if not 0 < share <= 1:
        msg = f"{kind} must be in (0, 1], e.g. 0.95, got {share}."
        raise RefusedInputError(msg)
    thresholds, found, spared = _candidates(score, positive)
    high = int(positive.sum())
    # 0.55 * 20 is 11.000000000000002: do not ask for one unit more.
    if kind == "sensitivity":
        best = int(np.flatnonzero(found >= share * high - 1e-9)[-1])
    else:
        best = int(np.flatnonzero(spared >= share * (len(positive) - high) - 1e-9)[0])
    counts = (int(found[best]), int(spared[best]))
    rule = f"{kind} >= {share:g}"
    return _point(float(thresholds[best]), rule, counts, positive, (chosen_on, unit))


def judge_at(
    point: OperatingPoint,
    score: Float[Tensor, " units"],
    positive: Bool[Tensor, " units"],
    *,
    judged_on: str,
    confidence: float = 0.95,
) -> OperatingReport:
    """Return sensitivity, specificity and predictive values at a threshold chosen elsewhere.

    The intervals are exact binomial ones and need independent rows: one per unit.

    Parameters
    ----------
    point
        From `youden` or `at_least` on other units.
    score
        More is more positive; finite; one per unit.
    positive
        The truth; both kinds must occur.
    judged_on
        Name of the part of the data; not the one that the threshold was chosen on.
    confidence
        Least coverage of each interval, in (0, 1).

    Raises
    ------
    RefusedInputError
        The same part as the threshold's, one kind only, or a score that is not finite.
    """
    refuse_confidence(confidence)
    refuse_scores(score, positive)
    if judged_on.strip().lower() == point.chosen_on.strip().lower():
        msg = f"the threshold was chosen on {judged_on!r}; judge it on units that it has not seen."
        raise RefusedInputError(msg)
    called = score.double() >= point.threshold

    def share(right: Tensor, among: Tensor) -> Proportion | None:
        n, unit = int(among.sum()), point.unit_of_analysis
        if not n:
            return None
        k = int((right & among).sum())
        return exact_binomial_interval(k, n, unit=unit, confidence=confidence)

    sensitivity, specificity = share(called, positive), share(~called, ~positive)
    assert sensitivity is not None  # noqa: S101  # both kinds occur, see above
    assert specificity is not None  # noqa: S101
    return OperatingReport(
        point=point,
        judged_on=judged_on,
        sensitivity=sensitivity,
        specificity=specificity,
        ppv=share(positive, called),
        npv=share(~positive, ~called),
        prevalence=float(positive.double().mean()),
    )


def _candidates(
    score: Tensor, positive: Tensor
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    refuse_scores(score, positive)
    values, truth = score.detach().double().cpu().numpy(), positive.cpu().numpy()
    distinct = np.unique(values)
    thresholds = np.append(distinct, np.nextafter(distinct[-1], np.inf))
    high, low = np.sort(values[truth]), np.sort(values[~truth])
    found = len(high) - np.searchsorted(high, thresholds, side="left")
    return thresholds, found, np.searchsorted(low, thresholds, side="left")


def _point(
    threshold: float,
    rule: str,
    counts: tuple[int, int],
    positive: Bool[Tensor, " units"],
    named: tuple[str, str],
) -> OperatingPoint:
    high = int(torch.count_nonzero(positive))
    low = len(positive) - high
    return OperatingPoint(
        threshold=threshold,
        rule=rule,
        chosen_on=named[0],
        sensitivity=counts[0] / high,
        specificity=counts[1] / low,
        n_positive=high,
        n_negative=low,
        unit_of_analysis=named[1],
    )
