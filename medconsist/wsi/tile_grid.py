"""Tiles of equal microns: the exact place of every tile on its slide."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medconsist.errors import RefusedInputError
from medconsist.tiling.affine import Affine
from medconsist.tiling.grid import Edge, Grid, Items
from medconsist.wsi.mpp import PLAUSIBLE_MPP, Mpp

__all__ = ["TileGrid", "whole_pixels"]

# 0.3 / 0.1 is 2.9999999999999996: a corner this close below a whole pixel is that pixel.
_SLACK = 1e-6


@dataclass(frozen=True, kw_only=True)
class TileGrid:
    """Square tiles of ``tile_px`` pixels at ``target_mpp``, laid over a region of level 0.

    Level-0 x of tile column ``c`` is ``origin_x + c * step_px * scale_x`` with
    ``scale_x = target_mpp / mpp.x``, in float64 and never rounded; the same along y. A tile covers
    ``tile_px * scale_x`` level-0 pixels: 256 px at 0.5 um/px are 512.41 px of a slide of
    0.2498 um/px.

    Parameters
    ----------
    width, height
        Region that is tiled [level-0 px], whole numbers above 0.
    mpp
        Of level 0.
    target_mpp
        Of the tiles [um/px], within `medconsist.wsi.mpp.PLAUSIBLE_MPP`.
    tile_px
        Width and height of a tile [px at target_mpp].
    overlap_px
        Shared by neighbours [px at target_mpp], below ``tile_px``.
    origin_x, origin_y
        Where the region begins [level-0 px]; the translation of ``openslide.bounds-*``.
    edge
        See `medconsist.tiling.grid.Grid`.

    Raises
    ------
    RefusedInputError
        A number is out of range.

    Examples
    --------
    >>> grid = TileGrid(width=4000, height=3000, mpp=Mpp(0.25, 0.25, "given"), target_mpp=0.5,
    ...                 tile_px=256)
    >>> grid.shape, grid.boxes([8]).tolist()
    ((5, 7), [[512.0, 512.0, 1024.0, 1024.0]])
    """

    width: int
    height: int
    mpp: Mpp
    target_mpp: float | int
    tile_px: int
    overlap_px: int = 0
    origin_x: float | int = 0.0
    origin_y: float | int = 0.0
    edge: Edge = "drop"

    def __post_init__(self) -> None:
        if self.tile_px < 1 or not 0 <= self.overlap_px < self.tile_px:
            msg = (
                f"tile_px must be 1 or more and overlap_px within 0..tile_px-1, got "
                f"{self.tile_px} and {self.overlap_px}."
            )
            raise RefusedInputError(msg)
        low, high = PLAUSIBLE_MPP
        if not low <= self.target_mpp <= high:
            msg = f"target_mpp must be {low} to {high} microns per pixel, got {self.target_mpp:g}."
            raise RefusedInputError(msg)
        if min(self.width, self.height) < 1:
            msg = f"the region needs a width and height above 0, got {self.width} x {self.height}."
            raise RefusedInputError(msg)
        # Both refuse what is left: a region that no tile fits into, an origin that is not finite.
        self.affine  # noqa: B018

    @property
    def scale(self) -> tuple[float, float]:
        """Level-0 pixels per tile pixel along x and y."""
        return self.target_mpp / self.mpp.x, self.target_mpp / self.mpp.y

    @property
    def step_px(self) -> int:
        """From one tile to the next [px at target_mpp]."""
        return self.tile_px - self.overlap_px

    @property
    def grid(self) -> Grid:
        """The tiles as windows over rows and columns of the region, in level-0 pixels."""
        scale = self.scale[::-1]
        return Grid(
            size=(self.height, self.width),
            window=tuple(self.tile_px * one for one in scale),
            step=tuple(self.step_px * one for one in scale),
            edge=self.edge,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns of tiles."""
        return self.grid.shape

    def __len__(self) -> int:
        """Return the number of tiles."""
        return len(self.grid)

    @property
    def affine(self) -> Affine:
        """From tile index (row, column) to the level-0 place (y, x) of its top-left corner."""
        offset = (self.origin_y, self.origin_x)
        return self.grid.affine.then(Affine(offset=offset, scale=(1.0, 1.0)))

    def boxes(self, items: Items) -> npt.NDArray[np.float64]:
        """Return x0, y0, x1, y1 of tiles in level-0 pixels, shape ``(n, 4)``."""
        origin = np.asarray((self.origin_y, self.origin_x))
        corner = (self.grid.starts(items) + origin)[:, ::-1]
        return np.concatenate([corner, corner + self.tile_px * np.asarray(self.scale)], axis=1)

    def coords(self, items: Items) -> npt.NDArray[np.int32]:
        """Return the level-0 x, y of tiles, rounded down to whole pixels, shape ``(n, 2)``."""
        return whole_pixels(self.boxes(items)[:, :2]).astype(np.int32)

    def index(self, items: Items) -> npt.NDArray[np.int32]:
        """Return column and row of tiles, shape ``(n, 2)``."""
        return self.grid.indices(items)[:, ::-1].astype(np.int32)


def whole_pixels(places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return level-0 places rounded down to whole pixels; noise of float64 costs no pixel.

    Examples
    --------
    >>> whole_pixels(np.array([0.3 / 0.1, 3.9])).tolist()
    [3.0, 3.0]
    """
    rounded: npt.NDArray[np.float64] = np.floor(places + _SLACK)
    return rounded
