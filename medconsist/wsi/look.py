"""The first look at a slide: its overview, stain, tissue and flags, and the tiles worth reading."""

from dataclasses import dataclass

from medconsist.errors import NoTissueError, UnsupportedInputError
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.settings import Embedding
from medconsist.wsi.slide import Bounds, Slide
from medconsist.wsi.tile_grid import TileGrid
from medconsist.wsi.tissue.blur import tiles_of
from medconsist.wsi.tissue.mask import TissueMask, require_tissue, tissue_mask
from medconsist.wsi.tissue.overview import Overview, overview
from medconsist.wsi.tissue.picture import tissue_picture
from medconsist.wsi.tissue.quality import Quality, quality_flags
from medconsist.wsi.tissue.stain import check_stain
from medconsist.wsi.tissue.tiles import TileChoice, tissue_tiles

__all__ = ["Look", "grid_of", "look_at"]


@dataclass(frozen=True, eq=False)
class Look:
    """What is known of a slide before its tiles are read.

    Parameters
    ----------
    overview, tissue, quality
        See their classes.
    grid
        Of the tiles.
    choice
        The tiles that are read, and the shares of each.
    notes
        What a reader should know, as sentences.

    Examples
    --------
    >>> Look.__dataclass_params__.frozen
    True
    """

    overview: Overview
    tissue: TissueMask
    quality: Quality
    grid: TileGrid
    choice: TileChoice
    notes: tuple[str, ...]


def grid_of(slide: Slide, *, mpp: Mpp, tile_px: int, settings: Embedding) -> TileGrid:
    """Return the grid of a slide: over its bounds where it names them, else over all of it."""
    width, height = slide.facts.size
    region = slide.facts.bounds or Bounds(x=0, y=0, width=width, height=height)
    return TileGrid(
        width=region.width,
        height=region.height,
        origin_x=region.x,
        origin_y=region.y,
        mpp=mpp,
        target_mpp=settings.target_mpp,
        tile_px=tile_px,
        overlap_px=settings.overlap_px,
        edge=settings.edge,
    )


def look_at(slide: Slide, *, mpp: Mpp, tile_px: int, settings: Embedding) -> Look:
    """Look at a slide and choose its tiles.

    Parameters
    ----------
    slide
        Open.
    mpp
        Of level 0.
    tile_px
        Side of a tile [px at ``settings.target_mpp``].
    settings
        See its class.

    Raises
    ------
    UnsupportedInputError
        The tiles would be finer than the slide, and that was not asked for; the slide is smaller
        than one; or its stain is another than the encoder was made for, where that is refused.
    RefusedInputError
        The side of a tile or its overlap is out of range.
    NoTissueError
        No tissue, or no tile with enough of it; carries a picture of what was seen.
    CorruptInputError
        The slide cannot be read.
    """
    settings.refuse_upsampling(mpp)
    grid = grid_of(slide, mpp=mpp, tile_px=tile_px, settings=settings)
    _require_a_tile(grid)
    small = overview(slide, mpp=mpp)
    tissue = require_tissue(small, tissue_mask(small))
    notes: tuple[str, ...] = ()
    if settings.stains is not None:
        notes = check_stain(tissue.stain, made_for=settings.stains, policy=settings.other_stain)
    quality = quality_flags(small, tissue, read=tiles_of(slide))
    missing = [f"Not assessed: {name}, {why}." for name, why in quality.not_assessed.items()]
    choice = tissue_tiles(
        grid,
        tissue.mask,
        small.affine,
        min_tissue=settings.min_tissue,
        flags=quality.masks,
        exclude=settings.leave_out,
    )
    if not len(choice.items):
        error = NoTissueError(_none_enough(grid, choice, tissue, settings))
        error.picture = tissue_picture(small, mask=tissue.mask, flags=quality.masks)
        raise error
    return Look(small, tissue, quality, grid, choice, (*notes, *missing))


def _require_a_tile(grid: TileGrid) -> None:
    if len(grid):
        return
    width, height = grid.width / grid.scale[0], grid.height / grid.scale[1]
    msg = (
        f"at {grid.target_mpp:g} um/px the slide has {width:.0f} x {height:.0f} px, and a tile "
        f"{grid.tile_px} x {grid.tile_px}. Use finer tiles by --tile-mpp, or an encoder of smaller "
        "ones."
    )
    raise UnsupportedInputError(msg)


def _none_enough(
    grid: TileGrid, choice: TileChoice, tissue: TissueMask, settings: Embedding
) -> str:
    most = max(choice.shares["usable"], default=0.0)
    return (
        f"{tissue.area_mm2:.3g} mm^2 of tissue were found, but none of {len(grid)} tiles holds "
        f"{settings.min_tissue:.0%} of it; the fullest holds {most:.0%}. Lower --min-tissue, or "
        "use smaller or finer tiles."
    )
