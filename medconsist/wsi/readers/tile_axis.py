"""Where the tiles of a grid meet the stored tiles of a level, along one axis."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from medconsist.wsi.readers.resample import whole, window

__all__ = ["Piece", "TileAxis"]

_NOISE = 1e-6  # [px] of float64 places that were found to be whole


@dataclass(frozen=True)
class Piece:
    """What one window takes from one stored tile along one axis.

    Parameters
    ----------
    window
        Number of the window along this axis.
    to, source
        The part of the window, and the part of the stored tile that goes there.
    outside
        Parts of the window that lie beyond the image.

    Examples
    --------
    >>> Piece(0, slice(0, 64), slice(192, 256), ()).window
    0
    """

    window: int
    to: slice
    source: slice
    outside: tuple[slice, ...]

    @property
    def whole(self) -> bool:
        """Whether the piece lies in window and stored tile at the same place, inside the image."""
        return self.to == self.source and not self.outside


@dataclass(frozen=True, eq=False)
class TileAxis:
    """The windows of a grid along one axis, in pixels of a level at the scale of its decoding.

    Parameters
    ----------
    first, count
        First pixel of each window and how many it needs; rising, int64.
    begin
        Where the tile itself begins within its window, with its fraction.
    length
        Of a tile [px, with its fraction].
    size
        Of a tile as it is delivered [px].
    stored
        Length of a stored tile [px].
    extent
        Length of the image [px].

    Examples
    --------
    >>> axis = TileAxis.of(np.array([0.0, 192.0]), 256.0, 256, stored=256, extent=448)
    >>> [(piece.window, piece.to, piece.source) for piece in axis.pieces(1)]
    [(1, slice(64, 256, None), slice(0, 192, None))]
    """

    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    begin: npt.NDArray[np.float64]
    length: float
    size: int
    stored: int
    extent: int

    @classmethod
    def of(
        cls,
        starts: npt.NDArray[np.float64],
        length: float,
        size: int,
        *,
        stored: int,
        extent: int,
    ) -> "TileAxis":
        """Return the windows for tiles of ``size`` pixels that cover ``length`` pixels each."""
        pairs = [window(start, length, size, extent) for start in starts.tolist()]
        found = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
        first, count = found[:, 0], found[:, 1]
        begin = np.maximum(starts - first, 0.0)
        return cls(first, count, begin, float(length), size, stored, extent)

    @cached_property
    def low(self) -> npt.NDArray[np.int64]:
        """First stored tile that each window touches; rising."""
        tiles = -(-self.extent // self.stored)
        inside = np.clip(self.first, 0, self.extent) // self.stored
        return np.where(self.first >= self.extent, tiles, inside)

    @cached_property
    def high(self) -> npt.NDArray[np.int64]:
        """Last stored tile that each window touches, below `low` if it touches none; rising."""
        last = np.clip(self.first + self.count, 0, self.extent) - 1
        return last // self.stored

    @cached_property
    def equal(self) -> npt.NDArray[np.bool_]:
        """Whether each window is a stored tile that lies within the image."""
        inside = (self.first >= 0) & (self.first + self.stored <= self.extent)
        return inside & (self.count == self.stored) & (self.first % self.stored == 0)

    @property
    def widest(self) -> int:
        """Pixels of the longest window."""
        return int(self.count.max(initial=0))

    @property
    def plain(self) -> bool:
        """Whether every window is its tile: whole places, one pixel for one pixel."""
        exact = whole(self.length) == self.size and (self.count == self.size).all()
        return bool(exact and (self.begin < _NOISE).all())

    def touched(self, windows: npt.NDArray[np.int64]) -> tuple[int, int]:
        """Return the first stored tile that these windows touch, and the one after the last."""
        return int(self.low[windows].min()), int(self.high[windows].max()) + 1

    def windows(self, stored: int) -> range:
        """Return the windows that touch a stored tile."""
        first = int(np.searchsorted(self.high, stored, side="left"))
        return range(first, max(first, int(np.searchsorted(self.low, stored, side="right"))))

    def pieces(self, stored: int) -> list[Piece]:
        """Return what each window takes from a stored tile."""
        return [self.piece(number, stored) for number in self.windows(stored)]

    def piece(self, number: int, stored: int) -> Piece:
        """Return what one window takes from a stored tile that it touches."""
        first, count = int(self.first[number]), int(self.count[number])
        start = max(first, stored * self.stored)
        stop = min(first + count, (stored + 1) * self.stored, self.extent)
        to = slice(start - first, stop - first)
        source = slice(start - stored * self.stored, stop - stored * self.stored)
        return Piece(number, to, source, self.outside(number))

    def outside(self, number: int) -> tuple[slice, ...]:
        """Return the parts of a window beyond the image."""
        first, count = int(self.first[number]), int(self.count[number])
        before, after = min(max(-first, 0), count), max(min(self.extent - first, count), 0)
        parts = (slice(0, before), slice(after, count))
        return tuple(part for part in parts if part.stop > part.start)
