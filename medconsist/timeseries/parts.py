"""Which windows are on which side of a split that somebody else made; rounds by number."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from medconsist._atomic import storage_errors
from medconsist._ids import nearest
from medconsist.errors import BudgetError, MissingInputError, RefusedInputError
from medconsist.manifests.csv_file import csv_table
from medconsist.manifests.problem import problem_at, rows_said
from medconsist.timeseries.audit.across import Parts
from medconsist.timeseries.evaluation.rounds import PatientRound, Rounds
from medconsist.timeseries.window_set import WindowTable

__all__ = ["parts_of_table", "patient_numbers", "round_of"]

_COLUMNS = ("patient", "trial", "part")
_LARGEST_BYTES = 256 * 2**20
_Trial = tuple[str, str]  # of a patient


def round_of(rounds: Rounds, number: int) -> PatientRound:
    """Return one round.

    Raises
    ------
    RefusedInputError
        There is none of this number.
    """
    if not 0 <= number < len(rounds.rounds):
        msg = f"there is no round {number}; allowed: 0 to {len(rounds.rounds) - 1}."
        raise RefusedInputError(msg)
    return rounds.rounds[number]


def patient_numbers(table: WindowTable, names: tuple[str, ...]) -> list[int]:
    """Return the numbers of patients in a table, by their names."""
    wanted = set(names)
    return [number for number, name in enumerate(table.patients) if name in wanted]


def parts_of_table(table: WindowTable, trials: tuple[str, ...], path: Path) -> Parts:
    """Return the rows of each part of a table (.csv) with the columns patient, trial, part.

    Written as a case manifest is: UTF-8, commas or semicolons, empty rows left out. Other columns
    are not read.

    Parameters
    ----------
    table
        Of the windows.
    trials
        Name of each trial by its number, as a prepared folder records them.
    path
        One row for each trial; trials that it does not name are in no part.

    Raises
    ------
    MissingInputError
        There is no such file.
    BudgetError
        It is larger than 256 MiB.
    RefusedInputError
        It is no such table, a cell is empty, a trial is not among the windows or is there twice, or
        there is one part only; names the row.
    """
    of_trial = {
        (table.patients[patient], trials[trial]): trial
        for patient, trial in zip(table.patient.tolist(), table.trial.tolist(), strict=True)
    }
    placed = dict[_Trial, tuple[int, str]]()
    for row, patient, trial, part in _rows(path):
        where = (patient, trial)
        fault = ""
        if where not in of_trial:
            fault = _stranger(where, of_trial)
        elif where in placed:
            fault = f"trial {trial!r} of patient {patient!r} is in {rows_said([placed[where][0]])}"
            fault += " already; name each once."
        if fault:
            raise _refused(path, row, fault)
        placed[where] = (row, part)
    parts = sorted({part for _, part in placed.values()})
    if len(parts) < 2:
        fault = f"the parts are {parts}; allowed: two or more, as nothing leaks within one."
        raise _refused(path, None, fault)
    numbers = {
        name: [of_trial[where] for where, (_, part) in placed.items() if part == name]
        for name in parts
    }
    return {name: np.flatnonzero(np.isin(table.trial, of)) for name, of in numbers.items()}


def _rows(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """Yield number, patient, trial and part of each row."""
    read = csv_table(_bytes(path))
    if read.problems:
        raise _refused(path, None, read.problems[0].sentence)
    lacking = [name for name in _COLUMNS if name not in read.header]
    if lacking:
        fault = f"there is no column {lacking[0]}; needed are {', '.join(_COLUMNS)}."
        raise _refused(path, 1, fault)
    places = [read.header.index(name) for name in _COLUMNS]
    for row, cells in read.rows:
        patient, trial, part = (cells[place].strip() for place in places)
        if not (patient and trial and part):
            raise _refused(path, row, "a cell is empty; a trial has a patient, a name and a part.")
        yield row, patient, trial, part


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        msg = f"there is no table of parts {path}; give one with the columns patient, trial, part."
        raise MissingInputError(msg)
    with storage_errors(path, doing="read"):
        if path.stat().st_size > _LARGEST_BYTES:
            msg = f"{path} holds {path.stat().st_size} bytes, allowed are {_LARGEST_BYTES}."
            raise BudgetError(msg)
        return path.read_bytes()


def _stranger(where: _Trial, of_trial: Mapping[_Trial, int]) -> str:
    patient, trial = where
    known = sorted(name for owner, name in of_trial if owner == patient)
    if known:
        return f"patient {patient!r} has no windows of trial {trial!r}. {nearest(trial, known)}"
    owners = {owner for owner, _ in of_trial}
    return f"no windows are of patient {patient!r}. {nearest(patient, owners)}"


def _refused(path: Path, row: int | None, fault: str) -> RefusedInputError:
    return RefusedInputError(f"{path.name}: {problem_at(row, None, fault).sentence}")
