"""Files of simulated slides in number, each from its own seed."""

from dataclasses import replace
from pathlib import Path

from medconsist._atomic import make_folder
from medconsist.errors import RefusedInputError
from medconsist.wsi.simulate import SlideConfig, write_slide

__all__ = ["write_slides"]

SEED_STRIDE = 1_000_003  # a prime: the seeds of two series do not meet for small numbers


def write_slides(config: SlideConfig, folder: Path, *, slides: int = 1) -> list[Path]:
    """Write ``slide-000.svs`` (or ``.tiff``) ... and return their paths; each file is atomic.

    Parameters
    ----------
    config
        Of every slide; slide ``i`` takes its seed from the series' seed and ``i``.
    folder
        Made if it is not there.
    slides
        How many, 1 or more.

    Raises
    ------
    RefusedInputError
        Fewer than one slide.
    StorageError
        The disk is full or not writable.
    """
    if slides < 1:
        msg = f"slides must be 1 or more, got {slides}."
        raise RefusedInputError(msg)
    make_folder(folder)
    paths = []
    for number in range(slides):
        paths.append(folder / f"slide-{number:03d}.{config.layout}")
        write_slide(paths[-1], replace(config, seed=config.seed * SEED_STRIDE + number))
    return paths
