"""Weighting by one known function or by several, and summing over an axis."""

from torch import Tensor

from medconsist.errors import ShapeError
from medconsist.operators._broadcast import check_expands
from medconsist.operators.base import LinearOperator
from medconsist.shapes import Array

__all__ = ["Pointwise", "SumAxis", "WeightAndSum"]


class Pointwise(LinearOperator):
    """Multiply entry by entry, ``y = w x``; the adjoint multiplies by ``conj(w)``.

    Parameters
    ----------
    weights
        Any shape that can be expanded to the input.

    Examples
    --------
    >>> import torch
    >>> Pointwise(torch.tensor([1.0, 3.0])).gram(torch.ones(2))
    tensor([1., 9.])
    """

    def __init__(self, weights: Array) -> None:
        self._weights = weights

    def forward(self, x: Array) -> Tensor:
        """Return ``w x``, in the shape of ``x``."""
        check_expands(self._weights.shape, x.shape, name="the weight")
        return self._weights * x

    def adjoint(self, y: Array) -> Tensor:
        """Return ``conj(w) y``, in the shape of ``y``."""
        check_expands(self._weights.shape, y.shape, name="the weight")
        return self._weights.conj() * y

    @property
    def gram(self) -> LinearOperator:
        """Multiplication by ``|w|^2``."""
        return Pointwise(_power(self._weights))


class WeightAndSum(LinearOperator):
    """Weight one image by each of several maps; the adjoint weights back and sums.

    ``y_c = w_c x`` and ``A^H y = sum_c conj(w_c) y_c``: the coil expansion and combination of
    SENSE (Pruessmann et al. 1999, Magn Reson Med 42:952-962). Domain ``... height width``, range
    ``... coils height width``.

    Parameters
    ----------
    weights
        ``... coils height width``. Its batch axes broadcast to those of the input.

    Raises
    ------
    ShapeError
        The input lacks a batch axis of the weights: broadcasting would enlarge it, and the
        adjoint could not know of that.

    Examples
    --------
    >>> import torch
    >>> coils = WeightAndSum(torch.full((3, 4, 4), 2.0))
    >>> coils(torch.ones(5, 4, 4)).shape, coils.H(torch.ones(5, 3, 4, 4)).max()
    (torch.Size([5, 3, 4, 4]), tensor(6.))
    """

    def __init__(self, weights: Array) -> None:
        if weights.ndim < 3:
            msg = (
                f"weights of shape {tuple(weights.shape)} have no axis of maps; allowed: "
                "(..., coils, height, width). Add the axis by weights[None]."
            )
            raise ShapeError(msg)
        self._weights = weights

    def forward(self, x: Array) -> Tensor:
        """Return ``w_c x`` for each map, ``... coils height width``."""
        image_shape = (*self._weights.shape[:-3], *self._weights.shape[-2:])
        check_expands(image_shape, x.shape, name="the set of weights")
        return self._weights * x.unsqueeze(-3)

    def adjoint(self, y: Array) -> Tensor:
        """Return ``sum_c conj(w_c) y_c``, ``... height width``."""
        check_expands(self._weights.shape, y.shape, name="the set of weights")
        return (self._weights.conj() * y).sum(-3)

    @property
    def gram(self) -> LinearOperator:
        """Multiplication by ``sum_c |w_c|^2``: 1 where the maps have unit norm."""
        return Pointwise(_power(self._weights).sum(-3))


class SumAxis(LinearOperator):
    """Sum over one axis; the adjoint repeats along it.

    ``(A x) = sum_m x_m`` and ``(A^H y)_m = y`` for ``m = 1 ... size``. With several map sets per
    image it is the sum over sets of soft SENSE (Uecker et al. 2014, doi:10.1002/mrm.24751).

    Parameters
    ----------
    dim
        The axis of the input, negative, so that batch axes may stand in front.
    size
        Length of that axis.

    Examples
    --------
    >>> import torch
    >>> total = SumAxis(-2, size=2)
    >>> total(torch.ones(5, 2, 3)).shape, total.H(torch.ones(5, 3)).shape
    (torch.Size([5, 3]), torch.Size([5, 2, 3]))
    """

    def __init__(self, dim: int, *, size: int) -> None:
        if dim >= 0:
            msg = (
                f"dim must be negative, counted from the end of the input; got {dim}. "
                "Write -4 for the sets of (slices, sets, coils, height, width)."
            )
            raise ShapeError(msg)
        self._dim = dim
        self._size = size

    def forward(self, x: Array) -> Tensor:
        """Return the sum of ``x`` over ``dim``, one axis fewer."""
        if x.ndim < -self._dim or x.shape[self._dim] != self._size:
            msg = (
                f"input of shape {tuple(x.shape)} has no axis {self._dim} of length {self._size}; "
                "pass an input with that axis, or build SumAxis for this length."
            )
            raise ShapeError(msg)
        return x.sum(self._dim)

    def adjoint(self, y: Array) -> Tensor:
        """Return ``y`` repeated ``size`` times along ``dim``, one axis more (a view)."""
        repeated = y.unsqueeze(self._dim)
        shape = list(repeated.shape)
        shape[self._dim] = self._size
        return repeated.expand(shape)


def _power(weights: Tensor) -> Tensor:
    return (weights.conj() * weights).real
