"""Power of a signal in the bands of the EEG, by Welch's method."""

import numpy as np
from jaxtyping import Float, Float64

from medconsist._extras import require
from medconsist.errors import RefusedInputError

__all__ = ["BANDS", "LEAST_SECONDS", "band_power"]

BANDS: dict[str, tuple[float, float]] = {
    "delta": (0.5, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
}
"""Name to the first frequency that is in it and the first that is not [Hz]."""

LEAST_SECONDS = 2.0
"""A shorter stretch does not hold a whole wave of 0.5 Hz."""

_SEGMENT_S = 4.0  # 0.25 Hz apart, so that every edge lies on a frequency


def band_power(
    signal: Float[np.ndarray, "time channels"], *, rate: float
) -> Float64[np.ndarray, "channels bands"]:
    r"""Return the power of each channel in each of `BANDS`, in the square of its unit.

    Welch's estimate (doi 10.1109/TAU.1967.1161901) over Hann windows of 4 s that overlap by half,
    or one window where there is less, each without its mean; a band is
    :math:`\sum_{f_0 \le f < f_1} S(f) \, \Delta f`, so that bands that meet share no power. A
    channel with a missing sample is NaN.

    Parameters
    ----------
    signal
        At least `LEAST_SECONDS` of it.
    rate
        Samples per second, above 60.

    Raises
    ------
    RefusedInputError
        Too short, or too few samples a second for the highest band.

    Examples
    --------
    >>> time = np.arange(1000) / 250
    >>> band_power(np.sin(2 * np.pi * 10 * time)[:, None], rate=250.0).round(3).tolist()
    [[0.0, 0.0, 0.5, 0.0]]
    """
    highest = max(end for _, end in BANDS.values())
    if len(signal) < LEAST_SECONDS * rate or rate <= 2 * highest:
        msg = (
            f"band power of {len(signal) / rate:.2f} s at {rate:g} Hz; allowed: "
            f"{LEAST_SECONDS:g} s or more, and more than {2 * highest:g} Hz. Show a longer stretch."
        )
        raise RefusedInputError(msg)
    welch = require("scipy.signal", extra="timeseries").welch
    segment = min(len(signal), round(_SEGMENT_S * rate))
    found = [  # a channel at a time: windows of hours of all of them would be many times the signal
        welch(channel.astype(np.float64), fs=rate, window="hann", nperseg=segment)
        for channel in signal.T
    ]
    frequency, density = found[0][0], np.stack([one for _, one in found], axis=1)
    step = frequency[1]
    edge = 1e-6 * step  # 4 Hz is the first frequency of theta, however it was rounded
    inside = [(frequency >= low - edge) & (frequency < high - edge) for low, high in BANDS.values()]
    return np.stack([density[one].sum(axis=0) * step for one in inside], axis=1)
