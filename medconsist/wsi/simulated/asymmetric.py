"""A picture that no flip, turn or shift leaves the same, to find mistakes of orientation."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from medconsist.wsi.simulated.config import SlideConfig
from medconsist.wsi.simulated.files import write_strips
from medconsist.wsi.simulated.letters import draw_text

__all__ = ["asymmetric_pixels", "write_asymmetric_slide"]

_FIELD = 64
_STRIP = 512


def write_asymmetric_slide(path: Path, config: SlideConfig) -> UInt8[np.ndarray, "rows columns 3"]:
    """Write a slide of numbered coloured fields and letters and return its level 0 before JPEG.

    Parameters
    ----------
    path
        Of the new file.
    config
        Size and file layout; stain, tissue, tumour and faults are not used.

    Raises
    ------
    StorageError
        If the disk is full or not writable.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "letters.svs"
    >>> write_asymmetric_slide(path, SlideConfig(width=256, height=128)).shape
    (128, 256, 3)
    """
    pixels = asymmetric_pixels(config.width, config.height)
    strips = (pixels[top : top + _STRIP] for top in range(0, config.height, _STRIP))
    write_strips(path, config, strips)
    return pixels


def asymmetric_pixels(width: int, height: int) -> UInt8[np.ndarray, "rows columns 3"]:
    """Draw the picture: red grows with x, green with y, blue tells fields of 64 px apart.

    Each field bears its column and row number; a large F stands at the top left, a large R below
    the middle.
    """
    y, x = np.arange(height), np.arange(width)
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[..., 0] = 60 + 190 * x // width
    pixels[..., 1] = (60 + 190 * y // height)[:, None]
    fields = (y // _FIELD * 37)[:, None] + x // _FIELD * 101
    pixels[..., 2] = 80 + fields % 170
    for row in range(-(-height // _FIELD)):
        for column in range(-(-width // _FIELD)):
            place = row * _FIELD + 6, column * _FIELD + 6
            draw_text(pixels, str(column), at=place, scale=2, colour=(10, 10, 10))
            below = place[0] + 24, place[1]
            draw_text(pixels, str(row), at=below, scale=2, colour=(255, 255, 255))
    side = max(1, min(width, height) // 16)
    draw_text(pixels, "F", at=(side, side), scale=side, colour=(200, 0, 0))
    draw_text(pixels, "R", at=(9 * side, width - 7 * side), scale=side, colour=(0, 0, 160))
    return pixels
