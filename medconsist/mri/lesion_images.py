"""Where lesions are inserted, their image, and what of it stands in the change of an image."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from medconsist.mri.evidence.features import feature_patch
from medconsist.shapes import ComplexImages

__all__ = ["change_at", "inside_object", "lesion_image", "scattered"]

Places = Int[Tensor, "places 3"]


def lesion_image(
    anatomy: ComplexImages, places: Places, *, peak: float | int, fwhm_px: float | int
) -> ComplexImages:
    """Return the sum of Gaussian lesions, each in the phase that the anatomy has at its place.

    Parameters
    ----------
    anatomy
        Gives phase and shape.
    places
        Slice, row, column of each lesion.
    peak
        Height, in the units of the anatomy.
    fwhm_px
        Width [pixels].
    """
    patch = feature_patch(float(fwhm_px), like=anatomy)
    half = patch.shape[0] // 2
    padded = torch.nn.functional.pad(torch.zeros_like(anatomy), (half, half, half, half))
    for z, row, column in places.tolist():
        phase = anatomy[z, row, column].sgn()
        side = patch.shape[0]
        padded[z, row : row + side, column : column + side] += peak * phase * patch
    return padded[:, half : padded.shape[1] - half, half : padded.shape[2] - half]


def change_at(
    change: ComplexImages, anatomy: ComplexImages, places: Places
) -> Float[Tensor, " places"]:
    """Return ``Re(change(r) exp(-i phi(r)))`` at each place, phi the phase of the anatomy."""
    at = places.to(change.device).unbind(1)
    return (change[at] * anatomy[at].sgn().conj()).real.cpu()


def inside_object(
    mask: Bool[Tensor, "slices height width"], margin_px: float | int
) -> Bool[Tensor, "slices height width"]:
    """Return the positions whose surrounding square of ``margin_px`` is in the object's hull."""
    size = 2 * math.ceil(margin_px) + 1
    # closing first: a dark ventricle is inside the object, not its edge
    grown = _maximum(mask.double(), size, beyond=0.0)
    return 1 - _maximum(1 - grown, 2 * size - 1, beyond=1.0) > 0


def scattered(
    room: Bool[Tensor, "slices height width"],
    *,
    spacing_px: float | int,
    generator: Generator,
    most: int | None = None,
) -> Places:
    """Return places drawn at random, none nearer to another of its slice than the spacing.

    One after the other where there is room left, until there is none, or ``most`` are found.
    """
    candidates = room.nonzero().cpu()
    order = torch.randperm(len(candidates), generator=generator, device=generator.device).cpu()
    left, found = candidates[order], list[Tensor]()
    while len(left) and (most is None or len(found) < most):
        place = left[0]
        found.append(place)
        is_far = torch.linalg.vector_norm((left - place).double(), dim=1) >= spacing_px
        left = left[is_far | (left[:, 0] != place[0])]
    return torch.stack(found) if found else candidates


def _maximum(values: Tensor, size: int, *, beyond: float) -> Tensor:
    half = size // 2
    padded = torch.nn.functional.pad(values, (half, half, half, half), value=beyond)
    largest: Tensor = torch.nn.functional.max_pool2d(padded, size, stride=1)
    return largest
