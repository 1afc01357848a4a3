"""The table of band power of what is seen: absolute where the unit is known, and as shares."""

from typing import Any

import numpy as np

from medconsist.timeseries.band_power import BANDS, band_power
from medconsist.timeseries.recording import Recording

__all__ = ["band_table"]

_MICROVOLTS = 1000.0  # of a millivolt
_PLAIN_TO = 1_000  # a larger number has no digits behind its point
_LEAST = 0.001  # uV^2; below is the noise of rounding


def band_table(
    recording: Recording, *, start_s: float, stop_s: float, millivolts: float | None
) -> dict[str, Any]:
    """Return the rows of the table, as the browser shows them.

    Parameters
    ----------
    recording
        In its montage, after its filter.
    start_s, stop_s
        What is seen [s]; what lies beyond the end is left out.
    millivolts
        Of one unit; None where it is not known: then there are shares alone.

    Raises
    ------
    RefusedInputError
        Nothing is seen, or as for `band_power`.
    """
    info = recording.info
    first, end = (min(max(one, 0.0), info.seconds) for one in (start_s, stop_s))
    start, stop = round(first * info.rate), round(end * info.rate)
    power = band_power(recording.read(start, stop), rate=info.rate)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = 100 * power / power.sum(axis=1, keepdims=True)
    scale = None if millivolts is None else (_MICROVOLTS * millivolts) ** 2
    absolute = "µV² and share" if scale is not None else "share alone: unit unknown"
    return {
        "words": f"Power from {start / info.rate:.2f} to {stop / info.rate:.2f} s ({absolute} of "
        "0.5 to 30 Hz), of the montage and filter that were shown. Welch, windows of at most "
        "4 s. Automatic.",
        "head": [
            "Channel",
            *(f"{name} {low:g}-{high:g} Hz" for name, (low, high) in BANDS.items()),
        ],
        "rows": [
            [name, *(_cell(*one, scale) for one in zip(own, shares, strict=True))]
            for name, own, shares in zip(info.channels, power, share, strict=True)
        ],
    }


def _cell(power: float, share: float, scale: float | None) -> str:
    if not np.isfinite(share):
        return "unknown: samples missing" if np.isnan(power) else "no power"
    said = f"{share:.1f} %"
    if scale is None:
        return said
    value = power * scale
    shown = f"{value:.0f}" if value >= _PLAIN_TO else f"{value:.4g}"
    shown = shown if value >= _LEAST else f"<{_LEAST}"
    return f"{shown} · {said}"
