"""The root sum of squares of zero-filled coil images, and the scale that is taken from it."""

import math

import torch

from medconsist.mri.forward import of_slices
from medconsist.operators.fourier import Fourier
from medconsist.shapes import CoilKSpace, RealImages, SamplingMask

__all__ = ["rss_images", "rss_scale"]

SCALE_QUANTILE = 0.99


def rss_images(samples: CoilKSpace, mask: SamplingMask | None = None) -> RealImages:
    """Return the root sum of squares of the coil images, ``(sum_c |F^H y_c|^2)^(1/2)``.

    Roemer et al. 1990, doi:10.1002/mrm.1910160203. Needs no maps. Slice by slice, since the coil
    images of a volume would take as much memory as its samples, several times.

    Parameters
    ----------
    samples
        Coil k-space.
    mask
        True where it is to be used; None: everywhere.
    """
    images = []
    for number in range(len(samples)):
        at = slice(number, number + 1)
        one = samples[at]
        if mask is not None:
            one = torch.where(of_slices(mask, at)[:, None], one, 0)
        images.append(torch.linalg.vector_norm(Fourier().adjoint(one), dim=1))
    return torch.cat(images)


def rss_scale(samples: CoilKSpace, mask: SamplingMask | None = None) -> float:
    """Return the 99th percentile of `rss_images` over the volume."""
    rss = rss_images(samples, mask).flatten()
    rank = max(1, math.ceil(SCALE_QUANTILE * rss.numel()))
    # kthvalue, since torch.quantile refuses more than 2^24 values
    return float(rss.kthvalue(rank).values)
