"""Attention-based pooling, plain and gated."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from medconsist.networks.attention_pool import AttentionScore
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilModel, MilSize, embedding, start_xavier
from medconsist.wsi.mil.output import BagOutput

__all__ = ["Abmil"]


class Abmil(MilModel):
    r"""A bag is the attention-weighted mean of its embedded instances.

    :math:`a = \mathrm{softmax}_i(\mathrm{score}(h_i))`, :math:`z = \sum_i a_i h_i`, logits
    :math:`W z + b`. The instance scores are :math:`W h_i + b`: the same classifier on one instance,
    so that the bag's logits are their attention-weighted mean.

    Parameters
    ----------
    size
        See `MilSize`.
    gated
        The gated form.
    activation
        Of the plain form; MHIM-MIL takes ``"relu"``.
    bias
        Whether V, U and w have one; MHIM-MIL has none.
    hidden
        Rows of V and U.
    generator
        Source of the first weights.

    Raises
    ------
    RefusedInputError
        As of `AttentionScore`.

    References
    ----------
    Ilse et al. 2018, arXiv:1802.04712, eqs. 8 and 9; MHIM-MIL, arXiv:2307.15254.

    Examples
    --------
    >>> model = Abmil(MilSize(dim=4, width=8), generator=Generator())
    >>> model(BagBatch.of([torch.ones(3, 4)])).attention.shape
    torch.Size([3, 1])
    """

    def __init__(
        self,
        size: MilSize,
        *,
        gated: bool = False,
        activation: Literal["tanh", "relu"] = "tanh",
        bias: bool = True,
        hidden: int = 128,
        generator: Generator,
    ) -> None:
        super().__init__(size)
        self.trunk = embedding(size)
        self.score = AttentionScore(
            size.width, hidden=hidden, gated=gated, activation=activation, bias=bias
        )
        self.classifier = nn.Linear(size.width, size.classes)
        start_xavier(self, generator)

    def embed(self, bags: BagBatch) -> BagBatch:
        """Return ``Dropout(ReLU(Linear(x)))`` of every instance."""
        return bags.with_features(self.trunk(bags.features))

    def pool(self, embedded: BagBatch) -> BagOutput:
        """Return the attention-weighted mean and its class."""
        attention = embedded.segments.softmax(self.score(embedded.features))
        feature = embedded.segments.weighted_sum(attention, embedded.features)[:, 0]
        return BagOutput(
            logits=self.classifier(feature),
            features=feature,
            attention=attention,
            instance_scores=self.classifier(embedded.features),
        )

    def contributions(
        self, embedded: BagBatch, output: BagOutput
    ) -> Float[Tensor, "instances width"]:
        """Return ``a_i h_i``."""
        assert output.attention is not None  # noqa: S101  what pool returned
        return torch.Tensor.mul(output.attention, embedded.features)
