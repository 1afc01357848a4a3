"""The EEG page, measured on its own SVG: 30 mm a second, 7 uV a millimetre, negative up."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.timeseries.montage import double_banana, in_montage
from medconsist.timeseries.readers.choice import open_recording
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
from medconsist.timeseries.simulated.eeg import EegRecipe, simulate_eeg
from medconsist.viewing.eeg_page import EegSheet, eeg_page
from medconsist.viewing.markup import NOTICE
from tests.viewing.test_ecg_paper import paths, points, words

RATE = 256


def recorded(signal: np.ndarray, *, unit: str | None = "uV") -> InMemoryRecording:
    names = tuple(f"E{number}" for number in range(signal.shape[1]))
    info = RecordingInfo(
        rate=float(RATE),
        channels=names,
        units=(unit,) * len(names),
        samples=len(signal),
        patient="Jane Doe",
    )
    return InMemoryRecording(info, signal.astype(np.float32))


def spikes(microvolts: float) -> np.ndarray:
    signal = np.zeros((10 * RATE, 2))
    signal[RATE // 2 :: RATE] = microvolts
    return signal


@pytest.mark.parametrize(("speed", "sensitivity"), [(30.0, 7.0), (15.0, 10.0)])
def test_a_second_and_a_microvolt_have_their_millimetres(speed: float, sensitivity: float) -> None:
    sheet = EegSheet(speed=speed, sensitivity=sensitivity)
    for data in paths(eeg_page(recorded(spikes(70.0)), sheet=sheet), "trace"):
        trace = points(data)
        base = np.median(trace[:, 1])
        peaks = trace[trace[:, 1] > base + 1]  # positive goes down
        assert np.diff(peaks[:, 0]) == pytest.approx(speed, abs=0.011)  # printed to 0.01 mm
        assert peaks[:, 1] - base == pytest.approx(70 / sensitivity, abs=0.011)


def test_negative_is_up() -> None:
    trace = points(paths(eeg_page(recorded(spikes(-70.0))), "trace")[0])
    assert trace[:, 1].min() == pytest.approx(np.median(trace[:, 1]) - 10, abs=0.011)


def test_lines_of_time_and_bar_of_voltage_measure_right() -> None:
    page = eeg_page(recorded(spikes(70.0)))
    for kind, step in (("grid-second", 30), ("grid-fifth", 6)):
        places = points(paths(page, kind)[0])[:, 0]
        assert np.diff(places) == pytest.approx(step)
        assert np.ptp(places) == 300
    assert paths(page, "scale-bar")[0].endswith("v10")
    assert "70 uV" in words(page)


def test_an_unknown_unit_leaves_the_page_without_a_voltage_scale() -> None:
    page = eeg_page(recorded(spikes(3.0), unit=None))
    said = words(page)
    assert "voltage unit unknown" in said
    assert sum("No uV scale" in line for line in said) == 1
    assert not any("uV/mm" in line for line in said)
    assert paths(page, "scale-bar") == []
    trace = points(paths(page, "trace")[0])
    assert np.ptp(trace[:, 1]) == pytest.approx(8, abs=0.011)


def test_missing_samples_break_the_line() -> None:
    signal = spikes(70.0)
    signal[100:200, 0], signal[:, 1] = np.nan, np.nan
    page = eeg_page(recorded(signal))
    first, second = paths(page, "trace")
    assert first.count("M") == 2
    assert second == ""
    assert "E1: no samples" in words(page)


def test_words_say_what_is_shown_and_not_of_whom() -> None:
    sheet = EegSheet(filtered="0.5-70 Hz", montage="double banana", start_s=1.0, seconds=2.0)
    page = eeg_page(recorded(spikes(70.0)), sheet=sheet, title="Night 1")
    said = " ".join(words(page))
    for part in ("Night 1", "double banana", "0.5-70 Hz", "1.0 to 3.0 s of 10.0 s", NOTICE):
        assert part in said
    assert "Jane" not in page


def test_a_montage_is_drawn_with_its_labels(generator: torch.Generator) -> None:
    recording = simulate_eeg(EegRecipe(), generator=generator)
    bipolar = in_montage(recording, double_banana(recording.info.channels))
    said = words(eeg_page(bipolar, sheet=EegSheet(montage="double banana")))
    assert set(bipolar.info.channels) <= set(said)


@pytest.mark.data
def test_a_real_eeg_is_drawn_from_an_edf_file(data_dir: Path, tmp_path: Path) -> None:
    edfio = require("edfio", extra="timeseries")
    trial = np.load(data_dir / "timeseries/smni_eeg/Feature/feature_01.npy")[0].astype(np.float64)
    names = ("Fp1", "Fp2", "F7", "F8")
    signals = [
        edfio.EdfSignal(
            trial[:, number], 256, label=name, physical_dimension="uV", physical_range=(-500, 500)
        )
        for number, name in enumerate(names)
    ]
    edfio.Edf(signals).write(tmp_path / "trial.edf")
    recording = open_recording(tmp_path / "trial.edf")
    page = eeg_page(recording)
    assert set(names) <= set(words(page))
    for number, data in enumerate(paths(page, "trace")):
        # 16 bits over 1 mV are 0.015 uV; printed to 0.01 mm, which is 0.07 uV
        expected = np.ptp(trial[:, number]) / 7
        assert np.ptp(points(data)[:, 1]) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    "settings",
    [{"speed": 0.0}, {"sensitivity": -7.0}, {"start_s": -1.0}, {"start_s": float("inf")}],
)
def test_bad_sheets_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(RefusedInputError, match="must be above 0"):
        EegSheet(**settings)


def test_a_start_after_the_end_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="begin earlier"):
        eeg_page(recorded(spikes(1.0)), sheet=EegSheet(start_s=11.0))


@pytest.mark.parametrize("sheet", [EegSheet(seconds=1.0), EegSheet()])
def test_page_is_as_wide_as_it_says(sheet: EegSheet) -> None:
    root = ET.fromstring(eeg_page(recorded(spikes(1.0)), sheet=sheet))  # noqa: S314  our own text
    width = float((root.get("width") or "").removesuffix("mm"))
    assert width == max(sheet.seconds * 30, 180) + 50
    assert (root.get("viewBox") or "").startswith(f"0 0 {width:g} ")
