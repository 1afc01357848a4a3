"""The orthonormal periodised wavelet transform of Daubechies, on any number of axes."""

from math import sqrt
from typing import Literal

import torch
from torch import Tensor

from medconsist.errors import ShapeError
from medconsist.operators.base import Identity, LinearOperator
from medconsist.shapes import Array

__all__ = ["Wavelet"]

_R2, _R3 = sqrt(2.0), sqrt(3.0)
_SCALING_FILTERS = {
    "haar": (1 / _R2, 1 / _R2),
    "db2": tuple(c / (4 * _R2) for c in (1 + _R3, 3 + _R3, 3 - _R3, 1 - _R3)),
}
_COARSEST = 16  # smaller coarse bands gain no sparsity; the stop of BART's `pics` is the same


class Wavelet(LinearOperator):
    """The discrete wavelet transform ``W``, an isometry: ``W^H W = I``.

    Each level splits each axis of length n into n/2 averages and n/2 details,
    ``a_k = sum_j h_j x_(2k + j - o)`` and ``d_k = sum_j (-1)^j h_(L-1-j) x_(2k + j - o)`` with
    ``o = L/2 - 1`` and periodic indices, and repeats on the averages (Mallat 1989,
    doi:10.1109/34.192463; filters h of length L: Daubechies 1988, doi:10.1002/cpa.3160410705).
    The coefficients are one tensor with the averages of the last level in its first corner.

    Lengths that ``2^levels`` does not divide are padded with zeros at their end to the next that
    it does. Then ``W`` maps into a larger space (see ``coefficient_shape``), still
    ``W^H W = I``, and ``W W^H`` is the projection on the range; otherwise ``W`` is unitary.

    Parameters
    ----------
    shape
        Lengths of the transformed axes, each at least 2.
    name
        ``"haar"`` (L = 2) or ``"db2"`` (L = 4, two vanishing moments).
    levels
        Number of levels, from 1 to ``floor(log2(min(shape)))``; None takes as many as leave
        every average band at least 16 long, and at least one.
    dims
        The transformed axes, counted from the end.

    Raises
    ------
    ShapeError
        An axis shorter than 2, more levels than the shape allows, or an input of another shape.

    Examples
    --------
    >>> import torch
    >>> wavelet = Wavelet((4,), name="haar", dims=(-1,))
    >>> wavelet(torch.tensor([1.0, 1.0, 1.0, -1.0])).round(decimals=3)
    tensor([1.4140, 0.0000, 0.0000, 1.4140])
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        name: Literal["haar", "db2"] = "db2",
        levels: int | None = None,
        dims: tuple[int, ...] = (-2, -1),
    ) -> None:
        _check(shape, levels, dims)
        self.levels = _default_levels(min(shape)) if levels is None else levels
        self.shape = shape
        multiple = 2**self.levels
        self.coefficient_shape = tuple(-(-n // multiple) * multiple for n in shape)
        self._dims = dims
        self._low = _SCALING_FILTERS[name]
        self._high = tuple((-1) ** j * h for j, h in enumerate(reversed(self._low)))

    @property
    def coarse_shape(self) -> tuple[int, ...]:
        """Lengths of the averages of the last level: the first corner of the coefficients."""
        return tuple(n >> self.levels for n in self.coefficient_shape)

    def forward(self, x: Array) -> Tensor:
        """Return the coefficients ``W x``, with ``coefficient_shape`` on the transformed axes."""
        self._check_input(x, self.shape)
        for dim, length in zip(self._dims, self.coefficient_shape, strict=True):
            x = _pad_end(x, dim, length)
        return self._analyse(x, self.levels)

    def adjoint(self, y: Array) -> Tensor:
        """Return ``W^H y``, in the shape of the input of ``forward``."""
        self._check_input(y, self.coefficient_shape)
        x = self._synthesise(y, self.levels)
        for dim, length in zip(self._dims, self.shape, strict=True):
            x = x.narrow(dim, 0, length)
        return x

    @property
    def gram(self) -> LinearOperator:
        """``W^H W = I``."""
        return Identity()

    def _analyse(self, x: Tensor, levels: int) -> Tensor:
        for dim in self._dims:
            x = self._split(x, dim)
        if levels > 1:
            corner = self._corner(x)
            x[corner] = self._analyse(x[corner], levels - 1)
        return x

    def _synthesise(self, y: Tensor, levels: int) -> Tensor:
        if levels > 1:
            corner = self._corner(y)
            y = y.clone()
            y[corner] = self._synthesise(y[corner], levels - 1)
        for dim in reversed(self._dims):
            y = self._merge(y, dim)
        return y

    def _corner(self, x: Tensor) -> tuple[slice, ...]:
        corner = [slice(None)] * x.ndim
        for dim in self._dims:
            corner[dim] = slice(x.shape[dim] // 2)
        return tuple(corner)

    def _split(self, x: Tensor, dim: int) -> Tensor:
        """Return averages and details of ``x``, concatenated along ``dim``."""
        phases = [_every_second(x, dim, start) for start in (0, 1)]
        offset = len(self._low) // 2 - 1
        # index 2k + j - offset lies in the phase of its parity, (j - offset) // 2 places further
        taps = [
            phases[(j - offset) % 2].roll(-((j - offset) // 2), dim) for j in range(len(self._low))
        ]
        return torch.cat([_combine(self._low, taps), _combine(self._high, taps)], dim)

    def _merge(self, y: Tensor, dim: int) -> Tensor:
        """Return the signal whose averages and details along ``dim`` are ``y``."""
        low, high = y.chunk(2, dim)
        offset = len(self._low) // 2 - 1
        phases = []
        for parity in (0, 1):
            taps = [j for j in range(len(self._low)) if (j - offset) % 2 == parity]
            parts = [
                (self._low[j] * low + self._high[j] * high).roll((j - offset) // 2, dim)
                for j in taps
            ]
            phases.append(sum(parts[1:], parts[0]))
        axis = dim % y.ndim
        return torch.stack(phases, axis + 1).flatten(axis, axis + 1)

    def _check_input(self, x: Tensor, allowed: tuple[int, ...]) -> None:
        got = tuple(x.shape[dim] for dim in self._dims if -dim <= x.ndim)
        if got != allowed:
            msg = (
                f"axes {self._dims} of an input of shape {tuple(x.shape)} must have the lengths "
                f"{allowed}; build Wavelet for the shape of the input."
            )
            raise ShapeError(msg)


def _check(shape: tuple[int, ...], levels: int | None, dims: tuple[int, ...]) -> None:
    if len(shape) != len(dims) or min(shape) < 2 or max(dims) >= 0:
        msg = (
            f"shape {shape} and dims {dims} must be equally many, with lengths >= 2 and axes "
            "counted from the end (negative)."
        )
        raise ShapeError(msg)
    most = min(shape).bit_length() - 1
    if levels is not None and not 1 <= levels <= most:
        msg = f"levels must lie in 1 ... {most} for the shape {shape}; got {levels}."
        raise ShapeError(msg)


def _default_levels(shortest: int) -> int:
    return max(1, (shortest // _COARSEST).bit_length() - 1)


def _pad_end(x: Tensor, dim: int, length: int) -> Tensor:
    missing = length - x.shape[dim]
    if missing == 0:
        return x
    zeros = list(x.shape)
    zeros[dim] = missing
    return torch.cat([x, x.new_zeros(zeros)], dim)


def _every_second(x: Tensor, dim: int, start: int) -> Tensor:
    index = [slice(None)] * x.ndim
    index[dim] = slice(start, None, 2)
    return x[tuple(index)]


def _combine(weights: tuple[float, ...], terms: list[Tensor]) -> Tensor:
    total = weights[0] * terms[0]
    for weight, term in zip(weights[1:], terms[1:], strict=True):
        total = total + weight * term
    return total
