"""Window and level: which grey a number becomes, the same for every pane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Num, Real, UInt8

from medconsist.errors import RefusedInputError

__all__ = ["PRESETS", "Window", "magnitude", "percentile_window", "to_uint8", "white_level"]

PRESETS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "Auto": (1.0, 99.0),
        "Full range": (0.0, 100.0),
        "High contrast": (20.0, 97.0),
        "Background": (0.0, 60.0),
    }
)
"""Name of a preset and the two percentiles [%] that become black and white."""


@dataclass(frozen=True)
class Window:
    """The interval of values that is drawn from black to white.

    ``level - width / 2`` is black and ``level + width / 2`` is white.

    Parameters
    ----------
    level
        Middle of the interval, in the unit of the image.
    width
        Length of the interval, in the unit of the image, above 0.

    Raises
    ------
    RefusedInputError
        If the width is not above 0, or a number is not finite.

    Examples
    --------
    >>> Window(level=50.0, width=100.0).high
    100.0
    """

    level: float
    width: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.level) and np.isfinite(self.width) and self.width > 0):
            msg = (
                f"window of level {self.level} and width {self.width} cannot be drawn; allowed: "
                "finite numbers and a width above 0. Choose a preset or a larger width."
            )
            raise RefusedInputError(msg)

    @property
    def low(self) -> float:
        """Value that is drawn black."""
        return self.level - self.width / 2

    @property
    def high(self) -> float:
        """Value that is drawn white."""
        return self.level + self.width / 2


def magnitude(image: Num[np.ndarray, "..."]) -> Real[np.ndarray, "..."]:
    """Return ``|image|``, for complex and for real arrays, in the precision of the input."""
    return np.abs(image)


def percentile_window(
    images: Sequence[Real[np.ndarray, "..."]], *, percentiles: tuple[float, float] = (1.0, 99.0)
) -> Window:
    """Return the one window of all panes: two percentiles of their pooled finite values.

    Parameters
    ----------
    images
        Magnitudes of every pane, whole volumes, so that no slice changes its own window.
    percentiles
        Percentiles [%] that become black and white.

    Returns
    -------
        The window. Where both percentiles are equal (a constant image) it is centred on that
        value ``v`` with width ``2 |v|``, or 1 for zeros, so that the image is mid-grey.

    Raises
    ------
    RefusedInputError
        If no value is finite.
    """
    low, high = (float(v) for v in np.percentile(_finite(images), percentiles))
    if high > low:
        return Window(level=(low + high) / 2, width=high - low)
    return Window(level=low, width=2 * abs(low) or 1.0)


def white_level(images: Sequence[Real[np.ndarray, "..."]]) -> float:
    """Return the pooled 99th percentile, the unit of the page's fixed scales; 1 for zeros."""
    return float(np.percentile(_finite(images), 99.0)) or 1.0


def to_uint8(
    image: Real[np.ndarray, "height width"], window: Window, *, invert: bool = False
) -> UInt8[np.ndarray, "height width"]:
    """Return the grey levels, ``floor(255 t + 1/2)`` with ``t = (v - low) / width`` in 0..1.

    Values beyond the window are drawn black and white; inverted, the grey is ``255 - g``. This is
    LINEAR_EXACT of DICOM PS3.3 C.11.2.1.3.2, rounded half up. Row 0 is the top row and column 0
    the left column: the picture is never flipped or turned.

    Raises
    ------
    RefusedInputError
        If a value is not finite: such a pixel has no grey.
    """
    bad = image.size - int(np.isfinite(image).sum())
    if bad:
        msg = (
            f"{bad} of {image.size} pixels are not finite, and such a pixel has no grey. "
            "Reconstruct the case again; the measured data are untouched."
        )
        raise RefusedInputError(msg)
    fraction = (image.astype(np.float64) - window.low) / window.width
    grey = np.floor(255 * np.clip(fraction, 0, 1) + 0.5).astype(np.uint8)
    return 255 - grey if invert else grey


def _finite(images: Sequence[Real[np.ndarray, "..."]]) -> Real[np.ndarray, " values"]:
    pooled = np.concatenate([image[np.isfinite(image)].ravel() for image in images] or [[]])
    if pooled.size == 0:
        msg = (
            f"{len(images)} images hold no finite value, so no window can be chosen. "
            "Open another result of this case."
        )
        raise RefusedInputError(msg)
    return pooled
