"""One task of a SLURM array: a fixed share of the cases, on the local engine of its node.

What happens is written to a file of the task's own, line by line, which the driver reads. A task
that is asked to stop (time limit, preemption) goes back to the queue and carries on from there.
"""

import json
import logging
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from medconsist._atomic import make_folder, storage_errors
from medconsist._extras import require
from medconsist.batch.attempt import lost
from medconsist.batch.engine import Event, Limits
from medconsist.batch.local import LocalEngine
from medconsist.batch.work import Case, Work, Worker
from medconsist.errors import MedconsistError

if TYPE_CHECKING:
    from submitit.core.utils import DelayedSubmission

__all__ = ["EventFile", "Shard", "begun", "shares"]

logger = logging.getLogger(__name__)


def shares(cases: Sequence[Case], count: int) -> list[tuple[Case, ...]]:
    """Return the cases in at most ``count`` shares, each by the hash of its id: always the same.

    Examples
    --------
    >>> [len(share) for share in shares([Case(id="c1"), Case(id="c2"), Case(id="c3")], 2)]
    [1, 2]
    """
    found: dict[int, list[Case]] = {}
    for case in cases:
        number = int.from_bytes(sha256(case.id.encode()).digest()[:8], "big") % count
        found.setdefault(number, []).append(case)
    return [tuple(found[number]) for number in sorted(found)]


@dataclass(frozen=True)
class EventFile:
    """Events of one task, a line of JSON each; the task alone writes, and only at the end.

    Parameters
    ----------
    path
        On a disk that the driver sees too.

    Examples
    --------
    >>> import tempfile
    >>> file = EventFile(Path(tempfile.mkdtemp()) / "0.jsonl")
    >>> file.add(Event(kind="started", case="c7"))
    >>> [event.case for event in file.since(0)[0]]
    ['c7']
    """

    path: Path

    def add(self, event: Event) -> None:
        """Write one line.

        Raises
        ------
        StorageError
            The disk is full or not writable.
        """
        with storage_errors(self.path), self.path.open("a") as file:
            file.write(json.dumps(vars(event)) + "\n")

    def open_again(self) -> None:
        """End a line that a killed task has left half written."""
        make_folder(self.path.parent)
        with storage_errors(self.path), self.path.open("a+b") as file:
            if file.tell() and not self.path.read_bytes().endswith(b"\n"):
                file.write(b"\n")

    def since(self, offset: int) -> tuple[list[Event], int]:
        """Return the events of whole lines from ``offset`` on, and where they end [bytes]."""
        # Opened anew each time: a network disk shows a change to one who opens the file.
        if not self.path.is_file():
            return [], offset
        with storage_errors(self.path, doing="read"), self.path.open("rb") as file:
            file.seek(offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        return list(self._events(whole)), offset + len(whole)

    def _events(self, data: bytes) -> Iterator[Event]:
        for line in data.splitlines():
            try:
                yield Event(**json.loads(line))
            except (ValueError, TypeError):
                logger.warning("%s: a line that was cut off is passed over.", self.path)


def begun(events: Sequence[Event]) -> set[str]:
    """Return the ids of the cases that were started and about which nothing was said since."""
    last = {event.case: event.kind for event in events}
    return {case for case, kind in last.items() if kind == "started"}


class _StopError(MedconsistError):
    """Ends the local engine of a task when no case can be done."""


@dataclass(frozen=True)
class _Calm(Work):
    """The work, in processes that leave SLURM's signals to the task that started them."""

    work: Work
    signals: tuple[int, ...]

    def find(self, case: Case) -> str | None:
        for number in self.signals:
            signal.signal(number, signal.SIG_IGN)
        return self.work.find(case)

    def open(self, device: str) -> Worker:
        return self.work.open(device)


@dataclass(frozen=True, kw_only=True)
class Shard:
    """What submitit stores for a task and calls there; it stores it again when the task must stop.

    Parameters
    ----------
    work, cases, folder, limits
        As given to the engine, the cases of this share alone.
    events
        File of this task.
    workers, threads, device
        Of the local engine on the node.

    Examples
    --------
    >>> Shard.__dataclass_params__.frozen
    True
    """

    work: Work
    cases: tuple[Case, ...]
    folder: Path
    limits: Limits
    events: Path
    workers: int = 1
    threads: int | None = None
    device: str = "cpu"

    def __call__(self) -> None:
        """Run what this task has not ended yet.

        Raises
        ------
        MedconsistError
            No case can be done: disk full, no model.
        """
        file = EventFile(self.events)
        file.open_again()
        past, _ = file.since(0)
        ended = {event.case for event in past if event.ended}
        cases = [case for case in self.cases if case.id not in ended]
        in_flight = begun(past)
        for case in cases:
            if case.id in in_flight:
                said = "SLURM ended or moved the task that was busy with this case."
                event = lost(case, self.folder, self.limits, sentence=said)
                file.add(event)
                ended |= {case.id} if event.ended else set()
        engine = LocalEngine(workers=self.workers, device=self.device, threads=self.threads)
        engine.run(
            _Calm(self.work, (int(_slurm_signal()), int(signal.SIGTERM))),
            [case for case in cases if case.id not in ended],
            folder=self.folder,
            report=_Scribe(file),
            limits=self.limits,
        )

    def checkpoint(self) -> "DelayedSubmission":
        """Return this task for the queue; called by submitit when SLURM says that it must stop."""
        submitit = require("submitit", extra="slurm")
        # submitit calls scontrol next, which may be ended with the task that it puts back; that
        # would be stored as an error of the task, and a child inherits what is ignored.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        submission: DelayedSubmission = submitit.helpers.DelayedSubmission(self)
        return submission


@dataclass(frozen=True)
class _Scribe:
    """A report that writes, and ends the task where no case can be done."""

    file: EventFile

    def __call__(self, event: Event) -> None:
        self.file.add(event)
        if event.kind == "stopped":
            raise _StopError(event.sentence)


def _slurm_signal() -> signal.Signals:
    """Return the signal with which SLURM announces the end of a task; submitit chooses it."""
    environment = require("submitit", extra="slurm").core.job_environment.JobEnvironment
    return signal.Signals[f"SIG{environment.USR_SIG}"]
