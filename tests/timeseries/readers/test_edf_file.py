"""EDF and BDF headers that lie, gaps, rates and calibration."""

from datetime import date, datetime, time
from pathlib import Path

import edfio
import numpy as np
import numpy.typing as npt
import pytest

from medconsist.errors import (
    BudgetError,
    CorruptInputError,
    RefusedInputError,
    TruncatedFileError,
    UnsupportedInputError,
)
from medconsist.timeseries.readers.choice import open_recording
from medconsist.timeseries.readers.edf_file import read_edf_annotations
from medconsist.timeseries.readers.options import ReadOptions
from tests.timeseries.readers.writers import twelve_leads, write_bdf, write_edf


def noise(samples: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(3).normal(size=samples)


def patched(path: Path, at: int, text: bytes) -> Path:
    content = bytearray(path.read_bytes())
    content[at : at + len(text)] = text
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("records", "kind"), [(b"4       ", TruncatedFileError),
                                               (b"2       ", CorruptInputError)])  # fmt: skip
def test_a_header_that_lies_about_its_records_is_refused(
    records: bytes, kind: type[Exception], tmp_path: Path
) -> None:
    path = patched(write_edf(tmp_path, twelve_leads()), 236, records)
    with pytest.raises(kind, match=r"record\.edf holds .* bytes of samples, but its header claims"):
        open_recording(path)


def test_records_that_were_never_counted_are_counted(tmp_path: Path) -> None:
    path = patched(write_edf(tmp_path, twelve_leads()), 236, b"-1      ")
    assert open_recording(path).info.samples == 300


@pytest.mark.parametrize(
    ("at", "text"),
    [(252, b"0   "), (252, b"x   "), (252, b"9999"), (184, b"512     "), (236, b"0       "),
     (236, b"-7      "), (244, b"0       "), (244, b"-1      "), (244, b"nan     ")],
)  # fmt: skip
def test_header_numbers_that_make_no_sense_are_refused(
    at: int, text: bytes, tmp_path: Path
) -> None:
    path = patched(write_edf(tmp_path, twelve_leads()), at, text)
    with pytest.raises(RefusedInputError, match=r"record\.edf"):
        open_recording(path)


@pytest.mark.parametrize("limit", ["nan", "-NaN"])
def test_physical_limits_that_are_no_numbers_are_refused(limit: str, tmp_path: Path) -> None:
    path = write_edf(tmp_path, twelve_leads())
    signals = int(path.read_bytes()[252:256])
    patched(path, 256 + 112 * signals, limit.ljust(8).encode())
    with pytest.raises(CorruptInputError, match="physical limits that are no numbers"):
        open_recording(path)


def test_gaps_between_records_are_refused(tmp_path: Path) -> None:
    path = write_edf(tmp_path, twelve_leads())
    content = path.read_bytes().replace(b"EDF+C", b"EDF+D")
    path.write_bytes(content)
    info = open_recording(path).info
    assert any("EDF+D" in note and "no time passes" in note for note in info.notes)
    path.write_bytes(content.replace(b"+2\x14", b"+7\x14"))
    with pytest.raises(UnsupportedInputError, match=r"record\.edf is discontinuous \(EDF\+D\)"):
        open_recording(path)


def test_channels_of_two_rates_must_be_chosen(tmp_path: Path) -> None:
    fast = edfio.EdfSignal(noise(400), 100, label="EEG Fp1-Ref", physical_dimension="µV"[1:])
    slow = edfio.EdfSignal(noise(40), 10, label="Resp")
    edfio.Edf([fast, slow]).write(tmp_path / "a.edf")
    with pytest.raises(RefusedInputError, match=r"10 Hz \(Resp\); none was chosen"):
        open_recording(tmp_path / "a.edf")
    with pytest.raises(RefusedInputError, match="50 Hz was chosen"):
        open_recording(tmp_path / "a.edf", options=ReadOptions(rate=50))
    info = open_recording(tmp_path / "a.edf", options=ReadOptions(rate=100)).info
    assert info.channels == ("Fp1",)
    assert any("Resp (10 Hz)" in note for note in info.notes)
    assert open_recording(tmp_path / "a.edf", options=ReadOptions(rate=10)).info.samples == 40


def test_a_micro_sign_of_latin_1_is_read(tmp_path: Path) -> None:
    edfio.Edf([edfio.EdfSignal(noise(100), 100, label="Cz", physical_dimension="uV")]).write(
        tmp_path / "a.edf"
    )
    patched(tmp_path / "a.edf", 256 + 96, b"\xb5V")
    assert open_recording(tmp_path / "a.edf").info.units == ("uV",)


def test_a_channel_without_calibration_has_no_unit(tmp_path: Path) -> None:
    signal = edfio.EdfSignal(noise(100), 100, label="Cz", physical_dimension="uV")
    edfio.Edf([signal]).write(tmp_path / "a.edf")
    path = patched(tmp_path / "a.edf", 256 + 104, b"1       1       ")
    info = open_recording(path).info
    assert info.units == (None,)
    assert "Header without calibration, so numbers as stored: Cz." in info.notes


def test_all_24_bits_of_bdf_are_read_with_their_sign(tmp_path: Path) -> None:
    values = np.array([-(2**23), -1, 0, 1, 2**23 - 1] * 20, np.float64)
    limits = (-(2**23), 2**23 - 1)
    signal = edfio.BdfSignal(values, 100, label="Cz", physical_range=limits, digital_range=limits)
    edfio.Bdf([signal]).write(tmp_path / "a.bdf")
    # 2**23 is the largest whole number that float32 holds with its neighbours.
    assert np.array_equal(open_recording(tmp_path / "a.bdf").read()[:, 0], values)


def test_bdf_beyond_the_budget_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = write_bdf(tmp_path, twelve_leads())
    with pytest.raises(BudgetError, match=r"record\.bdf claims .* raise budget_bytes"):
        open_recording(path, options=ReadOptions(budget_bytes=path.stat().st_size))


def test_annotations_are_read_with_and_without_the_signal(tmp_path: Path) -> None:
    path = write_edf(tmp_path, twelve_leads())
    found = open_recording(path).info.annotations
    assert [(one.start, one.label, one.duration) for one in found] == [(0.5, "beat", 0.0)]
    assert read_edf_annotations(path) == found


def write_started(path: Path, day: date | None) -> Path:
    file = edfio.Edf(
        [edfio.EdfSignal(noise(100), 100, label="Cz")],
        recording=edfio.Recording(startdate=day),
        starttime=time(10, 30, 5),
    )
    file.write(path)
    return path


def test_the_start_is_read_or_unknown(tmp_path: Path) -> None:
    dated = write_started(tmp_path / "a.edf", date(2021, 3, 4))
    assert open_recording(dated).info.start == datetime(2021, 3, 4, 10, 30, 5)
    assert open_recording(write_started(tmp_path / "b.edf", None)).info.start is None


def test_two_channels_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = [edfio.EdfSignal(noise(100), 100, label="ECG") for _ in range(2)]
    edfio.Edf(twice).write(tmp_path / "a.edf")
    with pytest.raises(RefusedInputError, match=r"named twice: \['ECG'\]"):
        open_recording(tmp_path / "a.edf")
