"""Which part of which stored tile goes to which tile of a grid, a row of stored tiles at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medconsist.wsi.readers.tile_axis import Piece, TileAxis

__all__ = ["Group", "Pasting", "Target"]

# Stored tiles of a job: enough that reading and handing over cost little per tile, few enough that
# threads end together.
_GROUP = 48
Indices = npt.NDArray[np.int64]
Target = tuple[int, Piece, Piece]
"""Rank of a tile, what it takes along the rows, what along the columns."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Stored tiles that are read and decoded together.

    Parameters
    ----------
    tiles
        Row-major numbers of the stored tiles, rising.
    alone
        For each, the rank of the one tile that equals it, which is decoded in place; else -1.
    targets
        For each, where its parts go; empty for those in place.
    ranks
        Every tile that is written to.
    complete
        So many tiles, from rank 0 on, are whole once this group and all before it are done.
    blank
        Ranks of tiles beyond the image.

    Examples
    --------
    >>> empty = np.empty(0, np.int64)
    >>> Group(tiles=empty, alone=[], targets=[], ranks=empty, complete=0, blank=[]).blank
    []
    """

    tiles: Indices
    alone: list[int]
    targets: list[list[Target]]
    ranks: Indices
    complete: int
    blank: list[int]


@dataclass(frozen=True, eq=False)
class _Row:
    """Stored tiles; ``first[i]`` to ``first[i + 1]`` are those of ``ranks`` that take part of i."""

    tiles: Indices
    alone: list[int]
    targets: list[list[Target]]
    ranks: Indices
    first: Indices

    def part(self, start: int, stop: int) -> "_Row":
        ranks = self.ranks[int(self.first[start]) : int(self.first[stop])]
        first = self.first[start : stop + 1] - self.first[start]
        chosen = slice(start, stop)
        return _Row(self.tiles[chosen], self.alone[chosen], self.targets[chosen], ranks, first)


class Pasting:
    """The tiles of a strip and the stored tiles that they need.

    Parameters
    ----------
    rows, columns
        The windows of the grid.
    row, column
        Of each tile, sorted by row, then by column.
    in_place
        Whether a tile has the shape of a stored tile and may be decoded where it belongs.

    Examples
    --------
    >>> axis = TileAxis.of(np.array([0.0, 8.0]), 8.0, 8, stored=8, extent=16)
    >>> index = np.array([0, 0]), np.array([0, 1])
    >>> [group.alone for group in Pasting(axis, axis, *index, in_place=True).groups(0, 2)]
    [[0, 1]]
    """

    def __init__(
        self, rows: TileAxis, columns: TileAxis, row: Indices, column: Indices, *, in_place: bool
    ) -> None:
        self._rows, self._columns, self._row, self._column = rows, columns, row, column
        self._low, self._high = columns.low[column], columns.high[column]
        self._none = (rows.high[row] < rows.low[row]) | (self._high < self._low)
        self._equal = columns.equal if in_place else np.zeros(len(columns.first), bool)
        self._across: dict[tuple[int, int], Piece] = {}

    def groups(self, base: int, wide: int) -> Iterator[Group]:
        """Yield the stored tiles row by row, with ranks that begin at ``base``.

        Parameters
        ----------
        base
            Rank of the first tile of this strip.
        wide
            Stored tiles in a row.
        """
        last = np.where(self._none, -1, self._rows.high[self._row] * wide + self._high)
        reached, complete = np.maximum.accumulate(last), 0
        for found in _evenly(self._stored_rows(base, wide)):
            tiles = np.concatenate([one.tiles for one in found])
            ranks = np.concatenate([one.ranks for one in found])
            before, complete = complete, int(np.searchsorted(reached, tiles[-1], side="right"))
            blank = base + before + np.flatnonzero(self._none[before:complete])
            yield Group(
                tiles=tiles,
                alone=[rank for one in found for rank in one.alone],
                targets=[targets for one in found for targets in one.targets],
                ranks=np.concatenate([ranks, blank]),
                complete=base + complete,
                blank=blank.tolist(),
            )
        if complete < len(self._row):
            blank = base + complete + np.flatnonzero(self._none[complete:])
            nothing, stop = np.empty(0, np.int64), base + len(self._row)
            yield Group(
                tiles=nothing,
                alone=[],
                targets=[],
                ranks=blank,
                complete=stop,
                blank=blank.tolist(),
            )

    def _stored_rows(self, base: int, wide: int) -> Iterator[_Row]:
        for stored in range(*self._rows.touched(self._row)):
            parts: list[Indices] = []
            pieces = self._rows.pieces(stored)
            for number, piece in enumerate(pieces):
                start, stop = np.searchsorted(self._row, (piece.window, piece.window + 1)).tolist()
                parts += self._pairs(number, start, stop)
            if parts:
                yield self._stored_row(stored * wide, pieces, np.concatenate(parts, axis=1), base)

    def _pairs(self, number: int, start: int, stop: int) -> Iterator[Indices]:
        """Yield stored column, rank, window column and number of the piece of each part."""
        low, high = self._low[start:stop], self._high[start:stop]
        for further in range(int((high - low).max(initial=-1)) + 1):
            chosen = np.flatnonzero(low + further <= high)
            made = np.empty((4, len(chosen)), np.int64)
            made[0], made[1] = low[chosen] + further, chosen + start
            made[2], made[3] = self._column[start:stop][chosen], number
            yield made

    def _stored_row(self, offset: int, pieces: list[Piece], pairs: Indices, base: int) -> _Row:
        stored, rank, window, down = pairs[:, np.argsort(pairs[0], kind="stable")]
        first = np.flatnonzero(np.diff(stored, prepend=-1, append=-1))
        begin, rank = first[:-1], rank + base
        alone = np.full(len(begin), -1)
        if len(pieces) == 1 and pieces[0].whole:
            single = (np.diff(first) == 1) & self._equal[window[begin]]
            alone[single] = rank[begin[single]]
        targets: list[list[Target]] = [[]] * len(begin)
        if (alone < 0).any():
            every = [
                (one, pieces[number], self._piece(column, tile))
                for one, number, column, tile in zip(
                    *(part.tolist() for part in (rank, down, window, stored)), strict=True
                )
            ]
            ends = first.tolist()
            targets = [every[ends[n] : ends[n + 1]] for n in range(len(begin))]
        return _Row(offset + stored[begin], alone.tolist(), targets, rank, first)

    def _piece(self, window: int, stored: int) -> Piece:
        known = self._across.get((window, stored))
        if known is None:
            known = self._across[window, stored] = self._columns.piece(window, stored)
        return known


def _evenly(rows: Iterator[_Row]) -> Iterator[list[_Row]]:
    """Join short rows and divide long ones evenly, so that groups are of about equal size."""
    held: list[_Row] = []
    for row in rows:
        size = len(row.tiles)
        if held and sum(len(one.tiles) for one in held) + size > _GROUP:
            yield held
            held = []
        if size > _GROUP:
            parts = -(-size // _GROUP)
            ends = [size * n // parts for n in range(parts + 1)]
            yield from ([row.part(ends[n], ends[n + 1])] for n in range(parts))
        else:
            held.append(row)
    if held:
        yield held
