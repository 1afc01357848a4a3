"""The history of a site: one line for each finished result, only ever appended to."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medconsist._atomic import make_folder, storage_errors
from medconsist._records import Record, read_record
from medconsist.errors import RefusedInputError

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
        with storage_errors(self.path), _locked(self.path, flags, fcntl.LOCK_EX) as descriptor:
            known = _read(self.path).lines
            if any((old.case, old.key) == (line.case, line.key) for old in known):
                return False
            _append(descriptor, line.model_dump_json().encode() + b"\n")
            return True

    def read(self) -> HistoryReport:
        """Return all whole lines; a torn or foreign line is left out and reported."""
        if not self.path.exists():
            return HistoryReport((), ())
        # Shared lock: a line that is being written is not mistaken for a torn one.
        with (
            storage_errors(self.path, doing="read"),
            _locked(self.path, os.O_RDONLY, fcntl.LOCK_SH),
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


@contextmanager
def _locked(path: Path, flags: int, lock: int) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o666)
    try:
        fcntl.flock(descriptor, lock)
        yield descriptor
    finally:
        os.close(descriptor)


def _append(descriptor: int, data: bytes) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        # A writer was killed within its line; end it, so that only that line is lost.
        data = b"\n" + data
    try:
        written = os.write(descriptor, data)
        while written < len(data):  # a nearly full disk takes a part, then raises
            written += os.write(descriptor, data[written:])
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise
