"""Very large slides of few megabytes: the same encoded tiles at many places.

A patch of ``10 * tile`` pixels is repeated in both directions. Level k of it repeats after
``10 * tile / step^k`` pixels, so after a few tiles, which are stored once; the tables of offsets
point to them again and again. The pyramid is sound: every level is the average of the one below.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from medconsist._atomic import atomic_replace
from medconsist.errors import RefusedInputError
from medconsist.wsi.simulated.config import SlideConfig
from medconsist.wsi.simulated.files import thumbnail_step
from medconsist.wsi.simulated.layout import add_directories, needs_big_tiff
from medconsist.wsi.simulated.pyramid import StoredLevel, encoder_of, shrink
from medconsist.wsi.simulated.scene import scene_of
from medconsist.wsi.simulated.tiff import TiffFile

__all__ = ["RepeatedTruth", "write_repeated_slide"]

_TILES = 10
_PATCH = SlideConfig(tissue=0.7, tumour=0.3)


@dataclass(frozen=True)
class RepeatedTruth:
    """What lies where on a slide of repeated tiles.

    Parameters
    ----------
    config
        The slide as written, of full size.
    patch
        The slide that is repeated.

    Examples
    --------
    >>> config = SlideConfig(width=6000, height=6000)
    >>> RepeatedTruth(config, replace(config, width=2560, height=2560)).tile_at(12, 3)
    (2, 3)
    """

    config: SlideConfig
    patch: SlideConfig

    def tile_at(self, column: int, row: int) -> tuple[int, int]:
        """Return column and row, in the patch, of the tile stored at ``column, row`` of level 0."""
        return column % _TILES, row % _TILES

    def pixels(
        self, y: int, x: int, *, height: int, width: int
    ) -> UInt8[np.ndarray, "rows columns 3"]:
        """Return a rectangle of level 0 before JPEG."""
        patch = scene_of(self.patch).rectangle(
            0, 0, height=self.patch.height, width=self.patch.width
        )
        rows = np.arange(y, y + height) % self.patch.height
        columns = np.arange(x, x + width) % self.patch.width
        return patch[np.ix_(rows, columns)]


def write_repeated_slide(
    path: Path, *, width: int = 80_000, height: int = 80_000, config: SlideConfig = _PATCH
) -> RepeatedTruth:
    """Write a slide whose file holds at most 100 different tiles a level.

    Parameters
    ----------
    path
        Of the new file.
    width, height
        Size of level 0 [px].
    config
        All else; its own size is not used. ``tissue``, ``tumour`` and ``faults`` describe the
        repeated patch of ten by ten tiles. Tiles beyond the border hold more of the patch.

    Raises
    ------
    RefusedInputError
        If a level of the patch is no whole number of pixels.
    StorageError
        If the disk is full or not writable.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "large.svs"
    >>> config = SlideConfig(tile=64, stain="ihc")
    >>> write_repeated_slide(path, width=9000, height=8000, config=config).tile_at(17, 9)
    (7, 9)
    """
    config = replace(config, width=width, height=height)
    side = _TILES * config.tile
    patch = replace(config, width=side, height=side)
    if side % config.level_step ** (len(config.level_sizes) - 1):
        msg = (
            f"{len(config.level_sizes)} levels of step {config.level_step} do not divide a patch "
            f"of {side} px; use levels={_deepest(side, config.level_step)} or a larger tile."
        )
        raise RefusedInputError(msg)
    pixels = original = scene_of(patch).rectangle(0, 0, height=side, width=side)
    with (
        atomic_replace(path) as temporary,
        temporary.open("xb") as file,
        TiffFile(file, big=needs_big_tiff(config)) as tiff,
    ):
        levels = []
        for number, size in enumerate(config.level_sizes):
            if number:
                pixels = shrink(pixels, step=config.level_step)
            levels.append(_store(tiff, config, pixels, size))
        add_directories(tiff, config, levels, thumbnail=_thumbnail(config, original))
    return RepeatedTruth(config, patch)


def _deepest(side: int, step: int) -> int:
    levels = 1
    while side % step**levels == 0:
        levels += 1
    return levels


def _store(
    tiff: TiffFile,
    config: SlideConfig,
    pixels: UInt8[np.ndarray, "rows columns 3"],
    size: tuple[int, int],
) -> StoredLevel:
    """Store the different tiles of a level and point to them from every place."""
    tile, encoder = config.tile, encoder_of(config)
    repeats = math.lcm(len(pixels), tile) // len(pixels)
    field = np.tile(pixels, (repeats, repeats, 1))
    period = len(field) // tile
    across, down = (-(-length // tile) for length in size)
    stored: dict[tuple[int, int], tuple[int, int]] = {}
    level = StoredLevel(*size)
    for row in range(down):
        for column in range(across):
            place = row % period, column % period
            if place not in stored:
                top, left = (index * tile for index in place)
                stream = encoder.encode(field[top : top + tile, left : left + tile])
                stored[place] = tiff.add_data(stream), len(stream)
            level.offsets.append(stored[place][0])
            level.byte_counts.append(stored[place][1])
    return level


def _thumbnail(
    config: SlideConfig, patch: UInt8[np.ndarray, "rows columns 3"]
) -> UInt8[np.ndarray, "fewer_rows fewer_columns 3"]:
    step = thumbnail_step(config)
    rows, columns = (
        np.arange(length // step) * step % len(patch) for length in (config.height, config.width)
    )
    return patch[np.ix_(rows, columns)]
