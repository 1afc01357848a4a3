"""QT and heart rate of an ECG, measured by a program and checked by nobody, or why not."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from medconsist.errors import RefusedInputError
from medconsist.timeseries.filters import Band, filtered
from medconsist.timeseries.r_peaks import r_peaks
from medconsist.timeseries.readers.channel_names import TWELVE_LEADS, normalise_channel
from medconsist.timeseries.recording import InMemoryRecording

__all__ = ["AUTOMATIC", "EcgIntervals", "bazett", "ecg_intervals", "fridericia"]

AUTOMATIC = "automatic, unchecked"
_METHOD = "Beats by neurokit2, median beat, end of T by tangents"
_SLOWEST_RATE = 200.0  # Hz: a sample is 5 ms
_SHORTEST_S, _LONGEST_S = 4.0, 60.0
_LEAST_BEATS = 3
_BAND = Band(above=0.5, below=45.0)
_BEFORE_S, _AFTER_S = 0.25, 0.65  # of a beat, about R
_STEEP = 0.1  # of the largest slope: QRS begins and ends there
_TANGENT_S = 0.02  # on either side; shorter ones follow the noise
_QT_S = (0.2, 0.7)
_LEAST_T = 0.03  # of the height of QRS; a flatter T has no end that can be told
_SPREAD_S = 0.06  # between the quartiles of leads; beyond it they do not mean one thing
_UNEVEN = 0.15
_ALIKE_S = 0.01


@dataclass(frozen=True, kw_only=True)
class EcgIntervals:
    """RR by a vote of all leads; QT the median over the leads, each in its median beat.

    Parameters
    ----------
    beats
        That were found.
    leads, of_leads
        In which QT was measured, and all of the twelve that were recorded.
    rr_ms, qt_ms
        Medians.
    qt_low_ms, qt_high_ms
        Quartiles over the leads: how far they disagree, no confidence interval.
    shown
        A lead next to the median, II if it is one, whose marks are drawn.
    marks
        Begin of QRS and end of T [s of the recording]: those of the median beat, at each beat.
    span_s
        First and last second that were looked at.
    doubt
        What makes a corrected QT doubtful; empty for nothing.

    Examples
    --------
    >>> one = EcgIntervals(beats=9, leads=8, of_leads=12, rr_ms=640.0, qt_ms=360.0,
    ...                    qt_low_ms=355.0, qt_high_ms=364.0, shown="II", marks=((0.1, 0.46),),
    ...                    span_s=(0.0, 6.0), doubt="")
    >>> one.bazett_ms, round(one.bpm, 2)
    (450.0, 93.75)
    """

    beats: int
    leads: int
    of_leads: int
    rr_ms: float
    qt_ms: float
    qt_low_ms: float
    qt_high_ms: float
    shown: str
    marks: tuple[tuple[float, float], ...]
    span_s: tuple[float, float]
    doubt: str

    @property
    def bpm(self) -> float:
        """Beats a minute, from the median RR."""
        return 60_000 / self.rr_ms

    @property
    def bazett_ms(self) -> float:
        """QTc by `bazett`."""
        return bazett(self.qt_ms, self.rr_ms)

    @property
    def fridericia_ms(self) -> float:
        """QTc by `fridericia`."""
        return fridericia(self.qt_ms, self.rr_ms)

    @property
    def words(self) -> str:
        """Every number, how it was measured, and that nobody has checked it."""
        doubt = f" {self.doubt}" if self.doubt else ""
        return (
            f"{AUTOMATIC.capitalize()}, {self.span_s[0]:.1f} to {self.span_s[1]:.1f} s: RR "
            f"{self.rr_ms:.0f} ms ({self.bpm:.0f} bpm, {self.beats} "
            f"beats), QT {self.qt_ms:.0f} ms (quartiles {self.qt_low_ms:.0f} to "
            f"{self.qt_high_ms:.0f}, {self.leads} of {self.of_leads} leads), QTc Bazett "
            f"{self.bazett_ms:.0f} ms, Fridericia {self.fridericia_ms:.0f} ms. {_METHOD}; marks "
            f"are those of {self.shown}.{doubt}"
        )


def bazett(qt_ms: float | int, rr_ms: float | int) -> float:
    r"""Return :math:`QT / \sqrt{RR / 1 s}` [ms] (Bazett 1920, Heart 7:353)."""
    return float(qt_ms / (rr_ms / 1000) ** 0.5)


def fridericia(qt_ms: float | int, rr_ms: float | int) -> float:
    r"""Return :math:`QT / \sqrt[3]{RR / 1 s}` [ms] (doi:10.1111/j.0954-6820.1920.tb18266.x)."""
    return float(qt_ms / (rr_ms / 1000) ** (1 / 3))


def ecg_intervals(recording: InMemoryRecording, *, start_s: float | int = 0.0) -> EcgIntervals:
    """Return RR and QT of up to a minute.

    Beats by `r_peaks`. The samples from 0.5 to 45 Hz (zero phase) around each beat give a median
    beat of each lead. QRS begins where the slope, root mean square over the leads, was last below a
    tenth of its largest before R. T ends where the tangent at the steepest place behind its peak
    meets the line before QRS (Lepeschkin, Surawicz 1952, doi:10.1161/01.CIR.6.3.378), in each lead
    by itself. QT is the median over the leads.

    Parameters
    ----------
    recording
        As recorded, unfiltered.
    start_s
        From here on; where less than 10 s are left, the last minute.

    Raises
    ------
    RefusedInputError
        No lead of the twelve, less than 4 s, fewer than 200 samples a second, too few beats, no T
        that can be told in half of the leads, or leads that disagree.
    """
    info = recording.info
    names = {normalise_channel(name): place for place, name in enumerate(info.channels)}
    leads = {name: names[name] for name in TWELVE_LEADS if name in names}
    if not leads:
        msg = f"QT is not measured: none of {', '.join(TWELVE_LEADS)} was recorded."
        raise RefusedInputError(msg)
    if info.rate < _SLOWEST_RATE or info.seconds < _SHORTEST_S:
        msg = (
            f"QT is not measured: {info.seconds:.3g} s at {info.rate:g} Hz; needed are "
            f"{_SHORTEST_S:g} s and {_SLOWEST_RATE:g} Hz, at which a sample is 5 ms."
        )
        raise RefusedInputError(msg)
    first = _first(info.samples, info.rate, float(start_s))
    stop = min(info.samples, first + round(_LONGEST_S * info.rate))
    values = recording.read(first, stop)[:, list(leads.values())]
    whole = np.isfinite(values).all(axis=0) & (np.nanmax(values, 0) > np.nanmin(values, 0))
    usable = [name for name, is_whole in zip(leads, whole, strict=True) if is_whole]
    if not usable:
        msg = "QT is not measured: every lead has missing samples or is flat here."
        raise RefusedInputError(msg)
    peaks = r_peaks(values[:, whole], rate=info.rate, leads=usable).samples
    beat = _median_beat(values[:, whole], peaks, info.rate)
    ends = {
        name: end
        for name, lead in zip(usable, beat.leads.T, strict=True)
        if (end := _end_of_t(lead, beat)) is not None
    }
    return _together(beat, ends, of_leads=len(leads), span_s=(first / info.rate, stop / info.rate))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Beat:
    """The median beat; ``onset`` and ``end`` of QRS in samples of it, R lies at ``before``."""

    leads: Float[np.ndarray, "time leads"]
    peaks: Int64[np.ndarray, " beats"]
    rate: float
    before: int
    onset: int
    end: int

    @property
    def rr_s(self) -> float:
        return float(np.median(np.diff(self.peaks))) / self.rate


def _first(samples: int, rate: float, start_s: float) -> int:
    first = min(max(round(start_s * rate), 0), samples)
    if (samples - first) / rate >= 10:
        return first
    return max(0, samples - round(_LONGEST_S * rate))


def _median_beat(
    values: Float32[np.ndarray, "time leads"], peaks: Int64[np.ndarray, " beats"], rate: float
) -> _Beat:
    before, after = round(_BEFORE_S * rate), round(_AFTER_S * rate)
    whole = peaks[(peaks >= before) & (peaks + after <= len(values))]
    if len(whole) < _LEAST_BEATS:
        msg = f"QT is not measured: {len(whole)} whole beats; needed are {_LEAST_BEATS} or more."
        raise RefusedInputError(msg)
    smooth = filtered(values.astype(np.float64), rate=rate, band=_BAND)
    beats = np.stack([smooth[peak - before : peak + after] for peak in whole.tolist()])
    leads = np.median(beats, axis=0)
    slope = np.sqrt(np.square(np.gradient(leads, axis=0)).mean(axis=1))
    near = round(0.08 * rate)
    steepest = before - near + int(slope[before - near : before + near].argmax())
    flat = slope < _STEEP * slope[steepest]
    earlier = np.flatnonzero(flat[:before])
    later = np.flatnonzero(flat[before + round(0.02 * rate) :])
    if not len(earlier) or not len(later):
        msg = "QT is not measured: QRS has no begin or no end that can be told."
        raise RefusedInputError(msg)
    return _Beat(
        leads=leads,
        peaks=peaks,
        rate=rate,
        before=before,
        onset=int(earlier[-1]) + 1,
        end=before + round(0.02 * rate) + int(later[0]),
    )


def _end_of_t(lead: Float[np.ndarray, " time"], beat: _Beat) -> float | None:
    """Return the sample of the median beat at which T ends; None where that cannot be told."""
    rate = beat.rate
    quiet = lead[max(0, beat.onset - round(0.03 * rate)) : beat.onset]
    away = lead - (np.median(quiet) if len(quiet) else 0.0)
    start = beat.end + round(0.06 * rate)
    stop = min(len(lead) - 2, beat.onset + round(min(_QT_S[1], 0.85 * beat.rr_s) * rate))
    if stop - start < round(0.1 * rate):
        return None
    top = start + int(np.abs(away[start:stop]).argmax())
    slope = _slope(away, round(_TANGENT_S * rate)) * np.sign(away[top])
    behind = slope[top : min(stop, top + round(0.2 * rate))]
    if top in (start, stop - 1) or not len(behind) or behind.min() >= 0:
        return None
    if abs(away[top]) < _LEAST_T * np.ptp(lead[beat.onset : beat.end]):
        return None
    steepest = top + int(behind.argmin())
    end = steepest - away[steepest] * np.sign(away[top]) / slope[steepest]
    qt = (end - beat.onset) / rate
    return float(end) if _QT_S[0] <= qt <= min(_QT_S[1], beat.rr_s) else None


def _slope(values: Float[np.ndarray, " time"], reach: int) -> Float[np.ndarray, " time"]:
    """Return the rise per sample over ``reach`` samples on either side."""
    padded = np.pad(values, reach, mode="edge")
    return (padded[2 * reach :] - padded[: -2 * reach]) / (2 * reach)


def _together(
    beat: _Beat, ends: Mapping[str, float], *, of_leads: int, span_s: tuple[float, float]
) -> EcgIntervals:
    if not ends or 2 * len(ends) < of_leads:
        msg = (
            f"QT is not measured: T has an end that can be told in {len(ends)} of {of_leads} "
            "leads; needed are half of them."
        )
        raise RefusedInputError(msg)
    qt = (np.array(list(ends.values())) - beat.onset) / beat.rate
    low, middle, high = np.quantile(qt, (0.25, 0.5, 0.75)).tolist()
    if high - low > _SPREAD_S:
        msg = (
            f"QT is not measured: its quartiles over {len(qt)} leads are {1000 * low:.0f} and "
            f"{1000 * high:.0f} ms, so the end of T was not found reliably."
        )
        raise RefusedInputError(msg)
    far = np.abs(qt - middle)
    alike = [name for name, one in zip(ends, far, strict=True) if one <= far.min() + _ALIKE_S]
    shown = "II" if "II" in alike else alike[0]
    rr = np.diff(beat.peaks)
    uneven = float(np.subtract(*np.quantile(rr, (0.75, 0.25))) / np.median(rr))
    doubt = (
        f"RR varies by {100 * uneven:.0f} % between its quartiles: no correction for the rate "
        "holds in an uneven rhythm."
    )
    begins = span_s[0] + (beat.peaks - beat.before + beat.onset) / beat.rate
    length = (ends[shown] - beat.onset) / beat.rate
    return EcgIntervals(
        beats=len(beat.peaks),
        leads=len(ends),
        of_leads=of_leads,
        rr_ms=1000 * beat.rr_s,
        qt_ms=1000 * middle,
        qt_low_ms=1000 * low,
        qt_high_ms=1000 * high,
        shown=shown,
        marks=tuple((begin, begin + length) for begin in begins.tolist()),
        span_s=span_s,
        doubt=doubt if uneven > _UNEVEN else "",
    )
