"""Slides by cuCIM, an optional engine for GPU nodes; it also reads on a CPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medconsist._extras import require
from medconsist.errors import RefusedInputError, UnsupportedInputError
from medconsist.tiling.grid import Items
from medconsist.tiling.source import Source
from medconsist.wsi.readers.handles import HandlePool
from medconsist.wsi.readers.level_tiles import LevelTiles
from medconsist.wsi.slide import FILL, Slide, SlideFacts
from medconsist.wsi.tile_grid import TileGrid

__all__ = ["CucimSlide"]

Picture = npt.NDArray[np.uint8]


class CucimSlide(Slide):
    """A slide read by cuCIM; only what `difference` found equal to OpenSlide should be used.

    Parameters
    ----------
    path
        The file.
    facts
        As OpenSlide says them; cuCIM must see the same levels.

    Raises
    ------
    MissingExtraError
        cucim is not installed.
    UnsupportedInputError
        cuCIM does not open the file, or sees other levels.

    Examples
    --------
    >>> issubclass(CucimSlide, Slide)
    True
    """

    engine = "cucim"

    def __init__(self, path: Path, facts: SlideFacts) -> None:
        self.facts = facts
        cucim = require("cucim", extra="cucim")
        self._pool = HandlePool(opener=lambda: cucim.CuImage(str(path)), closer=_close, capacity=8)
        try:
            with self._pool.lend() as handle:
                seen = [tuple(size) for size in handle.resolutions["level_dimensions"]]
        except RuntimeError as error:
            msg = f"{path.name}: cuCIM does not open it: {error}"
            raise UnsupportedInputError(msg) from error
        if seen != [(level.width, level.height) for level in facts.levels]:
            msg = f"{path.name}: cuCIM sees the levels {seen}, OpenSlide {facts.levels}."
            raise UnsupportedInputError(msg)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path, SlideFacts], dict[str, Any]]:
        """Return how a pickle opens the slide again."""
        return CucimSlide, (self.facts.path, self.facts), {"notes": self.notes}

    def read_region(self, level: int, x: int, y: int, width: int, height: int) -> Picture:
        """Return a rectangle, see `Slide.read_region`."""
        if not 0 <= level < len(self.facts.levels) or width < 1 or height < 1:
            msg = f"no region of {width} x {height} px on level {level}; allowed are levels 0 to "
            msg += f"{len(self.facts.levels) - 1} and 1 px or more."
            raise RefusedInputError(msg)
        size, base = self.facts.levels[level], self.facts.levels[0]
        region = np.full((height, width, 3), FILL, np.uint8)
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, size.width), min(y + height, size.height)
        if right > left and bottom > top:
            scale_y, scale_x = size.affine(base).scale
            location = (round(left * scale_x), round(top * scale_y))
            with self._pool.lend() as handle:
                part = handle.read_region(location, (right - left, bottom - top), level=level)
                pixels = np.asarray(part)[..., :3]
            region[top - y : bottom - y, left - x : right - x] = pixels
        return region

    def tiles(self, grid: TileGrid, items: Items) -> Source:
        """Return the tiles ``items`` of a grid, see `Slide.tiles`."""
        return LevelTiles(self, grid, items)

    def close(self) -> None:
        """Close the handle."""
        self._pool.close()


def _close(handle: Any) -> None:  # noqa: ANN401  cucim has no stubs
    handle.close()
