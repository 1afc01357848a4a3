"""The tiles with tissue of a slide file, batch by batch, as they are embedded or trained on."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jaxtyping import UInt8
from torch import Tensor

from medconsist.errors import MedconsistError
from medconsist.tiling.loader import TileLoader
from medconsist.wsi.look import look_at
from medconsist.wsi.mpp import Given
from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.settings import Embedding
from medconsist.wsi.tile_grid import TileGrid

__all__ = ["TissueBatch", "read_tiles_at", "tissue_batches"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TissueBatch:
    """Tiles of one slide, and where they lie.

    Parameters
    ----------
    tiles
        As they were read; valid for as long as the batch is held.
    items
        Of the grid, one for each tile.
    grid
        Of the slide.

    Examples
    --------
    >>> TissueBatch.__dataclass_params__.frozen
    True
    """

    tiles: UInt8[Tensor, "tiles rows columns 3"]
    items: npt.NDArray[np.int64]
    grid: TileGrid


def tissue_batches(
    path: Path,
    *,
    tile_px: int,
    settings: Embedding,
    mpp: Given | None = None,
    batch: int = 64,
    threads: int = 2,
) -> Iterator[TissueBatch]:
    """Open a slide, look at it, and yield the tiles that `wsi embed` would embed.

    Tiles come in the order in which they are decoded (`Source.order`), on the CPU. The slide is
    closed at the end, also when the loop is left early.

    Parameters
    ----------
    path
        The file.
    tile_px
        Side of a tile [px at ``settings.target_mpp``].
    settings
        See its class.
    mpp
        Microns per pixel of the slide, given instead of what it says; None asks the slide.
    batch, threads
        Most tiles at once, and threads that decode.

    Raises
    ------
    MissingInputError, CorruptInputError, UnsupportedInputError, NoMppError, NoTissueError
        The slide cannot be used; a note of the error names it.
    RefusedInputError
        Tiles would be finer than the slide, and that was not asked for.

    Examples
    --------
    >>> next(tissue_batches(Path("absent.svs"), tile_px=64, settings=Embedding()))
    Traceback (most recent call last):
    medconsist.errors.MissingInputError: there is no file absent.svs.
    slide: absent.svs
    """
    try:
        with open_slide(path, engine=settings.engine) as slide:
            true_mpp = slide.facts.mpp(given=mpp)
            look = look_at(slide, mpp=true_mpp, tile_px=tile_px, settings=settings)
            for note in (*slide.notes, *look.notes):
                logger.info("%s: %s", path.name, note)
            items = look.choice.items
            for one in TileLoader(slide.tiles(look.grid, items), batch=batch, threads=threads):
                yield TissueBatch(one.tiles, items[one.positions], look.grid)
    except MedconsistError as error:
        error.add_note(f"slide: {path}")
        raise


def read_tiles_at(
    path: Path, grid: TileGrid, items: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    """Return a few tiles of a slide in the order that is asked for, ``tiles rows columns 3``.

    Parameters
    ----------
    path
        The file.
    grid
        Of the tiles.
    items
        Which of them.

    Raises
    ------
    MissingInputError, CorruptInputError, UnsupportedInputError
        The slide cannot be used.
    """
    with open_slide(path) as slide:
        tiles: npt.NDArray[np.uint8] = slide.tiles(grid, items).all()
    return tiles
