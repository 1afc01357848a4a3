"""Values of tiles as a picture with its place on the slide; who shows it chooses the colours."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.results.schema import Place
from medconsist.tiling.affine import Affine
from medconsist.tiling.grid import Items
from medconsist.wsi.tile_grid import TileGrid

__all__ = ["HeatMap", "heat_map"]

Values = npt.NDArray[np.float32]

# Cells are at most about an eighth of a tile, so that overlaps without a common divisor (256 px and
# 50 px have 2 px) do not ask for a picture nearly as large as the slide.
_CELLS_PER_TILE = 8
# A corner of a cell, computed forth and back in float64, belongs to that cell and not to the last.
_SLACK = 1e-9
_UNIT = "level-0 px"


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Values on equal cells, and where the cells lie on the slide.

    Cell ``(row, column)`` covers ``affine.to_place([row, column])`` up to that of
    ``[row + 1, column + 1]``, as (y, x) in level-0 pixels of the whole slide.

    Parameters
    ----------
    values
        float32 ``rows columns``; NaN is unknown: no tile was looked at there.
    affine
        From (row, column) to level-0 (y, x); scales above 0: nothing is mirrored.

    Raises
    ------
    ShapeError
        Not two axes.
    RefusedInputError
        A scale is negative.

    Examples
    --------
    >>> values = np.array([[0.1, 0.9]], dtype=np.float32)
    >>> shown = HeatMap(values, Affine(offset=(0.0, 100.0), scale=(512.0, 512.0)))
    >>> shown.sample([[150.0, 10.0], [700.0, 10.0], [0.0, 0.0]]).tolist()
    [0.10000000149011612, 0.8999999761581421, nan]
    """

    values: Values
    affine: Affine

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.affine.scale) != 2:
            msg = f"a heat map has rows and columns, got the shape {self.values.shape} and "
            msg += f"{len(self.affine.scale)} scales."
            raise ShapeError(msg)
        if min(self.affine.scale) < 0:
            msg = f"the scale of a heat map must be above 0, got {self.affine.scale}."
            raise RefusedInputError(msg)

    @property
    def place(self) -> Place:
        """Where it lies, as a result records it."""
        offset, scale = self.affine.offset, self.affine.scale
        return Place(of="slide", unit=_UNIT, offset=offset, scale=scale)

    @classmethod
    def from_place(cls, values: Values, place: Place) -> "HeatMap":
        """Return the heat map that a result holds.

        Raises
        ------
        RefusedInputError
            The place is not given in level-0 pixels of the slide.
        ShapeError
            Not two axes.
        """
        if (place.of, place.unit) != ("slide", _UNIT):
            msg = f"a heat map lies on the slide in {_UNIT}, got {place.of!r} in {place.unit!r}."
            raise RefusedInputError(msg)
        return cls(values, Affine(offset=place.offset, scale=place.scale))

    def sample(self, points: npt.ArrayLike) -> Values:
        """Return the value of the cell that holds each point, NaN outside.

        Parameters
        ----------
        points
            Level-0 x, y, shape ``(..., 2)``; a point on a border belongs to the cell right or
            below.

        Returns
        -------
        float32 ``(...)``.
        """
        places = np.asarray(points, dtype=np.float64)[..., ::-1]
        index = np.floor(self.affine.to_index(places) + _SLACK)
        inside = np.all((index >= 0) & (index < self.values.shape), axis=-1)
        rows, columns = np.moveaxis(np.where(inside[..., None], index, 0).astype(np.int64), -1, 0)
        if not self.values.size:
            return np.full(inside.shape, np.nan, np.float32)
        return np.where(inside, self.values[rows, columns], np.float32(np.nan))


