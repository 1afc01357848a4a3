"""Beats keep their amplitude and place; the released recipe keeps its flaws."""

from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.beats import cut_beats, interpolated, released_beats
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
from tests.timeseries.ecg_signals import simulated_ecg, wfdb_recording

RATE = 250.0


def _recording(signal: np.ndarray) -> InMemoryRecording:
    names = tuple(f"V{k + 1}" for k in range(signal.shape[1]))
    info = RecordingInfo(
        rate=RATE, channels=names, units=("mV",) * len(names), samples=len(signal), source="sim"
    )
    return InMemoryRecording(info, signal)


def test_a_beat_is_the_raw_signal_around_its_peak_with_zeros_on_both_sides() -> None:
    signal, true = simulated_ecg(RATE)
    cut = cut_beats(_recording(signal), samples=300)
    filled = np.flatnonzero(cut.signals[0].any(axis=1))
    before, after = filled[0], 299 - filled[-1]
    assert abs(before - after) <= 1
    assert 160 < len(filled) < 240  # RR of 0.7 to 0.9 s at 250 Hz
    place = cut.start[0] + before
    np.testing.assert_array_equal(cut.signals[0, filled], signal[place:][: len(filled)])
    peaks = cut.start + 150
    assert np.abs(peaks[:, None] - true).min(axis=1).max() <= 2


def test_amplitude_is_kept_where_the_released_recipe_destroys_it() -> None:
    signal, _ = simulated_ecg(RATE)
    loud = signal * np.array([1.0, 5.0, 1.0], np.float32)
    kept = cut_beats(_recording(loud), samples=300).signals.max(axis=(0, 1))
    np.testing.assert_allclose(kept[1] / kept[0], 5 * 1.0 / 0.6, rtol=0.1)  # noise of 1 %
    lost = released_beats(_recording(loud), samples=300).signals.max(axis=(0, 1))
    np.testing.assert_allclose(lost[1] / lost[0], 1.0, rtol=0.1)


def test_a_missed_peak_shifts_the_released_beats_and_not_ours() -> None:
    signal, true = simulated_ecg(RATE, leads=3)
    for lead, beat in ((1, 4), (2, 6)):  # each of two leads misses another beat
        signal[true[beat] - 60 : true[beat] + 110, lead] = 0.0
    ours = cut_beats(_recording(signal), samples=300).start + 150
    theirs = released_beats(_recording(signal), samples=300, beats_a_trial=None).start + 150
    assert np.abs(true[2:-2, None] - ours).min(axis=1).max() <= 3
    # The median over leads follows the two from the seventh beat on: one beat is never cut.
    apart = np.abs(true[2:-2, None] - theirs).min(axis=1)
    assert apart.max() > 20


def test_ten_beats_make_a_pseudo_trial_and_the_rest_is_counted() -> None:
    signal, _ = simulated_ecg(RATE, beats=27)
    cut = cut_beats(_recording(signal), samples=300, beats_a_trial=10)
    assert cut.part.tolist() == [0] * 10 + [1] * 10
    assert 20 + sum(cut.dropped.values()) in {26, 27}
    assert cut.dropped["rest of a pseudo-trial"] > 0


def test_beats_with_missing_samples_are_dropped_and_counted() -> None:
    signal, true = simulated_ecg(RATE)
    signal[true[5], 0] = np.nan
    cut = cut_beats(_recording(signal), samples=300)
    assert cut.dropped["gap"] == 1
    assert np.isfinite(cut.signals).all()
    assert cut.notes == ("sim: without a vote on its beats: V1 (missing samples).",)
    with pytest.raises(RefusedInputError, match="released recipe"):
        released_beats(_recording(signal), samples=300)


def test_a_slow_heart_does_not_fit_and_is_refused() -> None:
    signal, _ = simulated_ecg(RATE)
    for cutter in (cut_beats, released_beats):
        with pytest.raises(RefusedInputError, match=r"median RR interval is .* has room for 100"):
            cutter(_recording(signal), samples=100)


def test_a_lead_without_beats_stops_the_released_recipe_alone() -> None:
    signal, _ = simulated_ecg(RATE)
    signal[:, 1] = 0.0
    assert len(cut_beats(_recording(signal), samples=300)) > 15
    with pytest.raises(RefusedInputError, match=r"lead V2 has 0 beats"):
        released_beats(_recording(signal), samples=300)


def test_straight_lines_fold_what_the_new_rate_cannot_hold() -> None:
    high = np.sin(2 * np.pi * 240.0 * np.arange(4000) / 1000.0)[:, None]
    folded = interpolated(high, rate=1000.0, to=250.0)
    assert len(folded) == 1000
    assert np.abs(folded).max() > 0.9


@pytest.mark.data
def test_beats_of_a_real_15_lead_record(data_dir: Path) -> None:
    recording = wfdb_recording(data_dir / "timeseries" / "wfdb_sample" / "s0010_re")
    cut = cut_beats(recording, samples=1200)
    assert cut.signals.shape == (51, 1200, 15)
    assert cut.dropped == {"beat cut by an end": 1}
