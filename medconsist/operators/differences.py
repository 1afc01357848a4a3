"""Forward differences, the analysis operator of total variation."""

from typing import Literal

import torch
from torch import Tensor

from medconsist.errors import ShapeError
from medconsist.operators.base import LinearOperator
from medconsist.shapes import Array

__all__ = ["FiniteDifference"]


class FiniteDifference(LinearOperator):
    """The discrete gradient ``D``: forward differences along each of several axes.

    ``(D x)_d[i] = x[i + 1] - x[i]`` along axis d. At the last index it is 0 (``edge="zero"``,
    so that ``||D x||_1`` is the total variation of Rudin, Osher & Fatemi 1992,
    doi:10.1016/0167-2789(92)90242-F, without a term across the border) or ``x[0] - x[-1]``
    (``edge="periodic"``). ``||D||^2 <= 4 * len(dims)``. The differences stand on a new axis in
    front of the first of ``dims``: ``... height width`` to ``... 2 height width``.

    Parameters
    ----------
    dims
        The axes, ascending and counted from the end.
    edge
        What stands at the last index of an axis.

    Examples
    --------
    >>> import torch
    >>> FiniteDifference(dims=(-1,))(torch.tensor([1.0, 4.0, 6.0]))
    tensor([[3., 2., 0.]])
    """

    def __init__(
        self, dims: tuple[int, ...] = (-2, -1), *, edge: Literal["zero", "periodic"] = "zero"
    ) -> None:
        if not dims or list(dims) != sorted(set(dims)) or dims[-1] >= 0:
            msg = f"dims must be ascending, distinct and negative, such as (-2, -1); got {dims}."
            raise ShapeError(msg)
        self._dims = dims
        self._new_axis = dims[0] - 1
        self._edge = edge

    def forward(self, x: Array) -> Tensor:
        """Return the differences, one axis more than ``x``."""
        differences = [self._inside(x.roll(-1, dim) - x, dim) for dim in self._dims]
        return torch.stack(differences, self._new_axis)

    def adjoint(self, y: Array) -> Tensor:
        """Return the negative divergence, one axis fewer than ``y``."""
        if y.ndim < -self._new_axis or y.shape[self._new_axis] != len(self._dims):
            msg = (
                f"input of shape {tuple(y.shape)} must have length {len(self._dims)} on axis "
                f"{self._new_axis}, one entry for each of dims {self._dims}."
            )
            raise ShapeError(msg)
        fields = (
            self._inside(field, dim)
            for field, dim in zip(y.unbind(self._new_axis), self._dims, strict=True)
        )
        parts = [field.roll(1, dim) - field for field, dim in zip(fields, self._dims, strict=True)]
        return torch.stack(parts).sum(0)

    def _inside(self, field: Tensor, dim: int) -> Tensor:
        """Return ``field`` with its last entry along ``dim`` set to 0 unless periodic."""
        if self._edge == "periodic":
            return field
        last = torch.zeros_like(field.narrow(dim, 0, 1))
        return torch.cat([field.narrow(dim, 0, field.shape[dim] - 1), last], dim)
