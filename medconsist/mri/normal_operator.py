"""The normal operator of Cartesian SENSE, in the form that iterative methods can afford."""

import torch
from torch import Tensor, fft

from medconsist.operators.base import LinearOperator
from medconsist.shapes import Array, CoilMaps, SamplingMask

__all__ = ["SenseNormal"]

_PLANE = (-2, -1)
_CACHE_BYTES = 2**21


class SenseNormal(LinearOperator):
    """``A^H A`` of `medconsist.mri.forward.sense_operator`, equal to its ``gram``, and faster.

    ``(A^H A x)_s = sum_c conj(S_sc) F^H M F sum_t S_tc x_t``. Two facts are used: ``F^H M F`` is a
    circular convolution, which commutes with the shifts that centre the transform, so that the
    mask alone is shifted, once; and along an axis on which the mask does not vary,
    ``F^H M F = M``, so that no transform is needed there (a one-dimensional mask halves the
    work). Domain and range: ``slices sets height width``.

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
        shifted = fft.ifftshift(mask, dim=_PLANE)[:, None].to(maps.real.dtype)
        # For real and imaginary part: no product of complex numbers, and nothing to broadcast.
        self._mask = torch.stack([shifted, shifted], dim=-1)
        self._groups = tuple(
            (part, part.conj().resolve_conj()) for part in torch.split(maps, _together(maps), dim=2)
        )

    def forward(self, x: Array) -> Tensor:
        """Return ``A^H A x``, ``slices sets height width``."""
        first, *others = self._groups
        image = self._seen_by(x, *first)
        for group in others:
            image += self._seen_by(x, *group)
        return image

    def _seen_by(self, x: Tensor, maps: Tensor, conjugate: Tensor) -> Tensor:
        """Return what some of the coils add; in place where it can be."""
        coils = maps * x[:, :, None]
        one_set = coils.shape[1] == 1
        coils = coils[:, 0] if one_set else coils.sum(1)
        spectrum = fft.fftn(coils, dim=self._dims)
        torch.view_as_real(spectrum).mul_(self._mask)
        coils = fft.ifftn(spectrum, dim=self._dims)[:, None]
        weighted = coils.mul_(conjugate) if one_set else coils * conjugate
        return weighted.sum(2)

    def adjoint(self, y: Array) -> Tensor:
        """Return ``A^H A y``: the operator is Hermitian."""
        return self.forward(y)


def _together(maps: Tensor) -> int:
    """Return how many coils are transformed at once: as many as a CPU's caches hold.

    At least 2, since transforms of one coil leave threads without work.
    """
    coils = maps.shape[2]
    if maps.device.type != "cpu" or not maps.numel():
        return max(1, coils)
    return max(2, _CACHE_BYTES // (maps[:, 0, 0].numel() * maps.element_size()))
