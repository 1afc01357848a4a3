"""What the browser is given of a recording: a montage, a filter, and a stretch of samples."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from medconsist.errors import RefusedInputError
from medconsist.timeseries.filters import Band, filtered
from medconsist.timeseries.gaps import finite_runs
from medconsist.timeseries.laplacian import laplacian
from medconsist.timeseries.montage import (
    Montage,
    average_reference,
    double_banana,
    in_montage,
    limb_leads,
)
from medconsist.timeseries.recording import InMemoryRecording
from medconsist.viewing.signal_traces import Trace

__all__ = [
    "LEAST_HZ",
    "MOST_VALUES",
    "RECORDED",
    "Stretch",
    "View",
    "extremes",
    "in_view",
    "montage_of",
    "montages",
    "packed",
]

MOST_VALUES = 4_000_000
"""Samples, over all channels, in one answer."""
LEAST_HZ = 0.01
"""A filter with a slower corner needs hours to settle, and one far below it has no numbers."""
RECORDED = "recorded"
_MOST_FILTERED = 60_000_000  # samples over all channels; 0.5 GB while a filter runs
_EEG = {
    "double-banana": double_banana,
    "average": average_reference,
    "laplacian": laplacian,
}
_ECG = {"limb-leads": limb_leads}
_HEAD = struct.Struct("<4I")
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class View:
    """What is done to the samples before they are drawn, and said beside them.

    Parameters
    ----------
    montage
        `RECORDED`, or a name of `montages`.
    above, below
        Corners of high-pass and low-pass, `LEAST_HZ` or more [Hz]; None for none.
    notch
        Frequency that is cut out, `LEAST_HZ` or more [Hz]; None for none.

    Raises
    ------
    RefusedInputError
        Corners that are not possible.

    Examples
    --------
    >>> str(View(above=0.5, below=40.0).band)
    '0.5-40 Hz'
    """

    montage: str = RECORDED
    above: float | int | None = None
    below: float | int | None = None
    notch: float | int | None = None

    def __post_init__(self) -> None:
        corners = () if self.band is None else self.band.corners
        if corners and min(corners) < LEAST_HZ:
            msg = f"a corner of {min(corners):g} Hz; allowed: {LEAST_HZ} Hz or more."
            raise RefusedInputError(msg)

    @property
    def band(self) -> Band | None:
        """The filter, None for none."""
        ends = [None if one is None else float(one) for one in (self.above, self.below)]
        notches = () if self.notch is None else (float(self.notch),)
        if ends == [None, None] and not notches:
            return None
        return Band(above=ends[0], below=ends[1], notches=notches)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Samples of a recording.

    Parameters
    ----------
    start, stop
        First sample, and the one after the last.
    points
        Where there are more samples a channel, each of so many parts gives its least and its
        largest; None gives all.
    channel
        One channel alone; None for all.

    Raises
    ------
    RefusedInputError
        No such stretch.

    Examples
    --------
    >>> Stretch(start=0, stop=500).points is None
    True
    """

    start: int
    stop: int
    points: int | None = None
    channel: int | None = None

    def __post_init__(self) -> None:
        points = 1 if self.points is None else self.points
        if not 0 <= self.start < self.stop or not 1 <= points <= MOST_VALUES:
            msg = (
                f"samples {self.start} to {self.stop} in {self.points} parts; allowed: a start of "
                f"0 or more, a later end, 1 to {MOST_VALUES} parts."
            )
            raise RefusedInputError(msg)


def montages(trace: Trace) -> Mapping[str, str]:
    """Return the montages that these channels have, each with why it cannot be; empty if it can.

    Examples
    --------
    >>> one = Trace(number=0, role="signal_0", channels=("I", "II"), unit="mV", rate=500.0,
    ...             samples=9)
    >>> montages(one)
    {'recorded': '', 'limb-leads': ''}
    """
    found = {RECORDED: ""}
    for name in {"eeg": _EEG, "ecg": _ECG}.get(trace.kind, {}):
        try:
            made = montage_of(trace.channels, name)
        except RefusedInputError as error:
            found[name] = str(error)
            continue
        if made.outputs != trace.channels or trace.kind == "eeg":
            found[name] = ""
    return found


