"""``medconsist ts prepare`` as its users call it: from a list of files, or a folder as COMET's."""

import json
from pathlib import Path

import numpy as np
import pytest

from medconsist.timeseries.prepared import read_prepared
from tests.cli.conftest import Program
from tests.timeseries.readers.writers import twelve_leads, write_comet, write_dicom

HOW = ("--rate", "100", "--seconds", "1", "--classes", "well", "ill")


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A manifest of three tables of two patients."""
    for number, name in enumerate(("p1/a", "p1/b", "p2/c")):
        path = tmp_path / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        rows = [f"{n / 200},{number + np.sin(n):.4f}" for n in range(700)]
        path.write_text("\n".join(["time [s],II [mV]", *rows]) + "\n")
    rows = ["path,patient,label", "p1/a.csv,p1,ill", "p1/b.csv,p1,ill", "p2/c.csv,p2,well"]
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "cases.csv"


def test_a_list_of_recordings_becomes_windows(program: Program, listed: Path) -> None:
    out = listed.parent / "out"
    answer = program("ts", "prepare", listed, "--out", out, *HOW, "--overlap", "0.5")
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[0] == f"{out}: 18 windows of 2 patients."
    windows = read_prepared(out)
    assert (windows.samples, windows.rate, windows.table.classes) == (100, 100.0, ("well", "ill"))
    again = program("ts", "prepare", listed, "--out", out, *HOW, "--overlap", "0.5", "--json")
    facts = json.loads(again.out)["facts"]
    assert facts["windows"] == 18
    assert facts["settings"]["resampling"] == "filtered"


def test_straight_lines_as_released_can_be_asked_for(program: Program, listed: Path) -> None:
    words = (*HOW, "--resampling", "linear", "--json")
    answer = program("ts", "prepare", listed, "--out", listed.parent / "out", *words)
    assert json.loads(answer.out)["facts"]["settings"]["resampling"] == "linear"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--rate", "250", "--seconds", "0.333"), "--rate times --seconds is 83.25 samples; allow"),
        (("--rate", "100", "--seconds", "0"), "--rate times --seconds is 0.0 samples; allowed"),
        (("--rate", "nan", "--seconds", "1"), "--rate times --seconds is nan samples"),
        (("--rate", "inf", "--seconds", "1"), "--rate times --seconds is inf samples"),
        (("--rate", "-100", "--seconds", "-1"), "a positive rate, got -100.0 Hz"),
        (("--rate", "75", "--seconds", "1", "--overlap", "0.5"), "--overlap of a window is 37.5 s"),
        (("--rate", "75", "--seconds", "1", "--overlap", "1"), "--overlap got 1.0; allowed: a sh"),
        (("--rate", "75", "--seconds", "1", "--overlap", "nan"), "--overlap got nan; allowed"),
        (("--rate", "75", "--seconds", "1", "--label", "x_age"), "no column 'x_age' of labels"),
        (("--rate", "75", "--seconds", "1", "--source-rate", "90"), "cases.csv, row 2: a.csv"),
        (("--rate", "300", "--seconds", "1"), "300"),
    ],
)
def test_what_cannot_be_prepared_is_one_sentence(
    program: Program, listed: Path, words: tuple[str, ...], says: str
) -> None:
    out = listed.parent / "out"
    answer = program("ts", "prepare", listed, "--out", out, "--classes", "well", "ill", *words)
    assert answer.code == 2
    assert says in answer.sentence
    assert not (out / "prepared.json").exists()


def test_a_folder_of_files_is_no_guess_of_patients(program: Program, listed: Path) -> None:
    answer = program("ts", "prepare", listed.parent, "--out", listed.parent / "out", *HOW)
    assert answer.code == 2
    assert "whose its files are is not said; make a manifest of it" in answer.sentence


def test_a_group_of_dicom_is_chosen_and_asked_for(program: Program, tmp_path: Path) -> None:
    write_dicom(tmp_path, twelve_leads(), groups=2)
    (tmp_path / "cases.csv").write_text("path,patient,label\nrecord.dcm,p1,ill\n")
    words = ("ts", "prepare", tmp_path / "cases.csv", "--out", tmp_path / "out", *HOW)
    refused = program(*words)
    assert refused.code == 2
    assert "holds 2 multiplex groups (0: GROUP 0, 300 samples; 1: GROUP 1" in refused.sentence
    assert program(*words, "--source-group", "1").code == 0


def test_a_folder_as_comets_is_read_by_patient(program: Program, tmp_path: Path) -> None:
    folder = write_comet(tmp_path / "set")
    out = tmp_path / "out"
    words = ("--rate", "256", "--seconds", "0.03125", "--classes", "no", "yes")
    answer = program("ts", "prepare", folder, "--out", out, *words)
    assert answer.code == 0, answer.err
    assert read_prepared(out).table.patients == ("1", "2", "3")
