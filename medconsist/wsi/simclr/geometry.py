"""Where a view looks: crop, symmetry of the square and focus, one draw for each tile."""

import math

import torch
import torch.nn.functional as F  # noqa: N812  torch's own spelling
from jaxtyping import Float, Int64
from torch import Tensor

from medconsist.errors import RefusedInputError

__all__ = ["crop_and_resize", "gaussian_blur", "symmetry_of_square"]

SYMMETRIES = 8
# Reach of the kernel in standard deviations; what is left out weighs 0.3 %.
_REACH = 3.0
# Below this standard deviation (pixels) the kernel is a single one to the last bit.
_LEAST_SIGMA = 1e-2


def crop_and_resize(
    images: Float[Tensor, "tiles 3 height width"], box: Float[Tensor, "tiles 4"], pixels: int
) -> Float[Tensor, "tiles 3 pixels pixels"]:
    """Cut one box out of each image and resize it to ``pixels`` by bilinear interpolation.

    Nothing is averaged beforehand: where the box holds more than ``pixels`` pixels a side, detail
    above the new resolution is aliased. At most a factor of two is accepted; for more, cut tiles
    at a coarser mpp.

    Parameters
    ----------
    images
        Any range.
    box
        Top, left, height and width as shares of the image, inside [0, 1]. Pixels are areas, so
        ``(0, 0, 1, 1)`` at the image's own size is the image.
    pixels
        Rows and columns of the result.

    Raises
    ------
    RefusedInputError
        The whole image is more than twice as large as the result.
    """
    height, width = images.shape[-2:]
    if max(height, width) > 2 * pixels:
        msg = (
            f"pixels got {pixels} for tiles of {height} x {width}; more than a factor of two would "
            "alias. Cut smaller tiles, or the same field at a coarser mpp."
        )
        raise RefusedInputError(msg)
    top, left, tall, wide = box.unbind(-1)
    none = torch.zeros_like(top)
    rows = torch.stack([none, tall, 2 * top + tall - 1], -1)
    columns = torch.stack([wide, none, 2 * left + wide - 1], -1)
    theta = torch.stack([columns, rows], -2)
    grid = F.affine_grid(theta, [len(images), 3, pixels, pixels], align_corners=False)
    return F.grid_sample(images, grid, "bilinear", padding_mode="border", align_corners=False)


def symmetry_of_square(
    images: Float[Tensor, "tiles 3 side side"], symmetry: Int64[Tensor, " tiles"]
) -> Float[Tensor, "tiles 3 side side"]:
    """Turn each image by one of the eight symmetries of the square; no pixel is interpolated.

    Parameters
    ----------
    images
        Square.
    symmetry
        0 to 7; bits: mirror rows, mirror columns, exchange rows and columns. 0 changes nothing.
    """
    for bit, axis in ((1, -2), (2, -1)):
        images = torch.where(_has(bit, symmetry), images.flip(axis), images)
    return torch.where(_has(4, symmetry), images.mT, images)


def gaussian_blur(
    images: Float[Tensor, "tiles 3 height width"],
    sigma: Float[Tensor, " tiles"],
    *,
    largest: float | int,
) -> Float[Tensor, "tiles 3 height width"]:
    """Blur each image by its own Gaussian, reflected at the edge; 0 changes nothing.

    Parameters
    ----------
    images
        Any range.
    sigma
        Standard deviation in pixels, 0 to ``largest``.
    largest
        Sets the reach of the kernel, ``ceil(3 largest)``, for all images alike, so that no image
        depends on the draw of another.

    Raises
    ------
    RefusedInputError
        The images are no larger than the reach.
    """
    radius = math.ceil(_REACH * largest)
    if radius == 0:
        return images
    n_tiles, channels, height, width = images.shape
    if radius >= min(height, width):
        msg = (
            f"a blur of up to {largest} pixels reaches {radius} pixels, and the view has "
            f"{height} x {width}. Lower blur or use larger views."
        )
        raise RefusedInputError(msg)
    steps = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = (-0.5 * (steps / sigma.clamp(min=_LEAST_SIGMA)[:, None]).square()).exp()
    kernel = (kernel / kernel.sum(-1, keepdim=True)).repeat_interleave(channels, 0)
    # every channel of every tile is a group of its own
    groups = n_tiles * channels
    padded = F.pad(images, (radius,) * 4, mode="reflect").flatten(0, 1)[None]
    blurred = F.conv2d(padded, kernel[:, None, :, None], groups=groups)
    blurred = F.conv2d(blurred, kernel[:, None, None, :], groups=groups)
    return blurred.reshape(images.shape)


def _has(bit: int, symmetry: Tensor) -> Tensor:
    return (symmetry & bit).bool()[:, None, None, None]
