"""Single beats of an ECG, padded to one length: a mended recipe, and COMET's as released."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float32, Int64

from medconsist.errors import RefusedInputError
from medconsist.timeseries.gaps import refuse_nan
from medconsist.timeseries.lead_peaks import Detector, lead_peaks
from medconsist.timeseries.normalise import z_scores
from medconsist.timeseries.r_peaks import RPeaks, r_peaks
from medconsist.timeseries.recording import Recording
from medconsist.timeseries.resample import exact_ratio, resampled_length
from medconsist.timeseries.windows import Cut

__all__ = ["BEATS_A_TRIAL", "cut_beats", "interpolated", "released_beats"]

BEATS_A_TRIAL = 10  # of a pseudo-trial of the released PTB data


def cut_beats(
    recording: Recording,
    *,
    samples: int,
    beats_a_trial: int | None = None,
    detector: Detector = "neurokit",
) -> Cut:
    """Return every whole beat of a recording in the middle of a window, amplitude kept.

    A beat is the time from half a median RR interval before its R peak, which the leads voted for,
    to half an interval behind it; zeros on both sides fill it up to ``samples``. Nothing is scaled.

    Parameters
    ----------
    recording
        At the rate that the beats shall have. A lead with missing samples has no vote on where
        the beats are.
    samples
        Length of a window; the median RR interval must fit.
    beats_a_trial
        Consecutive beats that make a pseudo-trial, as 10 in COMET's data; what is left at the end
        is dropped. None leaves the recording one trial.
    detector
        See `medconsist.timeseries.r_peaks.r_peaks`.

    Returns
    -------
    cut
        ``start`` is where the window begins, padding included; beats that the recording's ends cut
        or that have missing samples are dropped and counted.

    Raises
    ------
    RefusedInputError
        A median RR interval longer than the window, or fewer than two beats.

    Examples
    --------
    >>> from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
    >>> lead = np.exp(-((((np.arange(1000) / 100) % 0.8 - 0.4) / 0.02) ** 2)).astype(np.float32)
    >>> info = RecordingInfo(rate=100.0, channels=("II",), units=("mV",), samples=1000)
    >>> cut_beats(InMemoryRecording(info, lead[:, None]), samples=120).signals.shape[1:]
    (120, 1)
    """
    info, signal = recording.info, recording.read()
    beats = r_peaks(signal, rate=info.rate, leads=info.channels, detector=detector)
    half = _half_interval(beats.rr(), samples, recording)
    cut = _around(signal, beats.samples, half=half, samples=samples)
    return _in_trials(cut, beats_a_trial, notes=_notes(beats, info.source))


def released_beats(
    recording: Recording,
    *,
    samples: int = 300,
    beats_a_trial: int | None = BEATS_A_TRIAL,
) -> Cut:
    """Return beats as COMET's released PTB notebook cuts them, with its flaws.

    Each lead is z-scored over the whole recording; peaks are found lead by lead (neurokit2); the
    ``i``-th beat lies at the median over leads of their ``i``-th peaks; RR is the median over leads
    of each lead's median; windows of one RR around that are padded with zeros to ``samples``.
    Its flaws, kept here on purpose:

    - one missed or extra peak in a lead shifts every later beat of that lead by one, so that the
      median over leads is no beat at all as soon as half of them disagree;
    - z-scoring lead by lead destroys amplitude: ST segments, voltage criteria;
    - its 250 Hz come from linear interpolation of 1000 Hz without any filter (`interpolated`).

    `cut_beats` has none of them. What the notebook does with beats that the recording's ends cut
    is not known to us; here they are dropped and counted, as is a rest of less than a trial.

    Parameters
    ----------
    recording
        At 250 Hz, as the notebook has it, or any other rate.
    samples
        300 in the notebook: recordings of a longer RR interval are refused, as 10 were there.
    beats_a_trial
        As in `cut_beats`.

    Raises
    ------
    RefusedInputError
        As `cut_beats`, missing samples, or a lead of fewer than two beats.

    References
    ----------
    DL4mHealth/COMET at commit a769779 (MIT), preprocessing notebook of PTB; arXiv 2310.14017.
    """
    info, raw = recording.info, recording.read()
    refuse_nan(raw, doing="be cut by the released recipe")
    signal = z_scores(raw).signals
    peaks = [lead_peaks(lead, rate=info.rate) for lead in signal.T]
    fewest = min(len(lead) for lead in peaks)
    if fewest < 2:
        name = info.channels[int(np.argmin([len(lead) for lead in peaks]))]
        msg = (
            f"{info.source}: lead {name} has {fewest} beats, the released recipe needs 2 or more "
            "in each lead. Use cut_beats, which lets such a lead abstain."
        )
        raise RefusedInputError(msg)
    interval = float(np.median([np.median(np.diff(lead)) for lead in peaks]))
    half = _half_interval(interval, samples, recording)
    middle = np.median(np.stack([lead[:fewest] for lead in peaks]), axis=0).astype(np.int64)
    cut = _around(signal, middle, half=half, samples=samples)
    return _in_trials(cut, beats_a_trial, notes=())


def interpolated(
    signal: Float[npt.NDArray[np.floating], "time channels"], *, rate: float, to: float
) -> Float[npt.NDArray[np.floating], "new_time channels"]:
    """Return a signal at another rate by straight lines between samples, as COMET's data were.

    Without a filter: what lies above half of the new rate folds back into the signal. Behind the
    last sample its value is held. `medconsist.timeseries.resample.resample` filters.

    Parameters
    ----------
    signal
        ``time channels``.
    rate, to
        Samples per second, before and after.

    Examples
    --------
    >>> interpolated(np.arange(5.0)[:, None], rate=4.0, to=2.0).ravel().tolist()
    [0.0, 2.0, 4.0]
    """
    times = np.arange(resampled_length(len(signal), exact_ratio(rate, to))) / to
    old = np.arange(len(signal)) / rate
    columns = [np.interp(times, old, channel) for channel in signal.T]
    return np.stack(columns, axis=1).astype(signal.dtype)


def _half_interval(interval: float, samples: int, recording: Recording) -> int:
    half = int(interval / 2)
    if 2 * half > samples:
        msg = (
            f"{recording.info.source}: the median RR interval is {interval:g} samples, a beat has "
            f"room for {samples}. Leave the recording out or take longer beats."
        )
        raise RefusedInputError(msg)
    return half


def _around(
    signal: Float32[npt.NDArray[np.float32], "time channels"],
    peaks: Int64[npt.NDArray[np.int64], " peaks"],
    *,
    half: int,
    samples: int,
) -> Cut:
    inside = peaks[(peaks >= half) & (peaks + half <= len(signal))]
    beats = signal[inside[:, None] + np.arange(-half, half)]
    whole = np.isfinite(beats).all(axis=(1, 2))
    kept = inside[whole]
    before = (samples - 2 * half) // 2
    signals = np.zeros((len(kept), samples, signal.shape[1]), np.float32)
    signals[:, before : before + 2 * half] = beats[whole]
    lost = {"beat cut by an end": len(peaks) - len(inside), "gap": len(inside) - len(kept)}
    return Cut(
        signals=signals,
        start=kept - half - before,
        part=np.zeros_like(kept),
        dropped={reason: count for reason, count in lost.items() if count},
    )


def _in_trials(cut: Cut, beats_a_trial: int | None, *, notes: tuple[str, ...]) -> Cut:
    if beats_a_trial is None:
        return replace(cut, notes=notes)
    if beats_a_trial < 1:
        msg = f"a pseudo-trial of {beats_a_trial} beats is not possible; allowed: 1 or more."
        raise RefusedInputError(msg)
    whole = len(cut) // beats_a_trial * beats_a_trial
    rest = len(cut) - whole
    return Cut(
        signals=cut.signals[:whole],
        start=cut.start[:whole],
        part=np.arange(whole) // beats_a_trial,
        dropped=cut.dropped | ({"rest of a pseudo-trial": rest} if rest else {}),
        notes=notes,
    )


def _notes(beats: RPeaks, source: str) -> tuple[str, ...]:
    if not beats.left_out:
        return ()
    words = ", ".join(f"{name} ({reason})" for name, reason in beats.left_out.items())
    return (f"{source}: without a vote on its beats: {words}.",)
