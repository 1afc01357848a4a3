"""Max pooling: the bag is what its most positive instance is."""

from typing import Literal

from jaxtyping import Float
from torch import Generator, Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilModel, MilSize, embedding, start_xavier
from medconsist.wsi.mil.output import BagOutput

__all__ = ["MaxPool"]


class MaxPool(MilModel):
    r"""A bag has the logits of one of its instances, the most positive one.

    Each instance gets logits :math:`z_i = W h_i + b` with
    :math:`h = \mathrm{Dropout}(\mathrm{ReLU}(W_1 x + b_1))`; the bag's are those of instance
    :math:`m = \arg\max_i s_i`, among equal ones the first. Class 0 is what a bag without a finding
    is, the others are findings, and

    - ``ranked_by="odds"``: :math:`s_i = \max_{c \ge 1} z_{ic} - z_{i0}`. Of two classes this is
      the log-odds, and the bag's log-odds is their largest: a further instance never lowers it,
      which is the standard assumption of multiple-instance learning.
    - ``ranked_by="logit"``: :math:`s_i = \max_{c \ge 1} z_{ic}`, the largest positive logit itself,
      as in the code that this field shares. A further instance whose :math:`z_0` is larger still
      can then turn a positive bag negative.

    Where class 0 is a finding as well (two tumour types), both treat it as the one that shows when
    no other does; mean or attention pooling has no such order.

    Parameters
    ----------
    size
        See `MilSize`.
    ranked_by
        See above.
    generator
        Source of the first weights.

    Raises
    ------
    RefusedInputError
        Another order.

    Examples
    --------
    >>> import torch
    >>> model = MaxPool(MilSize(dim=4, width=8), generator=Generator())
    >>> model(BagBatch.of([torch.ones(3, 4)])).extra["critical"].shape
    torch.Size([1])
    """

    def __init__(
        self, size: MilSize, *, ranked_by: Literal["odds", "logit"] = "odds", generator: Generator
    ) -> None:
        if ranked_by not in ("odds", "logit"):
            msg = f"got ranked_by {ranked_by!r}; allowed: 'odds' and 'logit'."
            raise RefusedInputError(msg)
        super().__init__(size)
        self.ranked_by = ranked_by
        self.trunk = embedding(size)
        self.classifier = nn.Linear(size.width, size.classes)
        start_xavier(self, generator)

    def embed(self, bags: BagBatch) -> BagBatch:
        """Return ``Dropout(ReLU(Linear(x)))`` of every instance."""
        return bags.with_features(self.trunk(bags.features))

    def pool(self, embedded: BagBatch) -> BagOutput:
        """Return the logits of the most positive instance; its row is ``extra["critical"]``."""
        scores = self.classifier(embedded.features)
        critical = embedded.segments.argmax(self._order(scores))
        return BagOutput(
            logits=scores[critical],
            features=embedded.features[critical],
            instance_scores=scores,
            extra={"critical": critical},
        )

    def hardness(self, embedded: BagBatch, output: BagOutput) -> Float[Tensor, "instances 1"]:
        """Return s, what the maximum is taken of."""
        del embedded
        assert output.instance_scores is not None  # noqa: S101  what pool returned
        return self._order(output.instance_scores)[:, None]

    def _order(self, scores: Float[Tensor, "instances classes"]) -> Float[Tensor, " instances"]:
        best = scores[:, 1:].amax(1)
        return best - scores[:, 0] if self.ranked_by == "odds" else best
