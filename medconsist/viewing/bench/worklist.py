"""The worklist of ten thousand cases, beside as many rows of one table that is read plainly.

No browser: a pass is what a run of the page asks of the list. It looks whether any of the cases
changed, reads what readers filed, joins, sorts, filters, and makes the cells of the first page.
"""

import csv
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from medconsist._extras import require
from medconsist.results.bench import BenchRow, BenchTable, Target
from medconsist.results.schema import Result, ResultFields, Times, sealed_bytes
from medconsist.results.store import ResultStore
from medconsist.review.access import Person
from medconsist.review.database import Database, sqlite_url
from medconsist.review.records import Opinion, Verdict
from medconsist.review.store import Filing, ReviewStore
from medconsist.viewing.web.server import subject_of
from medconsist.viewing.worklist import chosen, joined, page_of
from medconsist.viewing.worklist_ask import Asked
from medconsist.viewing.worklist_index import CaseIndex
from medconsist.viewing.worklist_order import arranged
from medconsist.viewing.worklist_reviews import reviews_of
from medconsist.viewing.worklist_table import row_cells

__all__ = ["worklist_table"]

MOST_MS = 300.0
_STUDY, _KIND, _PAGE = "many", "mri.reconstruction", 50
_ASKED = Asked(words="p-0 scan", kind=_KIND)
_COLUMNS = ("patient", "case", "kind", "finished")
_SIGNED = 100
_SETTLED_S = 2.1  # a folder that changed a moment ago is listed anew, see ``worklist_index``
_DAY = datetime(2026, 11, 22, tzinfo=UTC)
_READER = Person(subject="bench", name="Bench", session="bench")

logger = logging.getLogger(__name__)


def worklist_table(folder: Path, *, cases: int = 10_000, passes: int = 40) -> BenchTable:
    """Measure passes of the list and plain reads of the same rows, in turns.

    Parameters
    ----------
    folder
        For what is written: results without arrays, a review store, a table.
    cases, passes
        How many.
    """
    require("streamlit", extra="viewer")  # as in the server: its objects too are collected
    logger.info("a worklist of %d cases ...", cases)
    root, table = folder / "results", folder / "rows.csv"
    results = [_written(root, number, cases) for number in range(cases)]
    _write_rows(table, results)
    with closing(Database(sqlite_url(folder / "review.db"))) as database:
        store = ReviewStore(database)
        store.grant(None, _READER.subject, _STUDY, "signer")
        for result in results[:_SIGNED]:
            _sign(store, ResultStore(root, _STUDY).read(result.case, result.key).result)
        time.sleep(_SETTLED_S)
        index = CaseIndex(root)
        first = _ms(lambda: index.lines([_STUDY]))
        ours, plain = list[float](), list[float]()
        for _ in range(passes):
            ours.append(_ms(lambda: _pass(index, store, root)))
            plain.append(_ms(lambda: _plain(table)))
    return _table(cases, first, ours, plain)


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def _pass(index: CaseIndex, store: ReviewStore, root: Path) -> list[dict[str, object]]:
    """Return the first page of the list, as the page of the viewer makes it."""
    reviews, _ = reviews_of(store, _READER, [_STUDY], root=root)
    rows = arranged(joined(index.lines([_STUDY]), reviews), by=_ASKED.by)
    page = page_of(chosen(rows, _ASKED.wanted), size=_PAGE)
    now = datetime.now(UTC)
    return [row_cells(row, _ASKED, now=now, me="bench", root=root) for row in page.rows]


def _plain(table: Path) -> list[dict[str, str]]:
    """Return the same first page from one table: nothing is verified, joined or kept fresh."""
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    rows.sort(key=lambda row: row["finished"], reverse=True)
    words = _ASKED.words.split()
    names = ((row, f"{row['patient']} {row['case']}") for row in rows if row["kind"] == _KIND)
    return [row for row, name in names if all(word in name for word in words)][:_PAGE]


def _written(root: Path, number: int, cases: int) -> Result:
    """Write one result as the store lays it out, without waiting for the disk; return it."""
    when = _DAY + timedelta(minutes=number * 7 % cases)
    fields = ResultFields(
        kind=_KIND,
        patient=f"p-{number % 97:03d}",
        inputs={"kspace": "ab" * 32},
        config={"seed": 1},
        result_version=1,
        times=Times(started=when, finished=when),
    )
    values = {name: getattr(fields, name) for name in ResultFields.model_fields}
    result = Result(**values, study=_STUDY, case=f"scan-{number:05d}", arrays=())
    folder = root / _STUDY / result.case / result.key
    folder.mkdir(parents=True)
    (folder / "result.json").write_bytes(sealed_bytes(result))
    (folder.parent / "current").write_text(f"{result.key}\n", encoding="ascii")
    return result


def _write_rows(table: Path, results: Iterable[Result]) -> None:
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(_COLUMNS)
        for one in results:
            writer.writerow((one.patient, one.case, one.kind, one.times.finished.isoformat()))


def _sign(store: ReviewStore, result: Result) -> None:
    verdict = Verdict(
        subject=subject_of(result),
        state="signed",
        opinion=Opinion.ACCEPT,
        printed_name=_READER.name,
        meaning="review",
    )
    store.take_lock(_READER, _STUDY, result.case)
    sha = result.content_sha256
    filing = Filing(body=verdict, entry=result.case.replace("-", ""))
    store.file(_READER, filing, seen=sha, stored=sha)
    store.release_lock(_READER, _STUDY, result.case)


def _table(cases: int, first: float, ours: Sequence[float], plain: Sequence[float]) -> BenchTable:
    case = f"worklist of {cases:,} cases: filter, sort, first page"
    rows = [
        _row(case, "time, median of the passes", median(ours), median(plain), len(ours)),
        _row(case, "time, slowest pass", max(ours), max(plain), len(ours)),
        BenchRow(
            case=f"worklist of {cases:,} cases",
            metric="time of the first look, which verifies each result",
            value=first,
            unit="ms",
            n=1,
            unit_of_analysis="pass",
        ),
    ]
    slowest = round(max(ours), 1)
    target = Target(
        name=f"{case}, slowest of {len(ours)} passes",
        wanted=f"<= {MOST_MS:g} ms",
        seen=slowest,
        met=slowest <= MOST_MS,
    )
    return BenchTable(tuple(rows), (target,))


def _row(case: str, metric: str, value: float, baseline: float, n: int) -> BenchRow:
    return BenchRow(
        case=case,
        metric=metric,
        value=value,
        unit="ms",
        baseline=baseline,
        ratio=value / baseline,
        n=n,
        unit_of_analysis="pass",
    )
