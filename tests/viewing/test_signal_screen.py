"""What the signal screen is given: names, units, views, marks and words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medconsist import SIMULATED_NOTE
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.review.records import Pin
from medconsist.timeseries.demo import NOTE as DEMO_NOTE
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
from medconsist.viewing.sealing import sealed
from medconsist.viewing.signal_screen import (
    SignalPin,
    attribution,
    pin_of,
    place_of,
    widget_data,
)
from medconsist.viewing.signal_traces import recording_of, trace_numbered, traces_of
from medconsist.viewing.signal_views import (
    LEAST_HZ,
    MOST_VALUES,
    Stretch,
    View,
    extremes,
    in_view,
    montages,
    packed,
)
from medconsist.viewing.signal_words import near_trials, signal_words
from tests.viewing.signal_results import EVENT_LONG_S, NOTES, RATE, planted_ecg, write_signals

EEG = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T3", "C3", "Cz"),
    *("C4", "T4", "T5", "P3", "Pz", "P4", "T6", "O1", "O2"),
)


def recording(signal: np.ndarray, channels: tuple[str, ...], rate: float) -> InMemoryRecording:
    info = RecordingInfo(
        rate=rate, channels=channels, units=("uV",) * len(channels), samples=len(signal)
    )
    return InMemoryRecording(info, signal.astype(np.float32))


def test_a_stored_recording_comes_back_with_its_leads_rate_and_unit(tmp_path: Path) -> None:
    stored = write_signals(tmp_path)
    (trace,) = traces_of(stored.result)
    assert (trace.kind, trace.rate, trace.unit, trace.channels[:2]) == (
        "ecg",
        500,
        "mV",
        ("I", "II"),
    )
    assert np.array_equal(recording_of(stored, trace).read(), planted_ecg())
    with pytest.raises(MissingInputError, match="no recording 1"):
        trace_numbered(stored.result, 1)


def test_names_are_numbers_where_the_result_does_not_surely_say_them(tmp_path: Path) -> None:
    signal = planted_ecg(2)[:, :2]
    leads = ("a, b", "c")  # a sentence that would give three names for two channels
    stored = write_signals(
        tmp_path, signals=[signal], leads=leads, fields={"config": {"task": "other"}}
    )
    assert traces_of(stored.result)[0].channels == ("channel 1", "channel 2")
    told = write_signals(
        tmp_path, "told", signals=[signal], leads=("I", "V1"), fields={"config": {"task": "x"}}
    )
    assert traces_of(told.result)[0].channels == ("I", "V1")


@pytest.mark.parametrize("unit", [None, "a.u.", "z-score", "bpm"])
def test_without_a_unit_of_voltage_there_is_no_scale(tmp_path: Path, unit: str | None) -> None:
    stored = write_signals(tmp_path, unit=unit)
    (one,) = widget_data(stored, title="p")["recordings"]
    assert one["millivolts"] is None
    assert one["why"].startswith("No voltage scale")


def test_an_eeg_has_its_montages_and_says_why_one_cannot_be(tmp_path: Path) -> None:
    whole = write_signals(tmp_path, signals=[np.ones((100, 19), np.float32)], leads=EEG, unit="uV")
    (trace,) = traces_of(whole.result)
    assert trace.kind == "eeg"
    assert montages(trace) == dict.fromkeys(
        ("recorded", "double-banana", "average", "laplacian"), ""
    )
    few = write_signals(
        tmp_path, "few", signals=[np.ones((9, 3), np.float32)], leads=EEG[:3], unit="uV"
    )
    why = montages(traces_of(few.result)[0])
    assert "needs" in why["double-banana"]
    assert "5 electrodes" in why["laplacian"]


def test_the_recorded_view_is_the_recording_bit_for_bit() -> None:
    one = recording(np.random.default_rng(0).normal(size=(500, 2)), ("Cz", "Pz"), 250.0)
    assert np.array_equal(in_view(one, View()).read(), one.read())


def test_a_filter_moves_nothing_in_time_and_leaves_gaps_as_they_are() -> None:
    time = np.arange(2000) / 250
    signal = np.exp(-(((time - 4) / 0.1) ** 2))[:, None] + 3.0
    signal[1500:1510] = np.nan
    seen = in_view(recording(signal, ("Cz",), 250.0), View(above=0.5, below=40.0, notch=50.0))
    values = seen.read()[:, 0]
    assert abs(int(np.nanargmax(values)) - 1000) <= 1
    assert np.isnan(values[1500:1510]).all()
    assert np.isfinite(np.delete(values, slice(1500, 1510))).all()
    assert abs(np.nanmedian(values)) < 0.2


def test_an_average_reference_sums_to_nothing() -> None:
    signal = np.random.default_rng(0).normal(size=(50, 19)) + 7
    seen = in_view(recording(signal, EEG, 250.0), View(montage="average"))
    assert seen.read().sum(axis=1) == pytest.approx(0, abs=1e-4)  # float32


def test_impossible_views_are_refused() -> None:
    one = recording(np.zeros((50, 1)), ("Cz",), 100.0)
    with pytest.raises(RefusedInputError, match="Nyquist"):
        in_view(one, View(below=50.0))
    with pytest.raises(RefusedInputError, match="not possible"):
        View(above=40.0, below=5.0)
    with pytest.raises(RefusedInputError, match="no montage of that name"):
        in_view(one, View(montage="<script>"))


@pytest.mark.parametrize("corner", ["above", "below", "notch"])
def test_a_corner_so_low_that_no_filter_has_numbers_is_refused(corner: str) -> None:
    for tiny in (1e-9, 1e-310, 0.0099):
        asked: dict[str, Any] = {corner: tiny}
        with pytest.raises(RefusedInputError, match=r"allowed: 0\.01 Hz or more"):
            View(**asked)
    one = recording(np.ones((50, 1)), ("Cz",), 100.0)
    least: dict[str, Any] = {corner: LEAST_HZ}
    assert np.isfinite(in_view(one, View(**least)).read()).all()


def test_parts_keep_every_extreme_and_exact_samples_are_exact() -> None:
    values = np.random.default_rng(1).normal(size=(1000, 3)).astype(np.float32)
    values[137, 1] = 50.0
    shown = extremes(values, 40)
    assert shown[1, 5].max() == 50.0
    assert shown[..., 0].min() == values.min()
    one = recording(values, ("Cz", "C3", "C4"), 100.0)
    data = packed(one, Stretch(start=10, stop=60))
    head, body = np.frombuffer(data[:16], "<u4"), np.frombuffer(data[16:], "<f4")
    assert head.tolist() == [1, 3, 50, 1]
    assert np.array_equal(body.reshape(3, 50).T, values[10:60])
    thin = packed(one, Stretch(start=0, stop=1000, points=40, channel=1))
    assert np.frombuffer(thin[:16], "<u4").tolist() == [1, 1, 40, 2]
    assert np.array_equal(np.frombuffer(thin[16:], "<f4").reshape(40, 2), shown[1])


@pytest.mark.parametrize(("start", "stop"), [(5, 5), (-1, 4), (9, 3)])
def test_a_stretch_that_is_none_is_refused(start: int, stop: int) -> None:
    with pytest.raises(RefusedInputError, match="a later end"):
        Stretch(start=start, stop=stop)


def test_a_stretch_outside_of_the_recording_is_refused() -> None:
    one = recording(np.zeros((50, 1)), ("Cz",), 100.0)
    for stretch in (Stretch(start=0, stop=51), Stretch(start=0, stop=5, channel=1)):
        with pytest.raises(RefusedInputError, match="there are 50 of 1 channels"):
            packed(one, stretch)
    long = recording(np.zeros((MOST_VALUES + 1, 1)), ("Cz",), 100.0)
    with pytest.raises(RefusedInputError, match="too many for one answer"):
        packed(long, Stretch(start=0, stop=MOST_VALUES + 1))


def test_windows_of_the_model_come_with_their_times(tmp_path: Path) -> None:
    found = attribution(write_signals(tmp_path))
    assert found is not None
    assert (found["seconds"], found["shown"]) == (EVENT_LONG_S, "case")
    assert max(found["attention"]) == found["attention"][8]
    assert found["start"][8] == pytest.approx(3.2)


def test_a_damaged_weight_is_said_and_the_traces_stay(tmp_path: Path) -> None:
    stored = write_signals(tmp_path)
    for file in (stored.folder.path / "attention.zarr").rglob("*"):
        if file.is_file() and file.name != "zarr.json":
            file.write_bytes(b"other bytes")
    data = widget_data(stored, title="p")
    assert set(data["attribution"]) == {"problem"}
    assert len(data["recordings"]) == 1


def test_a_sealed_result_gives_its_traces_and_no_word_of_the_model(tmp_path: Path) -> None:
    stored = sealed(write_signals(tmp_path))
    data = widget_data(stored, title="p", is_sealed=True)
    assert data["attribution"] is None
    assert data["recordings"][0]["samples"] == 12 * RATE
    assert signal_words(stored.result) is None


def test_the_probability_has_its_span_and_what_the_span_is_not(tmp_path: Path) -> None:
    words = signal_words(write_signals(tmp_path).result)
    assert words is not None
    assert words.rows == (("control", "0.200", ""), ("case", "0.800", "0.610 to 0.930"))
    assert "not how sure the model is" in words.span
    assert not words.prediction.can_assess


def test_nearest_trials_of_others_are_told_without_their_ids(tmp_path: Path) -> None:
    result = write_signals(tmp_path).result
    near = near_trials(result, studies=("signals",), may_see=lambda _study: True)
    assert [(one.whose, one.label, one.distance) for one in near.trials] == [
        ("patient A", "case", "0.412"),
        ("patient B", "control", "0.520"),
        ("patient A", "case", "0.533"),
    ]
    words = signal_words(result)
    assert words is not None
    assert "secret" not in repr((near, words))
    assert "secret" in NOTES[-1]


def test_nearest_trials_of_a_study_that_one_may_not_see_are_withheld(tmp_path: Path) -> None:
    result = write_signals(tmp_path).result
    near = near_trials(result, studies=("cohort-a",), may_see=lambda _study: False)
    assert (near.trials, near.why_none) == (
        (),
        "The nearest trials are of a study that you may not see.",
    )
    bare = write_signals(tmp_path, "bare", fields={"notes": ()}).result
    none = near_trials(bare, studies=(), may_see=lambda _study: True)
    assert none.why_none.startswith("This result stores no nearest")


def test_a_pin_is_a_span_of_a_lead_and_comes_back_to_its_recording(tmp_path: Path) -> None:
    one = write_signals(tmp_path).result
    pin = pin_of({"at": [2.5, 1.5], "lead": "II", "recording": 0}, one)
    assert pin == Pin(space="time", at=(1.5, 2.5), lead="II")
    two = write_signals(tmp_path, "two", signals=[planted_ecg(2), planted_ecg(3)])
    pin = pin_of({"at": [2.5, 2.5], "lead": "V1", "recording": 1}, two.result)
    assert pin is not None
    assert pin.lead == "recording 2, V1"  # counted as on the screen
    shown = widget_data(two, title="p", pins=[SignalPin(pin, "ST?", "u1")])["pins"]
    assert shown == [
        {"at": [2.5, 2.5], "lead": "V1", "recording": 1, "text": "ST?", "author": "u1"}
    ]


@pytest.mark.parametrize(
    "committed",
    [
        None,
        "x",
        {"at": [1], "recording": 0},
        {"at": [1, 99], "recording": 0},
        {"at": [float("nan"), 1], "recording": 0},
        {"at": [-1, 1], "recording": 0},
        {"at": [1, 2], "recording": 7},
        {"at": [1, 2], "recording": 0, "lead": 5},
        {"at": ["1", 2], "recording": 0},
    ],
)
def test_what_a_browser_makes_up_is_no_pin(tmp_path: Path, committed: object) -> None:
    assert pin_of(committed, write_signals(tmp_path).result) is None


def test_a_place_that_is_asked_for_goes_to_the_widget_once_for_each_time() -> None:
    asked = {"space": "time", "at": [1.0, 2.0], "lead": "recording 2, V2", "n": 3}
    assert place_of(asked) == {"at": [1.0, 2.0], "lead": "V2", "recording": 1, "n": 3}
    assert place_of(None) is None
    assert place_of({"space": "voxel", "at": [1, 2, 3], "n": 1}) is None


@pytest.mark.parametrize(
    ("note", "is_simulated"),
    [(SIMULATED_NOTE, True), ("Of a simulator, of no patient.", True), (DEMO_NOTE, False)],
)
def test_a_recording_is_simulated_by_its_own_note_and_not_by_that_of_a_model(
    tmp_path: Path, note: str, is_simulated: bool
) -> None:
    stored = write_signals(tmp_path, fields={"notes": (note,)})
    assert widget_data(stored, title="p-3")["simulated"] is is_simulated
