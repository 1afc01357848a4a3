"""What every reader of slides offers: levels, properties, rectangles, and tiles of a grid."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from medconsist.tiling.affine import Affine
from medconsist.tiling.grid import Items
from medconsist.tiling.source import Source
from medconsist.wsi.mpp import Given, Mpp, mpp_of
from medconsist.wsi.tile_grid import TileGrid

__all__ = ["FILL", "Bounds", "Level", "Slide", "SlideFacts"]

FILL = 255  # white, for every place outside the image, in every reader


@dataclass(frozen=True)
class Level:
    """One stored size of a slide.

    Parameters
    ----------
    width, height
        [px of this level].

    Examples
    --------
    >>> Level(75, 62).affine(Level(300, 250)).scale
    (4.032258064516129, 4.0)
    """

    width: int
    height: int

    def affine(self, base: "Level") -> Affine:
        """Return the map from (row, column) of this level to those of level 0.

        The ratio of the dimensions along each axis, not the rounded downsample.
        """
        scale = (base.height / self.height, base.width / self.width)
        return Affine(offset=(0.0, 0.0), scale=scale)


@dataclass(frozen=True)
class Bounds:
    """The part of level 0 that the scanner filled (``openslide.bounds-*``).

    Examples
    --------
    >>> Bounds(x=100, y=0, width=2000, height=1000).x
    100
    """

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class SlideFacts:
    """What is known of a slide before a pixel is decoded.

    Parameters
    ----------
    path
        The file.
    vendor
        As OpenSlide names it: ``"aperio"``, ``"generic-tiff"``, ``"hamamatsu"`` ...
    levels
        Level 0 first.
    properties
        Of OpenSlide, as text.
    bounds
        None if the slide names none.

    Examples
    --------
    >>> SlideFacts(path=Path("a.svs"), vendor="aperio", levels=(Level(300, 250),)).size
    (300, 250)
    """

    path: Path
    vendor: str
    levels: tuple[Level, ...]
    properties: Mapping[str, str] = field(default_factory=dict)
    bounds: Bounds | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of level 0."""
        return self.levels[0].width, self.levels[0].height

    @property
    def objective_power(self) -> float | None:
        """Magnification of the objective as the slide says, None if it says no such number."""
        try:
            power = float(self.properties.get("openslide.objective-power", "nan"))
        except ValueError:
            return None
        return power if math.isfinite(power) and power > 0 else None

    def mpp(self, *, given: Given | None = None) -> Mpp:
        """Return the microns per pixel; see `medconsist.wsi.mpp.mpp_of`."""
        return mpp_of(self.properties, given=given)


class Slide(ABC):
    """An open slide; a context manager. Safe to share between threads, never between processes.

    ``engine`` names what decodes: ``"openslide"``, ``"direct"``, ``"cucim"``; ``notes`` says what a
    record of the slide should keep: why an engine was left, a wrong extension. A child process that
    inherits the object through fork opens handles of its own; pickling opens the path again.

    Examples
    --------
    >>> issubclass(Slide, ABC)
    True
    """

    facts: SlideFacts
    engine: str
    notes: tuple[str, ...] = ()

    @abstractmethod
    def read_region(
        self, level: int, x: int, y: int, width: int, height: int
    ) -> npt.NDArray[np.uint8]:
        """Return a rectangle, uint8 ``rows columns 3`` RGB, `FILL` outside the image.

        Parameters
        ----------
        level
            0 is the finest.
        x, y
            Top-left corner in pixels of *that* level; may lie outside.
        width, height
            [px of that level].

        Raises
        ------
        CorruptInputError
            The bytes cannot be decoded.
        """

    @abstractmethod
    def tiles(self, grid: TileGrid, items: Items) -> Source:
        """Return the tiles ``items`` of a grid, for a loader; uint8 ``tile tile 3`` RGB each."""

    @abstractmethod
    def close(self) -> None:
        """Close every handle."""

    def __enter__(self) -> "Slide":
        """Return the slide itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every handle."""
        self.close()
