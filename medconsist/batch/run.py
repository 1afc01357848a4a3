"""Run a batch: one driver, its engine, and the report of what became of every case."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from medconsist._atomic import make_folder
from medconsist.batch.attempt import sentence_of
from medconsist.batch.damaged import set_damaged_aside
from medconsist.batch.driver import Heartbeat, beating, one_driver
from medconsist.batch.engine import Engine, Event, Limits
from medconsist.batch.plan import write_plan
from medconsist.batch.progress import ProgressLine, Tally
from medconsist.batch.report import BatchReport, ReportedResult, write_report
from medconsist.batch.states import Failure, FailureFolder
from medconsist.batch.work import Case, Work
from medconsist.errors import MedconsistError, RefusedInputError, StorageError
from medconsist.results.store import ResultStore

__all__ = ["run_batch"]

logger = logging.getLogger(__name__)


class _StopError(Exception):
    """Raised through the engine when the batch is not to go on."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def run_batch(
    work: Work,
    cases: Sequence[Case],
    *,
    engine: Engine,
    folder: Path,
    limits: Limits | None = None,
    retry_quarantined: bool = False,
    line: ProgressLine | None = None,
) -> BatchReport:
    """Bring every case to a result, or to a record of why it has none.

    A case is done if and only if its key verifies (`Work.find`, asked by the worker); a rerun
    computes only what is missing. Cases that an earlier batch set aside are left alone unless
    their settings or files have changed. A full or read-only disk ends the batch.

    Parameters
    ----------
    work, cases, engine
        What is done to what by whom; ids of cases are unique.
    folder
        See `batch_folder`; made if it is not there.
    limits
        How often a case may fail, and for how long it may run.
    retry_quarantined
        Forget the failures of these cases first, and set aside what is damaged of their results.
    line
        Where progress is shown; None shows none.

    Returns
    -------
    BatchReport
        Also written to ``report.json`` and ``report.html`` in the folder.

    Raises
    ------
    RefusedInputError
        Two cases have one id, or another driver is at work on this study.
    StorageError
        The folder is not writable; nothing was run.
    MedconsistError
        The engine cannot run workers; the report says what was done.
    """
    limits = limits or Limits()
    _refuse_twins(cases)
    make_folder(folder)
    with one_driver(folder):
        batch = _Batch(cases, engine=engine, folder=folder, limits=limits, line=line)
        write_plan(folder, cases)
        batch.set_apart(work, retry=retry_quarantined)
        try:
            with beating(folder, batch.heartbeat):
                engine.run(work, batch.left, folder=folder, report=batch.take, limits=limits)
        except _StopError as stop:
            logger.warning("%s", stop)
            batch.stopped, batch.exit_code = str(stop), stop.exit_code
        except (KeyboardInterrupt, Exception) as error:
            batch.end_by(error)
            raise
        return batch.finish()


