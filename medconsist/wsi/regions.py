"""Regions of a slide: polygons with a class and numbers, made of tiles and used to choose tiles."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medconsist._extras import require
from medconsist.errors import RefusedInputError, ShapeError
from medconsist.tiling.grid import Items
from medconsist.wsi.heatmap import HeatMap
from medconsist.wsi.tile_grid import TileGrid
from medconsist.wsi.tissue.polygons import pixel_polygons, placed

__all__ = [
    "Geometry",
    "Kind",
    "Region",
    "Rule",
    "contour_regions",
    "items_inside",
    "tile_regions",
]

Geometry = Any  # shapely.Polygon or MultiPolygon: shapely is heavy and optional
Kind = Literal["annotation", "detection", "tile"]
Rule = Literal["center", "any", "all"]

# Borders of tiles and of regions made of tiles are computed by different sums: what differs by less
# than a millionth of a pixel is the same border.
_WITHIN = np.array([1e-6, 1e-6, -1e-6, -1e-6])


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """A polygon, or several, on a slide.

    Parameters
    ----------
    geometry
        ``shapely.Polygon`` or ``MultiPolygon``, with holes or without; x and y in level-0 pixels of
        the whole slide, pixel i covers i to i + 1.
    name
        Class, e.g. ``"Tumor"``; None if it has none.
    colour
        RGB, 0 to 255 each; None leaves it to the program that shows it.
    measurements
        Name to finite number.
    kind
        As QuPath names it.

    Raises
    ------
    RefusedInputError
        The geometry is empty, not valid, or of another type; a number is not finite.

    Examples
    --------
    >>> import shapely
    >>> Region(geometry=shapely.box(0, 0, 10, 20), name="Tumor").geometry.area
    200.0
    """

    geometry: Geometry
    name: str | None = None
    colour: tuple[int, int, int] | None = None
    measurements: Mapping[str, float | int] = field(default_factory=dict)
    kind: Kind = "annotation"

    def __post_init__(self) -> None:
        _check_geometry(self.geometry)
        if self.colour is not None and not all(0 <= part <= 255 for part in self.colour):
            msg = f"a colour is red, green and blue of 0 to 255, got {self.colour}."
            raise RefusedInputError(msg)
        for name, value in self.measurements.items():
            if not math.isfinite(value):
                msg = f"the measurement {name!r} is {value}; leave out what is unknown."
                raise RefusedInputError(msg)


def tile_regions(
    grid: TileGrid,
    items: Items,
    values: npt.NDArray[Any],
    *,
    name: str,
    threshold: float | int = -math.inf,
) -> list[Region]:
    """Return tiles as rectangles that carry their value, those at a threshold or above.

    Parameters
    ----------
    grid, items
        The tiles.
    values
        One for each; NaN is unknown and left out.
    name
        Of the value, e.g. ``"attention"``; class and measurement are called so.
    threshold
        Of the value; all known ones without.

    Raises
    ------
    ShapeError
        Not one value for each item.
    """
    given = np.asarray(values, dtype=np.float64)
    boxes = grid.boxes(items)
    if given.shape != (len(boxes),):
        msg = f"one value for each of {len(boxes)} tiles is needed, got the shape {given.shape}."
        raise ShapeError(msg)
    chosen = given >= threshold  # False for NaN
    shapes = require("shapely", extra="wsi").box(*boxes[chosen].T)
    return [
        Region(geometry=shape, name=name, measurements={name: value}, kind="tile")
        for shape, value in zip(shapes, given[chosen].tolist(), strict=True)
    ]


def contour_regions(shown: HeatMap, *, name: str, threshold: float | int) -> list[Region]:
    """Return the outlines of the cells at a threshold or above, one region for each piece.

    Outlines follow the borders of cells, so that they enclose those cells and nothing else; pieces
    that touch at a corner alone stay apart. Unknown cells (NaN) are outside.

    Parameters
    ----------
    shown
        The heat map.
    name
        Of the value; class and measurements (mean, maximum over the cells) are called so.
    threshold
        Of the value.
    """
    above = shown.values >= threshold
    regions = []
    for piece in pixel_polygons(above):
        inside = _values_inside(shown.values, above, piece)
        numbers = {f"{name} mean": float(inside.mean()), f"{name} max": float(inside.max())}
        moved = placed(piece, shown.affine)
        regions.append(Region(geometry=moved, name=name, measurements=numbers))
    return regions


def items_inside(
    grid: TileGrid, geometry: Geometry | Sequence[Geometry], *, rule: Rule = "center"
) -> npt.NDArray[np.int64]:
    """Return the tiles of a grid that lie in a region, in their order.

    Parameters
    ----------
    grid
        Of the tiles.
    geometry
        One or more, level-0 pixels; what lies in any of them counts.
    rule
        ``"center"``: the centre of the tile lies inside or on the border. ``"any"``: tile and
        region share an area; touching is not enough. ``"all"``: the whole tile lies inside. Both
        overlook a millionth of a pixel.

    Raises
    ------
    RefusedInputError
        A geometry is empty, not valid or no polygon.
    """
    shapely = require("shapely", extra="wsi")
    parts = list(geometry) if isinstance(geometry, Sequence) else [geometry]
    for part in parts:
        _check_geometry(part)
    whole = shapely.union_all(parts)
    if whole.is_empty or not len(grid):
        return np.empty(0, np.int64)
    items = _near(grid, whole.bounds)
    boxes = grid.boxes(items)
    shapely.prepare(whole)
    match rule:
        case "center":
            centres = (boxes[:, :2] + boxes[:, 2:]) / 2
            inside = shapely.intersects_xy(whole, *centres.T)
        case "any":
            inside = shapely.intersects(whole, shapely.box(*(boxes + _WITHIN).T))
        case "all":
            inside = shapely.covers(whole, shapely.box(*(boxes + _WITHIN).T))
    return items[np.asarray(inside, dtype=bool)]


def _near(grid: TileGrid, bounds: tuple[float, float, float, float]) -> npt.NDArray[np.int64]:
    """Return the tiles whose box meets a rectangle, found row by row and column by column."""
    rows, columns = grid.shape
    down = grid.boxes(np.arange(rows) * columns)
    across = grid.boxes(np.arange(columns))
    left, top, right, bottom = bounds
    chosen_rows = np.flatnonzero((down[:, 3] >= top) & (down[:, 1] <= bottom))
    chosen_columns = np.flatnonzero((across[:, 2] >= left) & (across[:, 0] <= right))
    return (chosen_rows[:, None] * columns + chosen_columns).ravel()


def _values_inside(
    values: npt.NDArray[np.float32], above: npt.NDArray[np.bool_], piece: Geometry
) -> npt.NDArray[np.float32]:
    shapely = require("shapely", extra="wsi")
    left, top, right, bottom = (int(bound) for bound in piece.bounds)
    rows, columns = np.nonzero(above[top:bottom, left:right])
    shapely.prepare(piece)
    inside = shapely.contains_xy(piece, columns + left + 0.5, rows + top + 0.5)
    return values[rows[inside] + top, columns[inside] + left]


def _check_geometry(geometry: Geometry) -> None:
    shapely = require("shapely", extra="wsi")
    if not isinstance(geometry, shapely.Polygon | shapely.MultiPolygon):
        kind = getattr(geometry, "geom_type", type(geometry).__name__)
        msg = f"a region is a polygon or several, got {kind}."
        raise RefusedInputError(msg)
    if geometry.is_empty or not np.isfinite(shapely.get_coordinates(geometry)).all():
        msg = "a region must not be empty, and its coordinates must be finite."
        raise RefusedInputError(msg)
    reason = shapely.is_valid_reason(geometry)
    if reason != "Valid Geometry":
        fault, _, at = reason.rstrip("]").partition("[")
        is_crossed = "self-intersection" in fault.lower()
        what = "crosses or touches itself" if is_crossed else f"is not simple ({fault})"
        where = ", ".join(f"{float(one):.6g}" for one in at.split())
        msg = f"the outline {what} at ({where}): move a corner or draw it again."
        raise RefusedInputError(msg)
