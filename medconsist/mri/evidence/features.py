"""Small Gaussian features, and the intensity that their contrast is relative to."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.shapes import ComplexImages

__all__ = ["correlate_feature", "feature_patch", "feature_profile", "object_mask"]
__all__ += ["reference_intensity"]

_REACH = 1.7  # in FWHM: 4 standard deviations, where the profile has fallen to 3e-4
_OBJECT_SHARE = 0.1  # of the 99th percentile: below it is air, or skull and fat without signal


def feature_profile(fwhm_px: float, *, like: Tensor) -> Float[Tensor, " side"]:
    """Return ``exp(-4 ln 2 d^2 / fwhm^2)`` at ``d = -h ... h`` pixels, ``h = ceil(1.7 fwhm)``.

    Peak 1 at the middle; real, in the precision and on the device of ``like``.

    Raises
    ------
    RefusedInputError
        If ``fwhm_px`` is not a positive finite number.
    """
    if not (math.isfinite(fwhm_px) and fwhm_px > 0):
        msg = f"fwhm_px must be a positive number of pixels, got {fwhm_px}; 4 is usual."
        raise RefusedInputError(msg)
    half = math.ceil(_REACH * fwhm_px)
    distance = torch.arange(-half, half + 1, dtype=like.real.dtype, device=like.device)
    return torch.exp(-4 * math.log(2) * (distance / fwhm_px) ** 2)


def feature_patch(fwhm_px: float, *, like: Tensor) -> Float[Tensor, "side side"]:
    """Return the two-dimensional Gaussian feature ``g`` of peak 1; see `feature_profile`."""
    profile = feature_profile(fwhm_px, like=like)
    return torch.outer(profile, profile)


def correlate_feature(images: ComplexImages, fwhm_px: float) -> ComplexImages:
    """Return ``(g * x)(r) = sum_u g(u - r) x(u)``; the feature is cut off at the image edge."""
    profile = feature_profile(fwhm_px, like=images)
    parts = torch.cat([images.real, images.imag])[:, None]
    half = len(profile) // 2
    parts = torch.nn.functional.conv2d(parts, profile[None, None, :, None], padding=(half, 0))
    parts = torch.nn.functional.conv2d(parts, profile[None, None, None, :], padding=(0, half))
    real, imaginary = parts[:, 0].chunk(2)
    return torch.complex(real, imaginary)


def object_mask(images: ComplexImages) -> Bool[Tensor, "slices height width"]:
    """Mark where ``|x|`` exceeds a tenth of its 99th percentile over the volume.

    Raises
    ------
    RefusedInputError
        If that percentile is 0 or not finite: there is no object.
    """
    magnitude = images.abs()
    # kthvalue, since torch.quantile refuses more than 2^24 values
    rank = max(1, math.ceil(0.99 * magnitude.numel()))
    bright = float(magnitude.flatten().kthvalue(rank).values)
    if not (math.isfinite(bright) and bright > 0):
        msg = (
            f"the 99th percentile of the image is {bright}, so there is no object to judge; pass "
            "a finite image with signal."
        )
        raise RefusedInputError(msg)
    return magnitude > _OBJECT_SHARE * bright


def reference_intensity(images: ComplexImages) -> float:
    """Return the median of ``|x|`` over `object_mask`, one number per volume.

    Contrasts are relative to it: a contrast of 0.1 is a tenth of typical tissue.

    Raises
    ------
    RefusedInputError
        If there is no object.
    """
    return float(images.abs()[object_mask(images)].median())
