"""R peaks in a single lead, by one of two published detectors."""

import warnings
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int64

from medconsist._extras import require
from medconsist.timeseries.resample import resample

__all__ = ["Detector", "lead_peaks"]

Detector = Literal["neurokit", "xqrs"]
_XQRS_RATE = 250.0


def lead_peaks(
    lead: Float[npt.NDArray[np.floating], " time"], *, rate: float, detector: Detector = "neurokit"
) -> Int64[npt.NDArray[np.int64], " peaks"]:
    """Return the R peaks that one detector sees in one lead, ascending.

    Parameters
    ----------
    lead
        Finite, not flat.
    rate
        Samples per second.
    detector
        ``"neurokit"`` (ecg_clean and ecg_peaks, doi 10.3758/s13428-020-01516-y; 0.1 s CPU for half
        an hour of one lead at 360 Hz) or ``"xqrs"`` (wfdb, at 250 Hz at most; ten times that).

    Examples
    --------
    >>> beats = np.exp(-((((np.arange(2500) / 250) % 1.0 - 0.5) / 0.02) ** 2))
    >>> lead_peaks(beats, rate=250.0)[:3].tolist()
    [125, 375, 625]
    """
    peaks = _DETECTORS[detector](lead.astype(np.float64), rate)
    return np.unique(np.asarray(peaks, np.int64))


def _neurokit(lead: npt.NDArray[np.float64], rate: float) -> npt.ArrayLike:
    neurokit = _quietly("neurokit2")
    whole: float = int(rate) if float(rate).is_integer() else rate
    cleaned = neurokit.ecg_clean(lead, sampling_rate=whole)
    with warnings.catch_warnings():
        # A lead without any beat makes it take the mean of nothing; no beat is the answer.
        warnings.simplefilter("ignore", RuntimeWarning)
        _, found = neurokit.ecg_peaks(cleaned, sampling_rate=whole)
    return found["ECG_R_Peaks"]


def _xqrs(lead: npt.NDArray[np.float64], rate: float) -> npt.ArrayLike:
    # At 1000 Hz it finds no beat in 12 of 15 leads of PTB s0010_re, at 250 Hz all in each.
    own = min(rate, _XQRS_RATE)
    slow = resample(lead, rate=rate, to=own)
    peaks = _quietly("wfdb.processing").xqrs_detect(slow, own, verbose=False)
    return np.rint(np.asarray(peaks, np.float64) * rate / own)


def _quietly(module: str) -> ModuleType:
    with warnings.catch_warnings():
        # neurokit2 0.2.12 imports scipy.misc, wfdb 4.3.1 calls what pandas 3 has deprecated.
        warnings.simplefilter("ignore")
        return require(module, extra="timeseries")


_DETECTORS: Mapping[str, Callable[[npt.NDArray[np.float64], float], npt.ArrayLike]] = {
    "neurokit": _neurokit,
    "xqrs": _xqrs,
}
