"""Tables: names, time, empty cells."""

from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import BudgetError, CorruptInputError, RefusedInputError
from medconsist.timeseries.readers.choice import open_recording
from medconsist.timeseries.readers.options import DEFAULT_OPTIONS, ReadOptions
from medconsist.timeseries.recording import Recording

AT_100 = ReadOptions(rate=100)


def table(folder: Path, text: str, options: ReadOptions = DEFAULT_OPTIONS) -> Recording:
    (folder / "a.csv").write_text(text, encoding="utf-8")
    return open_recording(folder / "a.csv", options=options)


def timed(folder: Path, stamps: list[float] | np.ndarray, unit: str, digits: int = 6) -> Recording:
    rows = [f"{stamp:.{digits}f},1" for stamp in stamps]
    return table(folder, "\n".join([f"time [{unit}],II [mV]", *rows, ""]))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_are_told_by_the_row_of_names(delimiter: str, tmp_path: Path) -> None:
    text = "I [mV],aVR (uV),PLETH\n1,2,3\n4,5,6\n".replace(",", delimiter)
    recording = table(tmp_path, text, AT_100)
    assert recording.info.channels == ("I", "aVR", "PLETH")
    assert recording.info.units == ("mV", "uV", None)
    assert recording.read().tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("name", ["index", "Sample", "", "sample #", "'sample #'"])
def test_an_index_is_no_channel(name: str, tmp_path: Path) -> None:
    recording = table(tmp_path, f"{name},II\n0,5\n1,6\n", AT_100)
    assert recording.info.channels == ("II",)
    assert recording.read()[:, 0].tolist() == [5, 6]


def test_empty_cells_are_missing_samples(tmp_path: Path) -> None:
    signal = table(tmp_path, "I,II\n1,\n,4\nnan,6\n", AT_100).read()
    assert np.isnan(signal).tolist() == [[False, True], [True, False], [True, False]]


@pytest.mark.parametrize(("unit", "scale"), [("s", 1.0), ("ms", 1e3), ("us", 1e6)])
@pytest.mark.parametrize("rate", [250.0, 360.0, 1000.0, 128.0])
def test_the_rate_is_read_from_even_time(
    unit: str, scale: float, rate: float, tmp_path: Path
) -> None:
    info = timed(tmp_path, 3 + np.arange(400) / rate * scale, unit).info
    assert info.rate == rate
    assert f"Rate {rate:g} Hz fits every time stamp." in info.notes


def test_rounded_stamps_are_even_enough(tmp_path: Path) -> None:
    assert timed(tmp_path, np.arange(1000) / 360, "s", digits=3).info.rate == 360.0


def test_a_rate_that_is_no_whole_number_is_kept(tmp_path: Path) -> None:
    info = timed(tmp_path, np.arange(2000) / 128.25, "s", digits=9).info
    # Nine digits over 15.6 s.
    assert info.rate == pytest.approx(128.25, rel=1e-9)


@pytest.mark.parametrize("lost", [1, 250, 498])
def test_a_lost_row_is_found(lost: int, tmp_path: Path) -> None:
    stamps = np.delete(np.arange(500) / 100, lost)
    with pytest.raises(RefusedInputError, match="time is not even at row"):
        timed(tmp_path, stamps, "s")


def test_a_rate_that_changes_is_found(tmp_path: Path) -> None:
    stamps = np.cumsum(np.r_[np.full(300, 0.01), np.full(300, 0.008)])
    with pytest.raises(RefusedInputError, match="the rate changes"):
        timed(tmp_path, stamps, "s")


@pytest.mark.parametrize("stamps", [[0.0], [1.0, 0.5], [2.0, 2.0], [float("nan"), 1.0]])
def test_time_that_does_not_run_is_refused(stamps: list[float], tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="does not run forward"):
        timed(tmp_path, stamps, "s")


def test_time_without_a_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match=r"unit None; allowed: s, sec"):
        table(tmp_path, "time,II\n0,1\n1,2\n")


def test_a_given_rate_that_the_time_belies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="says 500 Hz, 100 Hz was given"):
        table(tmp_path, "time [ms],II\n0,1\n2,2\n4,3\n", AT_100)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("1,2\n3,4\n", "a row with a name for each column"),
        ("I,II\n", "no row of samples"),
        ("I,II\n1,2\n3\n", "number of columns"),
        ("I,II\n1,2\n3,4,5\n", "number of columns"),
        ("I,II\n1,x\n", "could not convert"),
        ("I;II\n1,5;2,5\n", "could not convert"),
        ("I,I\n1,2\n", "named twice"),
        ("index\n1\n2\n", "no column beside 'index'"),
        ("I,II\n1,2\n3", "ends within a row"),
        ("I,II\n1,2\n3,", "ends within a row"),
        ("II\n1\n\n3\n", "line below row 2 is empty"),
    ],
)
def test_tables_that_are_none_are_refused(text: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match=match):
        table(tmp_path, text, AT_100)


def test_time_behind_an_index_gives_the_rate_and_is_no_channel(tmp_path: Path) -> None:
    info = table(tmp_path, "index,time [s],II [mV]\n0,0,1\n1,0.01,2\n").info
    assert (info.rate, info.channels) == (100.0, ("II",))


def test_a_last_row_without_its_end_is_noted(tmp_path: Path) -> None:
    info = table(tmp_path, "I,II\n1,2\n3,4", AT_100).info
    assert any("no line end" in note for note in info.notes)


def test_text_of_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("I [µV]\n1\n".encode("latin-1"))
    with pytest.raises(CorruptInputError, match="no text in UTF-8"):
        open_recording(tmp_path / "a.csv", options=AT_100)


def test_text_beyond_the_budget_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="budget"):
        table(tmp_path, "I\n" + "1\n" * 1000, ReadOptions(rate=1, budget_bytes=10_000))
