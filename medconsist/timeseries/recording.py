"""One recording as every reader gives it: samples, rate, names, units, and whose it is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from medconsist.errors import RefusedInputError

__all__ = ["Annotation", "InMemoryRecording", "Recording", "RecordingInfo"]


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """Something that was marked in a recording.

    Parameters
    ----------
    start
        Seconds from the first sample.
    label
        As the file has it, such as ``"N"`` for a normal beat.
    duration
        Seconds; 0 for a point.

    Examples
    --------
    >>> Annotation(start=0.2, label="N").duration
    0.0
    """

    start: float
    label: str
    duration: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RecordingInfo:
    """What is known of a recording beside its samples.

    Parameters
    ----------
    rate
        Samples per second and channel; positive.
    channels
        Names as the field writes them, each once, such as ``"II"`` or ``"Fp1"``.
    units
        Physical unit of each channel (``"mV"``, ``"uV"``); None where the file gives none: such a
        channel has no voltage scale anywhere.
    samples
        Per channel.
    patient
        Opaque id; None where it is not known. Never a number: ids above 2**24 stay what they are.
    trial
        Opaque id of the recording within its patient.
    start
        When it began; None where that is not known.
    annotations
        In the order of their start.
    diagnoses
        Codes or words that the file gives for the whole recording, as they are.
    source
        Format and file name, for messages; no folder.
    notes
        What a reader had to know or could not tell, one sentence each.

    Raises
    ------
    RefusedInputError
        A rate that is not positive, no channel, a name that is there twice, or another number of
        units than of channels.

    Examples
    --------
    >>> RecordingInfo(rate=500.0, channels=("I",), units=("mV",), samples=5000).seconds
    10.0
    """

    rate: float
    channels: tuple[str, ...]
    units: tuple[str | None, ...]
    samples: int
    patient: str | None = None
    trial: str | None = None
    start: datetime | None = None
    annotations: tuple[Annotation, ...] = ()
    diagnoses: tuple[str, ...] = ()
    source: str = "memory"
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        twice = sorted({name for name in self.channels if self.channels.count(name) > 1})
        if not self.rate > 0 or not np.isfinite(self.rate) or self.samples < 1:
            msg = (
                f"{self.source}: {self.samples} samples at {self.rate} Hz; allowed: 1 sample or "
                "more, a positive rate."
            )
            raise RefusedInputError(msg)
        if not self.channels or twice or len(self.units) != len(self.channels):
            msg = (
                f"{self.source}: {len(self.channels)} channels with {len(self.units)} units, named "
                f"twice: {twice}; each channel needs a name of its own and a unit or None."
            )
            raise RefusedInputError(msg)

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.samples / self.rate


class Recording(ABC):
    """A recording whose samples are read when they are asked for.

    Parameters
    ----------
    info
        What is known beside the samples.
    """

    def __init__(self, info: RecordingInfo) -> None:
        self.info = info

    @abstractmethod
    def read(
        self, start: int = 0, stop: int | None = None
    ) -> Float32[npt.NDArray[np.float32], "time channels"]:
        """Return samples ``start`` to ``stop`` (None: the end), in the units of `info`.

        A sample that the file marks as missing is NaN. Never scaled, filtered or filled in.

        Raises
        ------
        RefusedInputError
            Not ``0 <= start < stop <= samples``.
        TruncatedFileError
            The file ends before what its header says.
        """

    def _span(self, start: int, stop: int | None) -> slice:
        end = self.info.samples if stop is None else stop
        if not 0 <= start < end <= self.info.samples:
            msg = (
                f"{self.info.source}: samples {start} to {end} asked for; allowed: 0 <= start < "
                f"stop <= {self.info.samples}."
            )
            raise RefusedInputError(msg)
        return slice(start, end)


class InMemoryRecording(Recording):
    """A recording whose samples are an array.

    Parameters
    ----------
    info
        What is known beside the samples.
    signal
        ``time channels``, of the size that ``info`` says.

    Raises
    ------
    RefusedInputError
        Another shape than ``info`` says.

    Examples
    --------
    >>> info = RecordingInfo(rate=100.0, channels=("II",), units=(None,), samples=3)
    >>> InMemoryRecording(info, np.zeros((3, 1), np.float32)).read(1).shape
    (2, 1)
    """

    def __init__(
        self, info: RecordingInfo, signal: Float32[npt.NDArray[np.float32], "time channels"]
    ) -> None:
        super().__init__(info)
        if signal.shape != (info.samples, len(info.channels)):
            msg = (
                f"{info.source}: the signal has shape {signal.shape}, its header says "
                f"{(info.samples, len(info.channels))} (time, channels)."
            )
            raise RefusedInputError(msg)
        self._signal = signal

    def read(
        self, start: int = 0, stop: int | None = None
    ) -> Float32[npt.NDArray[np.float32], "time channels"]:
        """Return the samples, a view of the array."""
        return self._signal[self._span(start, stop)]
