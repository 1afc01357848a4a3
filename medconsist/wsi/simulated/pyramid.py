"""A tiled JPEG pyramid written strip by strip: only the rows of unfinished tiles are in memory."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8

from medconsist.wsi.simulated.config import SlideConfig
from medconsist.wsi.simulated.jpeg import JpegEncoder
from medconsist.wsi.simulated.tiff import TiffFile

__all__ = ["Pyramid", "Shrinker", "StoredLevel", "encoder_of", "shrink"]

_EXACT = 16


@dataclass
class StoredLevel:
    """Where the tiles of one level lie in the file, row by row.

    Examples
    --------
    >>> StoredLevel(width=300, height=200).offsets
    []
    """

    width: int
    height: int
    offsets: list[int] = field(default_factory=list)
    byte_counts: list[int] = field(default_factory=list)


class Shrinker:
    """Shrink a picture that arrives in strips; rows and columns that do not fit are dropped.

    Parameters
    ----------
    step
        A power of two.

    Examples
    --------
    >>> Shrinker(2).push(np.zeros((5, 6, 3), np.uint8)).shape
    (2, 3, 3)
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._rest: list[UInt8[np.ndarray, "rows columns 3"]] = []

    def push(
        self, rows: UInt8[np.ndarray, "rows columns 3"]
    ) -> UInt8[np.ndarray, "fewer_rows fewer_columns 3"]:
        """Take a strip and return the smaller rows that are complete."""
        gathered = np.concatenate([*self._rest, rows]) if self._rest else rows
        whole = len(gathered) // self._step * self._step
        self._rest = [gathered[whole:]] if whole < len(gathered) else []
        return shrink(gathered[:whole], step=self._step)


def shrink(
    pixels: UInt8[np.ndarray, "rows columns 3"], *, step: int
) -> UInt8[np.ndarray, "fewer_rows fewer_columns 3"]:
    """Average blocks of ``step x step`` pixels, step a power of two; what does not fit is cut.

    Up to 16 the mean is rounded once; halving with rounding would brighten each level by 1/4.
    """
    if step > _EXACT:
        return shrink(shrink(pixels, step=_EXACT), step=step // _EXACT)
    height, width = (size // step * step for size in pixels.shape[:2])
    total = pixels[:height, :width].astype(np.uint16)
    for _ in range(step.bit_length() - 1):
        rows = total[0::2] + total[1::2]
        total = rows[:, 0::2] + rows[:, 1::2]
    return ((total + np.uint16(step * step // 2)) // np.uint16(step * step)).astype(np.uint8)


class Pyramid:
    """Take level 0 in strips from the top and write the tiles of every level as they fill.

    Parameters
    ----------
    tiff
        Where the tiles go.
    config
        Size, tiles, levels and JPEG settings.

    Examples
    --------
    >>> import io
    >>> config = SlideConfig(width=2048, height=64)
    >>> pyramid = Pyramid(TiffFile(io.BytesIO(), big=False), config)
    >>> pyramid.push(np.zeros((64, 2048, 3), np.uint8))
    >>> [len(level.offsets) for level in pyramid.finish()]
    [8, 2]
    """

    def __init__(self, tiff: TiffFile, config: SlideConfig) -> None:
        self._tiff = tiff
        self._tile = config.tile
        self._encoder = encoder_of(config)
        self.levels = [StoredLevel(*size) for size in config.level_sizes]
        self._waiting: list[list[UInt8[np.ndarray, "rows columns 3"]]] = [[] for _ in self.levels]
        self._shrinkers = [Shrinker(config.level_step) for _ in self.levels[1:]]

    def push(self, rows: UInt8[np.ndarray, "rows columns 3"]) -> None:
        """Take the next rows of level 0."""
        for number, level in enumerate(self.levels):
            if number:
                rows = self._shrinkers[number - 1].push(rows)
            self._waiting[number].append(rows[:, : level.width])
            self._write_full_rows(number)

    def finish(self) -> list[StoredLevel]:
        """Write the last, incomplete row of tiles of every level and return all levels."""
        for number in range(len(self.levels)):
            rest = np.concatenate(self._waiting[number])
            if len(rest):
                missing = self._tile - len(rest)
                self._write_row(number, np.pad(rest, ((0, missing), (0, 0), (0, 0)), "edge"))
            self._waiting[number] = []
        return self.levels

    def _write_full_rows(self, number: int) -> None:
        if sum(map(len, self._waiting[number])) < self._tile:
            return
        gathered = np.concatenate(self._waiting[number])
        whole = len(gathered) // self._tile * self._tile
        for top in range(0, whole, self._tile):
            self._write_row(number, gathered[top : top + self._tile])
        self._waiting[number] = [gathered[whole:].copy()]

    def _write_row(self, number: int, rows: UInt8[np.ndarray, "rows columns 3"]) -> None:
        level = self.levels[number]
        missing = -level.width % self._tile
        if missing:
            rows = np.pad(rows, ((0, 0), (0, missing), (0, 0)), "edge")
        for left in range(0, rows.shape[1], self._tile):
            stream = self._encoder.encode(rows[:, left : left + self._tile])
            level.offsets.append(self._tiff.add_data(stream))
            level.byte_counts.append(len(stream))


def encoder_of(config: SlideConfig) -> JpegEncoder:
    """Return the encoder of the tiles of ``config``."""
    return JpegEncoder(
        photometric=config.photometric,
        sampling=config.sampling,
        quality=config.quality,
        shared_tables=config.shared_tables,
        adobe_marker=config.adobe_marker,
    )
