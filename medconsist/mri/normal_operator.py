"""The normal operator of Cartesian SENSE, in the form that iterative methods can afford."""

from torch import Tensor, fft

from medconsist.operators.base import LinearOperator
from medconsist.shapes import Array, CoilMaps, SamplingMask

__all__ = ["SenseNormal"]

_PLANE = (-2, -1)


class SenseNormal(LinearOperator):
    """``A^H A`` of `medconsist.mri.forward.sense_operator`, equal to its ``gram``, and faster.

    ``(A^H A x)_s = sum_c conj(S_sc) F^H M F sum_t S_tc x_t``. Two facts are used: the shifts that
    centre the transform cancel in k-space, so that maps and mask are shifted once; and along an
    axis on which the mask does not vary, ``F^H M F = M``, so that no transform is needed there
    (a one-dimensional mask halves the work). Domain and range: ``slices sets height width``.

    Parameters
    ----------
    mask
        True where sampled.
    maps
        Coil sensitivities.

    Examples
    --------
    >>> import torch
    >>> maps = torch.full((1, 1, 4, 8, 8), 0.5 + 0j)
    >>> SenseNormal(torch.ones(1, 8, 8, dtype=torch.bool), maps)(torch.ones(1, 1, 8, 8)).abs().max()
    tensor(1.)
    """

    def __init__(self, mask: SamplingMask, maps: CoilMaps) -> None:
        self._dims = tuple(d for d in _PLANE if bool((mask != mask.narrow(d, 0, 1)).any()))
        self._mask = fft.ifftshift(mask, dim=_PLANE)[:, None].to(maps.real.dtype)
        self._maps = fft.ifftshift(maps, dim=_PLANE)
        self._conjugate = self._maps.conj().resolve_conj()

    def forward(self, x: Array) -> Tensor:
        """Return ``A^H A x``, ``slices sets height width``."""
        shifted = fft.ifftshift(x, dim=_PLANE)
        coils = (self._maps * shifted[:, :, None]).sum(1)
        spectrum = fft.fftn(coils, dim=self._dims) * self._mask
        coils = fft.ifftn(spectrum, dim=self._dims)
        combined = (self._conjugate * coils[:, None]).sum(2)
        return fft.fftshift(combined, dim=_PLANE)

    def adjoint(self, y: Array) -> Tensor:
        """Return ``A^H A y``: the operator is Hermitian."""
        return self.forward(y)
