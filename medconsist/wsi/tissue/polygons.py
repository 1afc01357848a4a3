"""The outlines of a mask in level-0 pixels, along the edges of its pixels, with holes."""

from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool

from medconsist._extras import require
from medconsist.tiling.affine import Affine

__all__ = ["pixel_polygons", "placed", "tissue_polygons"]


def tissue_polygons(mask: Bool[np.ndarray, "rows columns"], affine: Affine) -> list[Any]:
    """Return one shapely ``Polygon`` a piece, coordinates (x, y) of level 0, largest first.

    Outer rings turn one way and holes the other, as RFC 7946 wants it with y counted upwards.

    Parameters
    ----------
    mask
        On the grid of an overview.
    affine
        From (row, column) of the mask to (y, x) of level 0.
    """
    shapely = require("shapely", extra="wsi")
    pieces = shapely.orient_polygons([placed(piece, affine) for piece in pixel_polygons(mask)])
    return [pieces[at] for at in np.argsort(-shapely.area(pieces), kind="stable")]


def pixel_polygons(mask: Bool[np.ndarray, "rows columns"]) -> npt.NDArray[Any]:
    """Return one shapely ``Polygon`` a piece; x is the column and y the row, whole numbers.

    Pixel ``(i, j)`` covers ``[i, i + 1) x [j, j + 1)``; rings run along these edges, not through
    pixel centres, so that the areas add up to that of the mask exactly. Pieces that touch at a
    corner alone are two polygons.
    """
    shapely = require("shapely", extra="wsi")
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, begin = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]
    # runs along rows: fewer boxes to unite than pixels
    whole = shapely.union_all(shapely.box(begin, row, end, row + 1))
    # simplified by 0: only points within a straight border go
    pieces: npt.NDArray[Any] = shapely.simplify(shapely.get_parts(whole), 0)
    return pieces


def placed(piece: Any, affine: Affine) -> Any:  # noqa: ANN401  # shapely is imported when needed
    """Return a polygon of `pixel_polygons` in level-0 pixels."""
    shapely = require("shapely", extra="wsi")
    return shapely.transform(piece, lambda xy: affine.to_place(xy[:, ::-1])[:, ::-1])
