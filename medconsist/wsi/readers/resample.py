"""The one rule by which every engine picks a level and makes a tile at a scale that is not stored.

Both engines follow it, so that they may be compared pixel by pixel.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.wsi.slide import Level

__all__ = ["choose_level", "resample", "whole", "window"]

# Relative slack of float64 factors: 0.5 / 0.25 may come out as 2 + 4e-16. At x = 1e6 it is 1e-3 px.
_SLACK = 1e-9


def whole(value: float | int) -> int | None:
    """Return the whole number that ``value`` is up to float64 noise, None if it is none.

    Examples
    --------
    >>> whole(2.0000000000000004), whole(2.0016)
    (2, None)
    """
    nearest = round(value)
    return nearest if abs(value - nearest) <= _SLACK * max(1.0, abs(value)) else None


def choose_level(levels: Sequence[Level], scale: tuple[float, float]) -> int:
    """Return the coarsest level that is not coarser than the target.

    A level's factor is the ratio of the dimensions. A stored level was rounded to whole pixels
    (46001 / 4 became 11500), which makes that ratio look up to one part in its own length coarser;
    so much is forgiven, else a slide scanned at 40x would be read at 40x for every tile at 10x.
    The tile itself is still made with the exact factor.

    Parameters
    ----------
    levels
        Level 0 first.
    scale
        Level-0 pixels per tile pixel along x and y.

    Examples
    --------
    >>> choose_level([Level(4000, 3000), Level(1000, 750), Level(250, 187)], (8.0, 8.0))
    1
    """
    base = levels[0]
    best, factor = 0, 1.0
    for number, level in enumerate(levels):
        wide, high = base.width / level.width, base.height / level.height
        fits = wide <= scale[0] * (1 + 1 / level.width) and high <= scale[1] * (
            1 + 1 / level.height
        )
        if fits and wide * high > factor:
            best, factor = number, wide * high
    return best


def resample(
    region: npt.NDArray[np.uint8],
    box: tuple[float, float, float, float],
    size: int | tuple[int, int],
) -> npt.NDArray[np.uint8]:
    """Return the part ``box`` of a region as an image of ``size``.

    Whole-number factors at whole-number corners are averaged (a box of k x k pixels, the mean of
    the light that fell there). Everything else goes through an antialiased triangle: unlike sharper
    kernels it reproduces a linear ramp exactly, so nothing is moved, and it cannot overshoot, so
    no bright rim appears around a nucleus.

    Parameters
    ----------
    region
        uint8 ``rows columns 3``.
    box
        x0, y0, x1, y1 within the region, with fractions.
    size
        Rows and columns of the result; one number for both.

    Raises
    ------
    RefusedInputError
        The box is empty or reaches outside the region.

    Examples
    --------
    >>> resample(np.zeros((10, 10, 3), np.uint8), (0.0, 0.0, 8.0, 8.0), 4).shape
    (4, 4, 3)
    """
    rows, columns = size if isinstance(size, tuple) else (size, size)
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= region.shape[1] and 0 <= y0 < y1 <= region.shape[0]):
        msg = f"the box {box} does not lie within a region of {region.shape[1]} x "
        msg += f"{region.shape[0]} pixels (x0, y0, x1, y1)."
        raise RefusedInputError(msg)
    corner = whole(x0), whole(y0)
    factor = whole((x1 - x0) / columns), whole((y1 - y0) / rows)
    if None not in corner and factor == (1, 1):
        left, top = math.floor(x0 + 0.5), math.floor(y0 + 0.5)
        return region[top : top + rows, left : left + columns].copy()
    image = require("PIL.Image", extra="wsi")
    kernel = image.Resampling.BILINEAR if None in corner + factor else image.Resampling.BOX
    made = image.fromarray(region).resize((columns, rows), kernel, box=box)
    return np.asarray(made)


def window(start: float | int, length: float | int, size: int, extent: int) -> tuple[int, int]:
    """Return the first pixel and the number of pixels to read along one axis for one tile.

    Whole factors at whole places need the tile's own pixels. Others also need the neighbours that
    the triangle weighs in; never from beyond the image unless the tile itself reaches there, else
    the rim of every slide would turn white.

    Parameters
    ----------
    start, length
        Where the tile lies along this axis [px of the level that is read].
    size
        Pixels of the tile.
    extent
        Pixels of the level.

    Examples
    --------
    >>> window(512.0, 512.0, 256, 4000), window(0.0, 512.4, 256, 4000)
    ((512, 512), (0, 517))
    """
    if whole(start) is not None and whole(length / size) is not None:
        return round(start), round(length)
    margin = math.ceil(max(1.0, length / size)) + 1
    begin, end = math.floor(start), math.ceil(start + length)
    first = max(begin - margin, min(0, begin))
    return first, min(end + margin, max(extent, end)) - first