def montage_of(channels: tuple[str, ...], name: str) -> Montage:
    """Return a montage by its name.

    Raises
    ------
    RefusedInputError
        No such name, or a channel that it needs is missing.
    """
    made = {**_EEG, **_ECG}.get(name)
    if made is None:
        msg = f"there is no montage of that name; allowed: {', '.join([RECORDED, *_EEG, *_ECG])}."
        raise RefusedInputError(msg)
    return made(channels)


def in_view(recording: InMemoryRecording, view: View) -> InMemoryRecording:
    """Return a recording in a montage and after a filter without phase, gaps left as they are.

    Each stretch between gaps (NaN) is filtered by itself, channel by channel. Sums are made in
    double precision; the recorded montage without a filter is the recording itself, bit for bit.

    Raises
    ------
    RefusedInputError
        The montage is not possible, a corner is at the Nyquist frequency or beyond, or the
        recording is too long to be filtered while somebody waits.
    """
    if view.montage != RECORDED:
        recording = in_montage(recording, montage_of(recording.info.channels, view.montage))
    signal = recording.read()
    if view.band is not None:
        if signal.size > _MOST_FILTERED:
            msg = (
                f"{signal.size} samples are too many to be filtered here; allowed: "
                f"{_MOST_FILTERED}. Look at it unfiltered, or cut the recording."
            )
            raise RefusedInputError(msg)
        signal = _filtered(signal, rate=recording.info.rate, band=view.band)
    return InMemoryRecording(recording.info, signal)


def packed(recording: InMemoryRecording, stretch: Stretch) -> bytes:
    """Return samples as the browser reads them: four numbers of 32 bits, then float32.

    The numbers are the version 1, channels, columns and numbers a column: 1 where each column is a
    sample, 2 where it is least and largest of a part. All of the first channel come first; a
    missing sample is NaN. Everything is little-endian.

    Raises
    ------
    RefusedInputError
        The stretch lies outside of the recording, or is too long for one answer.
    """
    info = recording.info
    count = len(info.channels)
    if stretch.stop > info.samples or not 0 <= (stretch.channel or 0) < count:
        msg = (
            f"samples to {stretch.stop} of channel {stretch.channel}; there are {info.samples} of "
            f"{count} channels."
        )
        raise RefusedInputError(msg)
    values = recording.read(stretch.start, stretch.stop)
    if stretch.channel is not None:
        values = values[:, stretch.channel : stretch.channel + 1]
    each, columns = 1, len(values)
    if stretch.points is not None and columns > 2 * stretch.points:
        each, columns = 2, stretch.points
    if each * columns * values.shape[1] > MOST_VALUES:
        msg = f"{columns * values.shape[1]} samples are too many for one answer; ask for parts."
        raise RefusedInputError(msg)
    shown = extremes(values, columns) if each == 2 else values.T
    head = _HEAD.pack(_VERSION, values.shape[1], columns, each)
    return head + np.ascontiguousarray(shown, "<f4").tobytes()


def extremes(
    values: Float32[np.ndarray, "time channels"], parts: int
) -> Float32[np.ndarray, "channels parts 2"]:
    """Return least and largest of each of ``parts`` equal parts; missing where all are missing.

    Examples
    --------
    >>> extremes(np.array([[1.0], [3.0], [2.0], [0.0]], np.float32), 2).tolist()
    [[[1.0, 3.0], [0.0, 2.0]]]
    """
    begins = np.arange(parts) * len(values) // parts
    low = np.fmin.reduceat(values, begins, axis=0)
    high = np.fmax.reduceat(values, begins, axis=0)
    return np.stack([low.T, high.T], axis=-1)


def _filtered(
    signal: Float32[np.ndarray, "time channels"], *, rate: float, band: Band
) -> Float32[np.ndarray, "time channels"]:
    if np.isfinite(signal).all():
        return filtered(signal, rate=rate, band=band)
    new = np.full_like(signal, math.nan)
    for column in range(signal.shape[1]):
        one = signal[:, column : column + 1]
        for start, stop in finite_runs(one).tolist():
            if stop - start > 1:
                run = filtered(one[start:stop], rate=rate, band=band)
                new[start:stop, column] = run[:, 0]
    return new
