"""``ts plot``: real recordings to pages whose millimetres are measured, and what is refused."""

import json
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from medconsist.timeseries.readers.choice import open_recording
from medconsist.timeseries.readers.hdf5_file import write_hdf5
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
from tests.cli.conftest import Program

SVG = "{http://www.w3.org/2000/svg}"
RATE = 100


def traces(path: Path, kind: str = "trace") -> list[np.ndarray]:
    """Return the points of each drawn line whose class begins with ``kind``, in their order."""
    found = []
    for line in ET.parse(path).getroot().iter(f"{SVG}path"):  # noqa: S314  our own file
        if (line.get("class") or "").startswith(kind):
            points = re.findall(r"(-?[\d.]+),(-?[\d.]+)", line.get("d") or "")
            found.append(np.array(points, np.float64))
    return found


@pytest.mark.data
def test_a_real_ecg_is_as_long_and_as_high_on_paper_as_in_the_file(
    program: Program, data_dir: Path, tmp_path: Path
) -> None:
    folder = data_dir / "timeseries" / "cinc2021_sample" / "cinc2021"
    header, page = min(folder.glob("HR*.hea")), tmp_path / "new" / "ecg.svg"
    answer = program("ts", "plot", header, "--out", page, "--json")
    assert json.loads(answer.out) == {"path": str(page)}
    recording = open_recording(header)
    lead = recording.read()[:, recording.info.channels.index("II")]
    strip = traces(page, "trace lead-II")[-1]  # the rhythm strip comes last
    assert np.ptp(strip[:, 1]) == pytest.approx(10 * np.ptp(lead), abs=0.02)  # printed to 0.01 mm
    assert np.ptp(strip[:, 0]) == pytest.approx(25 * (len(lead) - 1) / recording.info.rate, abs=0.1)
    assert "Research use only" in page.read_text()


@pytest.fixture
def eeg(tmp_path: Path) -> Path:
    """Four seconds of two electrodes, of 70 and 140 uV from trough to peak."""
    time = np.arange(4 * RATE) / RATE
    wave = np.sin(2 * np.pi * 5 * time)
    signal = np.stack([35 * wave, 70 * wave], axis=1).astype(np.float32)
    info = RecordingInfo(
        rate=float(RATE), channels=("Cz", "Pz"), units=("uV", "uV"), samples=len(time), patient="a"
    )
    write_hdf5(InMemoryRecording(info, signal), tmp_path / "a.h5")
    return tmp_path / "a.h5"


def test_an_eeg_has_its_microvolts_a_millimetre(
    program: Program, eeg: Path, tmp_path: Path
) -> None:
    page = tmp_path / "eeg.svg"
    assert program("ts", "plot", eeg, "--out", page, "--sensitivity", 5, "--seconds", 2).code == 0
    drawn = traces(page)
    assert [np.ptp(line[:, 1]) for line in drawn] == pytest.approx([14, 28], abs=0.02)
    for line in drawn:
        assert np.ptp(line[:, 0]) == pytest.approx(30 * (2 - 1 / RATE), abs=0.35)


def test_a_montage_is_drawn_and_named(program: Program, eeg: Path, tmp_path: Path) -> None:
    page = tmp_path / "eeg.svg"
    assert program("ts", "plot", eeg, "--out", page, "--montage", "cz").code == 0
    assert len(traces(page)) == 1
    assert "montage: cz" in page.read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--gain", 10), "a page of eeg takes no --gain; leave it out"),
        (("--page", "ecg"), "a page of 12 leads needs at least one of I, II"),
        (("--page", "ecg", "--montage", "cz", "--seconds", 2), "no --seconds; leave it out"),
        (("--sensitivity", 0), "sensitivity"),
        (("--start", 4), "start"),
        (("--montage", "banana"), "double-banana"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(
    words: tuple[object, ...], sentence: str, program: Program, eeg: Path, tmp_path: Path
) -> None:
    page = tmp_path / "eeg.svg"
    answer = program("ts", "plot", eeg, "--out", page, *words)
    assert answer.code == 2
    assert re.search(sentence, answer.sentence), answer.sentence
    assert not page.exists()


def test_another_suffix_is_refused(program: Program, eeg: Path, tmp_path: Path) -> None:
    answer = program("ts", "plot", eeg, "--out", tmp_path / "page.pdf")
    assert (answer.code, answer.sentence) == (
        2,
        "medconsist: --out must end in .svg, got page.pdf.",
    )


def test_the_same_recording_gives_the_same_bytes(
    program: Program, eeg: Path, tmp_path: Path
) -> None:
    pages = [tmp_path / name for name in ("a.svg", "b.svg")]
    for page in pages:
        program("ts", "plot", eeg, "--out", page)
    assert all(a.read_bytes() == b.read_bytes() for a, b in pairwise(pages))
