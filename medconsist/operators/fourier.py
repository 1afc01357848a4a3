"""The centred orthonormal Fourier transform: unitary, so its adjoint is its inverse."""

from torch import Tensor, fft

from medconsist.operators.base import Identity, LinearOperator
from medconsist.shapes import Array

__all__ = ["Fourier"]


class Fourier(LinearOperator):
    """The unitary discrete Fourier transform ``F`` with the origin at index ``n // 2``.

    ``y[k] = n^(-1/2) sum_j x[j] exp(-2 pi i (k - c)(j - c) / n)`` with ``c = n // 2``, for odd and
    even n alike, along each of ``dims``; ``F^H = F^-1``. The domain is complex; a real input is
    taken as complex with imaginary part zero, and the adjoint is the one of the complex domain.

    Parameters
    ----------
    dims
        Axes to transform, counted from the end so that batch axes may stand in front.

    Examples
    --------
    >>> import torch
    >>> Fourier(dims=(-1,))(torch.ones(4, dtype=torch.complex64)).abs()
    tensor([0., 0., 2., 0.])
    """

    def __init__(self, dims: tuple[int, ...] = (-2, -1)) -> None:
        self._dims = dims

    def forward(self, x: Array) -> Tensor:
        """Return ``F x``, in the shape of ``x``."""
        spectrum = fft.fftn(fft.ifftshift(x, dim=self._dims), dim=self._dims, norm="ortho")
        return fft.fftshift(spectrum, dim=self._dims)

    def adjoint(self, y: Array) -> Tensor:
        """Return ``F^H y = F^-1 y``, in the shape of ``y``."""
        signal = fft.ifftn(fft.ifftshift(y, dim=self._dims), dim=self._dims, norm="ortho")
        return fft.fftshift(signal, dim=self._dims)

    @property
    def gram(self) -> LinearOperator:
        """``F^H F = I``."""
        return Identity()
