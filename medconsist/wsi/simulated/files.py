"""Pixels that arrive in strips to a slide file, whole or not at all."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from medconsist._atomic import atomic_replace
from medconsist.wsi.simulated.config import SlideConfig
from medconsist.wsi.simulated.layout import add_directories, needs_big_tiff
from medconsist.wsi.simulated.pyramid import Pyramid, Shrinker
from medconsist.wsi.simulated.tiff import TiffFile

__all__ = ["thumbnail_step", "write_strips"]

_THUMBNAIL = 768


def write_strips(
    path: Path, config: SlideConfig, strips: Iterable[UInt8[np.ndarray, "rows columns 3"]]
) -> None:
    """Write the slide whose level 0 are the ``strips`` from the top; memory holds a few strips.

    Raises
    ------
    StorageError
        If the disk is full or not writable; no part of the file is left.
    """
    thumbnails = Shrinker(thumbnail_step(config))
    small = []
    with (
        atomic_replace(path) as temporary,
        temporary.open("xb") as file,
        TiffFile(file, big=needs_big_tiff(config)) as tiff,
    ):
        pyramid = Pyramid(tiff, config)
        for strip in strips:
            pyramid.push(strip)
            small.append(thumbnails.push(strip))
        levels = pyramid.finish()
        add_directories(tiff, config, levels, thumbnail=np.concatenate(small))


def thumbnail_step(config: SlideConfig) -> int:
    """Return the power of two that brings the longer side down to 768 px, if a row is left."""
    step = 1
    shorter, longer = sorted((config.width, config.height))
    while longer // step > _THUMBNAIL and shorter // step > 1:
        step *= 2
    return step