class _Batch:
    """What the driver knows while the engine runs."""

    def __init__(
        self,
        cases: Sequence[Case],
        *,
        engine: Engine,
        folder: Path,
        limits: Limits,
        line: ProgressLine | None,
    ) -> None:
        self.left = list[Case]()
        self.stopped, self.exit_code = "", 1
        self._cases = {case.id: case for case in cases}
        self._engine = engine
        self._folder = folder
        self._limits = limits
        self._line = line
        self._tally = Tally(cases, workers=engine.workers)
        self._results: dict[str, ReportedResult] = {}
        self._aside = 0
        self._started, self._start = datetime.now(UTC), time.monotonic()

    def set_apart(self, work: Work, *, retry: bool) -> None:
        """Leave out what an earlier batch has set aside, or forget that it has.

        A case that got its result in between, as one of its own, is not aside any more.
        """
        failures = FailureFolder(self._folder)
        for case in self._cases.values():
            if retry and failures.read(case.id) is not None:
                self._set_damaged_aside(case)
                failures.forget(case.id)
            failure = failures.of(case)
            if (
                failure is not None
                and failure.state == "quarantined"
                and not _has_result(work, case)
            ):
                self._tally.take(Event(kind="quarantined", case=case.id))
            else:
                self.left.append(case)

    def _set_damaged_aside(self, case: Case) -> None:
        store = ResultStore(self._folder.parent.parent, self._folder.parent.name)
        for place in set_damaged_aside(store, [case.spec.get("case", case.id)]):
            logger.info("%s was damaged; it is set aside and made again", place)

    def take(self, event: Event) -> None:
        """Count an event, show it, and stop the batch where it cannot go on."""
        self._tally.take(event)
        if event.kind in ("done", "found") and event.key is not None:
            self._results[event.case] = ReportedResult(
                case=event.case,
                key=event.key,
                fresh=event.kind == "done",
                items=event.items,
                seconds=event.seconds,
            )
        if event.kind == "quarantined":
            self._say(f"{event.case} is set aside ({event.reason}): {event.sentence}")
        if event.kind == "stopped":
            raise _StopError(event.sentence, event.exit_code)
        if self._line is not None:
            self._line.show(self._tally.progress())
        self._aside += event.kind == "quarantined"
        most = self._limits.max_failures
        if most is not None and self._aside > most:
            msg = (
                f"stopped: {self._aside} cases were set aside, --max-failures allows {most}. "
                "What is done stays; look at the report, then run the same command again."
            )
            raise _StopError(msg, 1)

    def _say(self, sentence: str) -> None:
        if self._line is not None:
            self._line.clear()
        logger.info("%s", sentence)

    def heartbeat(self, state: str) -> Heartbeat:
        """Return what is to be said of this driver now."""
        return Heartbeat(
            state="ended" if state == "ended" else "running",
            engine=self._engine.name,
            workers=self._engine.workers,
            progress=self._tally.progress(),
            started=self._started,
        )

    def end_by(self, error: Exception | KeyboardInterrupt) -> None:
        """Write the report of a batch that an error or Ctrl-C ended."""
        if isinstance(error, KeyboardInterrupt):
            self.stopped, self.exit_code = "interrupted; run the same command again.", 130
        else:
            self.stopped = sentence_of(error)
            self.exit_code = error.exit_code if isinstance(error, MedconsistError) else 1
        self.finish()

    def finish(self) -> BatchReport:
        """Return the report, written where the disk allows it."""
        failures = self._failures()
        report = BatchReport(
            study=self._folder.parent.name,
            engine=self._engine.name,
            workers=self._engine.workers,
            started=self._started,
            finished=datetime.now(UTC),
            seconds=time.monotonic() - self._start,
            results=tuple(self._results.values()),
            failures=tuple(failures.values()),
            pending=tuple(
                case for case in self._cases if case not in self._results and case not in failures
            ),
            stopped=self.stopped,
            stopped_exit_code=self.exit_code,
        )
        try:
            write_report(self._folder, report)
        except StorageError as error:
            if not self.stopped:
                raise
            logger.warning("no report was written: %s", error)
        return report

    def _failures(self) -> dict[str, Failure]:
        records = FailureFolder(self._folder)
        missing = (case for case in self._cases.values() if case.id not in self._results)
        found = ((case.id, records.of(case)) for case in missing)
        return {case: failure for case, failure in found if failure is not None}


def _has_result(work: Work, case: Case) -> bool:
    with suppress(MedconsistError, OSError):
        return work.find(case) is not None
    return False


def _refuse_twins(cases: Sequence[Case]) -> None:
    places = {case.id: (case.spec.get("case", case.id), case.spec.get("item")) for case in cases}
    if len(places) < len(cases):
        (twin, _), *_ = Counter(case.id for case in cases).most_common(1)
        msg = f"the case {twin!r} is named twice; name each file once."
        raise RefusedInputError(msg)
    (place, count), *_ = [*Counter(places.values()).most_common(1), (None, 0)]
    if count > 1:
        both = [case.input for case in cases if places[case.id] == place][:2]
        msg = (
            f"{' and '.join(both)} would be the same item {place[1]!r} of case {place[0]!r}. Give "
            "them ids of their own in a manifest: medconsist manifest build."
        )
        raise RefusedInputError(msg)
