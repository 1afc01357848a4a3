"""The direct engine: stored JPEG tiles straight from the file, at the speed of the decoder."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from medconsist.errors import RefusedInputError, UnsupportedInputError
from medconsist.tiling.grid import Items
from medconsist.wsi.readers.direct_tiles import MEMORY, DirectTiles
from medconsist.wsi.readers.jpeg_stream import StreamFacts, inspect, prefix_of, standalone
from medconsist.wsi.readers.resample import SHRINKS, choose_level, whole
from medconsist.wsi.readers.stored_bytes import Reads
from medconsist.wsi.readers.stored_tiles import StoredTiles
from medconsist.wsi.readers.tiff_index import StoredLevel, stored_levels
from medconsist.wsi.readers.tile_axis import TileAxis
from medconsist.wsi.slide import Slide, SlideFacts
from medconsist.wsi.tile_grid import TileGrid

__all__ = ["DirectSlide"]


class DirectSlide(Slide):
    """A tiled JPEG TIFF (Aperio SVS, generic TIFF) decoded without OpenSlide.

    At native scale its pixels are those of OpenSlide, bit for bit. At 1/2, 1/4 and 1/8 the scaled
    inverse DCT takes the place of decoding and averaging: a mean difference of about 0.6/255, for
    less time than a full decoding. At other scales stored tiles are decoded at the scale of the DCT
    next above the target, then resampled with the exact box (`resample`), as tiles by OpenSlide
    are from means of as many pixels.

    Nothing is kept between reads but the file, which each process opens for itself and which is
    read by position only: threads may share a slide, a child may inherit it through fork, and
    pickling it opens the path again.

    Parameters
    ----------
    path
        A TIFF, BigTIFF or SVS file.
    facts
        As OpenSlide gives them: which images are levels is for OpenSlide to say.
    reads
        How bytes are read; the plain file by default.

    Raises
    ------
    UnsupportedInputError
        The slide is not stored as plain JPEG tiles; see `stored_levels` for what is declined.
    CorruptInputError
        Its structure contradicts itself or points beyond the end of the file.

    Examples
    --------
    >>> DirectSlide.engine
    'direct'
    """

    engine = "direct"

    def __init__(self, path: Path, facts: SlideFacts, *, reads: Reads | None = None) -> None:
        self.path, self.facts = path, facts
        self._reads = Reads(path) if reads is None else reads
        self.stored = stored_levels(path, facts.levels)
        for number, level in enumerate(self.stored):
            _check_stream(self.stream_facts(number), level, number)

    def __reduce__(
        self,
    ) -> tuple[type["DirectSlide"], tuple[Path, SlideFacts], dict[str, tuple[str, ...]]]:
        """Pickle the path and what is known; whoever loads it parses the file again."""
        return type(self), (self.path, self.facts), {"notes": self.notes}

    def close(self) -> None:
        """Close the file."""
        self._reads.close()

    def stream(self, level: int, row: int, column: int) -> bytes | None:
        """Return a stored tile as a JPEG file of its own, not decoded; None if never stored."""
        stored = self.stored[level]
        number = row * stored.shape[1] + column
        count = int(stored.counts[number])
        if not count:
            return None
        data = self._reads.pread(int(stored.offsets[number]), count)
        return standalone(prefix_of(stored.tables, stored.photometric), data)

    def stream_facts(self, level: int) -> StreamFacts | None:
        """Return what the first stored stream of a level says of itself; None if there is none."""
        stored = self.stored[level]
        present = np.flatnonzero(stored.counts)
        if not len(present):
            return None
        stream = self.stream(level, *divmod(int(present[0]), stored.shape[1]))
        return None if stream is None else inspect(stream)

    def read_region(
        self, level: int, x: int, y: int, width: int, height: int
    ) -> npt.NDArray[np.uint8]:
        """Return a rectangle of a level, read by rows of stored tiles; see `Slide.read_region`.

        Raises
        ------
        RefusedInputError
            There is no such level, or width or height is below 1.
        CorruptInputError
            The bytes cannot be decoded.
        """
        if not 0 <= level < len(self.stored) or min(width, height) < 1:
            msg = f"no region of {width} x {height} px at level {level}; there are "
            msg += f"{len(self.stored)} levels, and a region has at least one pixel."
            raise RefusedInputError(msg)
        tiles = StoredTiles(self.stored[level], self._reads, shrink=1, number=level)
        across = _axis(np.array([float(x)]), width, width, tiles, axis=1)
        region = np.empty((height, width, 3), np.uint8)
        step = tiles.shape[0]
        # Cut at the rows of stored tiles, so that none is decoded for two strips.
        for top in range(y - y % step, y + height, step):
            begin, end = max(top, y), min(top + step, y + height)
            down = _axis(np.array([float(begin)]), end - begin, end - begin, tiles, axis=0)
            DirectTiles(tiles, down, across, items=[0]).read(0, region[begin - y : end - y])
        return region

    def tiles(
        self,
        grid: TileGrid,
        items: Items,
        *,
        memory: int = MEMORY,
    ) -> DirectTiles:
        """Return tiles of a grid, for a loader; the level is that of `choose_level`.

        Parameters
        ----------
        grid
            Over level 0.
        items
            Which of its tiles, each at most once.
        memory
            Half-made tiles that may lie open at once [bytes].
        """
        level, shrink, starts, length = self._plan(grid)
        tiles = StoredTiles(self.stored[level], self._reads, shrink=shrink, number=level)
        rows, columns = (
            _axis(starts[axis] / shrink, length[axis] / shrink, grid.tile_px, tiles, axis=axis)
            for axis in (0, 1)
        )
        return DirectTiles(tiles, rows, columns, items=items, memory=memory)

    def stored_bytes(self, grid: TileGrid, items: Items) -> npt.NDArray[np.int64]:
        """Return, for each tile, the bytes of the largest stored tile that it touches.

        A blank tile needs few bytes, so one that touches only small stored tiles can be left out
        before anything is decoded. How few depends on the scanner's quality setting: take the
        threshold from tiles that a tissue mask calls empty, or leave the mask to decide alone; a
        number learnt from one slide is wrong for the next.

        Parameters
        ----------
        grid, items
            As in `tiles`.
        """
        level, _, starts, length = self._plan(grid)
        tiles = StoredTiles(self.stored[level], self._reads, shrink=1, number=level)
        rows, columns = (
            _axis(starts[axis], length[axis], grid.tile_px, tiles, axis=axis) for axis in (0, 1)
        )
        counts = self.stored[level].counts.reshape(tiles.rows, tiles.columns)
        row, column = np.divmod(np.asarray(items, dtype=np.int64), grid.shape[1])
        found = np.zeros(len(row), np.int64)
        # A tile touches few stored tiles: step through them, all tiles at once.
        deep, wide = (int((a.high - a.low).max(initial=0)) + 1 for a in (rows, columns))
        for down, across in np.ndindex(deep, wide):
            at = rows.low[row] + down, columns.low[column] + across
            inside = (at[0] <= rows.high[row]) & (at[1] <= columns.high[column])
            found[inside] = np.maximum(found[inside], counts[at[0][inside], at[1][inside]])
        return found

    def _plan(
        self, grid: TileGrid
    ) -> tuple[int, int, tuple[npt.NDArray[np.float64], ...], tuple[float, ...]]:
        """Return level, scale of the DCT, starts of rows and columns, length of a tile there."""
        level = choose_level(self.facts.levels, grid.scale)
        ratio = self.facts.levels[level].affine(self.facts.levels[0]).scale
        rows, columns = grid.shape
        down = grid.boxes(np.arange(rows, dtype=np.int64) * columns)[:, 1] if columns else ()
        across = grid.boxes(np.arange(columns, dtype=np.int64))[:, 0] if rows else ()
        starts = np.asarray(down) / ratio[0], np.asarray(across) / ratio[1]
        scale = grid.scale[::-1]
        length = tuple(grid.tile_px * scale[axis] / ratio[axis] for axis in (0, 1))
        stored = self.stored[level]
        factor = tuple(one / grid.tile_px for one in length)
        return level, _shrink(stored, factor, starts), starts, length


def _shrink(
    stored: StoredLevel, factor: tuple[float, ...], starts: tuple[npt.NDArray[np.float64], ...]
) -> int:
    """Return the scale of the DCT: not below the target, and a mean of whole pixels if that can be.

    A whole factor stays a mean of whole pixels only if the DCT's divides it and every tile begins
    where one of its pixels begins.
    """
    exact = all(whole(one) is not None for one in factor)
    for shrink in SHRINKS:
        if shrink > min(factor) * (1 + 1e-9) or stored.tile_width % shrink:
            continue
        if stored.tile_height % shrink:
            continue
        parts = [one / shrink for one in factor]
        divides = all(whole(part) is not None for part in parts)
        phases = np.concatenate([one / shrink for one in starts])
        aligned = bool((np.abs(phases - np.rint(phases)) < 1e-6).all())
        if not exact or (divides and aligned):
            return shrink
    return 1


def _axis(
    starts: npt.NDArray[np.float64],
    length: float | int,
    size: int,
    tiles: StoredTiles,
    *,
    axis: int,
) -> TileAxis:
    return TileAxis.of(
        starts, float(length), size, stored=tiles.shape[axis], extent=tiles.extent[axis]
    )


def _check_stream(facts: StreamFacts | None, level: StoredLevel, number: int) -> None:
    if facts is None:
        return
    size = (facts.width, facts.height) == (level.tile_width, level.tile_height)
    sound = facts.components == 3 and facts.precision == 8
    if not (size and sound and facts.process in {"baseline", "extended", "progressive"}):
        msg = f"level {number} is not decoded directly: its streams are {facts.process} JPEG of "
        msg += f"{facts.width} x {facts.height} px with {facts.components} channels of "
        msg += f"{facts.precision} bits, in tiles of {level.tile_width} x {level.tile_height} px."
        raise UnsupportedInputError(msg)
