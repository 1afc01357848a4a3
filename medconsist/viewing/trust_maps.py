"""How each trust map is drawn: its words, its fixed scale and from which value it is shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Real, UInt8

from medconsist.results.schema import Result
from medconsist.viewing.compare import DIFFERENCE_SHARE
from medconsist.viewing.overlay import Scale, blend, colourise

__all__ = ["MAP_STYLES", "MapStyle", "draw_map", "map_roles", "style_of"]


@dataclass(frozen=True)
class MapStyle:
    """The words and the scale of one kind of map.

    Parameters
    ----------
    title
        Short name on the screen.
    meaning
        One sentence that says what the colours mean, and what they do not.
    unit
        In words.
    high
        Value of the last colour; the first is 0. None: a fixed share of the white level.
    show_from
        Share of the scale, 0 to 1; smaller values leave the image as it is, until the reader
        chooses otherwise.
    has_width
        The map is about a feature of a width that the settings of the record state.

    Examples
    --------
    >>> MAP_STYLES["matched_filter"].high
    6.0
    """

    title: str
    meaning: str
    unit: str = "unit of the image"
    high: float | None = None
    show_from: float = 0.0
    has_width: bool = False

    def scale(self, white: float) -> Scale:
        """Return the scale; ``white`` is the white level of the case."""
        return Scale(0.0, DIFFERENCE_SHARE * white if self.high is None else self.high)


MAP_STYLES: Mapping[str, MapStyle] = MappingProxyType(
    {
        "not_determined": MapStyle(
            title="Not determined by the data",
            meaning=(
                "Bright: the samples alone do not fix this part of the image; the method filled "
                "it in. True anatomy lies there too: bright does not mean invented."
            ),
            show_from=0.1,
        ),
        "refutable_contrast": MapStyle(
            title="Smallest refutable contrast",
            meaning=(
                "Bright: a feature must differ strongly from its surroundings before the samples "
                "would contradict it at 3 sigma. Fainter features there are not checked by the "
                "data. No colour: no coil sees this place."
            ),
            unit="share of the reference intensity",
            high=0.3,
            has_width=True,
        ),
        "matched_filter": MapStyle(
            title="Residual, matched filter",
            meaning=(
                "The brighter, the more the samples disagree with the image for a feature of the "
                "stated width. Among many pixels some reach 3 standard deviations by chance."
            ),
            unit="standard deviations",
            high=6.0,
            show_from=0.5,
            has_width=True,
        ),
        "uncertainty": MapStyle(
            title="Uncertainty",
            meaning=(
                "Bright: the magnitude may be off by more here. The notes of the result say "
                "whether this is the effect of noise alone, a heuristic, or the half-width of a "
                "calibrated interval, which is valid under exchangeability only."
            ),
            show_from=0.1,
        ),
    }
)
"""Role of a trust map and how it is drawn."""


def map_roles(result: Result) -> list[str]:
    """Return the roles of the trust maps that the result holds, known ones first."""
    held = {record.role for record in result.arrays if record.kind == "zarr"}
    known = [role for role in MAP_STYLES if role in held]
    return known + [role for role in result.trust.maps if role in held and role not in known]


def style_of(role: str) -> MapStyle:
    """Return the style of a map; one that no style is written for says so."""
    unknown = MapStyle(role.replace("_", " ").capitalize(), "No explanation is stored for it.")
    return MAP_STYLES.get(role, unknown)


def draw_map(
    grey: UInt8[np.ndarray, "height width"],
    values: Real[np.ndarray, "height width"],
    scale: Scale,
    *,
    opacity: float,
    show_from: float,
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the image with ``|values|`` over it in colour, where they reach ``show_from``.

    Values that are not finite leave the image as it is.
    """
    size = np.abs(values)
    visible: Bool[np.ndarray, "height width"] = np.isfinite(size) & (size >= show_from)
    return blend(grey, colourise(size, scale), visible, opacity=opacity)
