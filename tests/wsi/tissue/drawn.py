"""Small overviews that are drawn by hand: rectangles of stain on glass."""

import numpy as np

from medconsist.tiling.affine import Affine
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.tissue.overview import Overview

GLASS = (243, 243, 245)
PINK = (222, 140, 190)


def glass(rows: int = 120, columns: int = 160, *, seed: int = 0) -> np.ndarray:
    """Empty glass with a camera's noise."""
    noise = np.random.default_rng(seed).normal(0, 1, (rows, columns, 3))
    return (np.array(GLASS) + noise).round().clip(0, 254).astype(np.uint8)


def with_box(
    picture: np.ndarray, box: tuple[int, int, int, int], colour: tuple[int, int, int] = PINK
) -> np.ndarray:
    """Paint rows and columns ``top, left, bottom, right`` in one colour."""
    painted = picture.copy()
    painted[box[0] : box[2], box[1] : box[3]] = colour
    return painted


def overview_of(
    picture: np.ndarray, *, mpp: tuple[float, float] = (0.5, 0.5), reduction: float = 16.0
) -> Overview:
    """Lay a picture over level 0 without an offset; ``mpp`` is x, y."""
    affine = Affine((0.0, 0.0), (reduction, reduction))
    return Overview(picture=picture, affine=affine, mpp=Mpp(*mpp, "given"))
