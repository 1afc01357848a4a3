"""The tiles of one slide as a browser asks for them: as they are stored, where that is right.

A stored JPEG tile that lies whole within its level is sent byte for byte. At the right and lower
edge it holds pixels beyond the image, which a browser would squeeze into it; such a tile, and every
tile of a level that is not stored as JPEG tiles, is read, cut and encoded at quality 80.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medconsist._extras import require
from medconsist.errors import CorruptInputError, MedconsistError, MissingInputError, NoMppError
from medconsist.wsi.readers.direct import DirectSlide
from medconsist.wsi.readers.facts import associated_sizes, stored_tile
from medconsist.wsi.slide import Slide

__all__ = ["CACHE_BYTES", "SlideTiles", "TileLevel", "unreadable_tile"]

CACHE_BYTES = 128 * 2**20
"""Of encoded tiles, for one slide."""

_TILE_PX = 512  # where the file has no tiles, or too small or large ones
_SMALLEST, _LARGEST = 128, 1024
_QUALITY = 80
_STRIPE_PX = 16
_MOST_RETIRED = 16  # handles; a slide with more bad tiles is read on by the last


@dataclass(frozen=True)
class TileLevel:
    """One level as the browser sees it.

    Parameters
    ----------
    width, height
        [px of this level].
    tile_width, tile_height
        Of its tiles; those at the right and lower edge are smaller.

    Examples
    --------
    >>> TileLevel(width=300, height=250, tile_width=256, tile_height=256).grid
    (1, 2)
    """

    width: int
    height: int
    tile_width: int
    tile_height: int

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.height // self.tile_height), -(-self.width // self.tile_width)

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Return x, y, width and height of a tile [px of this level].

        Raises
        ------
        MissingInputError
            The level has no such tile.
        """
        rows, columns = self.grid
        if not (0 <= row < rows and 0 <= column < columns):
            msg = f"there is no tile {column}, {row}; the level has {columns} x {rows}."
            raise MissingInputError(msg)
        x, y = column * self.tile_width, row * self.tile_height
        return x, y, min(self.tile_width, self.width - x), min(self.tile_height, self.height - y)


