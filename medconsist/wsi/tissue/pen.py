"""Ink on the glass: blue, green, black and red pens, by the light that they take."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from medconsist.wsi.tissue.optical_density import optical_density
from medconsist.wsi.tissue.overview import Overview
from medconsist.wsi.tissue.pieces import closed, large_pieces

__all__ = ["PenConfig", "pen_mask"]


@dataclass(frozen=True, kw_only=True)
class PenConfig:
    """Ratios of optical densities that no tissue stain reaches, and the least size of a stroke.

    Parameters
    ----------
    blue
        Density of red from which ink is blue, if green loses no more and blue half of it.
    green
        Density of red and blue from which ink is green, if green loses 1.15 times less.
    black
        Density of every colour from which ink is black, if all lose nearly the same.
    red
        Density of green from which ink is red, if red loses a quarter of it and blue nearly all.
    closing_um
        Gaps of strokes over dense tissue that are closed, radius.
    min_mm2
        Smaller spots are none.

    Examples
    --------
    >>> PenConfig(min_mm2=0.05).blue
    0.6
    """

    blue: float = 0.6
    green: float = 0.3
    black: float = 0.6
    red: float = 0.7
    closing_um: float = 24.0
    min_mm2: float = 0.02


def pen_mask(
    overview: Overview, *, config: PenConfig | None = None
) -> Bool[np.ndarray, "rows columns"]:
    """Mark ink on a bright-field slide.

    Haematoxylin takes as much green as red, eosin and DAB more green than red: light that is lost
    in red most (blue ink), in green least (green ink), in all alike (black ink) or in green and
    blue alone (red ink) was not lost to them. Carbon and melanin look like black ink; a pool of
    orange blood can look like red ink.
    """
    config = config or PenConfig()
    colours = optical_density(overview.picture).colours
    red, green, blue = np.moveaxis(colours, -1, 0)
    sides, least, most = np.minimum(red, blue), colours.min(-1), colours.max(-1)
    ink = (red > config.blue) & (red > green) & (blue < 0.55 * red)
    ink |= (sides > config.green) & (sides > 1.15 * green)
    ink |= (least > config.black) & (least > 0.7 * most)
    ink |= (green > config.red) & (red < 0.25 * green) & (blue > 0.7 * green)
    joined = closed(ink, radius_um=config.closing_um, pixel_um=overview.pixel_um)
    return large_pieces(joined, mm2=config.min_mm2, pixel_mm2=overview.pixel_mm2)
