"""Refutability: which features the samples would contradict, and where they do contradict.

For noise with ``E|n|^2 = sigma^2`` per complex sample, a feature ``delta`` that is in the image
but not in the object (or the reverse) shifts the statistic ``sqrt(2) Re<A delta, y - A x> / (sigma
||A delta||)``, which is N(0, 1) for pure noise, by ``d' = sqrt(2) ||A delta|| / sigma``. That is
the matched filter, the best linear detector of a known feature. The root of two is the variance
``sigma^2 / 2`` of the real part.
"""

import math

import torch
from torch import Tensor, fft

from medconsist.mri.evidence.features import correlate_feature, feature_patch
from medconsist.mri.forward import Measurement
from medconsist.mri.volumes.volume import Measured
from medconsist.shapes import CoilKSpace, ComplexImages, RealImages

__all__ = ["feature_energy", "matched_filter", "projected_residual", "refutable_contrast"]

_PATCH_ELEMENTS = 2**20  # complex numbers of the spectra held at a time, 8 MiB
_BLIND = 1e-6  # of the largest energy: there the maps are zero up to rounding


def feature_energy(measurement: Measurement, fwhm_px: float) -> RealImages:
    """Return ``||A g_r||^2`` of a Gaussian feature of peak 1 at every position ``r``.

    ``g_r`` lies in the first map set. The energy is the quadratic form of the point spread
    function ``p`` of the mask, ``sum_c sum_uv conj(S_c g_r)(u) p(u - v) (S_c g_r)(v)``, computed
    on patches of the reach of the feature, where it is exact; every ``fwhm // 2`` pixels (at
    least 1), linear in between. It is 0 where no coil sees the position.

    Parameters
    ----------
    measurement
        Mask and maps are used.
    fwhm_px
        Full width at half maximum of the feature [pixels].

    Returns
    -------
        ``slices height width``.
    """
    maps = measurement.maps[:, 0]
    patch = feature_patch(fwhm_px, like=maps)
    stride = max(1, int(fwhm_px) // 2)
    masks = measurement.mask.expand(maps.shape[0], -1, -1)
    return torch.stack(
        [
            _interpolated(
                _lattice_energy(coils, _spread_spectrum(mask, patch), patch, stride),
                stride,
                like=mask,
            )
            for coils, mask in zip(maps, masks, strict=True)
        ]
    )


def refutable_contrast(
    measurement: Measured, energy: RealImages, *, reference: float, deviations: float = 3.0
) -> RealImages:
    """Return the smallest contrast that the samples would contradict at ``deviations`` sigma.

    ``c(r) = deviations sigma / (sqrt(2) ||A g_r|| reference)``. It holds for a feature whose
    shape, place and phase are known beforehand, and for the nominal noise; searching over many
    places needs more. It is infinite where no coil sees the position.

    Parameters
    ----------
    measurement
        Its ``sigma`` is used.
    energy
        `feature_energy` of the width in question.
    reference
        Intensity that a contrast of 1 stands for; see ``features.reference_intensity``.
    deviations
        Standard deviations of the statistic.
    """
    seen = energy > _BLIND * energy.max()
    smallest = deviations * measurement.sigma / (math.sqrt(2) * reference * energy.sqrt())
    return torch.where(seen, smallest, torch.inf)


def matched_filter(
    measurement: Measured,
    projected: RealImages,
    *,
    energy: RealImages,
) -> RealImages:
    """Return the matched-filter map of the residual, in standard deviations of noise.

    ``z(r) = sqrt(2) Re<A delta_r, y - A x> / (sigma ||A delta_r||)`` with ``delta_r`` a feature
    at ``r`` in the phase of ``x(r)``; all positions cost one adjoint and one convolution. Pure
    noise gives N(0, 1). The residual of a reconstruction has taken up part of the noise, so its
    spread is below 1, by the same share as the residual is. Negative: the image holds more than
    the samples say; positive: less. Neighbouring values are correlated over about the width.

    Parameters
    ----------
    measurement
        Its ``sigma`` is used.
    projected
        See `projected_residual`.
    energy
        `feature_energy` of the same width; of the volume, as blind is what lies far below its
        largest value.

    Returns
    -------
        ``slices height width``, 0 where no coil sees the position.
    """
    seen = energy > _BLIND * energy.max()
    safe = torch.where(seen, energy, 1).sqrt()
    return torch.where(seen, math.sqrt(2) * projected / (measurement.sigma * safe), 0)


def projected_residual(
    measurement: Measurement, image: ComplexImages, residual: CoilKSpace, *, fwhm_px: float
) -> RealImages:
    """Return ``Re<A delta_r, y - A x>`` of a feature at each position, in the phase of the image.

    Parameters
    ----------
    measurement
        Mask and maps are used.
    image
        Gives the phase; 0 where the image is 0.
    residual
        ``y - A x``, zero outside the mask.
    fwhm_px
        Width of the feature [pixels].
    """
    back = measurement.operator.H(residual)[:, 0]
    return (image.sgn().conj() * correlate_feature(back, fwhm_px)).real


def _spread_spectrum(mask: Tensor, patch: Tensor) -> Tensor:
    """Return the spectrum of the point spread function, cut to the lags inside a patch."""
    side = patch.shape[0]
    spread = fft.ifft2(fft.ifftshift(mask).to(patch.dtype))
    lags = torch.arange(1 - side, side, device=mask.device)
    kernel = spread[(lags % mask.shape[0])[:, None], lags % mask.shape[1]]
    embedded = torch.zeros(2 * side, 2 * side, dtype=kernel.dtype, device=mask.device)
    embedded[(lags % (2 * side))[:, None], lags % (2 * side)] = kernel
    spectrum: Tensor = fft.fft2(embedded)
    return spectrum.real  # the kernel is Hermitian in the lag


def _lattice_energy(coils: Tensor, spectrum: Tensor, patch: Tensor, stride: int) -> Tensor:
    """Return the energy every ``stride`` pixels, from the first pixel to the last or beyond."""
    side, (height, width) = patch.shape[0], coils.shape[1:]
    half = side // 2
    beyond = [half + (1 - n) % stride for n in (height, width)]
    energies = []
    for coil in coils:  # one coil and some rows at a time: the patches of all would not fit
        padded = torch.nn.functional.pad(coil, (half, beyond[1], half, beyond[0]))
        patches = padded.unfold(0, side, stride).unfold(1, side, stride)
        rows = max(1, _PATCH_ELEMENTS // (patches.shape[1] * spectrum.numel()))
        found = []
        for some in torch.split(patches, rows):
            power = fft.fft2(some * patch, s=spectrum.shape).abs().square()
            found.append(torch.einsum("yxkl,kl->yx", power, spectrum) / spectrum.numel())
        energies.append(torch.cat(found))
    return torch.stack(energies).sum(0).clamp_min(0)


def _interpolated(lattice: Tensor, stride: int, *, like: Tensor) -> Tensor:
    height, width = like.shape
    size = [(m - 1) * stride + 1 for m in lattice.shape]
    fine: Tensor = torch.nn.functional.interpolate(
        lattice[None, None], size=size, mode="bilinear", align_corners=True
    )
    return fine[0, 0, :height, :width]
