"""Out of focus: blocks of tissue whose fine differences are weak beside their coarse ones."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64, UInt8

from medconsist.wsi.slide import Slide
from medconsist.wsi.tile_grid import TileGrid
from medconsist.wsi.tissue.overview import Overview
from medconsist.wsi.tissue.pieces import large_pieces
from medconsist.wsi.tissue.tiles import mask_shares

__all__ = ["BlurConfig", "ReadTiles", "blur_mask", "sharpness", "tiles_of"]

ReadTiles = Callable[[TileGrid, npt.NDArray[np.int64]], npt.NDArray[np.uint8]]
_AT_ONCE = 512


@dataclass(frozen=True, kw_only=True)
class BlurConfig:
    """Where and how sharpness is measured.

    Parameters
    ----------
    target_mpp
        Of the blocks that are read [um/px]: fine differences are over this distance, coarse ones
        over four times it. At 2 um camera noise is averaged away and a blur of 2 um and more shows.
    block_px
        Side of a block [px at target_mpp], 8 or more.
    min_tissue
        Blocks with a smaller share of tissue are not judged.
    threshold
        Sharpness below it is blur; 0.41 spared every sharp block of the tuning slides and of the
        two real ones (an in-focus DAPI scan has 0.42 and more).
    min_contrast
        Coarse differences below it (root mean square, grey levels) are too weak to judge.
    max_ignored
        Blocks with a larger share of ink or missing places are not judged: strokes have soft edges.
    min_mm2
        Smaller groups of blurred blocks are none: a focus that fails, fails over an area.

    Examples
    --------
    >>> BlurConfig().target_mpp * BlurConfig().block_px
    128.0
    """

    target_mpp: float = 2.0
    block_px: int = 64
    min_tissue: float = 0.25
    threshold: float = 0.41
    min_contrast: float = 4.0
    max_ignored: float = 0.05
    min_mm2: float = 0.03


def tiles_of(slide: Slide) -> ReadTiles:
    """Return the callable that `blur_mask` reads a slide through."""
    return lambda grid, items: slide.tiles(grid, items).all()


def sharpness(
    tiles: UInt8[np.ndarray, "tiles rows columns 3"], *, min_contrast: float = 4.0
) -> Float64[np.ndarray, " tiles"]:
    """Return ``sqrt(S(1) / S(4))`` of the grey values, NaN where a tile has too little contrast.

    ``S(d)`` is the mean squared difference of pixels ``d`` apart along rows and columns (the
    structure function). Twice the contrast leaves it unchanged; blur takes ``S(1)`` first. A ramp
    has 0.25, a sharp edge or white noise 0.5 or more.

    Parameters
    ----------
    tiles
        5 px or more on each side, at `BlurConfig.target_mpp`.
    min_contrast
        ``sqrt(S(4) / 2)`` below it counts as none [grey levels].
    """
    grey = tiles.mean(-1, dtype=np.float32)
    fine, coarse = _structure(grey, 1), _structure(grey, 4)
    seen = np.sqrt(coarse / 2) >= max(min_contrast, 1e-6)
    return np.where(seen, np.sqrt(fine / np.where(seen, coarse, 1.0)), np.nan)


def blur_mask(
    overview: Overview,
    tissue: Bool[np.ndarray, "rows columns"],
    read: ReadTiles,
    *,
    ignored: Bool[np.ndarray, "rows columns"] | None = None,
    config: BlurConfig | None = None,
) -> Bool[np.ndarray, "rows columns"]:
    """Mark the tissue of blocks that are out of focus.

    Blocks of ``block_px`` at ``target_mpp`` over the whole overview are read where there is tissue,
    some hundreds at a time. Smooth structures (mucus, fat, colloid) may count as blur.

    Parameters
    ----------
    overview
        The slide.
    tissue
        Its mask.
    read
        Returns tiles of a grid, uint8 ``n block block 3``; for a slide: ``tiles_of(slide)``.
    ignored
        Ink and missing places.
    """
    config = config or BlurConfig()
    grid = _blocks(overview, config)
    items = np.arange(len(grid), dtype=np.int64)
    worth = mask_shares(grid, tissue, overview.affine) >= config.min_tissue
    if ignored is not None:
        worth &= mask_shares(grid, ignored, overview.affine) <= config.max_ignored
    judged = items[worth]
    blurred = np.zeros(len(grid), bool)
    for at in range(0, len(judged), _AT_ONCE):
        some = judged[at : at + _AT_ONCE]
        values = sharpness(read(grid, some), min_contrast=config.min_contrast)
        blurred[some] = values < config.threshold
    block_mm2 = (config.block_px * config.target_mpp / 1000) ** 2
    groups = large_pieces(blurred.reshape(grid.shape), mm2=config.min_mm2, pixel_mm2=block_mm2)
    return tissue & _painted(groups, grid, overview)


def _blocks(overview: Overview, config: BlurConfig) -> TileGrid:
    (y0, x0), (y1, x1) = overview.affine.to_place([(0, 0), overview.picture.shape[:2]])
    return TileGrid(
        width=max(1, round(x1 - x0)),
        height=max(1, round(y1 - y0)),
        mpp=overview.mpp,
        target_mpp=config.target_mpp,
        tile_px=config.block_px,
        origin_x=float(x0),
        origin_y=float(y0),
        edge="keep",
    )


def _painted(
    blocks: Bool[np.ndarray, "block_rows block_columns"], grid: TileGrid, overview: Overview
) -> Bool[np.ndarray, "rows columns"]:
    """Give each pixel of the overview the value of the block that its centre lies in."""
    places = (
        overview.affine.offset[axis] + overview.affine.scale[axis] * (np.arange(n) + 0.5)
        for axis, n in enumerate(overview.picture.shape[:2])
    )
    rows, columns = (
        ((place - grid.affine.offset[axis]) // grid.affine.scale[axis]).astype(np.intp)
        for axis, place in enumerate(places)
    )
    rows, columns = rows.clip(0, blocks.shape[0] - 1), columns.clip(0, blocks.shape[1] - 1)
    return blocks[rows][:, columns]


def _structure(grey: npt.NDArray[np.float32], step: int) -> npt.NDArray[np.float64]:
    down = np.square(grey[:, step:] - grey[:, :-step]).mean((1, 2), dtype=np.float64)
    across = np.square(grey[:, :, step:] - grey[:, :, :-step]).mean((1, 2), dtype=np.float64)
    return down + across
