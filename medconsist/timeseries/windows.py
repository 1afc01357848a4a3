"""Equal windows of a recording on the shared grid; those with a gap are refused or counted."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Int64

from medconsist.errors import RefusedInputError
from medconsist.tiling.grid import Grid
from medconsist.timeseries.recording import Recording

__all__ = ["Cut", "Gaps", "cut_windows", "window_grid"]

Gaps = Literal["refuse", "drop"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """Pieces of equal length that were cut from one recording.

    Parameters
    ----------
    signals
        ``pieces time channels``.
    start
        First sample of each within the recording; below 0 where it begins with padding.
    part
        Number of the pseudo-trial of each within the recording; 0 where the recording is one trial.
    dropped
        How many were left out, by reason.
    notes
        What else happened, one sentence each.

    Examples
    --------
    >>> zero = np.zeros(1, np.int64)
    >>> len(Cut(signals=np.zeros((1, 4, 2), np.float32), start=zero, part=zero, dropped={}))
    1
    """

    signals: Float32[npt.NDArray[np.float32], "pieces time channels"]
    start: Int64[npt.NDArray[np.int64], " pieces"]
    part: Int64[npt.NDArray[np.int64], " pieces"]
    dropped: dict[str, int]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of pieces."""
        return len(self.signals)


def window_grid(total: int, *, samples: int, overlap: int = 0) -> Grid:
    """Return the grid of windows over a recording; what is left at its end is in no window.

    Parameters
    ----------
    total
        Samples of the recording.
    samples
        Of a window.
    overlap
        Samples that a window shares with the next one.

    Raises
    ------
    RefusedInputError
        Not ``0 <= overlap < samples``.

    Examples
    --------
    >>> window_grid(1280, samples=256, overlap=128).shape
    (9,)
    """
    if not 0 <= overlap < samples:
        msg = (
            f"windows of {samples} samples cannot share {overlap}; allowed are 0 to "
            f"{samples - 1} samples, windows of 1 or more."
        )
        raise RefusedInputError(msg)
    return Grid(size=(total,), window=(samples,), step=(samples - overlap,), edge="drop")


def cut_windows(
    recording: Recording, *, samples: int, overlap: int = 0, gaps: Gaps = "drop"
) -> Cut:
    """Return the windows of a recording that have no gap.

    Parameters
    ----------
    recording
        Read window by window; at its own rate.
    samples, overlap
        See `window_grid`.
    gaps
        What becomes of a window with NaN in any channel: ``"drop"`` leaves it out and counts it,
        ``"refuse"`` raises.

    Raises
    ------
    RefusedInputError
        A gap, where gaps are refused; says the window and the channels. Or see `window_grid`.

    Examples
    --------
    >>> from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
    >>> info = RecordingInfo(rate=1.0, channels=("I",), units=(None,), samples=10)
    >>> recording = InMemoryRecording(info, np.arange(10, dtype=np.float32)[:, None])
    >>> cut_windows(recording, samples=4, overlap=2).start.tolist()
    [0, 2, 4, 6]
    """
    info = recording.info
    spans = window_grid(info.samples, samples=samples, overlap=overlap).spans(0)
    signals = np.empty((len(spans), samples, len(info.channels)), np.float32)
    kept = np.ones(len(spans), np.bool_)
    for place, (start, stop) in enumerate(spans.tolist()):
        signals[place] = recording.read(start, stop)
        missing = ~np.isfinite(signals[place])
        if missing.any():
            kept[place] = False
            if gaps == "refuse":
                raise _gap(recording, start, missing)
    starts = spans[kept, 0].astype(np.int64)
    if not len(spans):
        dropped = {"shorter than a window": 1}
    else:
        dropped = {"gap": int((~kept).sum())} if not kept.all() else {}
    return Cut(signals=signals[kept], start=starts, part=np.zeros_like(starts), dropped=dropped)


def _gap(recording: Recording, start: int, missing: npt.NDArray[np.bool_]) -> RefusedInputError:
    names = [recording.info.channels[k] for k in np.flatnonzero(missing.any(axis=0))]
    msg = (
        f"{recording.info.source}: the window at sample {start} has missing samples (NaN) in "
        f"{names}. Allow windows with gaps to be dropped (gaps='drop'), or take a whole recording."
    )
    return RefusedInputError(msg)
