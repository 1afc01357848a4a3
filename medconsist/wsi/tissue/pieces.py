"""Pieces of a mask: how large they are, and how to join and drop them, in microns and mm^2."""

import numpy as np
from jaxtyping import Bool, Int

from medconsist._extras import require

__all__ = ["closed", "labelled", "large_pieces"]

Mask = Bool[np.ndarray, "rows columns"]


def labelled(mask: Mask) -> tuple[Int[np.ndarray, "rows columns"], Int[np.ndarray, " pieces"]]:
    """Return the number of each pixel's piece (by edges; 0 is none), and the sizes of pieces."""
    labels, _ = require("scipy.ndimage", extra="wsi").label(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels, sizes


def large_pieces(mask: Mask, *, mm2: float, pixel_mm2: float) -> Mask:
    """Keep the pieces of ``mm2`` or more."""
    labels, sizes = labelled(mask)
    return (sizes > 0)[labels] & (sizes * pixel_mm2 >= mm2 * (1 - 1e-9))[labels]


def closed(mask: Mask, *, radius_um: float, pixel_um: tuple[float, float]) -> Mask:
    """Close gaps up to twice the radius (an ellipse of pixels); outside the picture is empty."""
    reach = [int(radius_um / size) for size in pixel_um]
    if not any(reach):
        return mask
    down, right = (np.arange(-n, n + 1) * size for n, size in zip(reach, pixel_um, strict=True))
    ball = np.hypot(down[:, None], right) <= radius_um
    margin = ((reach[0], reach[0]), (reach[1], reach[1]))
    ndimage = require("scipy.ndimage", extra="wsi")
    joined = ndimage.binary_closing(np.pad(mask, margin), ball)
    return joined[reach[0] : reach[0] + len(mask), reach[1] : reach[1] + mask.shape[1]]
