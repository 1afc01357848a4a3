"""The ECG page, measured on its own SVG: 25 mm a second, 10 mm a millivolt, or no scale at all."""

import re
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.timeseries.readers.channel_names import TWELVE_LEADS
from medconsist.timeseries.readers.choice import open_recording
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
from medconsist.timeseries.simulated.ecg import EcgRecipe, simulate_ecg
from medconsist.viewing.ecg_paper import GAINS, SPEEDS, Paper, ecg_paper
from medconsist.viewing.markup import NOTICE

RATE = 500
SVG = "{http://www.w3.org/2000/svg}"


def recorded(
    signal: np.ndarray,
    names: tuple[str, ...] = ("II",),
    *,
    unit: str | None = "mV",
    rate: float = RATE,
) -> InMemoryRecording:
    info = RecordingInfo(
        rate=float(rate),
        channels=names,
        units=(unit,) * len(names),
        samples=len(signal),
        patient="Jane Doe",
        trial="visit-1",
        diagnoses=("infarction",),
        source="jane.hea",
        notes=("Born 1950.",),
    )
    return InMemoryRecording(info, signal.astype(np.float32))


def pulses(*, millivolts: float = 1.0, rate: float = RATE, every: int = 1) -> np.ndarray:
    """Return ten seconds of 0 with a sample of 1 mV at the middle of each second."""
    signal = np.zeros((int(10 * rate), 1))
    signal[int(rate / 2) :: int(every * rate)] = millivolts
    return signal


def paths(page: str, kind: str) -> list[str]:
    """Return the data of the paths of a class, in their order."""
    root = ET.fromstring(page)  # noqa: S314  our own text
    found = [path for path in root.iter(f"{SVG}path") if path.get("class") == kind]
    return [path.get("d") or "" for path in found]


def points(data: str) -> np.ndarray:
    return np.array(re.findall(r"(-?[\d.]+),(-?[\d.]+)", data), np.float64)


def words(page: str) -> list[str]:
    root = ET.fromstring(page)  # noqa: S314  our own text
    return [element.text or "" for element in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("gain", GAINS)
def test_a_second_and_a_millivolt_have_their_millimetres(speed: float, gain: float) -> None:
    page = ecg_paper(recorded(pulses()), paper=Paper(speed=speed, gain=gain))
    strip = points(paths(page, "trace lead-II")[-1])
    base = np.median(strip[:, 1])
    peaks = strip[strip[:, 1] < base - gain / 2]
    assert np.diff(peaks[:, 0]) == pytest.approx(speed, abs=0.011)  # printed to 0.01 mm
    assert base - peaks[:, 1] == pytest.approx(gain, abs=0.011)


def test_grid_lines_are_a_millimetre_and_five_apart() -> None:
    page = ecg_paper(recorded(pulses()))
    for kind, step in (("grid-1mm", 1), ("grid-5mm", 5)):
        (data,) = paths(page, kind)
        upright = np.array(re.findall(r"M([\d.]+),[\d.]+V", data), np.float64)
        level = np.array(re.findall(r"M[\d.]+,([\d.]+)H", data), np.float64)
        assert set(np.diff(upright)) == set(np.diff(level)) == {step}
        assert len(upright) == 275 / step + 1


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("gain", GAINS)
def test_calibration_pulse_is_a_fifth_of_a_second_and_a_millivolt(
    speed: float, gain: float
) -> None:
    drawn = paths(ecg_paper(recorded(pulses()), paper=Paper(speed=speed, gain=gain)), "pulse")
    assert len(drawn) == 4
    for data in drawn:
        assert data.partition("h")[2] == f"1v{-gain:g}h{0.2 * speed:g}v{gain:g}h1"


def test_page_is_a4_in_millimetres() -> None:
    root = ET.fromstring(ecg_paper(recorded(pulses())))  # noqa: S314  our own text
    assert (root.get("width"), root.get("height")) == ("297mm", "210mm")
    assert root.get("viewBox") == "0 0 297 210"
    assert (root.get("data-mm-per-s"), root.get("data-mm-per-mv")) == ("25", "10")


def test_traces_begin_on_a_thick_line_and_a_pulse_stands_on_one() -> None:
    page = ecg_paper(recorded(pulses()))
    left = points(paths(page, "trace lead-II")[-1])[0]
    assert (left[0] - 10) % 5 == 0
    assert (left[1] - 25) % 5 == 0


def test_columns_follow_each_other_in_time() -> None:
    ramp = np.repeat(np.linspace(0, 1, 10 * RATE)[:, None], 12, axis=1)
    page = ecg_paper(recorded(ramp, TWELVE_LEADS))
    ends = []
    for name in ("I", "aVR", "V1", "V4"):
        drawn = points(paths(page, f"trace lead-{name}")[0])
        ends.append((drawn[0], drawn[-1]))
    assert [first[0] for first, _ in ends] == [30, 92.5, 155, 217.5]
    for (_, before), (after, _) in pairwise(ends):
        assert after[1] == pytest.approx(before[1], abs=0.02)
        assert after[0] - before[0] == pytest.approx(25 / RATE, abs=0.011)


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1000), ("V", 0.001), ("mv", 1)])
def test_other_voltages_are_converted(unit: str, factor: float) -> None:
    page = ecg_paper(recorded(pulses() * factor, unit=unit))
    assert paths(page, "trace lead-II") == paths(ecg_paper(recorded(pulses())), "trace lead-II")


