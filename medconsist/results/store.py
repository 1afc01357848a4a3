"""The results folder: ``root/study/case/key/result.json`` with its arrays beside it."""

import os
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy.typing as npt

from medconsist._atomic import atomic_write_bytes, storage_errors
from medconsist._ids import is_id, nearest, safe_id
from medconsist.errors import CorruptResultError, MissingInputError, RefusedInputError
from medconsist.results.arrays import read_array
from medconsist.results.draft import Draft, refuse_corrupt
from medconsist.results.folder import RESULT_NAME, ResultFolder
from medconsist.results.history import History, HistoryLine
from medconsist.results.ids import is_key, safe_key
from medconsist.results.input_places import InputPlaces
from medconsist.results.schema import ArrayRecord, Result

__all__ = ["ResultStore", "StoredResult", "studies"]

_CURRENT = "current"


@dataclass(frozen=True)
class StoredResult:
    """A finished result; every array is verified against its sha256 when it is read.

    Parameters
    ----------
    folder
        Where it lies.
    result
        The verified content of ``result.json``.

    Examples
    --------
    >>> StoredResult.__dataclass_params__.frozen
    True
    """

    folder: ResultFolder
    result: Result

    def roles(self) -> tuple[str, ...]:
        """Return the roles of all arrays and files."""
        return tuple(record.role for record in self.result.arrays)

    def record(self, role: str) -> ArrayRecord:
        """Return what is known about the array of this role.

        Raises
        ------
        RefusedInputError
            If the result has no such role; names the nearest one.
        """
        for record in self.result.arrays:
            if record.role == role:
                return record
        msg = f"This result has no array {role!r}. {nearest(role, self.roles())}"
        raise RefusedInputError(msg)

    def array(self, role: str) -> npt.NDArray[Any]:
        """Return the array of this role, bit for bit as it was stored.

        Raises
        ------
        RefusedInputError
            If there is no such role, or it is a file for another program (see ``file``).
        CorruptResultError
            If a byte differs from what was stored.
        """
        record = self.record(role)
        if record.kind != "zarr":
            msg = f"{role!r} is a {record.kind} file, no array. Use file({role!r}) for its path."
            raise RefusedInputError(msg)
        path = self.folder.array_path(record)
        return read_array(path, shape=record.shape, dtype=record.dtype)

    def file(self, role: str) -> Path:
        """Return the verified path of the file or folder of this role.

        Raises
        ------
        RefusedInputError
            If there is no such role.
        CorruptResultError
            If a byte differs from what was stored.
        """
        return self.folder.array_path(self.record(role))


