"""One number for each slice, from the stored arrays: where a reader should look first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from jaxtyping import Real

from medconsist.results.trust import Score
from medconsist.viewing.compare import absolute_difference
from medconsist.viewing.reading import Reading
from medconsist.viewing.trust_maps import style_of

__all__ = ["SliceNumbers", "residual_bands", "slice_numbers"]

_BAND_EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # see ``mri.evidence.residual.BANDS``; the last: rest
_BAND = "residual_band_"
_PEAKS = frozenset({"matched_filter"})
_AS_STORED = "Computed from the stored map"
_WORDS: Mapping[bool, str] = MappingProxyType(
    {
        True: f"{_AS_STORED}: its largest size in each slice.",
        False: f"{_AS_STORED}: its mean size over the finite pixels of each slice.",
    }
)


@dataclass(frozen=True)
class SliceNumbers:
    """A number for each slice; the largest is the worst.

    Parameters
    ----------
    title, words, unit
        What it is, how it was computed from what, and what it counts.
    values
        One for each slice; None where a slice has none.

    Examples
    --------
    >>> SliceNumbers("Uncertainty", "Mean.", "1", (0.1, None, 0.4)).worst
    2
    """

    title: str
    words: str
    unit: str
    values: tuple[float | None, ...]

    @property
    def worst(self) -> int | None:
        """The slice with the largest number, the first of several; None where there is none."""
        known = [(-value, index) for index, value in enumerate(self.values) if value is not None]
        return min(known)[1] if known else None


def slice_numbers(reading: Reading, examined: str) -> list[SliceNumbers]:
    """Return what the stored arrays say of each slice: difference to the reference, then the maps.

    Parameters
    ----------
    reading
        The opened result.
    examined
        Role of the image that is compared with the reference, where there is one.
    """
    found = []
    drawn = {role: pane.values for role, pane in reading.images.items() if pane.values is not None}
    if examined != "reference" and {examined, "reference"} <= drawn.keys():
        found.append(_difference(drawn[examined], drawn["reference"], reading.white))
    for role, pane in reading.maps.items():
        if pane.values is not None:
            found.append(_of_map(role, pane.values))
    return found


def residual_bands(scores: Sequence[Score]) -> list[dict[str, float | int | None]]:
    """Return the stored residual by k-space radius, from the centre outwards; empty if not stored.

    Radii are in half-axes of k-space; the last band reaches into the corners.

    Examples
    --------
    >>> residual_bands([])
    []
    """
    by_name = {score.name: score for score in scores}
    bands = []
    for number, (low, high) in enumerate(pairwise(_BAND_EDGES)):
        score = by_name.get(f"{_BAND}{number}")
        if score is not None:
            facts = {"value": score.value, "expectation": score.expectation, "n": score.n}
            bands.append({"low": low, "high": high, **facts})
    return bands


def _difference(
    image: Real[np.ndarray, "slices height width"],
    reference: Real[np.ndarray, "slices height width"],
    white: float,
) -> SliceNumbers:
    squared = np.square(absolute_difference(image, reference).astype(np.float64))
    share = 100 * np.sqrt(squared.mean(axis=(1, 2))) / white
    words = "Computed from the stored images: root mean square difference to the reference."
    return SliceNumbers(
        "Difference to the reference", words, "% of the white level", tuple(share.tolist())
    )


def _of_map(role: str, values: Real[np.ndarray, "slices height width"]) -> SliceNumbers:
    style, is_peak = style_of(role), role in _PEAKS
    found = tuple(_number(one, is_peak=is_peak) for one in values)
    return SliceNumbers(style.title, _WORDS[is_peak], style.unit, found)


def _number(values: Real[np.ndarray, "height width"], *, is_peak: bool) -> float | None:
    size = np.abs(values[np.isfinite(values)].astype(np.float64))
    if not size.size:
        return None
    return float(size.max() if is_peak else size.mean())
