"""How much light each colour lost on its way through the slide, against the empty glass."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float32, UInt8

from medconsist.wsi.slide import FILL

__all__ = ["Density", "filled", "optical_density", "unscanned"]

_DIM = 200  # darker than this in any colour is no empty glass
_COLOURED = 20
_BLACK = 12
_ENOUGH_GLASS = 0.001


@dataclass(frozen=True)
class Density:
    """Optical density of each colour and the largest of the three, all 0 or more.

    Examples
    --------
    >>> optical_density(np.full((1, 1, 3), 25, np.uint8)).strongest.round(1)
    array([[1.]], dtype=float32)
    """

    colours: Float32[np.ndarray, "rows columns 3"]
    strongest: Float32[np.ndarray, "rows columns"]


def filled(picture: UInt8[np.ndarray, "rows columns 3"]) -> Bool[np.ndarray, "rows columns"]:
    """Mark pure white: what a reader fills in outside the image, no evidence of anything."""
    marked: npt.NDArray[np.bool_] = np.all(picture == FILL, axis=-1)
    return marked


def unscanned(picture: UInt8[np.ndarray, "rows columns 3"]) -> Bool[np.ndarray, "rows columns"]:
    """Mark pure black: what a scanner stores where it did not scan a bright-field slide."""
    marked: npt.NDArray[np.bool_] = np.all(picture < _BLACK, axis=-1)
    return marked


def optical_density(picture: UInt8[np.ndarray, "rows columns 3"]) -> Density:
    """Return ``log10((glass + 1) / (value + 1))``, cut at 0.

    ``glass`` is the median colour of the bright, colourless pixels that are not pure white; where
    there are fewer than 0.1 %, it is white. Pure white and pure black lost nothing: they are fill
    and unscanned places (Beer and Lambert's law does not hold where no light was measured).
    """
    bright = (picture >= _DIM).all(-1) & (picture.max(-1) - picture.min(-1) <= _COLOURED)
    evidence = ~filled(picture)
    glass = np.full(3, float(FILL))
    if (bright & evidence).sum() > max(0, _ENOUGH_GLASS * evidence.sum()):
        glass = np.median(picture[bright & evidence], axis=0)
    table = np.log10((glass[:, None] + 1) / (np.arange(256) + 1)).clip(0).astype(np.float32)
    colours = np.empty(picture.shape, np.float32)
    for channel in range(3):
        colours[..., channel] = table[channel][picture[..., channel]]
    colours[~evidence | unscanned(picture)] = 0
    return Density(colours, colours.max(-1))
