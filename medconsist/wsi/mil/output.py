"""What every model says of its bags: one type for training, evaluation, maps and trust."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from medconsist.errors import ShapeError

__all__ = ["BagOutput"]


@dataclass(frozen=True, eq=False)
class BagOutput:
    """Logits of bags, and what their instances had to do with them.

    Parameters
    ----------
    logits
        Of the bag; ``softmax`` over classes gives its probabilities.
    features
        What the bag's classifier saw, flat; MHIM compares teacher and student here.
    attention
        Share of each instance in its bag, >= 0, summing to 1 over the bag; one column for each
        head, class or branch. None where the model has none.
    instance_scores
        How much each instance speaks for each class, by the model's own bag or instance classifier;
        more is more, on no common scale. None where the model has none.
    probabilities
        Softmax of the logits unless the model defines others (DSMIL averages two).
    extra
        Further tensors of one model, for its own loss; nothing else reads them.

    Raises
    ------
    ShapeError
        Arrays that do not fit each other.

    Examples
    --------
    >>> BagOutput(logits=torch.zeros(1, 2), features=torch.zeros(1, 8)).probabilities
    tensor([[0.5000, 0.5000]])
    """

    logits: Float[Tensor, "bags classes"]
    features: Float[Tensor, "rows width"]
    attention: Float[Tensor, "instances heads"] | None = None
    instance_scores: Float[Tensor, "scored columns_of_classes"] | None = None
    probabilities: Float[Tensor, "bags classes"] = None  # type: ignore[assignment]  # set below
    extra: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.probabilities is None:
            object.__setattr__(self, "probabilities", self.logits.float().softmax(1))
        scores = self.instance_scores
        if len(self.features) != len(self.logits) or (
            scores is not None and scores.shape[1] != self.logits.shape[1]
        ):
            msg = (
                f"logits {tuple(self.logits.shape)}, features {tuple(self.features.shape)} and "
                f"instance scores {None if scores is None else tuple(scores.shape)} do not fit: "
                "give one row of features a bag, one column of scores a class."
            )
            raise ShapeError(msg)
        if self.attention is not None and scores is not None:
            self._require_same_instances(self.attention, scores)

    def _require_same_instances(self, attention: Tensor, scores: Tensor) -> None:
        if len(attention) != len(scores):
            msg = f"attention has {len(attention)} instances and the scores {len(scores)}."
            raise ShapeError(msg)

    def detach(self) -> "BagOutput":
        """Return the same without a graph."""
        return BagOutput(
            logits=self.logits.detach(),
            features=self.features.detach(),
            attention=_detached(self.attention),
            instance_scores=_detached(self.instance_scores),
            probabilities=self.probabilities.detach(),
            extra={name: value.detach() for name, value in self.extra.items()},
        )


def _detached(value: Tensor | None) -> Tensor | None:
    return None if value is None else torch.Tensor.detach(value)
