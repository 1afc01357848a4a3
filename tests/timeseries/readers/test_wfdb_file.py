"""WFDB headers that lie, point elsewhere, or leave things out."""

from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import (
    CorruptInputError,
    MissingInputError,
    RefusedInputError,
    TruncatedFileError,
    UnsafeFileError,
    UnsupportedInputError,
)
from medconsist.timeseries.readers.choice import open_recording
from medconsist.timeseries.readers.options import ReadOptions
from tests.timeseries.readers.writers import quiet, twelve_leads, wfdb, write_wfdb


def write_header(folder: Path, *lines: str, samples: bytes = b"") -> Path:
    path = folder / "a.hea"
    path.write_text("\n".join([*lines, ""]))
    (folder / "a.dat").write_bytes(samples)
    return path


def counting(samples: int) -> bytes:
    return np.arange(samples, dtype="<i2").tobytes()


def test_any_file_of_a_record_opens_it(tmp_path: Path) -> None:
    header = write_wfdb(tmp_path, twelve_leads())
    for path in (header, header.with_suffix(".dat"), header.with_suffix("")):
        assert open_recording(path).info.samples == 300


@pytest.mark.parametrize("claimed", [301, 30_000_000_000])
def test_a_header_that_claims_more_samples_is_refused(claimed: int, tmp_path: Path) -> None:
    path = write_wfdb(tmp_path, twelve_leads())
    text = path.read_text()
    path.write_text(text.replace("record 12 100 300", f"record 12 100 {claimed}"))
    with pytest.raises(TruncatedFileError, match=r"record\.dat holds 7200 bytes of samples, but"):
        open_recording(path)


def test_a_header_that_claims_fewer_samples_is_refused(tmp_path: Path) -> None:
    path = write_wfdb(tmp_path, twelve_leads())
    path.write_text(path.read_text().replace("record 12 100 300", "record 12 100 299"))
    with pytest.raises(CorruptInputError, match="claims 7176"):
        open_recording(path)


def test_a_rate_that_is_not_given_is_asked_for(tmp_path: Path) -> None:
    path = write_header(tmp_path, "a 1", "a.dat 16 10/mV 16 0 0 0 0 I", samples=counting(6))
    # The library would take 250 Hz.
    with pytest.raises(RefusedInputError, match="does not say its sampling rate"):
        open_recording(path)
    assert open_recording(path, options=ReadOptions(rate=50)).info.rate == 50


def test_a_length_that_is_not_given_is_that_of_the_file(tmp_path: Path) -> None:
    path = write_header(tmp_path, "a 2 100", *["a.dat 16 10/mV 16 0 0 0 0 I"], samples=counting(6))
    path.write_text(path.read_text() + "a.dat 16 10/mV 16 0 0 0 0 II\n")
    recording = open_recording(path)
    assert recording.info.samples == 3
    assert np.allclose(recording.read(), np.arange(6).reshape(3, 2) / 10)


@pytest.mark.parametrize(
    "name", ["../a.dat", "/a/b.dat", "http://host/a.dat", "~", "memory://a", "..", "a::b"]
)
def test_samples_outside_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    path = write_header(tmp_path, "a 1 100 3", f"{name} 16 10/mV 16 0 0 0 0 I")
    with pytest.raises(UnsafeFileError, match="allowed: plain names of files beside the header"):
        open_recording(path)


def test_missing_samples_are_named(tmp_path: Path) -> None:
    path = write_wfdb(tmp_path, twelve_leads())
    path.with_suffix(".dat").unlink()
    with pytest.raises(MissingInputError, match=r"record\.dat does not exist"):
        open_recording(path)


def test_samples_without_a_header_ask_for_it(tmp_path: Path) -> None:
    path = write_wfdb(tmp_path, twelve_leads())
    path.unlink()
    with pytest.raises(MissingInputError, match=r"no header record\.hea"):
        open_recording(path.with_suffix(".dat"))


def test_several_segments_are_refused(tmp_path: Path) -> None:
    path = write_header(tmp_path, "a/2 1 100 6", "b 3", "c 3")
    with pytest.raises(UnsupportedInputError, match="several segments"):
        open_recording(path)


