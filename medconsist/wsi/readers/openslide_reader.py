"""Every format through OpenSlide: slow, and the reference that decides what is right."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medconsist._extras import require
from medconsist.errors import BudgetError, MissingInputError, RefusedInputError
from medconsist.tiling.grid import Items
from medconsist.tiling.source import Source
from medconsist.wsi.readers.facts import associated_sizes, facts_of
from medconsist.wsi.readers.handles import HandlePool
from medconsist.wsi.readers.level_tiles import LevelTiles
from medconsist.wsi.readers.probe import why_unreadable
from medconsist.wsi.slide import FILL, Level, Slide
from medconsist.wsi.tile_grid import TileGrid

__all__ = ["MAX_REGION_BYTES", "OpenSlideSlide", "Start", "exact_places", "level_start"]

Picture = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]

MAX_REGION_BYTES = 4 * 2**30
_MOST_ASSOCIATED_PX = 2**25  # decoded as 4 bytes each; the macro image of a scanner has some 2**22
_CACHE_BYTES = 32 * 2**20  # decoded tiles, shared by all handles of a slide
# OpenSlide cuts what it reads into 4096 px and truncates the location of each piece, so pieces and
# their lead stay below that.
_PIECE = 2048
_LEAD = 2048
_LOADER_LEAD = 64
_EXACT = 2.0**-10  # cairo rounds a shift below 1/512 px away and interpolates above it


@dataclass(frozen=True)
class Start:
    """Where a read along one axis begins.

    Parameters
    ----------
    location
        Handed to OpenSlide [level-0 px].
    lead
        Pixels of the level that are read before the wanted one.
    shift
        What the first pixel read lies beyond its whole place [level px]; 0 where the stored pixels
        come back as they are.

    Examples
    --------
    >>> Start(location=8, lead=0, shift=0.0).shift
    0.0
    """

    location: int
    lead: int
    shift: float


def level_start(place: int, *, downsample: float, lead: int) -> Start:
    """Return how to reach pixel ``place`` of a level through whole level-0 locations.

    OpenSlide reads from ``location / downsample`` and interpolates where that is no whole number:
    at the downsample 4.0161 every location but a few shifts the picture by up to an eighth of a
    pixel. So the read begins at the nearest pixel before ``place`` that a whole location meets
    exactly; without one among ``lead`` pixels it begins at ``place`` itself, shifted.

    Parameters
    ----------
    place
        [px of the level], 0 or more.
    downsample
        As OpenSlide says it, the mean of both axes.
    lead
        Most pixels to read in vain.

    Examples
    --------
    >>> level_start(40, downsample=4.0, lead=64)
    Start(location=160, lead=0, shift=0.0)
    >>> level_start(40, downsample=4.01, lead=64)
    Start(location=0, lead=40, shift=0.0)
    """
    places = np.arange(place, max(place - lead, 0) - 1, -1)
    locations = np.rint(places * downsample)
    exact = np.abs(locations / downsample - places) <= _EXACT
    at = int(np.argmax(exact))
    if exact[at]:
        return Start(int(locations[at]), at, 0.0)
    return Start(int(locations[0]), 0, float(locations[0] / downsample - place))


def exact_places(size: int, *, downsample: float) -> npt.NDArray[np.int64]:
    """Return the pixels of an axis of a level that OpenSlide reaches without interpolation.

    Examples
    --------
    >>> exact_places(4, downsample=2.0).tolist(), exact_places(4, downsample=2.6).tolist()
    ([0, 1, 2, 3], [0])
    """
    places = np.arange(size, dtype=np.int64)
    exact = np.abs(np.rint(places * downsample) / downsample - places) <= _EXACT
    return np.flatnonzero(exact)


class OpenSlideSlide(Slide):
    """A slide read by OpenSlide, any format that it knows.

    Inside the image the pixels are those of OpenSlide's ``read_region(...).convert("RGB")``;
    outside it, and where the scanner stored nothing, they are `FILL`. On levels above 0 whose
    downsample is no whole number, stored pixels come back as they are wherever `level_start`
    reaches them; elsewhere OpenSlide interpolates by at most ``0.5 / downsample`` px. `tiles`
    counts that shift in, so the place of a tile stays exact.

    Safe to share between threads: each call borrows a handle. A handle that saw an error is closed.
    A forked child opens its own; a pickle holds the path.

    Parameters
    ----------
    path
        The file.
    handles
        Most handles open at a time.

    Raises
    ------
    MissingInputError
        There is no such file.
    UnsupportedInputError
        Sound, but of a kind that OpenSlide does not read.
    CorruptInputError
        The bytes are not what the file claims; `TruncatedFileError` where they end too soon.
    MissingExtraError
        openslide is not installed.

    Examples
    --------
    >>> import tempfile
    >>> OpenSlideSlide(Path(tempfile.mkdtemp()) / "a.svs")
    Traceback (most recent call last):
    medconsist.errors.MissingInputError: there is no file a.svs.
    """

    engine = "openslide"

    def __init__(self, path: Path | str, *, handles: int = 8) -> None:
        self._path = Path(path)
        self._cache: tuple[int, Any] = (-1, None)
        self._pool = HandlePool(opener=self._open, closer=_close, capacity=handles)
        with self._reading("opening") as handle:
            self.facts = facts_of(self._path, handle)
            self.downsamples: tuple[float, ...] = tuple(handle.level_downsamples)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path], dict[str, Any]]:
        """Return how a pickle opens the slide again."""
        return OpenSlideSlide, (self._path,), {"notes": self.notes}

    def read_region(self, level: int, x: int, y: int, width: int, height: int) -> Picture:
        """Return a rectangle, see `Slide.read_region`; large ones are read in pieces."""
        size = self._level(level)
        if width < 1 or height < 1:
            msg = f"a region is 1 px or more each way, got {width} x {height}."
            raise RefusedInputError(msg)
        if 3 * width * height > MAX_REGION_BYTES:
            msg = f"a region of {width} x {height} px takes {3 * width * height:,} bytes; allowed "
            msg += f"are {MAX_REGION_BYTES:,}. Read it in parts, or from a coarser level."
            raise BudgetError(msg)
        region = np.full((height, width, 3), FILL, np.uint8)
        for top in range(max(y, 0), min(y + height, size.height), _PIECE):
            for left in range(max(x, 0), min(x + width, size.width), _PIECE):
                right = min(left + _PIECE, x + width, size.width)
                bottom = min(top + _PIECE, y + height, size.height)
                part, _ = self._read(level, (left, top, right, bottom), lead=_LEAD)
                region[top - y : bottom - y, left - x : right - x] = part
        return region

    def tiles(self, grid: TileGrid, items: Items) -> Source:
        """Return the tiles ``items`` of a grid, see `Slide.tiles`."""
        return LevelTiles(self, grid, items, read=self._read_shifted)

    def associated(self, name: str, *, side: int) -> Picture:
        """Return the label or the macro image, uint8 ``rows columns 3`` RGB.

        Either may show a name: give it to nobody who may not see who the patient is.

        Parameters
        ----------
        name
            One of `medconsist.wsi.readers.facts.ASSOCIATED`.
        side
            A larger picture is made smaller, to so many pixels on its longer side.

        Raises
        ------
        MissingInputError
            The slide has none of this name.
        BudgetError
            It has more pixels than are decoded at once.
        CorruptInputError
            Its bytes cannot be decoded.
        """
        size = associated_sizes(self.facts).get(name)
        if size is None:
            msg = f"{self._path.name} has no such picture of its glass."
            raise MissingInputError(msg)
        if not 0 < size[0] * size[1] <= _MOST_ASSOCIATED_PX:
            msg = (
                f"the {name} image of {self._path.name} has {size[0]} x {size[1]} px; allowed are "
            )
            msg += f"{_MOST_ASSOCIATED_PX:,} px. Look at it in the scanner's own program."
            raise BudgetError(msg)
        with self._reading(f"reading the {name} image") as handle:
            picture = handle.associated_images[name]
        picture.thumbnail((side, side))
        return _over_fill(np.asarray(picture))

    def close(self) -> None:
        """Close every handle and free the decoded tiles."""
        self._pool.close()
        self._cache = (-1, None)

    def _read(self, level: int, box: Box, *, lead: int) -> tuple[Picture, tuple[float, float]]:
        left, top, right, bottom = box
        step = self.downsamples[level]
        x = level_start(left, downsample=step, lead=lead)
        y = level_start(top, downsample=step, lead=lead)
        size = (right - left + x.lead, bottom - top + y.lead)
        with self._reading(f"reading level {level} at {left}, {top}") as handle:
            image = handle.read_region((x.location, y.location), level, size)
        return _over_fill(np.asarray(image)[y.lead :, x.lead :]), (x.shift, y.shift)

    def _read_shifted(self, level: int, box: Box) -> tuple[Picture, tuple[float, float]]:
        """Read at least cost what holds a box; return it and where it begins."""
        if not float(self.downsamples[level]).is_integer():
            # A read that begins off its whole place needs a pixel more to hold the box.
            box = (box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1)
        x0, y0, x1, y1 = box
        size = self._level(level)
        inside = (max(x0, 0), max(y0, 0), min(x1, size.width), min(y1, size.height))
        left, top, right, bottom = inside
        if right <= left or bottom <= top or max(right - left, bottom - top) > _PIECE:
            return self.read_region(level, x0, y0, x1 - x0, y1 - y0), (float(x0), float(y0))
        part, (x, y) = self._read(level, inside, lead=_LOADER_LEAD)
        if inside != box:
            region = np.full((y1 - y0, x1 - x0, 3), FILL, np.uint8)
            region[top - y0 : bottom - y0, left - x0 : right - x0] = part
            part = region
        return part, (x0 + x, y0 + y)

    def _level(self, level: int) -> Level:
        if not 0 <= level < len(self.facts.levels):
            msg = f"there is no level {level}; allowed are 0 to {len(self.facts.levels) - 1}."
            raise RefusedInputError(msg)
        return self.facts.levels[level]

    @contextmanager
    def _reading(self, doing: str) -> Generator[Any, None, None]:
        """Lend a handle; an error of OpenSlide becomes one of ours that says what is wrong."""
        errors = require("openslide", extra="wsi").OpenSlideError
        try:
            with self._pool.lend() as handle:
                yield handle
        except errors as error:
            raise why_unreadable(self._path, error, doing=doing) from error

    def _open(self) -> Any:  # noqa: ANN401  openslide has no stubs
        openslide = require("openslide", extra="wsi")
        handle = openslide.OpenSlide(self._path)
        owner, cache = self._cache
        if owner != os.getpid():
            cache = openslide.OpenSlideCache(_CACHE_BYTES)
            self._cache = (os.getpid(), cache)
        handle.set_cache(cache)
        return handle


def _close(handle: Any) -> None:  # noqa: ANN401  openslide has no stubs
    handle.close()


def _over_fill(rgba: Picture) -> Picture:
    """Lay a picture with transparency over `FILL`; where it is opaque it stays as it is."""
    colour, alpha = rgba[..., :3], rgba[..., 3:].astype(np.uint16)
    if alpha.min() == 255:
        return colour
    return ((colour * alpha + FILL * (255 - alpha) + 127) // 255).astype(np.uint8)