class ResultStore:
    """The results of one study: written once by key, verified, never changed.

    Parameters
    ----------
    root
        Folder of all studies; made at the first draft.
    study
        Opaque id of the study.

    Raises
    ------
    RefusedInputError
        If the study is no safe name.

    Examples
    --------
    >>> import tempfile
    >>> store = ResultStore(Path(tempfile.mkdtemp()), "demo")
    >>> store.cases(), store.is_done("head", "0" * 64)
    ([], False)
    """

    def __init__(self, root: Path, study: str) -> None:
        self.root = root
        self.study = safe_id(study, what="study id")

    @property
    def history(self) -> History:
        """The append-only history of this study's scores."""
        return History(self.root / self.study / "history.jsonl")

    @cached_property
    def inputs(self) -> InputPlaces:
        """Where the inputs of this study were last seen."""
        return InputPlaces(self.root / self.study / "inputs.jsonl")

    def draft(self, case: str, key: str) -> Draft:
        """Return a draft for ``with``: nothing is seen before its ``finish``.

        Raises
        ------
        RefusedInputError
            If the case id or the key is not safe.
        CorruptResultError
            If the key exists and does not verify; quarantine it first.
        """
        target = self._at(case, key)
        if target.path.exists():
            refuse_corrupt(target)
        return Draft(target)

    def is_done(self, case: str, key: str) -> bool:
        """Say whether this key exists and every byte of it verifies."""
        return not self.verify(case, key)

    def verify(self, case: str, key: str) -> list[str]:
        """Return one sentence for each fault; none means that every byte is as written."""
        return self._at(case, key).problems()

    def read(self, case: str, key: str | None = None) -> StoredResult:
        """Return a result, verified but for its arrays, which are verified when they are read.

        Parameters
        ----------
        case
            Its case.
        key
            None for the current one.

        Raises
        ------
        MissingInputError
            If there is no such case or key, or no current one.
        CorruptResultError
            If the result is not as it was written.
        """
        key = self.current(case) if key is None else key
        if key is None:
            keys = self.keys(case)
            hint = f"It has {', '.join(keys)}." if keys else nearest(case, self.cases())
            msg = f"Case {case!r} of study {self.study!r} has no current result. {hint}"
            raise MissingInputError(msg)
        folder = self._at(case, key)
        return StoredResult(folder, folder.read())

    def cases(self) -> list[str]:
        """Return all cases that have a finished result, sorted by name."""
        folder = self.root / self.study
        return [name for name in _folders(folder) if is_id(name) and self.keys(name)]

    def keys(self, case: str) -> list[str]:
        """Return the keys of all finished results of a case, sorted; not verified."""
        folder = self.case_path(case)
        names = [name for name in _folders(folder) if is_key(name)]
        return [name for name in names if (folder / name / RESULT_NAME).is_file()]

    def current(self, case: str) -> str | None:
        """Return the key to show, None if none was chosen.

        Raises
        ------
        CorruptResultError
            If the pointer is not as it was written.
        """
        path = self.case_path(case) / _CURRENT
        if not path.is_file():
            return None
        try:
            return safe_key(path.read_text(errors="replace").removesuffix("\n"))
        except RefusedInputError as error:
            msg = f"{path} is damaged. {error} Choose one of {', '.join(self.keys(case))}."
            raise CorruptResultError(msg) from error

    def set_current(self, case: str, key: str) -> None:
        """Point ``current`` to a verified key; a reader sees the old key or the new one.

        Raises
        ------
        MissingInputError, CorruptResultError
            If the key is not there or does not verify; the pointer stays as it was.
        StorageError
            If the disk is full or not writable; the pointer stays as it was.
        """
        target = self._at(case, key)
        target.read()
        refuse_corrupt(target)
        path = self.case_path(case) / _CURRENT
        if not path.is_file() or path.read_bytes() != f"{key}\n".encode():
            atomic_write_bytes(path, f"{key}\n".encode())

    def quarantine(self, case: str, key: str) -> Path:
        """Set a corrupt result aside under a hidden name, so that its key can be written again.

        Returns
        -------
        Path
            Where its bytes lie now.

        Raises
        ------
        RefusedInputError
            If the result verifies: what was written once stays.
        MissingInputError
            If there is no such result.
        """
        target = self._at(case, key)
        if not target.path.exists():
            msg = f"There is no result {target.path} to set aside."
            raise MissingInputError(msg)
        if not target.problems():
            msg = f"{target.path} verifies, so it stays: a key is written once and never changed."
            raise RefusedInputError(msg)
        aside = target.path.with_name(f".quarantine-{key}-{secrets.token_hex(4)}")
        with storage_errors(aside):
            target.path.rename(aside)
        return aside

    def remember(self, result: Result, *, group: str) -> bool:
        """Add the scores of a finished result to the history of the site, once.

        Call it after ``finish`` and again on a rerun: a (case, key) has one line at most, and a
        job that was killed in between gets its line then.

        Parameters
        ----------
        result
            Of this study.
        group
            Lines compare only within a group: name the task and its configuration.

        Returns
        -------
        bool
            True if the line is new.

        Raises
        ------
        StorageError
            If the disk is full or not writable; the history stays as it was.
        """
        scores = {score.name: score.value for score in result.trust.scores}
        line = HistoryLine(case=result.case, key=result.key, group=group, scores=scores)
        return self.history.append(line)

    def case_path(self, case: str) -> Path:
        """Return the folder of a case, which may not be there yet; hidden names in it are free.

        Raises
        ------
        RefusedInputError
            If the case id is not safe.
        """
        return self.root / self.study / safe_id(case, what="case id")

    def _at(self, case: str, key: str) -> ResultFolder:
        case = safe_id(case, what="case id")
        return ResultFolder(self.root, study=self.study, case=case, key=safe_key(key))


def studies(root: Path) -> list[str]:
    """Return the studies of a results folder that have at least one finished case."""
    return [name for name in _folders(root) if is_id(name) and _has_case(ResultStore(root, name))]


def _has_case(store: ResultStore) -> bool:
    """Say whether a study has a finished case; a page that asks often lists no ten thousand."""
    with os.scandir(store.root / store.study) as entries:
        return any(one.is_dir() and is_id(one.name) and store.keys(one.name) for one in entries)


def _folders(path: Path) -> list[str]:
    return sorted(child.name for child in path.iterdir() if child.is_dir()) if path.is_dir() else []
