"""How well scores and decisions tell classes apart: areas, precision, counts of the confusion."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.metrics._checks import refuse_labels, refuse_scores

__all__ = ["Confusion", "area_under_roc", "average_precision", "confusion", "one_vs_rest_auc"]


def area_under_roc(score: Float[Tensor, " units"], positive: Bool[Tensor, " units"]) -> float:
    """Return the share of pairs (positive, negative) in the right order, a tie counting half.

    Parameters
    ----------
    score
        More is more positive; finite.
    positive
        The truth; both kinds must occur.

    Raises
    ------
    RefusedInputError
        One kind only, or a score that is not finite.

    Examples
    --------
    >>> import torch
    >>> area_under_roc(torch.tensor([0.1, 0.4, 0.4]), torch.tensor([False, False, True]))
    0.75
    """
    refuse_scores(score, positive)
    ranks = require("scipy.stats", extra="wsi").rankdata(score.detach().double().cpu().numpy())
    high = np.asarray(positive.cpu())
    n_high = int(high.sum())
    below = ranks[high].sum() - n_high * (n_high + 1) / 2
    return float(below / (n_high * (len(high) - n_high)))


def one_vs_rest_auc(
    scores: Float[Tensor, "units classes"], label: Int64[Tensor, " units"]
) -> float:
    """Return the unweighted mean over the classes of the area of each class against all others.

    Unweighted, so that a rare class counts as much as a common one (macro average). Every class
    must have a unit, or its area does not exist: none is left out silently.

    Parameters
    ----------
    scores
        Column c orders the units by class c: logits or probabilities, finite.
    label
        The true class, 0 to ``classes - 1``.

    Raises
    ------
    RefusedInputError
        A class without a unit, a label out of range, or a score that is not finite.
    """
    classes = scores.shape[1]
    refuse_labels(label, classes)
    absent = sorted(set(range(classes)) - set(label.tolist()))
    if absent:
        msg = f"classes {absent} have no unit, so their areas do not exist. Score fewer classes."
        raise RefusedInputError(msg)
    return sum(area_under_roc(scores[:, c], label == c) for c in range(classes)) / classes


def average_precision(score: Float[Tensor, " units"], positive: Bool[Tensor, " units"]) -> float:
    r"""Return :math:`\sum_t (R_t - R_{t-1}) P_t` over the distinct scores, without interpolation.

    Its chance level is the share of positives, which must be reported beside it. Parameters and
    errors are those of `area_under_roc`; computed by ``sklearn.metrics``.
    """
    refuse_scores(score, positive)
    measure = require("sklearn.metrics", extra="wsi").average_precision_score
    return float(measure(positive.cpu().numpy(), score.detach().double().cpu().numpy()))


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How many units of each class were decided to be of each class.

    Parameters
    ----------
    counts
        ``counts[t][d]`` units are of class t and were decided to be d; square, two or more.

    Examples
    --------
    >>> table = Confusion(counts=((8, 2), (1, 9)))
    >>> table.accuracy, round(table.f1(1), 3), table.n
    (0.85, 0.857, 20)
    """

    counts: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        classes = len(self.counts)
        if classes < 2 or any(len(row) != classes or min(row) < 0 for row in self.counts):
            msg = f"got counts {self.counts}; allowed: a square table of two or more classes."
            raise RefusedInputError(msg)
        if not self.n:
            msg = "the table counts no unit. Decide one or more."
            raise RefusedInputError(msg)

    @property
    def n(self) -> int:
        """Number of units."""
        return sum(map(sum, self.counts))

    @property
    def accuracy(self) -> float:
        """Share of units that were decided rightly."""
        return sum(row[t] for t, row in enumerate(self.counts)) / self.n

    @property
    def balanced_accuracy(self) -> float:
        """Mean over the classes of the share of their units decided rightly; each must occur."""
        absent = [t for t, row in enumerate(self.counts) if not sum(row)]
        if absent:
            msg = f"classes {absent} have no unit, so balanced accuracy does not exist."
            raise RefusedInputError(msg)
        shares = [row[t] / sum(row) for t, row in enumerate(self.counts)]
        return sum(shares) / len(shares)

    @property
    def f1_macro(self) -> float:
        """Unweighted mean over the classes of `f1`."""
        return sum(map(self.f1, range(len(self.counts)))) / len(self.counts)

    def f1(self, positive: int) -> float:
        """Return ``2 TP / (2 TP + FP + FN)`` of one class.

        Raises
        ------
        RefusedInputError
            If the class neither occurs nor is ever decided: 0 / 0.
        """
        if not 0 <= positive < len(self.counts):
            msg = f"got class {positive}; allowed: 0 to {len(self.counts) - 1}."
            raise RefusedInputError(msg)
        true, decided = sum(self.counts[positive]), sum(row[positive] for row in self.counts)
        if not true + decided:
            msg = f"class {positive} neither occurs nor is decided, so its F1 does not exist."
            raise RefusedInputError(msg)
        return 2 * self.counts[positive][positive] / (true + decided)


def confusion(
    decided: Int64[Tensor, " units"], label: Int64[Tensor, " units"], *, classes: int
) -> Confusion:
    """Return how many units of each class were decided to be of each class.

    Parameters
    ----------
    decided
        The class that was decided on, 0 to ``classes - 1``.
    label
        The true class.
    classes
        How many there are, also those that do not occur.

    Raises
    ------
    RefusedInputError
        No unit, or a number that is no class.
    """
    refuse_labels(label, classes)
    refuse_labels(decided, classes)
    cells = torch.bincount(label * classes + decided, minlength=classes**2)
    return Confusion(counts=tuple(tuple(row) for row in cells.view(classes, classes).tolist()))