@pytest.mark.parametrize(
    "lines",
    [
        ("\0\1\2",),
        ("# a comment alone",),
        ("a x 100 3", "a.dat 16"),
        ("a 3 100 3", "a.dat 16 10/mV 16 0 0 0 0 I"),
        ("a 0 100 3",),
        ("a 1 100 3", "a.dat 99 10/mV 16 0 0 0 0 I"),
        ("a 1 0 3", "a.dat 16 10/mV 16 0 0 0 0 I"),
        ("a 1 100 0", "a.dat 16 10/mV 16 0 0 0 0 I"),
        ("a 1 -5 3", "a.dat 16 10/mV 16 0 0 0 0 I"),
    ],
)
def test_headers_that_make_no_sense_are_refused(lines: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match=r"a\.(hea|dat)"):
        open_recording(write_header(tmp_path, *lines, samples=counting(3))).read()


@pytest.mark.parametrize("gain", ["", " 0", " 0/mV"])
def test_a_lead_without_a_gain_has_no_unit(gain: str, tmp_path: Path) -> None:
    path = write_header(tmp_path, "a 1 100 3", f"a.dat 16{gain}", samples=counting(3))
    assert open_recording(path).info.units == (None,)


def test_channels_of_two_rates_must_be_chosen(tmp_path: Path) -> None:
    lines = ("a.dat 16x2 10/mV 16 0 0 0 0 II", "a.dat 16 1/mmHg 16 0 0 0 0 ABP")
    path = write_header(tmp_path, "a 2 50 3", *lines, samples=counting(9))
    with pytest.raises(RefusedInputError, match=r"100 Hz \(II\), 50 Hz \(ABP\); none was chosen"):
        open_recording(path)
    fast = open_recording(path, options=ReadOptions(rate=100))
    slow = open_recording(path, options=ReadOptions(rate=50))
    assert np.allclose(fast.read()[:, 0], np.array([0, 1, 3, 4, 6, 7]) / 10)
    assert np.allclose(fast.read(1, 4)[:, 0], np.array([1, 3, 4]) / 10)
    assert slow.read()[:, 0].tolist() == [2, 5, 8]
    assert slow.info.units == ("mmHg",)
    assert any("II (100 Hz)" in note for note in slow.info.notes)


def test_differences_are_summed_from_the_beginning(tmp_path: Path) -> None:
    steps = np.array([0, 1, 2, -4, 3, 1], np.int8)
    line = "a.dat 8 1/mV 8 0 5 0 0 I"
    recording = open_recording(write_header(tmp_path, "a 1 10 6", line, samples=steps.tobytes()))
    assert recording.read()[:, 0].tolist() == [5, 6, 8, 4, 7, 8]
    assert recording.read(3, 5)[:, 0].tolist() == [4, 7]


def test_missing_samples_are_nan(tmp_path: Path) -> None:
    samples = np.array([1, -32768, 3], "<i2").tobytes()
    path = write_header(tmp_path, "a 1 100 3", "a.dat 16 1/mV 16 0 0 0 0 I", samples=samples)
    assert np.isnan(open_recording(path).read()[:, 0]).tolist() == [False, True, False]


def test_annotations_of_another_annotator_are_asked_for(tmp_path: Path) -> None:
    path = write_wfdb(tmp_path, twelve_leads())
    with quiet():
        marks = np.array([10, 90])
        wfdb.wrann("record", "qrs", marks, symbol=["N", "V"], write_dir=str(tmp_path))
    assert open_recording(path).info.annotations == ()
    found = open_recording(path, options=ReadOptions(annotator="qrs")).info.annotations
    assert [(one.start, one.label) for one in found] == [(0.1, "N"), (0.9, "V")]


def test_a_name_with_a_dot_keeps_its_annotations_apart(tmp_path: Path) -> None:
    path = write_header(tmp_path, "a 1 100 3", "a.dat 16 1/mV", samples=counting(3))
    path = path.rename(tmp_path / "a.b.hea")
    (tmp_path / "a.atr").write_bytes(b"of another record")
    info = open_recording(path).info
    assert (info.patient, info.annotations) == ("a.b", ())


def test_damaged_annotations_are_refused(tmp_path: Path) -> None:
    path = write_wfdb(tmp_path, twelve_leads())
    path.with_suffix(".atr").write_bytes(b"\xff\xff\xff")
    with pytest.raises(CorruptInputError, match=r"record\.atr is damaged"):
        open_recording(path)


def test_diagnoses_are_kept_and_other_comments_are_not(tmp_path: Path) -> None:
    info = open_recording(write_wfdb(tmp_path, twelve_leads())).info
    assert info.diagnoses == ("426783006", "1")
    assert any("Header comments (3 lines) are left out" in note for note in info.notes)
