"""Mean pooling: every instance counts the same, the baseline that published gains are held to."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Generator, nn

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilModel, MilSize, embedding, start_xavier
from medconsist.wsi.mil.output import BagOutput

__all__ = ["MeanPool"]


class MeanPool(MilModel):
    r"""A bag is the plain mean of its instances.

    With h of an instance and n instances, logits :math:`W \frac{1}{n} \sum_i h_i + b`, which is
    the mean of the instances' own logits :math:`W h_i + b`: these are the instance scores.

    - ``head="linear"``: h is the raw feature x; the model is one linear layer on the bag's mean
      feature, the linear probe that often keeps up with attention on features of a large encoder.
    - ``head="mlp"``: :math:`h = \mathrm{Dropout}(\mathrm{ReLU}(W_1 x + b_1))`, the mean pooling of
      MHIM-MIL's tables. (The released one takes 192 input features, and no others.)

    There is no attention: every share is 1/n.

    Parameters
    ----------
    size
        See `MilSize`; ``width`` and ``dropout`` belong to the MLP.
    head
        See above.
    generator
        Source of the first weights.

    Raises
    ------
    RefusedInputError
        Another head.

    Examples
    --------
    >>> model = MeanPool(MilSize(dim=4), generator=Generator())
    >>> model(BagBatch.of([torch.ones(3, 4), torch.zeros(1, 4)])).logits.shape
    torch.Size([2, 2])
    """

    def __init__(
        self, size: MilSize, *, head: Literal["linear", "mlp"] = "linear", generator: Generator
    ) -> None:
        if head not in ("linear", "mlp"):
            msg = f"got head {head!r}; allowed: 'linear' and 'mlp'."
            raise RefusedInputError(msg)
        super().__init__(size)
        self.trunk = embedding(size) if head == "mlp" else nn.Identity()
        self.classifier = nn.Linear(size.width if head == "mlp" else size.dim, size.classes)
        start_xavier(self, generator)

    def embed(self, bags: BagBatch) -> BagBatch:
        """Return h of every instance."""
        return bags.with_features(self.trunk(bags.features))

    def pool(self, embedded: BagBatch) -> BagOutput:
        """Return the mean and its class."""
        feature = embedded.segments.mean(embedded.features)
        return BagOutput(
            logits=self.classifier(feature),
            features=feature,
            instance_scores=self.classifier(embedded.features),
        )

    def contributions(
        self, embedded: BagBatch, output: BagOutput
    ) -> Float[torch.Tensor, "instances width"]:
        """Return ``h_i / n``."""
        del output
        sizes = embedded.segments.sizes.to(embedded.features.dtype)
        return torch.Tensor.div(embedded.features, embedded.segments.spread(sizes)[:, None])