class SlideTiles:
    """Gives the tiles of an open slide as JPEG; threads may share it.

    Parameters
    ----------
    open_again
        Opens the slide; called again after a read failed, since a handle may keep its error. It
        must refuse another slide that has come to its place.
    cache_bytes
        Most bytes of encoded tiles that are kept.

    Examples
    --------
    >>> SlideTiles.__name__
    'SlideTiles'
    """

    def __init__(self, open_again: Callable[[], Slide], *, cache_bytes: int = CACHE_BYTES) -> None:
        self._open_again = open_again
        self._slide = open_again()
        self._lock = threading.Lock()
        self._kept = OrderedDict[tuple[int, int, int], bytes]()
        self._held, self._most = 0, cache_bytes
        self._retired = list[Slide]()
        self.unreadable = 0
        self.levels = tuple(_level(self._slide, number) for number in range(self._count))

    @property
    def slide(self) -> Slide:
        """The slide that is open now."""
        return self._slide

    def info(self) -> dict[str, Any]:
        """Return what the browser needs to know, as JSON takes it; no name and no path."""
        facts = self._slide.facts
        try:
            mpp = facts.mpp()
        except NoMppError:
            mpp = None
        return {
            "width": facts.size[0],
            "height": facts.size[1],
            "mpp": None if mpp is None else [mpp.x, mpp.y],
            "mpp_source": None if mpp is None else mpp.source,
            "objective_power": facts.objective_power,
            "engine": self._slide.engine,
            "levels": [
                [one.width, one.height, one.tile_width, one.tile_height] for one in self.levels
            ],
        }

    def tile(self, level: int, row: int, column: int) -> bytes:
        """Return a tile as JPEG; a hatched one where the bytes cannot be decoded.

        Raises
        ------
        MissingInputError
            There is no such tile.
        """
        if not 0 <= level < len(self.levels):
            msg = f"there is no level {level}; the slide has {len(self.levels)}."
            raise MissingInputError(msg)
        box = self.levels[level].box(row, column)
        place = (level, row, column)
        with self._lock:
            if place in self._kept:
                self._kept.move_to_end(place)
                return self._kept[place]
        try:
            data = self._stored(level, row, column, box) or self._encoded(level, box)
        except CorruptInputError:
            self._reopen()
            return unreadable_tile(box[2], box[3])
        self._keep(place, data)
        return data

    def region(self, level: int, box: tuple[int, int, int, int]) -> bytes:
        """Return a rectangle as JPEG; a hatched one where the bytes cannot be decoded.

        Parameters
        ----------
        level
            One of the slide's.
        box
            x, y, width, height [px of that level]; what lies outside is white.
        """
        try:
            return self._encoded(level, box)
        except CorruptInputError:
            self._reopen()
            return unreadable_tile(box[2], box[3])

    @property
    def associated(self) -> tuple[str, ...]:
        """Which pictures of the glass there are, of label and macro image."""
        return tuple(associated_sizes(self._slide.facts))

    def close(self) -> None:
        """Close the slide."""
        for slide in (self._slide, *self._retired):
            slide.close()

    @property
    def _count(self) -> int:
        return len(self._slide.facts.levels)

    def _stored(
        self, level: int, row: int, column: int, box: tuple[int, int, int, int]
    ) -> bytes | None:
        """Return the tile byte for byte as it is stored; None where it has to be made."""
        slide, shape = self._slide, self.levels[level]
        whole = (shape.tile_width, shape.tile_height)
        if not isinstance(slide, DirectSlide) or box[2:] != whole:
            return None
        if stored_tile(slide.facts, level) != whole:
            return None
        return slide.stream(level, row, column)

    def _encoded(self, level: int, box: tuple[int, int, int, int]) -> bytes:
        x, y, width, height = box
        return encode_jpeg(self._slide.read_region(level, x, y, width, height))

    def _keep(self, place: tuple[int, int, int], data: bytes) -> None:
        with self._lock:
            if place not in self._kept:
                self._held += len(data)
            self._kept[place] = data
            while self._held > self._most and self._kept:
                _, oldest = self._kept.popitem(last=False)
                self._held -= len(oldest)

    def _reopen(self) -> None:
        with self._lock:
            self.unreadable += 1
            if self.unreadable > _MOST_RETIRED:
                return
            try:
                opened = self._open_again()
            except MedconsistError:  # nor can the file be opened any more: read on by what is open
                return
            self._retired.append(self._slide)  # other threads may still be reading by it
            self._slide = opened


def encode_jpeg(picture: npt.NDArray[np.uint8]) -> bytes:
    """Return a picture, ``rows columns 3``, as JPEG of quality 80."""
    data: bytes = require("simplejpeg", extra="wsi").encode_jpeg(
        np.ascontiguousarray(picture), quality=_QUALITY, colorspace="RGB", colorsubsampling="444"
    )
    return data


def unreadable_tile(width: int, height: int) -> bytes:
    """Return a hatched tile, which nobody can take for tissue."""
    row, column = np.mgrid[:height, :width]
    stripes = ((row + column) // _STRIPE_PX % 2).astype(bool)
    dark, bright = np.array([90, 90, 90], np.uint8), np.array([235, 200, 0], np.uint8)
    return encode_jpeg(np.where(stripes[..., None], dark, bright))


def _level(slide: Slide, number: int) -> TileLevel:
    level = slide.facts.levels[number]
    found = stored_tile(slide.facts, number) or (_TILE_PX, _TILE_PX)
    if not all(_SMALLEST <= side <= _LARGEST for side in found):
        found = (_TILE_PX, _TILE_PX)
    return TileLevel(level.width, level.height, *found)
