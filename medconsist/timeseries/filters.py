"""Zero-phase band, high, low and notch filters, and the bands that clinics know by name."""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

from medconsist._extras import require
from medconsist._ids import nearest
from medconsist.errors import RefusedInputError
from medconsist.timeseries.gaps import refuse_nan

__all__ = ["PRESETS", "Band", "band_named", "filtered"]

_F = TypeVar("_F", bound=npt.NDArray[np.floating])
_NOTCH_QUALITY = 30.0  # 50 Hz / 30: a notch 1.7 Hz wide
_PERIODS = 3  # of the slowest corner that pad an end; less where the recording is shorter


@dataclass(frozen=True, kw_only=True)
class Band:
    """What a filter lets through.

    Parameters
    ----------
    above
        Corner of the high-pass [Hz]; None for none.
    below
        Corner of the low-pass [Hz]; None for none.
    notches
        Frequencies that are cut out, 1/30 of each wide [Hz], such as 50 or 60.
    order
        Of the Butterworth filter in one direction.

    Raises
    ------
    RefusedInputError
        No corner at all, one that is not positive, the two in the wrong order, or an order
        that is not of 1 to 8.

    Examples
    --------
    >>> str(Band(above=0.5, below=40.0, notches=(50.0,)))
    '0.5-40 Hz, notch 50 Hz'
    """

    above: float | None = None
    below: float | None = None
    notches: tuple[float, ...] = ()
    order: int = 2

    def __post_init__(self) -> None:
        corners = self.corners
        ordered = self.above is None or self.below is None or self.above < self.below
        if (
            not corners
            or not ordered
            or not all(0 < corner < math.inf for corner in corners)
            or not 1 <= self.order <= 8
        ):
            msg = (
                f"a filter from {self.above} to {self.below} Hz with notches {self.notches} of "
                f"order {self.order} is not possible; allowed: one corner or more, positive, the "
                "lower one first, orders 1 to 8."
            )
            raise RefusedInputError(msg)

    @property
    def corners(self) -> tuple[float, ...]:
        """Every frequency of it [Hz]."""
        ends = tuple(corner for corner in (self.above, self.below) if corner is not None)
        return ends + self.notches

    def __str__(self) -> str:
        both = self.above is not None and self.below is not None
        words = [f"{self.above:g}-{self.below:g} Hz"] if both else []
        if not both and self.above is not None:
            words.append(f"above {self.above:g} Hz")
        if not both and self.below is not None:
            words.append(f"below {self.below:g} Hz")
        return ", ".join(words + [f"notch {notch:g} Hz" for notch in self.notches])


# ECG: diagnostic bandwidth of the AHA/ACC/HRS statement of 2007 (doi
# 10.1161/CIRCULATIONAHA.106.180200), the usual one of monitors; EEG: a common choice, below mains.
PRESETS = {
    "ecg-diagnostic": Band(above=0.05, below=150.0),
    "ecg-monitor": Band(above=0.5, below=40.0),
    "eeg": Band(above=0.5, below=45.0),
}


def band_named(name: str) -> Band:
    """Return one of the presets.

    Raises
    ------
    RefusedInputError
        Another name; says the nearest one.

    Examples
    --------
    >>> str(band_named("ecg-monitor"))
    '0.5-40 Hz'
    """
    if name not in PRESETS:
        msg = f"there is no filter {name!r}. {nearest(name, list(PRESETS))}"
        raise RefusedInputError(msg)
    return PRESETS[name]


def filtered(signal: _F, *, rate: float, band: Band) -> _F:
    """Return a signal after a Butterworth filter run forwards and backwards: no phase, no delay.

    In second-order sections. Run twice, the gain is ``|H|^2``: a corner is at -6 dB and the slope
    that of twice the order. Both ends are continued by their own mirror image about the end point,
    for up to three periods of the slowest corner; where a recording is shorter than that, such as
    10 s under 0.05 Hz, its ends are settled by its own length only.

    Parameters
    ----------
    signal
        ``time`` or ``time channels``, finite.
    rate
        Samples per second.
    band
        What passes.

    Returns
    -------
    signal
        Of the same shape and dtype.

    Raises
    ------
    RefusedInputError
        NaN in the signal, a corner at the Nyquist frequency or beyond, or fewer than two samples.

    Examples
    --------
    >>> filtered(np.ones((500, 1)), rate=250.0, band=Band(above=0.5)).round(6).max().item()
    0.0
    """
    if max(band.corners) >= rate / 2:
        msg = (
            f"a filter of {band} needs more than {2 * max(band.corners):g} samples a second, this "
            f"signal has {rate:g} (Nyquist frequency {rate / 2:g} Hz). Choose a lower corner."
        )
        raise RefusedInputError(msg)
    refuse_nan(signal, doing="be filtered")
    if len(signal) < 2:
        msg = f"a filter needs 2 samples or more, got {len(signal)}."
        raise RefusedInputError(msg)
    scipy_signal = require("scipy.signal", extra="timeseries")
    settled = math.ceil(_PERIODS * rate / min(band.corners))
    padding = min(len(signal) - 1, settled)
    values = signal.astype(np.float64)
    new = scipy_signal.sosfiltfilt(_sections(band, rate), values, axis=0, padlen=padding)
    return new.astype(signal.dtype)


def _sections(band: Band, rate: float) -> Float64[npt.NDArray[np.float64], "sections 6"]:
    # High and low pass apart: a band pass of 0.05-150 Hz in one design loses its lower corner.
    scipy_signal = require("scipy.signal", extra="timeseries")
    sections = [
        scipy_signal.butter(band.order, corner, kind, fs=rate, output="sos")
        for corner, kind in ((band.above, "highpass"), (band.below, "lowpass"))
        if corner is not None
    ]
    for notch in band.notches:
        numerator, denominator = scipy_signal.iirnotch(notch, _NOTCH_QUALITY, fs=rate)
        sections += [scipy_signal.tf2sos(numerator, denominator)]
    return np.concatenate(sections)
