"""The bench of the worklist: both sides give the same page, and what is compared is told."""

from contextlib import closing
from pathlib import Path

from medconsist.review.database import Database, sqlite_url
from medconsist.review.store import ReviewStore
from medconsist.viewing.bench import worklist
from medconsist.viewing.worklist_index import CaseIndex

CASES = 120


def test_a_pass_of_the_list_and_a_plain_read_give_the_same_first_page(tmp_path: Path) -> None:
    table = worklist.worklist_table(tmp_path, cases=CASES, passes=2)
    median, slowest, first = table.rows
    assert (median.unit, median.n, median.case) == ("ms", 2, slowest.case)
    assert median.ratio is not None
    assert median.baseline is not None
    assert median.ratio == median.value / median.baseline
    assert slowest.value >= median.value
    assert first.baseline is None
    (target,) = table.targets
    assert target.met == (slowest.value <= 300)
    with closing(Database(sqlite_url(tmp_path / "review.db"))) as database:
        index, root = CaseIndex(tmp_path / "results"), tmp_path / "results"
        listed = worklist._pass(index, ReviewStore(database), root)
    plain = worklist._plain(tmp_path / "rows.csv")
    assert [row["open"] for row in listed] == [
        {"study": "many", "case": row["case"]} for row in plain
    ]
    assert len(plain) == 50
    assert {row["state"] for row in listed} == {"signed", "unread"}
