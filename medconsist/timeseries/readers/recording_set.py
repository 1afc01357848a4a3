"""Many recordings of one source, opened when they are asked for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from medconsist.timeseries.recording import Recording

__all__ = ["RecordingSet"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordingSet:
    """Recordings of one source; each is opened when it is asked for.

    Parameters
    ----------
    openers
        One for each recording.
    labels
        Name of the class of each patient, by id; empty where the source has none.
    classes
        Names of the classes, in the order of the source's numbers.
    source
        Layout and name of the folder, for messages.
    notes
        What had to be known of the whole, one sentence each.

    Examples
    --------
    >>> import numpy as np
    >>> from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
    >>> info = RecordingInfo(rate=1.0, channels=("I",), units=(None,), samples=2, patient="7")
    >>> one = InMemoryRecording(info, np.zeros((2, 1), np.float32))
    >>> [found.info.patient for found in RecordingSet.of([one], source="memory")]
    ['7']
    """

    openers: tuple[Callable[[], Recording], ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    source: str
    notes: tuple[str, ...] = ()

    @staticmethod
    def of(
        recordings: Sequence[Recording],
        *,
        source: str,
        labels: Mapping[str, str] | None = None,
        classes: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> "RecordingSet":
        """Return a set of recordings that are open already."""
        openers = tuple(_Open(recording) for recording in recordings)
        return RecordingSet(
            openers=openers, labels=labels or {}, classes=classes, source=source, notes=notes
        )

    def __len__(self) -> int:
        """Return the number of recordings."""
        return len(self.openers)

    def __getitem__(self, place: int) -> Recording:
        """Open one recording."""
        return self.openers[place]()

    def __iter__(self) -> Iterator[Recording]:
        """Open one recording after the other."""
        return (open_one() for open_one in self.openers)


@dataclass(frozen=True, eq=False)
class _Open:
    recording: Recording

    def __call__(self) -> Recording:
        return self.recording
