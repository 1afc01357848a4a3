"""How good each channel of each window is, in numbers, a state, and the reasons for it."""

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float64, Int8

from medconsist.errors import RefusedInputError
from medconsist.timeseries.lead_peaks import lead_peaks
from medconsist.timeseries.peak_score import compare_peaks

__all__ = [
    "ECG_LIMITS",
    "EEG_LIMITS",
    "Limits",
    "Quality",
    "QualityState",
    "detector_agreement",
    "signal_quality",
]

_CLIPPED = 3  # equal samples at an extreme: two can be chance at 12 bits
# At 500 Hz and 5 uV a bit, sound records of CinC 2021 repeat half of all samples for some ms.
_FLAT_SECONDS = 0.1


class QualityState(IntEnum):
    """What a channel of a window is good for.

    Examples
    --------
    >>> max(QualityState.USABLE, QualityState.DOUBTFUL).name
    'DOUBTFUL'
    """

    USABLE = 0
    DOUBTFUL = 1
    UNUSABLE = 2


@dataclass(frozen=True, kw_only=True)
class Limits:
    """From where on a channel is doubtful, and unusable: pairs of the two.

    The numbers of the presets are ours, set by eye on few recordings; they are no clinical
    standard. For ECG, kurtosis above 5 and agreement of detectors are the measures of Li, Mark and
    Clifford (doi 10.1088/0967-3334/29/1/002), where a clean beat is what makes the tails heavy.

    Parameters
    ----------
    band
        What the signal is made of [Hz]; power outside of it is disturbance.
    missing, flat, clipped, out_of_band
        Shares from 0 to 1; a value above the first is doubtful, above the second unusable.
    kurtosis
        Allowed range (Fisher's plus 3: a Gaussian has 3); outside is doubtful.
    agreement
        Of two detectors of beats; below the first is doubtful, below the second unusable.

    Examples
    --------
    >>> ECG_LIMITS.band
    (0.5, 40.0)
    """

    band: tuple[float, float]
    missing: tuple[float, float] = (0.0, 0.1)
    flat: tuple[float, float] = (0.2, 0.9)
    clipped: tuple[float, float] = (0.01, 0.1)
    out_of_band: tuple[float, float] = (0.5, 0.9)
    kurtosis: tuple[float, float]
    agreement: tuple[float, float] = (0.9, 0.5)


