"""What a model says of single tiles, in colour over a slide: words, scale, legend of each map."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float32, UInt8

from medconsist.viewing.overlay import Scale, blend, colourise

__all__ = [
    "SLIDE_MAPS",
    "Legend",
    "SlideMap",
    "draw_slide_map",
    "legend",
    "map_colours",
    "side_by_side",
    "slide_map",
]

GAP = 4  # columns between two tiles
WHITE = 255
# Rec. 709. The picture below is grey, so that every colour is one of the map.
LUMA = (0.2126, 0.7152, 0.0722)
ROUND = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class SlideMap:
    """The words and the scale of one kind of map.

    Parameters
    ----------
    title
        Short name on the screen.
    caution
        One sentence that says what the colours do not mean.
    low, high
        Values of the first and the last colour. Without ``high`` the last colour is a round number
        that no value of this slide exceeds.
    is_ratio
        Equal factors are equal steps of colour; ``low`` is above 0.
    is_of_class
        The numbers are about one class, which the title then names.

    Examples
    --------
    >>> SLIDE_MAPS["attention"].is_ratio
    True
    """

    title: str
    caution: str
    low: float = 0.0
    high: float | None = None
    is_ratio: bool = False
    is_of_class: bool = False

    def titled(self, shown: str = "") -> str:
        """Return the title; ``shown`` is the class that the numbers are about, if they are."""
        return f"{self.title}: {shown}" if self.is_of_class and shown else self.title

    def top(self, values: Float32[np.ndarray, "height width"]) -> float:
        """Return the value of the last colour."""
        if self.high is not None:
            return self.high
        known = values[np.isfinite(values)]
        most = float(known.max()) if known.size else 0.0
        return _round_above(most) if most > 0 else 1.0


@dataclass(frozen=True)
class Legend:
    """What stands below the colour bar.

    Parameters
    ----------
    low, middle, high
        At its left, its middle, its right.

    Examples
    --------
    >>> Legend("0", "0.5", "1").middle
    '0.5'
    """

    low: str
    middle: str
    high: str


_OF_THIS_SLIDE = "The scale is that of this slide: colours of two slides do not compare."

SLIDE_MAPS: Mapping[str, SlideMap] = MappingProxyType(
    {
        "instance_probability": SlideMap(
            title="Tile probability",
            caution=(
                "The model never saw what a single tile is, only labels of whole cases: this is "
                "no outline of disease."
            ),
            high=1.0,
            is_of_class=True,
        ),
        "attention": SlideMap(
            title="Attention",
            caution=(
                "Where the answer rests on, be it for or against. Bright is not tumour, dark is "
                "not healthy."
            ),
            low=0.125,
            high=8.0,
            is_ratio=True,
        ),
        "novelty": SlideMap(
            title="Unlike the training tiles",
            caution=f"Bright: the model has seen little like it. {_OF_THIS_SLIDE}",
        ),
        "disagreement": SlideMap(
            title="Teacher and student disagree",
            caution=f"Bright: the two look at this place unlike each other. {_OF_THIS_SLIDE}",
        ),
        "prototype": SlideMap(
            title="Nearest prototype",
            caution="Numbers are names: near colours do not mean that tiles are alike.",
        ),
    }
)
"""Role of a map and how it is drawn, in the order of the choice."""


def slide_map(role: str) -> SlideMap:
    """Return how a map is drawn; one that nothing is written for says so."""
    unknown = SlideMap(
        title=role.replace("_", " ").capitalize(),
        caution=f"No explanation is written for it. {_OF_THIS_SLIDE}",
    )
    return SLIDE_MAPS.get(role, unknown)


def draw_slide_map(
    overview: UInt8[np.ndarray, "height width 3"],
    values: Float32[np.ndarray, "height width"],
    style: SlideMap,
    *,
    opacity: float,
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the overview in grey with the map in viridis over it; no value is left out.

    Parameters
    ----------
    overview
        Of the slide.
    values
        On the pixels of the overview; where they are not finite the overview stays as it is.
    style
        See `slide_map`.
    opacity
        See `medconsist.viewing.overlay.blend`.
    """
    grey = np.floor(overview @ np.array(LUMA) + 0.5).astype(np.uint8)
    visible = np.isfinite(values)
    mixed = blend(grey, map_colours(values, style), visible, opacity=opacity)
    return np.where(visible[..., None], mixed, overview)


def map_colours(
    values: Float32[np.ndarray, "height width"], style: SlideMap
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the colour of each value of a map; black where it is not finite."""
    low, high = style.low, style.top(values)
    shown = values
    if style.is_ratio:
        shown = np.log2(np.clip(values, low, high))
        low, high = math.log2(low), math.log2(high)
    return colourise(shown, Scale(low, high))


def legend(style: SlideMap, values: Float32[np.ndarray, "height width"]) -> Legend:
    """Return what the ends and the middle of the colour bar stand for."""
    low, high = style.low, style.top(values)
    if style.is_ratio:
        middle = math.sqrt(low * high)
        return Legend(f"{low:g} or less", f"{middle:g}", f"{high:g} or more")
    return Legend(f"{low:g}", f"{(low + high) / 2:g}", f"{high:g}")


def side_by_side(
    tiles: UInt8[np.ndarray, "tiles height width 3"],
) -> UInt8[np.ndarray, "height all_widths 3"]:
    """Return tiles in one row, the first on the left, with white between them."""
    count, height, _, channels = tiles.shape
    gap = np.full((height, GAP, channels), WHITE, dtype=np.uint8)
    parts = [part for tile in tiles for part in (tile, gap)]
    return np.concatenate(parts[: 2 * count - 1], axis=1)


def _round_above(value: float) -> float:
    """Return the least of 1, 2 and 5 times a power of ten that is not below a positive value."""
    decade = 10.0 ** math.floor(math.log10(value))
    return next(step * decade for step in ROUND if step * decade >= value)
