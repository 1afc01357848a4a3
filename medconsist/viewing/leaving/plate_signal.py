"""The picture of recordings: the first page of the first one, as the page writers set it."""

import numpy as np

from medconsist.errors import RefusedInputError
from medconsist.results.store import StoredResult
from medconsist.timeseries.recording import InMemoryRecording
from medconsist.viewing.ecg_paper import ecg_paper
from medconsist.viewing.eeg_page import EegSheet, eeg_page
from medconsist.viewing.leaving.page_pixels import page_pixels
from medconsist.viewing.leaving.plate_scene import Scene
from medconsist.viewing.signal_traces import Trace, recording_of, traces_of

__all__ = ["signal_scene"]

_MOST_CHANNELS = 64  # more have no room on a page that can be read
_ROWS_MM, _MOST_APART = 320.0, 10.0
_SHARE = 0.8  # of the distance of two channels that a trace of no known kind takes
_STEPS = (1.0, 2.0, 5.0)
_MICROVOLTS = 1000.0  # of a millivolt


def signal_scene(stored: StoredResult) -> Scene:
    """Return the first page of the first recording: twelve leads on ECG paper, others as EEG.

    Raises
    ------
    RefusedInputError
        There is no recording whose rate is known, or it has too many channels for a page.
    """
    traces = traces_of(stored.result)
    if not traces:
        msg = "this result holds no recording that could be drawn."
        raise RefusedInputError(msg)
    trace = traces[0]
    recording = recording_of(stored, trace)
    title = f"Recording {trace.number + 1}"
    page = (
        ecg_paper(recording, title=title)
        if trace.kind == "ecg"
        else eeg_page(recording, sheet=_sheet(trace, recording), title=title)
    )
    words = (
        f"First page of recording {trace.number + 1} of {len(traces)}; as recorded, "
        "without a filter. Drawn smaller: measure on the grid, not in millimetres of this picture.",
        *([trace.why_no_scale] if trace.why_no_scale else []),
    )
    return Scene(pixels=page_pixels(page), roles=trace.role, words=words)


def _sheet(trace: Trace, recording: InMemoryRecording) -> EegSheet:
    count = len(trace.channels)
    if count > _MOST_CHANNELS:
        msg = f"{count} channels have no room on a page; at most {_MOST_CHANNELS} are drawn."
        raise RefusedInputError(msg)
    apart = min(_MOST_APART, _ROWS_MM / count)
    if trace.kind == "eeg" or trace.millivolts is None:
        return EegSheet(apart=apart)
    shown = recording.read(0, min(trace.samples, round(10 * trace.rate)))
    lows = np.min(shown, axis=0, initial=np.inf, where=np.isfinite(shown))
    highs = np.max(shown, axis=0, initial=-np.inf, where=np.isfinite(shown))
    spread = np.max(highs - lows, initial=0.0)  # a gap is no value, and no zero either
    return EegSheet(
        apart=apart,
        sensitivity=_rounded_up(_MICROVOLTS * trace.millivolts * float(spread) / (_SHARE * apart)),
    )


def _rounded_up(value: float) -> float:
    """Return the next of 1, 2, 5 times a power of ten; 7 for nothing, as for an EEG.

    Examples
    --------
    >>> _rounded_up(130.0), _rounded_up(0.0)
    (200.0, 7.0)
    """
    if not 0 < value < np.inf:
        return 7.0
    ten = 10.0 ** np.floor(np.log10(value))
    return float(next((ten * one for one in _STEPS if ten * one >= value), 10 * ten))
