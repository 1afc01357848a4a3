"""Simulated slides with known truth: H&E-like texture, tumour, faults, scanners, file layouts.

They test readers, coordinates and flags. They are drawings, never patients: what a model scores on
them says nothing about tissue.
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from medconsist.errors import RefusedInputError
from medconsist.wsi.simulated.asymmetric import write_asymmetric_slide
from medconsist.wsi.simulated.config import SlideConfig
from medconsist.wsi.simulated.files import write_strips
from medconsist.wsi.simulated.recipe import write_recipe_slide
from medconsist.wsi.simulated.repeated import RepeatedTruth, write_repeated_slide
from medconsist.wsi.simulated.scene import scene_of
from medconsist.wsi.simulated.truth import SlideTruth, truth_of

__all__ = [
    "RepeatedTruth",
    "SlideConfig",
    "SlideTruth",
    "simulate_pixels",
    "slide_truth",
    "write_asymmetric_slide",
    "write_recipe_slide",
    "write_repeated_slide",
    "write_slide",
]


def write_slide(path: Path, config: SlideConfig) -> SlideTruth:
    """Write a simulated slide to ``path`` and return what lies where.

    The same config gives the same bytes. Memory holds a few strips of 512 rows, not the slide; the
    file appears under its name when it is complete.

    Parameters
    ----------
    path
        Of the new file; an old one is replaced.
    config
        The slide.

    Raises
    ------
    StorageError
        If the disk is full or not writable.
    RefusedInputError
        If a classic TIFF grows beyond 4 GiB.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "slide.svs"
    >>> truth = write_slide(path, SlideConfig(width=512, height=256, tumour=0.3))
    >>> truth.tumour.shape
    (8, 16)
    """
    scene = scene_of(config)
    write_strips(path, config, scene.strips())
    return truth_of(scene)


def slide_truth(config: SlideConfig) -> SlideTruth:
    """Return what :func:`write_slide` returns, without writing."""
    return truth_of(scene_of(config))


def simulate_pixels(
    config: SlideConfig, y: int, x: int, height: int, width: int
) -> UInt8[np.ndarray, "height width 3"]:
    """Return a rectangle of level 0 as it is before JPEG.

    Parameters
    ----------
    config
        The slide.
    y, x
        Top-left corner, level-0 pixels.
    height, width
        Size of the rectangle [px].

    Raises
    ------
    RefusedInputError
        If the rectangle leaves the slide.

    Examples
    --------
    >>> simulate_pixels(SlideConfig(width=256, height=256), 10, 20, 30, 40).shape
    (30, 40, 3)
    """
    if min(y, x, height - 1, width - 1) < 0 or (
        y + height > config.height or x + width > config.width
    ):
        msg = (
            f"got rows {y} to {y + height} and columns {x} to {x + width}, allowed: inside "
            f"0 to {config.height} and 0 to {config.width}."
        )
        raise RefusedInputError(msg)
    return scene_of(config).rectangle(y, x, height=height, width=width)
