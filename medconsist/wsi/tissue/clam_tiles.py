"""Which tiles CLAM takes from a piece of tissue: its four tests, its holes, its own grid."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.wsi.tissue.clam_mode import ClamRegion

__all__ = ["ClamTest", "clam_corners", "clam_tile_test"]

ClamTest = Literal["four_pt", "four_pt_hard", "center", "basic"]
Corners = npt.NDArray[np.int64]

_CENTRE_SHIFT = 0.5


def clam_tile_test(
    region: ClamRegion, corners: Corners, *, tile_px: int, test: ClamTest = "four_pt"
) -> npt.NDArray[np.bool_]:
    """Say of each tile whether CLAM would take it from this piece.

    ``four_pt``: any of the points at centre +- ``int(tile_px // 2 * 0.5)`` along both axes lies in
    the outline or on it; ``four_pt_hard``: all four; ``center``: the centre; ``basic``: the
    top-left corner. A tile whose centre lies inside a hole (not on its edge) is not taken.

    Parameters
    ----------
    region
        From `clam_regions`.
    corners
        Top-left x, y in level-0 pixels, shape ``(n, 2)``.
    tile_px
        Side of a tile [level-0 px].

    Raises
    ------
    RefusedInputError
        The side is below 1.
    """
    if tile_px < 1:
        msg = f"tile_px must be 1 or more, got {tile_px}."
        raise RefusedInputError(msg)
    outline = _polygon(region.outline)
    inside = np.array([_covers(outline, points) for points in _points(corners, tile_px, test)])
    join = np.logical_and if test == "four_pt_hard" else np.logical_or
    taken: npt.NDArray[np.bool_] = join.reduce(inside, axis=0)
    centre = corners.astype(np.float64) + tile_px / 2
    for hole in region.holes:
        taken &= ~_strictly_inside(_polygon(hole), centre)
    return taken


def clam_corners(
    regions: Sequence[ClamRegion], *, tile_px: int, step_px: int, test: ClamTest = "four_pt"
) -> Corners:
    """Return the tiles that CLAM cuts, x and y of level 0: a grid from each outline's own corner.

    Tiles may stick out of the slide (CLAM's ``use_padding``); tiles of two pieces may overlap.

    Raises
    ------
    RefusedInputError
        A length is below 1.
    """
    if step_px < 1:
        msg = f"step_px must be 1 or more, got {step_px}."
        raise RefusedInputError(msg)
    found = [np.empty((0, 2), np.int64)]
    for region in regions:
        low, high = region.outline.min(0), region.outline.max(0)
        x, y = (np.arange(low[axis], high[axis] + 1, step_px) for axis in (0, 1))
        corners = np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
        found.append(corners[clam_tile_test(region, corners, tile_px=tile_px, test=test)])
    return np.concatenate(found)


def _points(corners: Corners, tile_px: int, test: ClamTest) -> list[npt.NDArray[np.float64]]:
    if test == "basic":
        return [corners.astype(np.float64)]
    if test == "center":
        return [corners.astype(np.float64) + tile_px / 2]
    centre = (corners + tile_px // 2).astype(np.float64)
    shift = int(tile_px // 2 * _CENTRE_SHIFT)
    return [centre + shift * np.array(sign) for sign in ((-1, -1), (1, 1), (1, -1), (-1, 1))]


def _polygon(ring: npt.NDArray[np.int64]) -> Any:  # noqa: ANN401  # shapely is imported when needed
    """Return a prepared polygon; a ring that touches itself is taken by the even-odd rule."""
    shapely = require("shapely", extra="wsi")
    polygon = shapely.Polygon(ring if len(ring) > 2 else np.repeat(ring, 4, axis=0)[:4])
    shapely.prepare(polygon)
    return polygon


def _covers(polygon: Any, points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:  # noqa: ANN401
    return require("shapely", extra="wsi").intersects_xy(polygon, points)


def _strictly_inside(polygon: Any, points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:  # noqa: ANN401
    return require("shapely", extra="wsi").contains_xy(polygon, points)
