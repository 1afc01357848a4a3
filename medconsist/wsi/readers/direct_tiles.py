"""Tiles of a grid from stored tiles, each decoded once and pasted where it is needed."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medconsist.errors import RefusedInputError
from medconsist.tiling.grid import Items
from medconsist.tiling.source import Job, Place, Source
from medconsist.wsi.readers.pasting import Group, Pasting, Target
from medconsist.wsi.readers.resample import resample
from medconsist.wsi.readers.stored_tiles import StoredTiles
from medconsist.wsi.readers.tile_axis import TileAxis
from medconsist.wsi.slide import FILL

__all__ = ["MEMORY", "DirectTiles", "Sweep"]

MEMORY = 48 << 20
"""Bytes of half-made tiles that may lie open at once."""

_AHEAD = 16  # jobs that are planned at once
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """How a source goes over its slide.

    Parameters
    ----------
    stored
        Stored tiles that are needed.
    decoded
        Stored tiles that are decoded: more than ``stored`` where strips share some.
    strips
        Of columns; 1 unless whole rows of half-made tiles would not fit into the memory.

    Examples
    --------
    >>> Sweep(stored=100, decoded=102, strips=2).twice
    2
    """

    stored: int
    decoded: int
    strips: int

    @property
    def twice(self) -> int:
        """Stored tiles that are decoded once more than they should be."""
        return self.decoded - self.stored


class DirectTiles(Source):
    """Tiles of a grid, made of stored tiles without a detour.

    The stored tiles are gone through once, row by row; each is decoded and pasted into every tile
    that needs a part of it. A tile that *is* a stored tile is decoded in place. So an overlapping
    or unaligned grid costs no second decoding, and what lies open is a row or two of half-made
    tiles. Where that would take more than ``memory``, the slide is swept in strips of columns;
    stored tiles at their borders are then decoded twice (`sweep` says how many), and tiles come
    strip by strip (`order`).

    At a scale that is not stored the pieces are gathered in a canvas, from the stored tiles decoded
    at the scale of the DCT that is next above the target, and resampled with the exact box.

    Parameters
    ----------
    stored
        The stored tiles at the scale at which they are decoded.
    rows, columns
        The windows of the grid.
    items
        Which tiles of the grid, row-major numbers, each at most once, in any order.
    memory
        [bytes], see `MEMORY`.

    Raises
    ------
    RefusedInputError
        A tile is named twice, or the grid has no such tile.

    Examples
    --------
    >>> DirectTiles.canvas is None
    True
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        stored: StoredTiles,
        rows: TileAxis,
        columns: TileAxis,
        *,
        items: Items,
        memory: int = MEMORY,
    ) -> None:
        self._stored, self._rows, self._columns = stored, rows, columns
        self.items = np.asarray(items, dtype=np.int64)
        total = len(rows.first) * len(columns.first)
        outside = len(self.items) and not 0 <= self.items.min() <= self.items.max() < total
        if outside or len(np.unique(self.items)) != len(self.items):
            msg = f"tiles must be named once each, by numbers from 0 to {total - 1}."
            raise RefusedInputError(msg)
        self.shape = (rows.size, columns.size, 3)
        self.canvas = None if rows.plain and columns.plain else (rows.widest, columns.widest, 3)
        self._strip = self._strip_width(memory)
        self._index = np.divmod(self.items, max(1, len(columns.first)))
        row, column = self._index
        self._order = np.lexsort((column, row, column // self._strip)).astype(np.int64)
        self._decoded: list[int] = []

    def __len__(self) -> int:
        """Return the number of tiles."""
        return len(self.items)

    @property
    def order(self) -> Indices:
        """Row by row, within strips of columns where there are any."""
        return self._order

    @property
    def decoded(self) -> int:
        """Stored tiles decoded so far."""
        return sum(self._decoded)

    @property
    def sweep(self) -> Sweep:
        """How the stored tiles are gone through; found by planning, nothing is read."""
        tiles = [group.tiles for group in self._plan()]
        every = np.concatenate(tiles) if tiles else np.empty(0, np.int64)
        strips = len(np.unique(self._index[1] // self._strip))
        return Sweep(stored=len(np.unique(every)), decoded=len(every), strips=strips)

    def read(self, position: int, out: npt.NDArray[Any]) -> None:
        """Decode one tile, and every stored tile that it touches, for itself."""
        row, column = (int(part[position]) for part in self._index)
        rows, columns = self._rows, self._columns
        canvas = out if self.canvas is None else np.empty(self.canvas, np.uint8)
        touched = [
            (tile_row, tile_column)
            for tile_row in range(rows.low[row], rows.high[row] + 1)
            for tile_column in range(columns.low[column], columns.high[column] + 1)
        ]
        _fill(canvas, rows.outside(row), columns.outside(column))
        numbers = np.asarray([r * self._stored.columns + c for r, c in touched], dtype=np.int64)
        with self._stored.scratch() as scratch:
            for (down, across), data in zip(touched, self._stored.fetch(numbers), strict=True):
                self._stored.into(data, (down, across), scratch)
                high, wide = rows.piece(row, down), columns.piece(column, across)
                canvas[high.to, wide.to] = scratch[high.source, wide.source]
        self._decoded.append(len(touched))
        if self.canvas is not None:
            self._make(row, column, canvas, out)

    def jobs(self) -> Iterator[Job]:
        """Yield the stored tiles in groups, row by row."""
        plan = self._plan()
        # Many at a time: between two decodings the planning alone costs four times as much, as
        # nothing of it is left in the processor's caches (1.9 us or 8 us a tile).
        while groups := [
            Job(
                ranks=group.ranks,
                complete=group.complete,
                fetch=_fetcher(self._stored, group.tiles),
                decode=self._decoder(group),
            )
            for group in itertools.islice(plan, _AHEAD)
        ]:
            yield from groups

    def finish(self, rank: int, canvas: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        """Resample what was gathered for a tile."""
        position = self._order[rank]
        self._make(int(self._index[0][position]), int(self._index[1][position]), canvas, out)

    def _make(self, row: int, column: int, canvas: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        rows, columns = self._rows, self._columns
        high, wide = int(rows.count[row]), int(columns.count[column])
        top, left = float(rows.begin[row]), float(columns.begin[column])
        right, bottom = min(left + columns.length, wide), min(top + rows.length, high)
        box = (left, top, float(right), float(bottom))
        out[:] = resample(canvas[:high, :wide], box, (rows.size, columns.size))

    def _strip_width(self, memory: int) -> int:
        """Return so many columns of tiles that the rows of tiles that lie open fit into memory."""
        rows, columns = self._rows, len(self._columns.first)
        spans = rows.high > rows.low
        touching = max((len(rows.windows(one)) for one in range(self._stored.rows)), default=1)
        if not columns or (touching <= 1 and not spans.any()):
            return max(1, columns)
        item = int(np.prod(self.canvas or self.shape))
        fit = max(1, memory // (item * max(1, touching)))
        return -(-columns // -(-columns // fit))

    def _plan(self) -> Iterator[Group]:
        row, column = (part[self._order] for part in self._index)
        borders = np.flatnonzero(np.diff(column // self._strip)) + 1
        in_place = self.canvas is None and self.shape == self._stored.shape
        for start, stop in itertools.pairwise([0, *borders.tolist(), len(row)]):
            if stop > start:
                index = row[start:stop], column[start:stop]
                pasting = Pasting(self._rows, self._columns, *index, in_place=in_place)
                yield from pasting.groups(start, self._stored.columns)

    def _decoder(self, group: Group) -> Callable[[Any, Place], None]:
        stored, wide = self._stored, self._stored.columns
        tiles = [divmod(number, wide) for number in group.tiles.tolist()]

        def decode(fetched: Sequence[memoryview | None], place: Place) -> None:
            into, work = stored.into, zip(tiles, group.alone, group.targets, fetched, strict=True)
            with stored.scratch() as scratch:
                for tile, rank, targets, data in work:
                    if rank >= 0:
                        into(data, tile, place(rank))
                    else:
                        into(data, tile, scratch)
                        _paste(scratch, targets, place)
            for rank in group.blank:
                place(rank)[:] = FILL
            self._decoded.append(len(tiles))

        return decode


def _fetcher(stored: StoredTiles, tiles: Indices) -> Callable[[], Any]:
    return lambda: stored.fetch(tiles)


def _paste(tile: npt.NDArray[np.uint8], targets: list[Target], place: Place) -> None:
    for rank, row, column in targets:
        out = place(rank)
        out[row.to, column.to] = tile[row.source, column.source]
        if row.outside or column.outside:
            _fill(out, row.outside, column.outside)


def _fill(out: npt.NDArray[np.uint8], rows: Sequence[slice], columns: Sequence[slice]) -> None:
    for part in rows:
        out[part] = FILL
    for part in columns:
        out[:, part] = FILL
