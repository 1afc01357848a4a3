"""The history of a site: one line for each finished result, only ever appended to."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medconsist._atomic import make_folder, storage_errors
from medconsist._records import Record, read_record
from medconsist.errors import RefusedInputError
from medconsist.results.append_only import append_line, locked

__all__ = ["History", "HistoryLine", "HistoryReport"]


class HistoryLine(Record):
    """The scores of one result, as later cases compare themselves with them.

    Parameters
    ----------
    case, key
        Which result; a pair has one line at most.
    group
        Lines compare only within a group: same task and configuration.
    scores
        Name to value.

    Examples
    --------
    >>> HistoryLine(case="a", key="0" * 64, group="cs", scores={"residual": 0.8}).scores
    {'residual': 0.8}
    """

    schema_version: Literal[1] = 1
    case: str
    key: str
    group: str
    scores: dict[str, float]


@dataclass(frozen=True)
class HistoryReport:
    """The lines that could be read, and a sentence for each that could not.

    Examples
    --------
    >>> HistoryReport(lines=(), problems=()).problems
    ()
    """

    lines: tuple[HistoryLine, ...]
    problems: tuple[str, ...]


class History:
    """The append-only file ``history.jsonl`` of one study.

    Writers exclude each other by ``flock``: on one machine, and on network disks that carry it.

    Examples
    --------
    >>> import tempfile
    >>> history = History(Path(tempfile.mkdtemp()) / "history.jsonl")
    >>> history.append(HistoryLine(case="a", key="0" * 64, group="cs", scores={}))
    True
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: HistoryLine) -> bool:
        """Add one line, flushed to the disk; a (case, key) that has one adds none.

        Returns
        -------
        bool
            True if the line is new.

        Raises
        ------
        StorageError
            If the disk is full or not writable; the file stays as it was.
        """
        make_folder(self.path.parent)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        with storage_errors(self.path), locked(self.path, flags, fcntl.LOCK_EX) as descriptor:
            known = _read(self.path).lines
            if any((old.case, old.key) == (line.case, line.key) for old in known):
                return False
            append_line(descriptor, line.model_dump_json().encode() + b"\n")
            return True

    def read(self) -> HistoryReport:
        """Return all whole lines; a torn or foreign line is left out and reported."""
        if not self.path.exists():
            return HistoryReport((), ())
        # Shared lock: a line that is being written is not mistaken for a torn one.
        with (
            storage_errors(self.path, doing="read"),
            locked(self.path, os.O_RDONLY, fcntl.LOCK_SH),
        ):
            return _read(self.path)


def _read(path: Path) -> HistoryReport:
    lines: list[HistoryLine] = []
    problems: list[str] = []
    for number, text in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not text.strip():
            continue
        try:
            lines.append(read_record(HistoryLine, text, source=f"{path} line {number}"))
        except RefusedInputError as error:
            problems.append(f"Left out: {error}")
    return HistoryReport(tuple(lines), tuple(problems))
