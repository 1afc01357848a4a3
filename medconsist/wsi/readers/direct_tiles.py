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
from medconsist.wsi.readers.resample import resample
from medconsist.wsi.readers.stored_tiles import StoredTiles
from medconsist.wsi.readers.tile_axis import Piece, TileAxis
from medconsist.wsi.slide import FILL

__all__ = ["MEMORY", "DirectTiles", "Sweep"]

MEMORY = 48 << 20
"""Bytes of half-made tiles that may lie open at once."""

# Stored tiles of a job: enough that reading and handing over cost little per tile, few enough that
# threads end together.
_GROUP = 32
Indices = npt.NDArray[np.int64]
_Row = tuple[dict[int, int], Piece]


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
        tiles = [tiles for tiles, *_ in self._plan()]
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
                self._stored.into(data, down, across, scratch)
                high, wide = rows.piece(row, down), columns.piece(column, across)
                canvas[high.to, wide.to] = scratch[high.source, wide.source]
        self._decoded.append(len(touched))
        if self.canvas is not None:
            self._make(row, column, canvas, out)

    def jobs(self) -> Iterator[Job]:
        """Yield the stored tiles in groups, row by row."""
        for tiles, ranks, complete, blank, pasting in self._plan():
            yield Job(
                ranks=np.concatenate([ranks, blank]),
                complete=complete,
                fetch=_fetcher(self._stored, tiles),
                decode=self._decoder(tiles, blank.tolist(), pasting),
            )

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

    def _plan(self) -> Iterator[tuple[Indices, Indices, int, Indices, "_Pasting"]]:
        row, column = (part[self._order] for part in self._index)
        borders = np.flatnonzero(np.diff(column // self._strip)) + 1
        for strip in np.split(np.arange(len(self.items)), borders):
            if len(strip):
                yield from self._strip_plan(int(strip[0]), row[strip], column[strip])

    def _strip_plan(
        self, base: int, row: Indices, column: Indices
    ) -> Iterator[tuple[Indices, Indices, int, Indices, "_Pasting"]]:
        rows, columns, wide = self._rows, self._columns, self._stored.columns
        none = (rows.high[row] < rows.low[row]) | (columns.high[column] < columns.low[column])
        last = np.where(none, -1, rows.high[row] * wide + columns.high[column])
        reached = np.maximum.accumulate(last)
        pasting = _Pasting(rows, columns, base, row, column)
        complete = 0
        for tiles in _groups(pasting.needed(wide)):
            ranks = pasting.touched(tiles, wide)
            before, complete = complete, int(np.searchsorted(reached, tiles[-1], side="right"))
            blank = base + before + np.flatnonzero(none[before:complete])
            yield tiles, ranks, base + complete, blank, pasting
        if complete < len(row):
            blank = base + complete + np.flatnonzero(none[complete:])
            empty = np.empty(0, np.int64)
            yield empty, empty, base + len(row), blank, pasting

    def _decoder(
        self, tiles: Indices, blank: list[int], pasting: "_Pasting"
    ) -> Callable[[Any, Place], None]:
        stored, shape = self._stored, self._stored.shape
        rows, columns = (part.tolist() for part in np.divmod(tiles, stored.columns))
        down = {row: pasting.down(row) for row in dict.fromkeys(rows)}
        across = [pasting.across(column) for column in columns]
        # A tile that is a stored tile, in this row and in this column, is decoded in place.
        equal = self.canvas is None and self.shape == shape
        alone = {row: _alone(found) if equal else None for row, found in down.items()}

        def decode(fetched: Sequence[memoryview | None], place: Place) -> None:
            with stored.scratch() as scratch:
                for row, column, pieces, data in zip(rows, columns, across, fetched, strict=True):
                    lookup = alone[row]
                    if lookup is not None and len(pieces) == 1 and pieces[0].whole:
                        stored.into(data, row, column, place(lookup[pieces[0].window]))
                    else:
                        stored.into(data, row, column, scratch)
                        _paste(scratch, down[row], pieces, place)
            for rank in blank:
                place(rank)[:] = FILL
            self._decoded.append(len(rows))

        return decode


class _Pasting:
    """Which tiles of a strip need which part of a stored tile."""

    def __init__(
        self, rows: TileAxis, columns: TileAxis, base: int, row: Indices, column: Indices
    ) -> None:
        self._rows, self._columns, self._base = rows, columns, base
        self._row, self._column = row, column
        self._lookups: dict[int, dict[int, int]] = {}
        self._down: dict[int, list[_Row]] = {}
        self._across: dict[int, list[Piece]] = {}

    def needed(self, wide: int) -> Iterator[Indices]:
        """Yield the numbers of the stored tiles that the strip needs, a row at a time."""
        low, high = self._rows.low[self._row].min(), self._rows.high[self._row].max()
        for stored in range(int(low), int(high) + 1):
            marks = np.zeros(wide + 1, np.int64)
            for window in self._rows.windows(stored):
                column = self._column[self._span(window)]
                touching = column[self._columns.high[column] >= self._columns.low[column]]
                np.add.at(marks, self._columns.low[touching], 1)
                np.add.at(marks, self._columns.high[touching] + 1, -1)
            yield stored * wide + np.flatnonzero(np.cumsum(marks[:-1]))

    def touched(self, tiles: Indices, wide: int) -> Indices:
        """Return the ranks of the tiles that need a part of these stored tiles."""
        first, last = divmod(int(tiles[0]), wide), divmod(int(tiles[-1]), wide)
        found = []
        for stored in range(first[0], last[0] + 1):
            left = first[1] if stored == first[0] else 0
            right = last[1] if stored == last[0] else wide
            windows = self._columns.windows(left).start, self._columns.windows(right).stop
            for window in self._rows.windows(stored):
                span = self._span(window)
                ends = np.searchsorted(self._column[span], windows)
                start, stop = (ends + (span.start + self._base)).tolist()
                found.append(np.arange(start, stop))
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def down(self, stored: int) -> list[_Row]:
        """Return, for a row of stored tiles, the rows of tiles that need it."""
        if stored not in self._down:
            for old in [one for one in self._down if one < stored - 1]:
                del self._down[old]
            pieces = self._rows.pieces(stored)
            known = {piece.window: self._lookup(piece.window) for piece in pieces}
            self._lookups = {**self._lookups, **known} if stored - 1 in self._down else known
            self._down[stored] = [(known[piece.window], piece) for piece in pieces]
        return self._down[stored]

    def across(self, stored: int) -> list[Piece]:
        """Return, for a column of stored tiles, the columns of tiles that need it."""
        if stored not in self._across:
            self._across[stored] = self._columns.pieces(stored)
        return self._across[stored]

    def _lookup(self, window: int) -> dict[int, int]:
        known = self._lookups.get(window)
        if known is not None:
            return known
        span = self._span(window)
        ranks = range(self._base + span.start, self._base + span.stop)
        return dict(zip(self._column[span].tolist(), ranks, strict=True))

    def _span(self, window: int) -> slice:
        start, stop = np.searchsorted(self._row, (window, window + 1)).tolist()
        return slice(start, stop)


def _groups(rows: Iterator[Indices]) -> Iterator[Indices]:
    """Join short rows and divide long ones evenly, so that groups are of about equal size."""
    held: list[Indices] = []
    for row in rows:
        if held and sum(map(len, held)) + len(row) > _GROUP:
            yield np.concatenate(held)
            held = []
        if len(row) > _GROUP:
            yield from np.array_split(row, -(-len(row) // _GROUP))
        elif len(row):
            held.append(row)
    if held:
        yield np.concatenate(held)


def _alone(down: list[_Row]) -> dict[int, int] | None:
    """Return the ranks in the one row of tiles that equals a row of stored tiles, else None."""
    return down[0][0] if len(down) == 1 and down[0][1].whole else None


def _fetcher(stored: StoredTiles, tiles: Indices) -> Callable[[], Any]:
    return lambda: stored.fetch(tiles)


def _paste(
    tile: npt.NDArray[np.uint8], down: list[_Row], across: list[Piece], place: Place
) -> None:
    for (lookup, row), column in itertools.product(down, across):
        rank = lookup.get(column.window)
        if rank is None:
            continue
        out = place(rank)
        out[row.to, column.to] = tile[row.source, column.source]
        if row.outside or column.outside:
            _fill(out, row.outside, column.outside)


def _fill(out: npt.NDArray[np.uint8], rows: Sequence[slice], columns: Sequence[slice]) -> None:
    for part in rows:
        out[part] = FILL
    for part in columns:
        out[:, part] = FILL