ECG_LIMITS = Limits(band=(0.5, 40.0), kurtosis=(5.0, float("inf")))
EEG_LIMITS = Limits(band=(0.5, 45.0), kurtosis=(1.5, 8.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Quality:
    """Measures of each window and channel; all arrays are ``windows channels``.

    Parameters
    ----------
    missing
        Share of samples that are not finite.
    flat
        Share of samples within runs of equal ones that last 0.1 s or longer.
    clipped
        Share of samples within runs of 3 or more at the largest or the smallest value of a channel
        that is not flat altogether.
    out_of_band
        Share of the power (mean removed, Hann taper) outside of the band; NaN where nothing varies
        or samples are missing.
    kurtosis
        Fourth moment over squared second; NaN as above.
    agreement
        Beats that two detectors share, of all that either found; NaN where it was not asked for.
    limits
        What the state is judged by.

    Examples
    --------
    >>> flat = signal_quality(np.zeros((1, 500, 1), np.float32), rate=250.0, limits=ECG_LIMITS)
    >>> QualityState(flat.state[0, 0]).name, flat.reasons(0, 0)
    ('UNUSABLE', ('flat 100 %',))
    """

    missing: Float64[npt.NDArray[np.float64], "windows channels"]
    flat: Float64[npt.NDArray[np.float64], "windows channels"]
    clipped: Float64[npt.NDArray[np.float64], "windows channels"]
    out_of_band: Float64[npt.NDArray[np.float64], "windows channels"]
    kurtosis: Float64[npt.NDArray[np.float64], "windows channels"]
    agreement: Float64[npt.NDArray[np.float64], "windows channels"]
    limits: Limits

    @property
    def state(self) -> Int8[npt.NDArray[np.int8], "windows channels"]:
        """`QualityState` of each, the worst of its measures."""
        levels = list(self._levels().values())
        return np.max(np.stack(levels), axis=0).astype(np.int8)

    def reasons(self, window: int, channel: int) -> tuple[str, ...]:
        """Return why a channel of a window is not usable; empty where it is."""
        found = []
        for name, level in self._levels().items():
            if level[window, channel] > QualityState.USABLE:
                value = float(getattr(self, name)[window, channel])
                shown = f"{value:.1f}" if name == "kurtosis" else f"{100 * value:.0f} %"
                found.append(f"{name.replace('_', ' ')} {shown}")
        return tuple(found)

    def _levels(self) -> dict[str, npt.NDArray[np.int64]]:
        limits = self.limits
        levels = {
            name: _above(getattr(self, name), getattr(limits, name))
            for name in ("missing", "flat", "clipped", "out_of_band")
        }
        low, high = limits.kurtosis
        # Comparisons with NaN are False: what could not be measured accuses nobody.
        levels["kurtosis"] = ((self.kurtosis < low) | (self.kurtosis > high)).astype(np.int64)
        doubtful, unusable = limits.agreement
        levels["agreement"] = (self.agreement < doubtful).astype(np.int64) + (
            self.agreement < unusable
        )
        return levels


def signal_quality(
    windows: Float[npt.NDArray[np.floating], "windows time channels"],
    *,
    rate: float,
    limits: Limits,
    agreement: Float64[npt.NDArray[np.float64], "windows channels"] | None = None,
) -> Quality:
    """Return the quality of each channel of each window; nothing is dropped or mended.

    Parameters
    ----------
    windows
        Raw samples: after a filter no plateau is left to see.
    rate
        Samples per second.
    limits
        ``ECG_LIMITS``, ``EEG_LIMITS`` or your own.
    agreement
        Of `detector_agreement`, for ECG.

    Raises
    ------
    RefusedInputError
        The band reaches beyond the Nyquist frequency, or windows of 0.1 s or less.
    """
    samples = windows.shape[1]
    run = max(_CLIPPED, math.ceil(_FLAT_SECONDS * rate))
    if limits.band[1] > rate / 2 or samples <= run:
        msg = (
            f"quality in {limits.band} Hz needs {2 * limits.band[1]:g} samples a second or more "
            f"and windows of more than {run} samples, got {rate:g} Hz and {samples} samples."
        )
        raise RefusedInputError(msg)
    values = windows.astype(np.float64)
    known = np.isfinite(values)
    equal = np.diff(values, axis=1) == 0
    flat = _runs(equal, run)
    whole = known.all(axis=1)
    varies = whole & ~equal.all(axis=1)
    top = np.where(known, values, -np.inf).max(axis=1, keepdims=True)
    bottom = np.where(known, values, np.inf).min(axis=1, keepdims=True)
    extreme = _runs(equal, _CLIPPED) & ((values == top) | (values == bottom)) & (top > bottom)
    unknown = np.full(known.shape[::2], np.nan)
    return Quality(
        missing=1 - known.mean(axis=1),
        flat=flat.mean(axis=1),
        clipped=extreme.mean(axis=1),
        out_of_band=np.where(varies, _outside(values, rate, limits.band), np.nan),
        kurtosis=np.where(varies, _kurtosis(values), np.nan),
        agreement=unknown if agreement is None else agreement,
        limits=limits,
    )


def detector_agreement(
    windows: Float[npt.NDArray[np.floating], "windows time leads"], *, rate: float
) -> Float64[npt.NDArray[np.float64], "windows leads"]:
    """Return how far two detectors of beats agree in each lead of each window, from 0 to 1.

    Beats within 150 ms that neurokit2 and xqrs share, of all that either found: the measure bSQI
    (doi 10.1088/0967-3334/29/1/002) with these two. 0 where neither finds a beat; NaN where
    samples are missing or nothing varies.

    Parameters
    ----------
    windows
        3 s or more each.
    rate
        Samples per second.
    """
    agreement = np.full(windows.shape[::2], np.nan)
    for place in np.ndindex(*agreement.shape):
        lead = windows[place[0], :, place[1]].astype(np.float64)
        if np.isfinite(lead).all() and lead.min() < lead.max():
            first = lead_peaks(lead, rate=rate, detector="neurokit")
            second = lead_peaks(lead, rate=rate, detector="xqrs")
            agreement[place] = (
                compare_peaks(first, second, rate=rate).agreement
                if len(first) or len(second)
                else 0.0
            )
    return agreement


def _above(value: npt.NDArray[np.float64], limit: tuple[float, float]) -> npt.NDArray[np.int64]:
    return (value > limit[0]).astype(np.int64) + (value > limit[1])


def _runs(equal: npt.NDArray[np.bool_], run: int) -> npt.NDArray[np.bool_]:
    """Return which samples lie in a run of ``run`` or more, from which equal their predecessor."""
    windows, pairs, channels = equal.shape
    counts = np.zeros((windows, pairs + 1, channels), np.int64)
    np.cumsum(equal, axis=1, out=counts[:, 1:])
    begins = counts[:, run - 1 :] - counts[:, : pairs + 2 - run] == run - 1
    cover = np.zeros((windows, pairs + 2, channels), np.int64)
    cover[:, : begins.shape[1]] += begins
    cover[:, run : run + begins.shape[1]] -= begins
    return cover.cumsum(axis=1)[:, :-1] > 0


def _outside(
    values: npt.NDArray[np.float64], rate: float, band: tuple[float, float]
) -> npt.NDArray[np.float64]:
    known = np.where(np.isfinite(values), values, 0.0)
    centred = known - known.mean(axis=1, keepdims=True)
    taper = np.hanning(values.shape[1])[None, :, None]
    power = np.abs(np.fft.rfft(centred * taper, axis=1)) ** 2
    frequency = np.fft.rfftfreq(values.shape[1], 1 / rate)
    inside = (frequency >= band[0]) & (frequency <= band[1])
    total = power.sum(axis=1)
    return 1 - power[:, inside].sum(axis=1) / np.where(total > 0, total, 1.0)


def _kurtosis(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    known = np.where(np.isfinite(values), values, 0.0)
    squares = (known - known.mean(axis=1, keepdims=True)) ** 2
    variance = squares.mean(axis=1)
    return (squares**2).mean(axis=1) / np.where(variance > 0, variance, 1.0) ** 2
