"""Statistics of the times between heart beats: the hand-made features of a rhythm."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Float64

from medconsist.timeseries.evaluation.fixed import FixedRepresentation
from medconsist.timeseries.window_set import WindowSet

__all__ = ["RR_NAMES", "RPeaks", "RrFeatures", "rr_statistics"]

RR_NAMES = ("count", "mean", "sd", "rmssd", "pnn50", "least", "most", "median", "cv")
"""Beats, mean and spread of the intervals in s, root mean square and share above 50 ms of their
successive differences, least, most and median in s, spread over mean."""

_STEP = 0.05  # s, of pNN50

RPeaks = Callable[
    [Float32[npt.NDArray[np.float32], "time channels"], float], npt.NDArray[np.float64]
]
"""Takes a window and its rate in Hz, returns the times of its R peaks in seconds, ascending."""


def rr_statistics(times: Float64[npt.NDArray[np.float64], " beats"]) -> npt.NDArray[np.float64]:
    r"""Return the statistics of `RR_NAMES` of beats at these times in seconds.

    With intervals :math:`d_i = t_{i+1} - t_i`: rmssd is :math:`\sqrt{\overline{(d_{i+1} -
    d_i)^2}}`, pnn50 the share of :math:`|d_{i+1} - d_i| > 50` ms. What fewer than two beats (or
    three, for differences) do not give is 0, and the count says so.

    References
    ----------
    Task Force of the European Society of Cardiology, Eur. Heart J. 17 (1996) 354.

    Examples
    --------
    >>> rr_statistics(np.array([0.0, 1.0, 1.9, 3.0])).round(3)[:5].tolist()
    [4.0, 1.0, 0.082, 0.158, 1.0]
    """
    found = np.zeros(len(RR_NAMES))
    found[0] = len(times)
    intervals = np.diff(times)
    if len(intervals):
        mean, spread = intervals.mean(), intervals.std()
        least, most, median = intervals.min(), intervals.max(), np.median(intervals)
        found[[1, 2, 5, 6, 7, 8]] = mean, spread, least, most, median, spread / mean
    steps = np.diff(intervals)
    if len(steps):
        found[3] = np.sqrt(np.square(steps).mean())
        found[4] = (np.abs(steps) > _STEP).mean()
    return found


@dataclass(frozen=True)
class RrFeatures(FixedRepresentation):
    """RR statistics of each window; windows of several seconds are meant.

    Parameters
    ----------
    r_peaks
        Finds the beats; see `RPeaks`.
    name
        As a table prints it.

    Examples
    --------
    >>> RrFeatures(lambda signal, rate: np.arange(0, len(signal) / rate, 1.0)).name
    'RR statistics'
    """

    r_peaks: RPeaks
    name: str = "RR statistics"

    def features(self, windows: WindowSet) -> npt.NDArray[np.float64]:
        """Return the features, ``windows 9``."""
        found = [
            rr_statistics(np.asarray(self.r_peaks(windows.batch([row])[0].numpy(), windows.rate)))
            for row in range(len(windows))
        ]
        return np.stack(found)
