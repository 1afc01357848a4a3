"""Tiles of a grid from rectangles of a level: for engines that do not decode stored tiles."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from medconsist.tiling.grid import Items
from medconsist.tiling.source import Source
from medconsist.wsi.readers.resample import (
    choose_level,
    reduced,
    resample,
    shrink_of,
    whole,
    window,
)
from medconsist.wsi.slide import Slide
from medconsist.wsi.tile_grid import TileGrid

__all__ = ["LevelTiles", "ReadShifted"]

Picture = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
ReadShifted = Callable[[int, Box], tuple[Picture, tuple[float, float]]]


class LevelTiles(Source):
    """Each tile is the covering rectangle of the chosen level, resampled to its exact box.

    Level, reduction and resampling are those of `choose_level`, `shrink_of` and `resample`, which
    the direct engine follows too. Where an engine gives a rectangle that begins between two pixels
    (OpenSlide does), that is counted in, so that the tile lies where the grid says.

    Parameters
    ----------
    slide
        What is read.
    grid
        Where the tiles lie.
    items
        Which tiles, in this order.
    read
        Instead of ``slide.read_region``: level and box (x0, y0, x1, y1) to a rectangle that holds
        the box and the place where it begins, x and y, both on the level.

    Examples
    --------
    >>> issubclass(LevelTiles, Source)
    True
    """

    def __init__(
        self,
        slide: Slide,
        grid: TileGrid,
        items: Items,
        *,
        read: ReadShifted | None = None,
    ) -> None:
        self.shape = (grid.tile_px, grid.tile_px, 3)
        self.dtype = np.dtype(np.uint8)
        self._slide, self._grid, self._read = slide, grid, read
        self._items = np.asarray(items, dtype=np.int64)
        levels = slide.facts.levels
        self._level = choose_level(levels, grid.scale)
        step_y, step_x = levels[self._level].affine(levels[0]).scale
        self._steps = np.asarray((step_x, step_y, step_x, step_y))
        self._shrink = shrink_of((grid.scale[0] / step_x, grid.scale[1] / step_y))

    def __len__(self) -> int:
        """Return the number of tiles."""
        return len(self._items)

    def read(self, position: int, out: npt.NDArray[Any]) -> None:
        """Make tile ``position`` into ``out``."""
        (exact,) = self._grid.boxes([int(self._items[position])]) / self._steps
        x0, y0, x1, y1 = (
            float(one if (near := whole(one)) is None else near) for one in exact.tolist()
        )
        shrink, level = self._shrink, self._slide.facts.levels[self._level]
        left, wide = self._window(x0, x1, level.width)
        top, high = self._window(y0, y1, level.height)
        box = (left * shrink, top * shrink, (left + wide) * shrink, (top + high) * shrink)
        region, (x, y) = self._region(box)
        # What lies before the box would shift the pixels that are averaged.
        ahead = int(box[0] - x), int(box[1] - y)
        region = reduced(region[ahead[1] :, ahead[0] :], shrink)
        x, y = x + ahead[0], y + ahead[1]
        place = (
            max((x0 - x) / shrink, 0.0),
            max((y0 - y) / shrink, 0.0),
            min((x1 - x) / shrink, float(region.shape[1])),
            min((y1 - y) / shrink, float(region.shape[0])),
        )
        out[:] = resample(region, place, self._grid.tile_px)

    def _window(self, start: float, stop: float, extent: int) -> tuple[int, int]:
        shrink = self._shrink
        length = (stop - start) / shrink
        return window(start / shrink, length, self._grid.tile_px, -(-extent // shrink))

    def _region(self, box: Box) -> tuple[Picture, tuple[float, float]]:
        """Return a rectangle that holds the box, and where it begins on the level."""
        x0, y0, x1, y1 = box
        if self._read is None:
            region = self._slide.read_region(self._level, x0, y0, x1 - x0, y1 - y0)
            return region, (float(x0), float(y0))
        return self._read(self._level, box)
