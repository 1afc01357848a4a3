"""Maps in colour over a grey image: colour-blind-safe maps, opacity, the colour bar."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Real, UInt8

from medconsist.errors import RefusedInputError

__all__ = ["COLOURMAPS", "Scale", "blend", "colour_bar", "colour_table", "colourise"]

# Ten colours of each map, dark to bright. viridis: N. Smith, S. van der Walt (CC0);
# cividis: J. Nuñez, C. Anderton, R. Renslow 2018, doi:10.1371/journal.pone.0199239.
COLOURMAPS: Mapping[str, str] = MappingProxyType(
    {
        "viridis": "440154 482878 3e4a89 31688e 26828e 1f9e89 35b779 6dcd59 b4de2c fde725",
        "cividis": "00204d 00336f 39486b 575c6d 707173 8a8779 a69d75 c4b56c e4cf5b ffea46",
    }
)
"""Control colours of each colour map; lightness rises along both, for every colour vision."""


@dataclass(frozen=True)
class Scale:
    """The fixed interval of values that a colour map spans.

    Parameters
    ----------
    low, high
        Values of the first and of the last colour, in the unit of the map.

    Raises
    ------
    RefusedInputError
        If ``high`` is not above ``low``, or a number is not finite.

    Examples
    --------
    >>> Scale(0.0, 6.0).high
    6.0
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.high > self.low):
            msg = f"scale {self.low} to {self.high} has no length; give a high end above the low."
            raise RefusedInputError(msg)


def colour_table(name: str = "viridis") -> UInt8[np.ndarray, "256 3"]:
    """Return 256 colours, the ten control colours joined linearly in sRGB.

    Raises
    ------
    RefusedInputError
        If no colour map has this name.
    """
    if name not in COLOURMAPS:
        msg = f"colour map {name!r} is unknown; allowed: {', '.join(COLOURMAPS)}. Choose one."
        raise RefusedInputError(msg)
    controls = np.frombuffer(bytes.fromhex(COLOURMAPS[name]), dtype=np.uint8).reshape(-1, 3)
    at = np.linspace(0, len(controls) - 1, 256)
    channels = [np.interp(at, np.arange(len(controls)), channel) for channel in controls.T]
    return np.floor(np.stack(channels, axis=-1) + 0.5).astype(np.uint8)


def colourise(
    values: Real[np.ndarray, "height width"], scale: Scale, *, name: str = "viridis"
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the colour of each value; beyond the scale the end colours, not finite is black."""
    finite = np.isfinite(values)
    fraction = (np.where(finite, values, 0).astype(np.float64) - scale.low) / (
        scale.high - scale.low
    )
    index = np.floor(255 * np.clip(fraction, 0, 1) + 0.5).astype(np.intp)
    colours = colour_table(name)[index]
    return np.where(finite[..., None], colours, 0).astype(np.uint8)


def blend(
    grey: UInt8[np.ndarray, "height width"],
    colours: UInt8[np.ndarray, "height width 3"],
    visible: Bool[np.ndarray, "height width"],
    *,
    opacity: float,
) -> UInt8[np.ndarray, "height width 3"]:
    """Return ``(1 - a) grey + a colour`` with ``a = opacity * visible``, rounded half up.

    Parameters
    ----------
    grey
        The image below.
    colours
        The map above, from `colourise`.
    visible
        True where the map is drawn; False where the image stays as it is, e.g. not finite or below
        the value from which the reader wants to see it.
    opacity
        0 shows the image alone, 1 the map alone.

    Raises
    ------
    RefusedInputError
        If the opacity is outside 0..1.
    """
    if not 0 <= opacity <= 1:
        msg = f"opacity {opacity} is outside the allowed 0 to 1; 0 hides the map, 1 the image."
        raise RefusedInputError(msg)
    share = opacity * visible.astype(np.float64)[..., None]
    mixed = (1 - share) * grey[..., None] + share * colours
    return np.floor(mixed + 0.5).astype(np.uint8)


def colour_bar(
    *, name: str = "viridis", width: int = 256, height: int = 12
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the legend of a map: its colours from low (left) to high (right)."""
    index = np.floor(np.linspace(0, 255, width) + 0.5).astype(np.intp)
    return np.repeat(colour_table(name)[index][None], height, axis=0)
