"""The stored tiles of one level at one scale: their bytes, and their pixels."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from medconsist.tiling.huge_pages import huge
from medconsist.wsi.readers.jpeg_stream import TileDecoder, prefix_of
from medconsist.wsi.readers.resample import resample
from medconsist.wsi.readers.stored_bytes import Reads, read_tiles
from medconsist.wsi.readers.tiff_index import StoredLevel
from medconsist.wsi.slide import FILL

__all__ = ["StoredTiles"]


class StoredTiles:
    """Stored tiles, decoded at 1, 1/2, 1/4 or 1/8 of their size.

    Parameters
    ----------
    stored
        Where they lie.
    reads
        Of the file.
    shrink
        1, 2, 4 or 8.
    number
        Of the level, for messages.

    Examples
    --------
    >>> StoredTiles.__name__
    'StoredTiles'
    """

    def __init__(self, stored: StoredLevel, reads: Reads, *, shrink: int, number: int) -> None:
        prefix, name = prefix_of(stored.tables, stored.photometric), f"level {number}"
        width, height = stored.tile_width, stored.tile_height
        self._scaled = TileDecoder(width, height, prefix=prefix, shrink=shrink, name=name)
        self._full = TileDecoder(width, height, prefix=prefix, shrink=1, name=name)
        self._stored, self._reads, self._shrink = stored, reads, shrink
        level = stored.level
        self.shape = self._scaled.shape
        self.extent = -(-level.height // shrink), -(-level.width // shrink)
        self.rows, self.columns = stored.shape
        self._scratch: deque[npt.NDArray[np.uint8]] = deque()
        # Where the image ends within a scaled pixel, padding must not leak into that pixel.
        self._cut_row = self.rows - 1 if level.height % shrink else -1
        self._cut_column = self.columns - 1 if level.width % shrink else -1

    def fetch(self, tiles: npt.NDArray[np.int64]) -> Sequence[memoryview | None]:
        """Return the stored bytes of tiles (row-major numbers); None for one never stored."""
        return read_tiles(self._reads, self._stored.offsets[tiles], self._stored.counts[tiles])

    @contextmanager
    def scratch(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Lend memory for one tile, of `shape`."""
        try:
            memory = self._scratch.pop()
        except IndexError:
            memory = huge(self.shape, np.dtype(np.uint8))
        yield memory
        self._scratch.append(memory)

    def into(
        self,
        data: bytes | memoryview | None,
        tile: tuple[int, int],
        out: npt.NDArray[np.uint8],
    ) -> None:
        """Decode a stored tile (row, column) into ``out``, contiguous and of `shape`.

        A tile that was never stored (``data`` is None) becomes `FILL`.

        Raises
        ------
        CorruptInputError
            The bytes cannot be decoded.
        """
        if data is None:
            out[:] = FILL
        elif tile[0] == self._cut_row or tile[1] == self._cut_column:
            out[:] = self._cut(data, *tile)
        else:
            self._scaled.into(data, out, tile=tile)

    def _cut(self, data: bytes | memoryview, row: int, column: int) -> npt.NDArray[np.uint8]:
        """Return the mean of image and `FILL`, as a region read beyond the edge would give it."""
        whole = np.empty(self._full.shape, np.uint8)
        self._full.into(data, whole, tile=(row, column))
        high, wide = whole.shape[:2]
        whole[max(0, self._stored.level.height - row * high) :] = FILL
        whole[:, max(0, self._stored.level.width - column * wide) :] = FILL
        return resample(whole, (0.0, 0.0, float(wide), float(high)), self.shape[:2])
