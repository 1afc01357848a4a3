"""The states of a case, and the record of a failure beside the results of a study."""

import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field

from medconsist._atomic import atomic_write_bytes, make_folder, storage_errors
from medconsist._ids import safe_id
from medconsist._records import Record, read_record
from medconsist.batch.work import Case
from medconsist.errors import RefusedInputError

__all__ = ["Failure", "FailureFolder", "State", "batch_folder"]

_FOLDER = ".batch"  # in the folder of a study; no case can have this name

logger = logging.getLogger(__name__)


def batch_folder(root: Path, study: str) -> Path:
    """Return where a study keeps what its batches write beside the results.

    Raises
    ------
    RefusedInputError
        The study is no safe name.
    """
    return root / safe_id(study, what="study id") / _FOLDER


class State(StrEnum):
    """What is known of a case.

    Examples
    --------
    >>> State("done") is State.DONE
    True
    """

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    QUARANTINED = "quarantined"


class Failure(Record):
    """Why a case has no result yet.

    Parameters
    ----------
    case
        Its id in the batch.
    digest
        Of the case: with other settings or another file it is tried as if it had not failed.
    state
        ``failed``: the next run tries it again. ``quarantined``: only ``--retry`` does.
    attempts, deaths
        How often it failed, and how often its worker died or was ended from outside.
    reason
        corrupt, no mpp, no tissue, unsupported, out of memory or failed.
    sentence
        What was found, and what to do.
    exit_code
        That the error alone would have had on the command line.
    traceback
        For whoever repairs it.
    host, pid, time
        Where and when.

    Examples
    --------
    >>> Failure(case="c7", digest="", state="failed", attempts=1,
    ...         reason="corrupt", sentence="The file ends early.").deaths
    0
    """

    case: str
    digest: str
    state: Literal["failed", "quarantined"]
    attempts: int = Field(ge=0)
    deaths: int = Field(default=0, ge=0)
    reason: str
    sentence: str
    exit_code: int = 1
    traceback: str = ""
    host: str = Field(default_factory=socket.gethostname)
    pid: int = Field(default_factory=os.getpid)
    time: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))

    @property
    def line(self) -> str:
        """For a terminal."""
        return f"{self.case}: {self.state} ({self.reason}): {self.sentence}"


@dataclass(frozen=True)
class FailureFolder:
    """One file for each case that failed, written atomically: ``.batch/failures/<id>.json``.

    Parameters
    ----------
    folder
        The batch folder of a study.

    Examples
    --------
    >>> import tempfile
    >>> FailureFolder(Path(tempfile.mkdtemp())).read("c7") is None
    True
    """

    folder: Path

    @property
    def path(self) -> Path:
        """Where the files lie."""
        return self.folder / "failures"

    def of(self, case: Case) -> Failure | None:
        """Return the record of this very case; None if it failed with other settings or bytes."""
        failure = self.read(case.id)
        return failure if failure is not None and failure.digest == case.digest else None

    def read(self, case: str) -> Failure | None:
        """Return the record of an id; None if there is none, or none that can be read."""
        path = self._of(case)
        if not path.is_file():
            return None
        with storage_errors(path, doing="read"):
            data = path.read_bytes()
        try:
            return read_record(Failure, data, source=str(path))
        except RefusedInputError as error:
            logger.warning("%s The case is tried as if it had not failed.", error)
            return None

    def write(self, failure: Failure) -> None:
        """Write the record of a case over its earlier one.

        Raises
        ------
        StorageError
            The disk is full or not writable.
        """
        make_folder(self.path)
        data = failure.model_dump_json(indent=2).encode() + b"\n"
        atomic_write_bytes(self._of(failure.case), data)

    def forget(self, case: str) -> None:
        """Remove the record of a case, if there is one."""
        path = self._of(case)
        with storage_errors(path):
            path.unlink(missing_ok=True)

    def all(self) -> Iterator[Failure]:
        """Yield all records, sorted by case."""
        for path in sorted(self.path.glob("*.json")):
            failure = self.read(path.stem)
            if failure is not None:
                yield failure

    def _of(self, case: str) -> Path:
        return self.path / f"{case}.json"
