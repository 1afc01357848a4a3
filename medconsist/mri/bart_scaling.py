"""The scale by which BART divides the data, so that its regularisation weights carry over."""

from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.zerofilled_rss import rss_images
from medconsist.shapes import CoilKSpace, SamplingMask

__all__ = ["bart_scale"]

LARGEST_SIDE = 32
SMALLEST_SIDE = 6


def bart_scale(samples: CoilKSpace, mask: SamplingMask) -> float:
    """Return one positive scale per volume, in the units of the image.

    From the fully sampled centre of k-space, at most 32 x 32, comes a low-resolution
    root-sum-of-squares image, in the units of the full-size one. With its median m, 90th
    percentile p and largest value M the scale is p if ``M - p < 2 (p - m)``, else M: p for a head
    that fills the field of view, M for a few bright spots. Quantiles run over all slices, so that
    one weight means the same in each; for one slice it is the scale of ``bart pics`` 0.8.00 (for
    data stored with a first axis of length 1, or with most energy in its middle).

    Where the sampled centre is shorter than 6 on a side, the zero-filled image takes the place of
    the low-resolution one. It is darker by up to the acceleration, so that a weight found with a
    calibration region is then too strong.

    Parameters
    ----------
    samples
        Coil k-space.
    mask
        True where it is to be used; the region is sampled in every slice.

    Raises
    ------
    RefusedInputError
        The image that the scale is taken from is all zero or not finite.
    """
    centre = _calibration_block(samples, mask)
    image = rss_images(samples, mask) if centre is None else rss_images(centre)
    share = image[0].numel() / (samples.shape[-2] * samples.shape[-1])
    values = image.flatten().sort().values * share**0.5
    n = len(values)
    median, high, largest = (float(values[i]) for i in (n // 2, int(n * 0.9), n - 1))
    scale = high if largest - high < 2 * (high - median) else largest
    if not 0 < scale < float("inf"):
        msg = (
            f"the centre of k-space gives the scale {scale}; allowed: positive and finite. Look "
            "for NaN and for an empty volume in the input, or give the scale of the data."
        )
        raise RefusedInputError(msg)
    return scale


def _calibration_block(samples: Tensor, mask: Tensor) -> Tensor | None:
    """Cut out the sampled rectangle that grows by turns on both axes, each until blocked."""
    plane = _middle(mask.all(0), LARGEST_SIDE, LARGEST_SIDE)
    sizes, growing = [1, 1], [0, 1]
    while growing:
        for axis in tuple(growing):
            larger = [size + (axis == i) for i, size in enumerate(sizes)]
            if larger[axis] <= plane.shape[axis] and bool(_middle(plane, *larger).all()):
                sizes = larger
            else:
                growing.remove(axis)
    if min(sizes) < SMALLEST_SIDE:
        return None
    # Cut to the limit first, then to the size: for odd lengths the order decides the middle.
    return _middle(_middle(samples, LARGEST_SIDE, LARGEST_SIDE), *sizes)


def _middle(array: Tensor, height: int, width: int) -> Tensor:
    """Return at most ``height`` rows and ``width`` columns from the middle."""
    for dim, size in ((-2, height), (-1, width)):
        kept = min(size, array.shape[dim])
        array = array.narrow(dim, (array.shape[dim] - kept) // 2, kept)
    return array