@pytest.mark.parametrize("unit", [None, "NU"])
def test_an_unknown_unit_leaves_the_page_without_a_voltage_scale(unit: str | None) -> None:
    page = ecg_paper(recorded(7 * pulses(), unit=unit))
    assert paths(page, "pulse") == []
    assert "H" not in "".join(paths(page, "grid-1mm") + paths(page, "grid-5mm"))
    said = words(page)
    assert "voltage unit unknown" in said
    (sentence,) = (line for line in said if "No mV scale" in line)
    assert sentence.count(".") == 1
    assert "II is not known" in sentence
    assert not any("mm/mV" in line for line in said)
    strip = points(paths(page, "trace lead-II")[-1])
    assert np.ptp(strip[:, 1]) == pytest.approx(20, abs=0.011)


def test_one_lead_without_a_unit_takes_the_scale_from_all() -> None:
    signal = np.concatenate([pulses(), pulses()], 1)
    info = replace(recorded(signal, ("I", "II")).info, units=("mV", None))
    page = ecg_paper(InMemoryRecording(info, signal.astype(np.float32)))
    assert 'data-mm-per-mv="unknown"' in page
    assert paths(page, "pulse") == []


def test_a_channel_that_is_no_lead_needs_no_unit() -> None:
    signal = np.concatenate([pulses(), pulses()], 1)
    info = replace(recorded(signal, ("II", "PLETH")).info, units=("mV", None))
    page = ecg_paper(InMemoryRecording(info, signal.astype(np.float32)))
    assert len(paths(page, "pulse")) == 4


def test_missing_leads_leave_their_place() -> None:
    said = words(ecg_paper(recorded(np.zeros((5000, 2)), ("i", "v6"))))
    assert said.count("not recorded") == 11  # ten of the twelve, and the strip of lead II
    assert set(TWELVE_LEADS) <= set(said)


def test_missing_samples_break_the_line_and_a_flat_lead_is_called_flat() -> None:
    signal = np.random.default_rng(0).normal(size=(5000, 3))
    signal[600:700, 1] = np.nan
    signal[:, 0], signal[:, 2] = 0.0, np.nan
    page = ecg_paper(recorded(signal, ("I", "II", "III")))
    assert paths(page, "trace lead-II")[-1].count("M") == 2
    assert words(page).count("flat") == 1
    assert words(page).count("no samples") == 1


def test_nothing_of_the_patient_is_printed() -> None:
    page = ecg_paper(recorded(pulses()), title="A <b>title</b>")
    for secret in ("Jane", "jane", "visit", "infarction", "1950", "<b>"):
        assert secret not in page
    assert any(NOTICE in line for line in words(page))
    assert "A <b>title</b>" in words(page)


def test_filter_speed_and_span_are_printed() -> None:
    paper = Paper(filtered="0.05-150 Hz", start_s=2.0, speed=50.0)
    said = " ".join(words(ecg_paper(recorded(pulses()), paper=paper)))
    for part in ("50 mm/s, 10 mm/mV", "filter: 0.05-150 Hz", "500 Hz", "2.0 to 7.0 s of 10.0 s"):
        assert part in said


def test_a_start_within_the_recording_shifts_the_trace() -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(20 * RATE, 1))
    late = ecg_paper(recorded(signal), paper=Paper(start_s=5.0))
    cut = ecg_paper(recorded(signal[5 * RATE : 15 * RATE]))
    assert paths(late, "trace lead-II") == paths(cut, "trace lead-II")


def test_a_short_recording_is_drawn_to_the_same_scale() -> None:
    page = ecg_paper(recorded(pulses()[: 4 * RATE]))
    strip = points(paths(page, "trace lead-II")[-1])
    assert np.ptp(strip[:, 0]) == pytest.approx(4 * 25, abs=0.1)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"speed": 30.0}, r"speed got 30.0; allowed: 12.5, 25, 50"),
        ({"gain": 1.0}, r"gain got 1.0; allowed: 5, 10, 20"),
        ({"start_s": -1.0}, "start_s got -1.0"),
        ({"start_s": float("inf")}, "start_s got inf"),
    ],
)
def test_other_scales_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(RefusedInputError, match=text):
        Paper(**settings)


def test_no_lead_and_no_sample_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="channels Cz; a page of 12 leads needs"):
        ecg_paper(recorded(pulses(), ("Cz",)))
    with pytest.raises(RefusedInputError, match=r"start at 10.0 s of 10 s; begin earlier"):
        ecg_paper(recorded(pulses()), paper=Paper(start_s=10.0))


def test_a_page_is_drawn_in_less_than_two_seconds() -> None:
    recording = simulate_ecg(EcgRecipe(), generator=torch.Generator())
    start = time.process_time()
    ecg_paper(recording)
    assert time.process_time() - start < 2


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "flat"),
    [
        ("cinc2021_sample/cinc2021/E07500.hea", 0),
        ("cinc2021_sample/cinc2021/JS20004.hea", 3),
        ("cinc2021_sample/cinc2021/HR06000.hea", 0),
        ("wfdb_sample/s0010_re.hea", 0),
    ],
)
def test_real_recordings_are_drawn_as_they_were_measured(
    data_dir: Path, name: str, flat: int
) -> None:
    recording = open_recording(data_dir / "timeseries" / name)
    page = ecg_paper(recording)
    assert "not recorded" not in words(page)
    assert words(page).count("flat") == flat
    place = [one.casefold() for one in recording.info.channels].index("ii")
    measured = recording.read(0, int(10 * recording.info.rate))[:, place]
    strip = points(paths(page, "trace lead-II")[-1])
    assert np.ptp(strip[:, 1]) == pytest.approx(10 * np.ptp(measured), abs=0.011)
    assert np.ptp(strip[:, 0]) == pytest.approx(250, abs=0.1)
