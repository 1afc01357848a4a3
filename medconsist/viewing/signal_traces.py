"""The recordings of a stored result: leads, rate and unit, as far as each is known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from medconsist.errors import MissingInputError
from medconsist.results.schema import ArrayRecord, Result
from medconsist.results.store import StoredResult
from medconsist.timeseries.readers.channel_names import (
    TWELVE_LEADS,
    kind_of_channel,
    normalise_channel,
)
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
from medconsist.viewing.markup import readable
from medconsist.viewing.traces import millivolts_per

__all__ = ["Trace", "is_span", "recording_of", "trace_numbered", "traces_of"]

_ROLE = "signal_"
_AXES = ("time", "channels")
_LONGEST_NAME = 24


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One stored recording.

    Parameters
    ----------
    number
        Of the recording in its result.
    role
        Of the array.
    channels
        Names; ``channel 1`` and so on where the result does not surely say them.
    unit
        Of all channels; None where it is unknown, or several.
    rate
        Samples per second.
    samples
        Per channel.

    Examples
    --------
    >>> trace = Trace(number=0, role="signal_0", channels=("II",), unit="mV", rate=500.0,
    ...               samples=5000)
    >>> trace.kind, trace.millivolts
    ('ecg', 1.0)
    """

    number: int
    role: str
    channels: tuple[str, ...]
    unit: str | None
    rate: float
    samples: int

    @property
    def kind(self) -> Literal["ecg", "eeg", "other"]:
        """What most of the channels are by their names."""
        if any(normalise_channel(name) in TWELVE_LEADS for name in self.channels):
            return "ecg"
        found = sum(kind_of_channel(name) == "eeg" for name in self.channels)
        return "eeg" if 2 * found > len(self.channels) else "other"

    @property
    def millivolts(self) -> float | None:
        """How many millivolts a unit is; None where there must be no voltage scale."""
        return millivolts_per(self.unit)

    @property
    def why_no_scale(self) -> str:
        """Why there is no voltage scale; empty where there is one."""
        if self.millivolts is not None:
            return ""
        known = "is not known" if self.unit is None else f"is {readable(self.unit)}, no voltage"
        return (
            f"No voltage scale: the unit of these samples {known}. Each lead is drawn to its own "
            "size, without millivolts, calibration pulse or horizontal lines."
        )


def traces_of(result: Result) -> tuple[Trace, ...]:
    """Return the recordings of a result, by number; one whose rate is not stored is left out."""
    found = [_trace(result, record) for record in result.arrays if record.axes == _AXES]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.number))


def trace_numbered(result: Result, number: int) -> Trace:
    """Return one of `traces_of`.

    Raises
    ------
    MissingInputError
        There is none of that number.
    """
    for trace in traces_of(result):
        if trace.number == number:
            return trace
    msg = f"this result has no recording {number}."
    raise MissingInputError(msg)


def is_span(at: Any, trace: Trace) -> bool:  # noqa: ANN401  of a browser
    """Say whether something is two times [s] within a recording, in any order."""
    return (
        isinstance(at, list | tuple)
        and len(at) == 2
        and all(isinstance(one, int | float) and not isinstance(one, bool) for one in at)
        and all(0 <= one <= trace.samples / trace.rate for one in at)
    )


def recording_of(stored: StoredResult, trace: Trace) -> InMemoryRecording:
    """Return the samples of a recording, verified, with what is known about them.

    Raises
    ------
    CorruptResultError
        A byte differs from what was stored.
    """
    info = RecordingInfo(
        rate=trace.rate,
        channels=trace.channels,
        units=(trace.unit,) * len(trace.channels),
        samples=trace.samples,
        source=f"recording {trace.number}",
    )
    return InMemoryRecording(info, stored.array(trace.role).astype(np.float32))


def _trace(result: Result, record: ArrayRecord) -> Trace | None:
    number, place = record.role.removeprefix(_ROLE), record.place
    if not (record.role.startswith(_ROLE) and number.isascii() and number.isdigit()):
        return None
    if place is None or place.unit != "s" or not 0 < place.scale[0] < math.inf:
        return None
    return Trace(
        number=int(number),
        role=record.role,
        channels=_names(result, record),
        unit=record.unit,
        # 1/rate was stored: half a millionth of a hertz is rounding
        rate=round(1 / place.scale[0], 6),
        samples=record.shape[0],
    )


def _names(result: Result, record: ArrayRecord) -> tuple[str, ...]:
    """Return the names that the configuration has, else those of the sentence, else numbers.

    A sentence is believed only where it gives one name for each channel: a wrong lead is worse than
    none.
    """
    count = record.shape[1]
    leads = result.config.get("leads")
    said = record.description.partition(" of ")[0].split(", ")
    for names in (leads, said):
        if isinstance(names, list | tuple) and _fit(names, count):
            return tuple(readable(str(name)) for name in names)
    return tuple(f"channel {place + 1}" for place in range(count))


def _fit(names: Sequence[object], count: int) -> bool:
    return len(names) == count == len(set(map(str, names))) and all(
        isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME for name in names
    )
