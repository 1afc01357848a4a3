"""What every model of bags can do: embed instances, pool them, and say its loss."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.output import BagOutput

__all__ = ["MilModel", "MilSize", "embedding", "start_xavier"]


@dataclass(frozen=True, kw_only=True)
class MilSize:
    """Sizes that all models share, as plain values for the weights file.

    Parameters
    ----------
    dim
        Length of an instance's feature.
    classes
        Of the bag, at least 2.
    width
        Of the embedded instance.
    dropout
        Share of embedded values that training leaves out, in [0, 1).

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> MilSize(dim=1024).width
    512
    """

    dim: int
    classes: int = 2
    width: int = 512
    dropout: float | int = 0.25

    def __post_init__(self) -> None:
        if self.dim < 1 or self.classes < 2 or self.width < 1 or not 0 <= self.dropout < 1:
            msg = (
                f"got dim {self.dim}, classes {self.classes}, width {self.width}, dropout "
                f"{self.dropout}; allowed: dim and width of 1 or more, 2 classes or more, a "
                "dropout in [0, 1)."
            )
            raise RefusedInputError(msg)


class MilModel(nn.Module, ABC):
    """A model of bags, in two halves, so that instances can be hidden between them.

    ``forward`` is ``pool(embed(bags))``. MHIM hides instances after ``embed``: what is hidden has
    been embedded, and what is pooled does not know of it. Every model takes bags of any sizes in
    one batch and gives each what it would give it alone.

    Parameters
    ----------
    size
        See `MilSize`.
    """

    #: Whether the order of instances changes nothing: False for models with positions or shares.
    permutation_invariant: bool = True

    def __init__(self, size: MilSize) -> None:
        super().__init__()
        self.size = size

    @abstractmethod
    def embed(self, bags: BagBatch) -> BagBatch:
        """Return the same bags with embedded instances, each from its own feature alone."""

    @abstractmethod
    def pool(self, embedded: BagBatch) -> BagOutput:
        """Return what is said of bags of embedded instances."""

    def forward(self, bags: BagBatch) -> BagOutput:
        """Return what is said of bags.

        Raises
        ------
        RefusedInputError
            Features of another length than the model was built for.
        """
        if bags.dim != self.size.dim:
            msg = (
                f"The bags have features of length {bags.dim}; this model was built for "
                f"{self.size.dim}. Use the weights trained on this encoder."
            )
            raise RefusedInputError(msg)
        return self.pool(self.embed(bags))

    def losses(self, output: BagOutput, labels: Int64[Tensor, " bags"]) -> dict[str, Tensor]:
        """Return scalars by name; ``"loss"`` is minimised. Here the cross-entropy of the bags."""
        return {"loss": functional.cross_entropy(output.logits, labels)}

    def hardness(self, embedded: BagBatch, output: BagOutput) -> Float[Tensor, "instances columns"]:
        """Return what MHIM-MIL v1 ranks instances by; one column a head. Here the attention.

        Raises
        ------
        RefusedInputError
            The model has no attention.
        """
        del embedded
        if output.attention is None:
            msg = f"{type(self).__name__} has no attention to rank instances by; MHIM needs it."
            raise RefusedInputError(msg)
        return output.attention

    def contributions(
        self, embedded: BagBatch, output: BagOutput
    ) -> Float[Tensor, "instances width"]:
        """Return each instance's summand of the bag feature, ``a_i h_i``; for class-aware scores.

        Raises
        ------
        RefusedInputError
            The bag feature is not a sum over instances.
        """
        del embedded, output
        msg = f"{type(self).__name__} does not add up its instances; use another model."
        raise RefusedInputError(msg)


def embedding(size: MilSize) -> nn.Sequential:
    """Return ``Linear - ReLU - Dropout``, the trunk of most models of the field."""
    return nn.Sequential(
        nn.Linear(size.dim, size.width), nn.ReLU(), nn.Dropout(float(size.dropout))
    )


@torch.no_grad()
def start_xavier(module: nn.Module, generator: torch.Generator) -> None:
    """Start every linear layer by Glorot's normal rule with bias 0, as MHIM-MIL does."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_normal_(part.weight, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
