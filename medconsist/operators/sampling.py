"""Sampling: keep the entries of a mask, set all others to zero."""

import torch
from jaxtyping import Bool
from torch import Tensor

from medconsist.operators._broadcast import check_expands
from medconsist.operators.base import LinearOperator
from medconsist.shapes import Array

__all__ = ["Sampling"]


class Sampling(LinearOperator):
    """The orthogonal projection ``M`` on the entries where ``mask`` is True.

    ``(M x)_i = x_i`` where the mask is True and exactly 0 elsewhere, also where ``x`` is not
    finite; ``M^H = M = M M``. The shape is kept.

    Parameters
    ----------
    mask
        True = kept; any shape that can be expanded to the input.

    Examples
    --------
    >>> import torch
    >>> Sampling(torch.tensor([True, False]))(torch.tensor([3.0, 4.0]))
    tensor([3., 0.])
    """

    def __init__(self, mask: Bool[Tensor, "..."]) -> None:
        self._mask = mask

    def forward(self, x: Array) -> Tensor:
        """Return ``x`` on the mask and 0 elsewhere."""
        check_expands(self._mask.shape, x.shape, name="the mask")
        return torch.where(self._mask, x, 0)

    def adjoint(self, y: Array) -> Tensor:
        """Return ``M y``; a projection is its own adjoint."""
        return self.forward(y)

    @property
    def gram(self) -> LinearOperator:
        """``M^H M = M``."""
        return self
