"""What scores, labels, probabilities and confidence levels must satisfy before they are judged."""

from jaxtyping import Bool, Float, Int64
from torch import Tensor

from medconsist.errors import RefusedInputError

__all__ = [
    "FEW",
    "refuse_confidence",
    "refuse_labels",
    "refuse_probabilities",
    "refuse_scores",
    "refuse_test",
]

FEW = 10  # units below which normal theory and the bootstrap are too narrow (Hesterberg 2015)

_SUM = 1e-3  # softmax in half precision is off by about this much


def refuse_scores(score: Float[Tensor, " units"], positive: Bool[Tensor, " units"]) -> None:
    """Refuse scores that are not finite and a truth of one kind only."""
    if not bool(score.isfinite().all()) or not 0 < int(positive.sum()) < len(positive):
        msg = (
            f"got {int(positive.sum())} positive of {len(positive)} units, "
            f"{int((~score.isfinite()).sum())} scores not finite; allowed: both kinds, finite."
        )
        raise RefusedInputError(msg)


def refuse_labels(label: Int64[Tensor, " units"], classes: int) -> None:
    """Refuse no label at all, and labels outside 0 to ``classes - 1``."""
    if not len(label) or int(label.min()) < 0 or int(label.max()) >= classes:
        seen = sorted(set(label.tolist()))
        msg = f"got labels {seen} of {len(label)} units; allowed: 0 to {classes - 1}, one or more."
        raise RefusedInputError(msg)


def refuse_probabilities(probabilities: Float[Tensor, "units classes"]) -> None:
    """Refuse rows that are no distribution over two or more classes."""
    one = (probabilities.double().sum(1) - 1).abs() <= _SUM
    if probabilities.shape[1] < 2 or not bool((probabilities >= 0).all() and one.all()):
        bad = int((~(one & (probabilities >= 0).all(1))).sum())
        msg = (
            f"{bad} of {len(probabilities)} rows over {probabilities.shape[1]} classes are no "
            "distributions; allowed: two or more columns, none negative, sum 1. Take the softmax."
        )
        raise RefusedInputError(msg)


def refuse_test(part: str, what: str) -> None:
    """Refuse to fit anything to a part of the data that is called test."""
    if part.strip().lower().startswith("test"):
        msg = f"got {part!r}; {what} is fitted to validation units only, never to the test."
        raise RefusedInputError(msg)


def refuse_confidence(confidence: float) -> None:
    """Refuse a nominal coverage outside (0, 1)."""
    if not 0 < confidence < 1:
        msg = f"confidence must be in (0, 1), e.g. 0.95, got {confidence}."
        raise RefusedInputError(msg)
