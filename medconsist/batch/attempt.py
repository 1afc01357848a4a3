"""One attempt at one case: the only place where an error becomes a record."""

import errno
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from medconsist.batch.engine import Event, Limits
from medconsist.batch.states import Failure, FailureFolder
from medconsist.batch.work import Case, Work, Worker
from medconsist.errors import MedconsistError

__all__ = ["Station", "lost", "no_room", "reason_of", "sentence_of"]

OUT_OF_MEMORY = "out of memory"
_MAY_PASS = frozenset({"failed", OUT_OF_MEMORY})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
_LONGEST = 2000  # characters of a sentence; a message of numpy can hold an array
_ALONE_FROM = 2  # deaths; memory may be what kills workers, and then company matters


class Station:
    """The place of one worker process: opens its worker when it is first needed, keeps it.

    Parameters
    ----------
    work
        What is done to a case.
    folder
        Batch folder of the study.
    limits
        How often a case may fail.
    device
        Of this process.

    Examples
    --------
    >>> Station.attempt.__name__
    'attempt'
    """

    def __init__(
        self, work: Work, *, folder: Path, limits: Limits | None = None, device: str = "cpu"
    ) -> None:
        self._work = work
        self._folder = folder
        self._limits = limits or Limits()
        self._device = device
        self._worker: Worker | None = None

    def attempt(self, case: Case) -> Event:
        """Find the result of a case or make it; a failure is recorded, and nothing is raised."""
        begin = time.monotonic()
        try:
            event = self._attempt(case)
        except Exception as error:  # noqa: BLE001  a case may raise anything, the rest go on
            event = self._failed(case, error)
        return _timed(event, time.monotonic() - begin)

    def _attempt(self, case: Case) -> Event:
        key = self._work.find(case)
        if key is not None:
            FailureFolder(self._folder).forget(case.id)
            return Event(kind="found", case=case.id, key=key)
        if self._worker is None:
            try:
                self._worker = self._work.open(self._device)
            except Exception as error:  # noqa: BLE001  no case can be done: said, not recorded
                return _stopped(case, error)
        finished = self._worker.run(case)
        FailureFolder(self._folder).forget(case.id)
        if not finished.fresh:
            return Event(kind="found", case=case.id, key=finished.key)
        return Event(kind="done", case=case.id, key=finished.key, items=finished.items)

    def _failed(self, case: Case, error: Exception) -> Event:
        if no_room(error):
            return _stopped(case, error)
        try:
            return _record(
                case,
                self._folder,
                self._limits,
                sentence=sentence_of(error),
                reason=reason_of(error),
                exit_code=_exit_code(error),
                trace=_plain("".join(traceback.format_exception(error))),
            )
        except OSError as unwritten:
            return _stopped(case, unwritten)


def lost(case: Case, folder: Path, limits: Limits, *, sentence: str, hung: bool = False) -> Event:
    """Record that the worker of a case is gone; for an engine, which is told of it.

    Parameters
    ----------
    case
        Which it was busy with.
    folder, limits
        As given to the engine.
    sentence
        What became of it, e.g. "The worker (pid 7) was ended by signal 9."
    hung
        It was ended because it took too long: that counts as a failed attempt, not as a death.
    """
    begin = time.monotonic()
    try:
        event = _record(case, folder, limits, sentence=sentence, reason="failed", died=not hung)
    except OSError as unwritten:
        event = _stopped(case, unwritten)
    return _timed(event, time.monotonic() - begin)


def reason_of(error: BaseException) -> str:
    """Return the class that is recorded for an error.

    Examples
    --------
    >>> reason_of(MemoryError()), reason_of(KeyError("x"))
    ('out of memory', 'failed')
    """
    # torch raises its own class for a GPU and a RuntimeError for the host; it is not imported here.
    memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if memory or "can't allocate memory" in _said(error):
        return OUT_OF_MEMORY
    return error.reason if isinstance(error, MedconsistError) else "failed"


def _record(
    case: Case,
    folder: Path,
    limits: Limits,
    *,
    sentence: str,
    reason: str,
    exit_code: int = 1,
    trace: str = "",
    died: bool = False,
) -> Event:
    failures = FailureFolder(folder)
    before = failures.of(case)
    attempts = (before.attempts if before else 0) + (not died)
    deaths = (before.deaths if before else 0) + died
    over = reason not in _MAY_PASS or attempts >= limits.attempts or deaths >= limits.deaths
    failure = Failure(
        case=case.id,
        digest=case.digest,
        state="quarantined" if over else "failed",
        attempts=attempts,
        deaths=deaths,
        reason=reason,
        sentence=sentence,
        exit_code=exit_code,
        traceback=trace,
    )
    failures.write(failure)
    return Event(
        kind=failure.state,
        case=case.id,
        reason=reason,
        sentence=sentence,
        exit_code=exit_code,
        alone=not over and (reason == OUT_OF_MEMORY or deaths >= _ALONE_FROM),
    )


def _stopped(case: Case, error: Exception) -> Event:
    return Event(
        kind="stopped",
        case=case.id,
        reason=reason_of(error),
        sentence=sentence_of(error),
        exit_code=_exit_code(error),
    )


def _timed(event: Event, seconds: float) -> Event:
    return Event(**{**vars(event), "seconds": seconds})


def sentence_of(error: Exception) -> str:
    """Return what a record or a report says of an error: one line, printable, of bounded length.

    Examples
    --------
    >>> sentence_of(KeyError("rows"))
    "KeyError: 'rows'"
    """
    said = _plain(" ".join(_said(error).split())[:_LONGEST])
    return said if isinstance(error, MedconsistError) else f"{type(error).__name__}: {said}"


def _said(error: BaseException) -> str:
    """Return ``str(error)``, also of an error that cannot say it."""
    return str(traceback.TracebackException(type(error), error, None))


def _plain(text: str) -> str:
    """Escape what no file of UTF-8 can hold, and what would steer a terminal: names hold both."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def _exit_code(error: Exception) -> int:
    return error.exit_code if isinstance(error, MedconsistError) else 1


def no_room(error: BaseException) -> bool:
    """Say whether a disk is full or read-only, so that no further case could be stored.

    Examples
    --------
    >>> no_room(OSError(errno.ENOSPC, "No space left on device")), no_room(ValueError())
    (True, False)
    """
    return any(isinstance(e, OSError) and e.errno in _NO_ROOM for e in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