def heat_map(grid: TileGrid, items: Items, values: npt.NDArray[Any]) -> HeatMap:
    """Return the values of tiles on the lattice of their grid.

    Without overlap a cell is a tile. With overlap a tile is several cells, each the mean of the
    tiles that cover its centre; tiles begin on cells exactly, and end on them where ``tile_px`` and
    ``overlap_px`` have a common divisor of an eighth of the tile or more.

    Parameters
    ----------
    grid
        Of the tiles.
    items
        Which tiles, each once.
    values
        One real number for each; NaN is unknown and no part of a mean.

    Returns
    -------
    As far as the grid reaches; where a kept tile sticks out of the slide, beyond it.

    Raises
    ------
    ShapeError
        Not one value for each item.
    RefusedInputError
        An item twice or not in the grid, an infinite value, or a grid without tiles.

    Examples
    --------
    >>> from medconsist.wsi.mpp import Mpp
    >>> grid = TileGrid(width=100, height=50, mpp=Mpp(1, 1, "given"), target_mpp=1, tile_px=50)
    >>> heat_map(grid, [1], np.array([0.7])).values.tolist()
    [[nan, 0.699999988079071]]
    """
    given = np.asarray(values, dtype=np.float64)
    if given.shape != (len(items),):
        msg = f"one value for each of {len(items)} tiles is needed, got the shape {given.shape}."
        raise ShapeError(msg)
    _check_tiles(grid, items, given)
    known = ~np.isnan(given)
    indices = grid.grid.indices(items)[known]
    per_step = _cells_per_step(grid)
    spans = [_cells_of_tiles(grid, axis, per_step) for axis in (0, 1)]
    shape = (int(spans[0].max()), int(spans[1].max()))
    (top, bottom), (left, right) = (spans[axis][indices[:, axis]].T for axis in (0, 1))
    total, count = np.zeros(shape), np.zeros(shape)
    # One pass over all tiles for each cell within one: 64, more if they overlap by over 7/8.
    for down, across in np.ndindex(*(int((one[:, 1] - one[:, 0]).max()) for one in spans)):
        inside = (top + down < bottom) & (left + across < right)
        cells = (top + down)[inside], (left + across)[inside]
        np.add.at(total, cells, given[known][inside])
        np.add.at(count, cells, 1)
    mean = np.divide(total, count, out=np.full(shape, np.nan), where=count > 0)
    cell = Affine(offset=(0.0, 0.0), scale=(1 / per_step, 1 / per_step))
    return HeatMap(mean.astype(np.float32), cell.then(grid.affine))


def _check_tiles(grid: TileGrid, items: Items, values: npt.NDArray[np.float64]) -> None:
    if len(grid) == 0:
        msg = f"no tile of {grid.tile_px} px fits into {grid.width} x {grid.height}; there is no "
        msg += "heat map."
        raise RefusedInputError(msg)
    if len(np.unique(np.asarray(items))) != len(items):
        msg = f"{len(items)} tiles were given, some of them twice; give one value for each."
        raise RefusedInputError(msg)
    if np.isinf(values).any():
        msg = f"{int(np.isinf(values).sum())} of {len(values)} values are infinite; give numbers, "
        msg += "or NaN for unknown."
        raise RefusedInputError(msg)


def _cells_per_step(grid: TileGrid) -> int:
    exact = grid.step_px // math.gcd(grid.tile_px, grid.step_px)
    return min(exact, max(1, round(_CELLS_PER_TILE * grid.step_px / grid.tile_px)))


def _cells_of_tiles(grid: TileGrid, axis: int, per_step: int) -> npt.NDArray[np.int64]:
    """Return the first cell whose centre a tile covers and the one after the last, for each tile.

    Per axis, for every row or column of tiles; shape ``(tiles, 2)``.
    """
    count = grid.shape[axis]
    items = np.arange(count) * (grid.shape[1] if axis == 0 else 1)
    cell = grid.grid.step[axis] / per_step
    begins = grid.grid.starts(items)[:, axis] / cell
    ends = begins + grid.grid.window[axis] / cell
    # A centre covered is begin <= k + 1/2 < end.
    return np.ceil(np.stack([begins, ends], axis=1) - 0.5 - _SLACK).astype(np.int64)
