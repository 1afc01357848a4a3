"""Parts that somebody else made: every trial where the table says, or one sentence."""

from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.timeseries.audit.across import patients_apart
from medconsist.timeseries.evaluation.rounds import RoundsPlan, make_rounds
from medconsist.timeseries.parts import parts_of_table, patient_numbers, round_of
from medconsist.timeseries.window_set import WindowTable

# Two windows a trial; trials of patients 1 and 10 have the same names, as COMET's have.
TRIALS = ("0", "1", "0", "1", "1/0")
TABLE = WindowTable(
    patient=np.repeat([0, 0, 1, 1, 2], 2),
    trial=np.repeat(np.arange(5), 2),
    start=np.tile([0, 50], 5),
    label=np.repeat([0, 0, 1, 1, 0], 2),
    patients=("1", "10", "16777217"),
    classes=("well", "ill"),
    sites=(None,) * 3,
)
SOUND = "patient,trial,part\n1,0,train\n10,1,test\n16777217,1/0,train\n"


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "parts.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows_of(tmp_path: Path, text: str | bytes) -> dict[str, list[int]]:
    parts = parts_of_table(TABLE, TRIALS, written(tmp_path, text))
    return {name: rows.tolist() for name, rows in parts.items()}


def test_all_windows_of_a_trial_are_in_its_part_and_others_in_none(tmp_path: Path) -> None:
    assert rows_of(tmp_path, SOUND) == {"test": [6, 7], "train": [0, 1, 8, 9]}


@pytest.mark.parametrize(
    "text",
    [
        SOUND.replace(",", ";"),
        "\ufeff" + SOUND.replace("\n", "\r\n"),
        SOUND + ",,\n\n",
        SOUND.replace("10,1,test", '"10","1"," test "'),
        "part,note,trial,patient\ntrain,,0,1\ntest,x,1,10\ntrain,,1/0,16777217\n",
    ],
    ids=["semicolons", "as Excel writes it", "empty rows", "quotes and blanks", "other order"],
)
def test_tables_of_spreadsheets_are_read_alike(tmp_path: Path, text: str) -> None:
    assert rows_of(tmp_path, text) == {"test": [6, 7], "train": [0, 1, 8, 9]}


def test_a_patient_on_two_sides_is_read_for_the_audit_to_see(tmp_path: Path) -> None:
    leak = SOUND + "1,1,test\n"
    parts = parts_of_table(TABLE, TRIALS, written(tmp_path, leak))
    assert not patients_apart(TABLE, parts).passed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", r"parts\.csv: the file is empty"),
        (b"\xff\xfe1\x00", r"parts\.csv: the file is UTF-16"),
        (b"patient,trial,part\n\xe9,0,train\n", r"parts\.csv: row 2: byte 19 \(0xe9\) is not UTF"),
        ("patient,trial\n1,0\n", r"row 1: there is no column part; needed are patient, trial, pa"),
        ("Patient,trial,part\n1,0,a\n", "row 1: there is no column patient"),
        ("patient,trial,part\n1,0\n", "row 2: 2 cells, but the header has 3 columns"),
        ("patient,trial,part\n1,0,a,b\n", "row 2: 4 cells, but the header has 3 columns"),
        ('patient,trial,part\n1,"0,a\n', "cannot be cut into cells"),
        ("patient,trial,part\n1,0,a\n1,,b\n", "row 3: a cell is empty"),
        ("patient,trial,part\n1,0, \n", "row 2: a cell is empty"),
        (SOUND + "1,0,test\n", "row 5: trial '0' of patient '1' is in row 2 already"),
        (
            SOUND + "1,7,test\n",
            r"row 5: patient '1' has no windows of trial '7'. Allowed are: 0, 1",
        ),
        (SOUND + "p10,0,test\n", "row 5: no windows are of patient 'p10'. Did you mean '10'"),
        (SOUND + "16777216,1/0,test\n", "row 5: no windows are of patient '16777216'"),
        (SOUND.replace("test", "train"), r"the parts are \['train'\]; allowed: two or more"),
        ("patient,trial,part\n", r"the parts are \[\]; allowed: two or more"),
    ],
)
def test_a_table_at_fault_is_refused_by_its_row(
    tmp_path: Path, text: str | bytes, says: str
) -> None:
    with pytest.raises(RefusedInputError, match=says):
        rows_of(tmp_path, text)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"there is no table of parts .*none\.csv; give"):
        parts_of_table(TABLE, TRIALS, tmp_path / "none.csv")
    with pytest.raises(MissingInputError, match="there is no table of parts"):
        parts_of_table(TABLE, TRIALS, tmp_path)


def test_patients_are_found_by_their_whole_name() -> None:
    assert patient_numbers(TABLE, ("10", "16777217", "2")) == [1, 2]
    assert patient_numbers(TABLE, ()) == []


def test_a_round_that_is_not_there_is_refused() -> None:
    table = WindowTable(
        patient=np.arange(4), trial=np.arange(4), start=np.zeros(4, np.int64),
        label=np.arange(4) % 2, patients=tuple("abcd"), classes=("well", "ill"), sites=(None,) * 4,
    )  # fmt: skip
    rounds = make_rounds(table, RoundsPlan(folds=2))
    assert round_of(rounds, 1) == rounds.rounds[1]
    for number in (-1, 2):
        with pytest.raises(RefusedInputError, match=f"no round {number}; allowed: 0 to 1"):
            round_of(rounds, number)
