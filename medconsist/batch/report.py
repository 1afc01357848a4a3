"""What became of a batch: the record, as JSON and as text."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

from pydantic import AwareDatetime

from medconsist._atomic import atomic_write_bytes, storage_errors
from medconsist._records import Record, read_record
from medconsist.batch.html import Table, page
from medconsist.batch.states import Failure
from medconsist.errors import MissingInputError

__all__ = ["BatchReport", "ReportedResult", "read_report", "write_report"]

_NAME = "report.json"


class ReportedResult(Record):
    """A case that has a result.

    Parameters
    ----------
    case, key
        Id in the batch, and key of the result.
    fresh
        Whether this batch computed it.
    items, seconds
        What was computed, and how long it took.

    Examples
    --------
    >>> ReportedResult(case="c7", key="0" * 64, fresh=True).items
    0
    """

    case: str
    key: str
    fresh: bool
    items: int = 0
    seconds: float = 0.0


class BatchReport(Record):
    """What became of every case of a batch.

    Parameters
    ----------
    study, engine, workers
        Which batch.
    started, finished, seconds
        By the clock of the driver's machine, and the time between them by one that is never set.
    results, failures
        Cases with a result, and those that failed or were set aside (also by an earlier batch).
    pending
        Ids of cases that were not reached.
    stopped
        Why the batch did not go on to the end; empty if it did.
    stopped_exit_code
        Of that.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> now = datetime.now(UTC)
    >>> BatchReport(study="s", engine="local", workers=1, started=now, finished=now, seconds=0.0,
    ...             results=(), failures=()).exit_code
    0
    """

    study: str
    engine: str
    workers: int
    started: AwareDatetime
    finished: AwareDatetime
    seconds: float
    results: tuple[ReportedResult, ...]
    failures: tuple[Failure, ...]
    pending: tuple[str, ...] = ()
    stopped: str = ""
    stopped_exit_code: int = 1

    @property
    def exit_code(self) -> int:
        """0 if every case has a result, 3 if some have none; that of what stopped the batch."""
        if self.stopped:
            return self.stopped_exit_code
        return 3 if self.failures or self.pending else 0

    @property
    def counts(self) -> dict[str, int]:
        """How many cases are in which state; those done before are ``found``."""
        states = Counter(failure.state for failure in self.failures)
        done = sum(result.fresh for result in self.results)
        return {
            "done": done,
            "found": len(self.results) - done,
            "failed": states["failed"],
            "quarantined": states["quarantined"],
            "pending": len(self.pending),
        }

    @property
    def items_per_second(self) -> float:
        """Of what was computed now, over all workers."""
        items = sum(result.items for result in self.results)
        return items / self.seconds if self.seconds else 0.0

    @property
    def text(self) -> str:
        """For a terminal: counts, reasons, one line a failure."""
        said = ", ".join(f"{count} {state}" for state, count in self.counts.items() if count)
        took = f"{timedelta(seconds=round(self.seconds))} on {self.workers} workers ({self.engine})"
        lines = [
            f"{sum(self.counts.values())} cases of study {self.study}: {said or 'none'}.",
            f"{took}, {self.items_per_second:.3g} items/s.",
        ]
        lines += [one.line for one in self.failures]
        return "\n".join([*lines, self.stopped] if self.stopped else lines)


def write_report(folder: Path, report: BatchReport) -> tuple[Path, Path]:
    """Write ``report.json`` and ``report.html`` atomically; return their paths.

    Raises
    ------
    StorageError
        The disk is full or not writable; the earlier reports stay.
    """
    paths = folder / _NAME, folder / "report.html"
    atomic_write_bytes(paths[0], report.model_dump_json(indent=2).encode() + b"\n")
    atomic_write_bytes(paths[1], _html(report).encode())
    return paths


def read_report(folder: Path) -> BatchReport:
    """Return the report that the last batch left.

    Raises
    ------
    MissingInputError
        No batch has come to its end in this folder.
    """
    path = folder / _NAME
    if not path.is_file():
        msg = (
            f"no batch of study {folder.parent.name} has come to its end; ask: medconsist batch "
            f"status {folder.parent.parent} --study {folder.parent.name}."
        )
        raise MissingInputError(msg)
    with storage_errors(path, doing="read"):
        data = path.read_bytes()
    return read_record(BatchReport, data, source=str(path))


def _html(report: BatchReport) -> str:
    facts = {
        "study": report.study,
        "engine": f"{report.engine}, {report.workers} workers",
        "started": report.started.isoformat(timespec="seconds"),
        "took": str(timedelta(seconds=round(report.seconds))),
        "items/s": f"{report.items_per_second:.3g}",
        **{state: str(count) for state, count in report.counts.items()},
        **({"stopped": report.stopped} if report.stopped else {}),
    }
    reasons = Counter((failure.state, failure.reason) for failure in report.failures)
    return page(
        f"Batch of study {report.study}",
        Table("What became of it", ("", ""), tuple(facts.items())),
        Table(
            "Why cases have no result",
            ("state", "reason", "cases"),
            tuple((*kind, str(count)) for kind, count in reasons.most_common()),
        ),
        Table(
            "Cases without a result",
            ("case", "state", "reason", "attempts", "what was found"),
            tuple(
                (one.case, one.state, one.reason, str(one.attempts + one.deaths), one.sentence)
                for one in report.failures
            ),
            tuple(failure.traceback for failure in report.failures),
        ),
        Table("Cases that were not reached", ("case",), tuple((case,) for case in report.pending)),
        Table(
            "Results",
            ("case", "key", "state", "items", "seconds"),
            tuple(
                (
                    one.case,
                    one.key,
                    "done now" if one.fresh else "done before",
                    str(one.items),
                    f"{one.seconds:.1f}",
                )
                for one in report.results
            ),
        ),
    )
