"""Several bags at once: their instances one after the other, without padding."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.networks.ragged import Segments

__all__ = ["BagBatch"]


@dataclass(frozen=True, eq=False)
class BagBatch:
    """Instances of one or more bags, and which bag each belongs to.

    Parameters
    ----------
    features
        One row an instance, the bags one after the other.
    segments
        The rows of each bag; every bag has an instance.

    Raises
    ------
    ShapeError
        Not as many rows as the segments have.

    Examples
    --------
    >>> bags = BagBatch.of([torch.zeros(2, 4), torch.ones(3, 4)])
    >>> len(bags), bags.features.shape, bags.one(1).features.sum().item()
    (2, torch.Size([5, 4]), 12.0)
    """

    features: Float[Tensor, "instances dim"]
    segments: Segments

    def __post_init__(self) -> None:
        if len(self.features) != self.segments.rows:
            msg = (
                f"features have {len(self.features)} rows and the segments {self.segments.rows}; "
                "give one row for each instance."
            )
            raise ShapeError(msg)

    @classmethod
    def of(cls, bags: Sequence[Float[Tensor, "_ dim"]]) -> "BagBatch":
        """Return these bags as one batch, on their device."""
        if not bags:
            msg = "a batch needs one bag or more, got none."
            raise RefusedInputError(msg)
        sizes = [len(bag) for bag in bags]
        return cls(torch.cat(list(bags)), Segments.of_sizes(sizes, device=bags[0].device))

    def __len__(self) -> int:
        """Return the number of bags."""
        return len(self.segments)

    @property
    def dim(self) -> int:
        """Length of a feature."""
        return self.features.shape[1]

    def one(self, bag: int) -> "BagBatch":
        """Return one bag alone."""
        first, end = self.segments.offsets[bag : bag + 2].tolist()
        return BagBatch.of([self.features[first:end]])

    def with_features(self, features: Float[Tensor, "instances width"]) -> "BagBatch":
        """Return the same bags with other features of the same instances."""
        return BagBatch(features, self.segments)

    def keep(self, kept: Bool[Tensor, " instances"]) -> "BagBatch":
        """Return the bags with these instances only, in the same order.

        Raises
        ------
        RefusedInputError
            A bag would keep none.
        """
        sizes = self.segments.sum(kept.to(torch.float32)[:, None])[:, 0].long()
        return BagBatch(self.features[kept], Segments.of_sizes(sizes))

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "BagBatch":
        """Return the bags on another device, the features in ``dtype``."""
        features = self.features.to(device, dtype or self.features.dtype)
        return BagBatch(features, self.segments.to(device))
