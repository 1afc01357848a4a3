"""The outlines of a mask in level-0 pixels, along the edges of its pixels, with holes."""

from typing import Any

import numpy as np
from jaxtyping import Bool

from medconsist._extras import require
from medconsist.tiling.affine import Affine

__all__ = ["tissue_polygons"]


def tissue_polygons(mask: Bool[np.ndarray, "rows columns"], affine: Affine) -> list[Any]:
    """Return one shapely ``Polygon`` a piece, coordinates (x, y) of level 0, largest first.

    Pixel ``(i, j)`` covers ``[i, i + 1) x [j, j + 1)``; rings run along these edges, not through
    pixel centres, so that the areas add up to that of the mask exactly. Pieces that touch at a
    corner alone are two polygons. Outer rings turn one way and holes the other, as RFC 7946 wants
    it with y counted upwards.

    Parameters
    ----------
    mask
        On the grid of an overview.
    affine
        From (row, column) of the mask to (y, x) of level 0.
    """
    shapely = require("shapely", extra="wsi")
    start, stop = _runs(mask)
    if not len(start):
        return []
    top_left = affine.to_place(start)
    bottom_right = affine.to_place(stop)
    strips = shapely.box(*top_left[:, ::-1].T, *bottom_right[:, ::-1].T)
    pieces = shapely.get_parts(shapely.unary_union(strips))
    plain = shapely.orient_polygons(shapely.simplify(pieces, 0.0))
    return [plain[at] for at in np.argsort(-shapely.area(plain), kind="stable")]


def _runs(mask: Bool[np.ndarray, "rows columns"]) -> tuple[np.ndarray, np.ndarray]:
    """Return (row, column) of the beginning and of the far corner of every run of a row."""
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    start, stop = np.argwhere(steps == 1), np.argwhere(steps == -1)
    return start.astype(np.float64), stop + np.asarray((1.0, 0.0))
