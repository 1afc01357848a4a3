"""Image quality of a volume against its reference, by fastMRI's definitions.

The unit of analysis is the volume: the data range is the maximum of the reference over all its
slices, never of the prediction and never floored at 1 (mridc and ATOMMIC do both), and nothing is
rescaled before the comparison, so that scale errors are seen. Source: `fastmri/evaluate.py` of
facebookresearch/fastMRI; J. Zbontar et al., arXiv:1811.08839.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from medconsist._extras import require
from medconsist.errors import RefusedInputError, ShapeError
from medconsist.shapes import Array, RealImages, SamplingMask

__all__ = ["image_quality", "nmse", "nrmse_scaled", "psnr", "ssim"]

_WINDOW = 7  # the side of fastMRI's uniform SSIM window [pixels]


def image_quality(image: Array, reference: Array) -> dict[str, float]:
    """Return `ssim`, `psnr` [dB] and `nmse` of a volume under these names."""
    return {
        "ssim": ssim(image, reference),
        "psnr": psnr(image, reference),
        "nmse": nmse(image, reference),
    }


def nmse(image: Array, reference: Array, *, region: SamplingMask | None = None) -> float:
    """Return the normalised mean squared error ``||reference - image||^2 / ||reference||^2``.

    Parameters
    ----------
    image, reference
        Real volumes ``slices height width`` of one shape.
    region
        Count only where True, ``slices height width`` or ``1 height width``; None counts all.

    Raises
    ------
    ShapeError
        If the volumes are not three-dimensional or differ in shape.
    RefusedInputError
        If they are complex, not finite, or the reference is zero.
    """
    image, reference = _volumes(image, reference)
    if region is not None:
        if region.shape[0] not in (1, image.shape[0]) or region.shape[1:] != image.shape[1:]:
            msg = f"region of shape {tuple(region.shape)} does not fit {tuple(image.shape)}."
            raise ShapeError(msg)
        keep = region.expand(image.shape)
        image, reference = image[keep], reference[keep]
    energy = reference.double().square().sum()
    if energy == 0:
        msg = "the reference is zero everywhere that is compared; NMSE has no scale there."
        raise RefusedInputError(msg)
    return float((reference.double() - image.double()).square().sum() / energy)


def psnr(image: Array, reference: Array) -> float:
    """Return the peak signal-to-noise ratio [dB], ``10 log10(max(reference)^2 / MSE)``.

    Volumes and errors are those of `nmse`; the peak is the maximum of the reference volume.
    Computed by scikit-image.
    """
    image, reference = _volumes(image, reference)
    if torch.equal(image, reference):
        return float("inf")
    peak = _peak(reference)
    measure: Callable[..., float] = require("skimage.metrics", extra="mri").peak_signal_noise_ratio
    return float(measure(reference.cpu().numpy(), image.cpu().numpy(), data_range=peak))


def ssim(image: Array, reference: Array) -> float:
    """Return the structural similarity, the mean over slices, with the peak of the volume.

    A uniform window of 7 x 7 pixels, ``K1 = 0.01``, ``K2 = 0.03``; the data range of every slice
    is the maximum of the whole reference volume. Volumes and errors are those of `nmse`; planes
    smaller than the window are refused. Computed by scikit-image.

    References
    ----------
    Z. Wang et al., IEEE Trans. Image Process. 13 (2004) 600, doi:10.1109/TIP.2003.819861.
    """
    image, reference = _volumes(image, reference)
    if min(image.shape[1:]) < _WINDOW:
        msg = f"SSIM needs planes of at least {_WINDOW} x {_WINDOW}, got {tuple(image.shape[1:])}."
        raise ShapeError(msg)
    peak = _peak(reference)
    measure: Callable[..., float] = require("skimage.metrics", extra="mri").structural_similarity
    pairs = zip(reference.cpu().numpy(), image.cpu().numpy(), strict=True)
    values = [float(measure(true, seen, data_range=peak, win_size=_WINDOW)) for true, seen in pairs]
    return sum(values) / len(values)


def nrmse_scaled(image: Array, reference: Array) -> float:
    """Return ``||reference - image / b|| / ||reference||``, as ``bart nrmse -s`` prints it.

    ``b = <reference, image> / ||reference||^2`` fits the reference to the image, and may be
    complex: the result is the tangent of the angle between both, where the best factor on the
    image would give the sine (.413 for .382 in a measured case; equal for small errors). Infinite
    for an image orthogonal to the reference. Blind to a global scale and phase: for comparison
    with BART only. Any shape; both real or both complex.
    """
    if image.shape != reference.shape or image.is_complex() != reference.is_complex():
        msg = (
            f"image {tuple(image.shape)} {image.dtype} and reference {tuple(reference.shape)} "
            f"{reference.dtype} must have one shape and both be real or both complex."
        )
        raise ShapeError(msg)
    wide = torch.complex128 if image.is_complex() else torch.float64
    seen, true = image.flatten().to(wide), reference.flatten().to(wide)
    energy = torch.vdot(true, true)
    if energy == 0:
        msg = "the reference is zero; the error has no scale."
        raise RefusedInputError(msg)
    factor = torch.vdot(true, seen) / energy
    if factor == 0:
        return math.inf
    error = torch.linalg.vector_norm(true - seen / factor)
    return float(error / torch.linalg.vector_norm(true))


def _volumes(image: Array, reference: Array) -> tuple[RealImages, RealImages]:
    if image.ndim != 3 or image.shape != reference.shape:
        msg = (
            f"got image {tuple(image.shape)} and reference {tuple(reference.shape)}; allowed: two "
            "volumes (slices, height, width) of one shape. Add a slice axis to a single slice."
        )
        raise ShapeError(msg)
    for name, volume in (("image", image), ("reference", reference)):
        if not volume.is_floating_point():
            msg = f"{name} is {volume.dtype}; image metrics compare real magnitudes: pass .abs()."
            raise RefusedInputError(msg)
        if not bool(torch.isfinite(volume).all()):
            msg = f"{name} holds NaN or infinite values; repair them before comparing."
            raise RefusedInputError(msg)
    return image.detach(), reference.detach()


def _peak(reference: Tensor) -> float:
    peak = float(reference.max())
    if peak <= 0:
        msg = f"the maximum of the reference is {peak}; PSNR and SSIM need a positive one."
        raise RefusedInputError(msg)
    return peak
