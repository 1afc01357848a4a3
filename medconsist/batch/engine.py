"""What an engine is: it runs cases on workers and says what happened; it decides nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medconsist.batch.work import Case, Work
from medconsist.errors import RefusedInputError

__all__ = ["Engine", "Event", "Kind", "Limits", "Report", "biggest_first", "refuse_few"]

Kind = Literal["started", "done", "found", "failed", "quarantined", "stopped"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a case may ask of the batch.

    Parameters
    ----------
    attempts
        How often a case may fail with what may pass (failed, out of memory); a corrupt one and
        the like is quarantined at once.
    deaths
        How often its worker may die under it (killed, crashed), which need not be its fault.
    case_seconds
        A worker that is busy with one case for longer is ended, and the case has failed once;
        loading the model counts. None waits for ever.
    max_failures
        Stop the batch when more cases than this are quarantined in it.

    Raises
    ------
    RefusedInputError
        A number is out of range.

    Examples
    --------
    >>> Limits().attempts
    2
    """

    attempts: int = 2
    deaths: int = 5
    case_seconds: float | int | None = None
    max_failures: int | None = None

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.deaths < 1:
            msg = f"attempts {self.attempts} and deaths {self.deaths} must be at least 1."
            raise RefusedInputError(msg)
        if self.case_seconds is not None and not 0 < self.case_seconds < float("inf"):
            msg = f"--case-seconds must be positive, got {self.case_seconds}; leave it out to wait."
            raise RefusedInputError(msg)
        if self.max_failures is not None and self.max_failures < 0:
            msg = f"--max-failures must be 0 or more, got {self.max_failures}."
            raise RefusedInputError(msg)


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a case.

    Parameters
    ----------
    kind
        ``started``; ``done`` (computed now), ``found`` (was done before); ``failed`` (the engine
        runs it again), ``quarantined`` (set aside); ``stopped`` (no case can be done: disk full,
        no model).
    case
        Its id.
    key
        Of the result.
    items, seconds
        What was computed, and how long it took.
    reason, sentence, exit_code
        Of the failure.
    alone
        A failed case that should run again while no other one does: memory ran out.

    Examples
    --------
    >>> Event(kind="started", case="c7").ended
    False
    """

    kind: Kind
    case: str
    key: str | None = None
    items: int = 0
    seconds: float | int = 0
    reason: str = ""
    sentence: str = ""
    exit_code: int = 0
    alone: bool = False

    @property
    def ended(self) -> bool:
        """Whether the case needs no further attempt in this batch."""
        return self.kind in ("done", "found", "quarantined")


Report = Callable[[Event], None]


class Engine(ABC):
    """Runs cases on workers; may run one twice, as a second run finds it done.

    Examples
    --------
    >>> from medconsist.batch.inline import InlineEngine
    >>> InlineEngine().name
    'inline'
    """

    name: str
    workers: int = 1

    @abstractmethod
    def run(
        self, work: Work, cases: Sequence[Case], *, folder: Path, report: Report, limits: Limits
    ) -> None:
        """Run all cases until each has an event with ``ended``; end all workers on leaving.

        Parameters
        ----------
        work, cases
            What is done to what; big cases first.
        folder
            Batch folder of the study, which exists; shared by all machines.
        report
            Called in this process with each event; if it raises, the batch ends with that error.
        limits
            See their class; a case that `Event.kind` calls ``failed`` is run again.

        Raises
        ------
        MedconsistError
            Workers cannot be started.
        """


def refuse_few(workers: int, threads: int | None) -> None:
    """Refuse fewer than one worker, or than one CPU thread for each.

    Raises
    ------
    RefusedInputError
        Says which flag it is.
    """
    for flag, number in (("--workers", workers), ("--threads", threads)):
        if number is not None and number < 1:
            msg = f"{flag} must be 1 or more, got {number}."
            raise RefusedInputError(msg)


def biggest_first(cases: Sequence[Case]) -> list[Case]:
    """Return the cases by falling size, so that no big one is left for the end."""
    return sorted(cases, key=lambda case: -case.size)
