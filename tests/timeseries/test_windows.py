"""Windows lie on the grid, hold the samples that lie there, and have no gap."""

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
from medconsist.timeseries.windows import cut_windows


def _recording(samples: int, gap: slice | None = None) -> InMemoryRecording:
    signal = np.arange(2 * samples, dtype=np.float32).reshape(samples, 2)
    if gap is not None:
        signal[gap, 1] = np.nan
    info = RecordingInfo(
        rate=10.0, channels=("I", "II"), units=(None, None), samples=samples, source="sim"
    )
    return InMemoryRecording(info, signal)


@pytest.mark.parametrize(("samples", "overlap"), [(8, 0), (8, 4), (8, 7), (5, 2), (100, 0)])
def test_windows_are_those_of_a_naive_loop(samples: int, overlap: int) -> None:
    recording = _recording(100)
    whole = recording.read()
    starts = [s for s in range(100) if s % (samples - overlap) == 0 and s + samples <= 100]
    cut = cut_windows(recording, samples=samples, overlap=overlap)
    assert cut.start.tolist() == starts
    for window, start in zip(cut.signals, starts, strict=True):
        np.testing.assert_array_equal(window, whole[start : start + samples])
    assert not cut.dropped


def test_comet_counts_nine_windows_in_five_seconds_at_half_overlap() -> None:
    assert len(cut_windows(_recording(1280), samples=256, overlap=128)) == 9


def test_windows_that_touch_a_gap_are_dropped_and_counted() -> None:
    cut = cut_windows(_recording(40, slice(12, 18)), samples=10, overlap=5)
    assert cut.start.tolist() == [0, 20, 25, 30]
    assert cut.dropped == {"gap": 3}
    assert np.isfinite(cut.signals).all()


def test_gaps_are_refused_where_that_was_asked_for() -> None:
    with pytest.raises(RefusedInputError, match=r"sim: the window at sample 10 .* in \['II'\]"):
        cut_windows(_recording(40, slice(12, 18)), samples=10, gaps="refuse")


def test_a_recording_shorter_than_a_window_gives_none_and_says_so() -> None:
    cut = cut_windows(_recording(7), samples=8)
    assert cut.signals.shape == (0, 8, 2)
    assert cut.dropped == {"shorter than a window": 1}


@pytest.mark.parametrize(("samples", "overlap"), [(8, 8), (8, -1), (0, 0)])
def test_windows_that_never_advance_are_refused(samples: int, overlap: int) -> None:
    with pytest.raises(RefusedInputError, match="cannot share"):
        cut_windows(_recording(40), samples=samples, overlap=overlap)
