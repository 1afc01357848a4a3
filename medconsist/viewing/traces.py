"""Traces drawn to true scale: SVG paths in millimetres, and the volts that a unit stands for."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Real

from medconsist.timeseries.readers.units import normalise_unit, volts
from medconsist.viewing.markup import safe

__all__ = ["INK", "WARNING", "badge", "document", "line", "millivolts_per", "text", "trace_path"]

INK, WARNING = "#111", "#a40000"
_VOLTAGES = ("V", "mV", "uV", "nV")
_BIN_MM = 0.1
_DENSEST = 40.0  # points a mm; beyond it a bin keeps its ends and its extremes


def millivolts_per(unit: str | None) -> float | None:
    """Return how many millivolts one unit is, or None: then there is no voltage scale.

    Examples
    --------
    >>> millivolts_per("mv"), millivolts_per("z-score")
    (1.0, None)
    """
    plain = normalise_unit(unit)
    return volts(plain) * 1000 if plain in _VOLTAGES else None


def trace_path(x: Float[np.ndarray, " time"], y: Real[np.ndarray, " time"]) -> str:
    """Return the data of an SVG path through points in mm, to 0.01 mm; broken where y is NaN.

    Where more than 40 points fall on a mm, those between the first, last, lowest and highest of
    each 0.1 mm are left out, so that no peak is lost.

    Parameters
    ----------
    x, y
        Places in mm; x grows.
    """
    there = np.isfinite(y)
    starts = np.flatnonzero(there & ~np.concatenate([[False], there[:-1]]))
    ends = np.flatnonzero(there & ~np.concatenate([there[1:], [False]])) + 1
    return "".join(_run(x[a:b], y[a:b]) for a, b in zip(starts, ends, strict=True))


def line(data: str, *, kind: str, colour: str = INK, width: float | int = 0.25) -> str:
    """Return an SVG path; ``kind`` becomes its class, by which it is found again."""
    return (
        f'<path class="{safe(kind)}" d="{data}" fill="none" stroke="{colour}" '
        f'stroke-width="{width}" stroke-linejoin="round" stroke-linecap="round"/>'
    )


def text(
    words: str,
    *,
    at: tuple[float | int, float | int],
    size: float | int = 3.2,
    colour: str = INK,
    weight: str = "normal",
) -> str:
    """Return SVG text, escaped, of a height in mm; ``at`` is the left end of its base line."""
    return (
        f'<text x="{at[0]:.2f}" y="{at[1]:.2f}" font-size="{size}" fill="{colour}" '
        f'font-weight="{weight}" font-family="Helvetica, Arial, sans-serif">{safe(words)}</text>'
    )


def badge(words: str, *, at: tuple[float | int, float | int]) -> str:
    """Return a short warning in a frame; ``at`` is the left end of its base line."""
    frame = (
        f'<rect x="{at[0] - 3:.2f}" y="{at[1] - 4.5:.2f}" width="{1.8 * len(words) + 6:.1f}" '
        f'height="6.5" rx="1.5" fill="#fff" stroke="{WARNING}" stroke-width="0.3"/>'
    )
    return frame + text(words, at=at, colour=WARNING)


def document(
    parts: Iterable[str],
    *,
    width_mm: float | int,
    height_mm: float | int,
    name: str,
    facts: dict[str, str],
) -> str:
    """Return a whole SVG whose unit is the millimetre, on screen at 96 dpi and on paper.

    Parameters
    ----------
    parts
        Elements, already markup.
    width_mm, height_mm
        Size of the page.
    name
        What it shows, for those who do not see it.
    facts
        Attributes ``data-...`` of the root.
    """
    told = "".join(f' data-{key}="{safe(value)}"' for key, value in facts.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width_mm:g}mm" height="{height_mm:g}mm" '
        f'viewBox="0 0 {width_mm:g} {height_mm:g}" role="img"{told}><title>{safe(name)}</title>'
        f'<rect width="{width_mm:g}" height="{height_mm:g}" fill="#fff"/>{"".join(parts)}</svg>'
    )


def _run(x: Float[np.ndarray, " points"], y: Real[np.ndarray, " points"]) -> str:
    if len(x) == 1:
        return f"M{x[0]:.2f},{y[0]:.2f}h0"
    kept = _thinned(x, y)
    points = [f"{a:.2f},{b:.2f}" for a, b in zip(x[kept].tolist(), y[kept].tolist(), strict=True)]
    return f"M{points[0]}L{' '.join(points[1:])}"


def _thinned(x: Float[np.ndarray, " points"], y: Real[np.ndarray, " points"]) -> np.ndarray:
    if len(x) - 1.5 <= _DENSEST * (x[-1] - x[0]):
        return np.arange(len(x))
    place = np.floor((x - x[0]) / _BIN_MM).astype(np.int64)
    by_height = np.lexsort((y, place))
    last = np.flatnonzero(np.diff(place, append=place[-1] + 1))
    first = np.concatenate([[0], last[:-1] + 1])
    return np.unique(np.concatenate([first, last, by_height[first], by_height[last]]))
