"""What the store says of a list: whose verdicts, whose locks, in how many queries."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from medconsist.errors import AccessError
from medconsist.review.access import Person
from medconsist.review.database import Database, sqlite_url
from medconsist.review.records import Opinion, Verdict
from medconsist.review.store import Filing, ReviewStore
from medconsist.viewing.web.server import subject_of
from medconsist.viewing.worklist import Wanted, chosen, joined, page_of
from medconsist.viewing.worklist_index import CaseIndex
from medconsist.viewing.worklist_order import arranged
from medconsist.viewing.worklist_reviews import reviews_of
from tests.viewing.worklist_cases import finish, many

ADA = Person(subject="ada", name="Ada", session="window-1")
BEN = Person(subject="ben", name="Ben", session="window-2")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReviewStore]:
    with closing(Database(sqlite_url(tmp_path / "review.db"))) as database:
        store = ReviewStore(database)
        for person in (ADA, BEN):
            store.grant(None, person.subject, "brain", "signer")
        yield store


def sign(store: ReviewStore, person: Person, root: Path, case: str, *, draft: bool = False) -> None:
    result = finish(root, case)
    named = {} if draft else {"printed_name": person.name, "meaning": "review"}
    state = "draft" if draft else "signed"
    body = Verdict.model_validate(
        {"subject": subject_of(result), "state": state, "opinion": Opinion.ACCEPT} | named
    )
    store.take_lock(person, "brain", case)
    sha = result.content_sha256
    filing = Filing(body=body, entry=f"{person.subject}{case.replace('-', '')}")
    store.file(person, filing, seen=sha, stored=sha)
    store.release_lock(person, "brain", case)


def test_rows_say_what_was_filed_who_reads_and_what_is_mine(
    store: ReviewStore, tmp_path: Path
) -> None:
    root = tmp_path / "results"
    sign(store, ADA, root, "scan-1")
    sign(store, ADA, root, "scan-2", draft=True)
    finish(root, "scan-3")
    store.take_lock(BEN, "brain", "scan-3")

    def seen_by(person: Person) -> list[tuple[str, str | None, bool]]:
        reviews, problems = reviews_of(store, person, ["brain"], root=root)
        assert problems == ()
        rows = joined(CaseIndex(root).lines(["brain"]), reviews)
        return [(row.review, row.reader, row.is_mine) for row in rows]

    assert seen_by(ADA) == [
        ("signed", None, True),
        ("draft", None, True),
        ("unread", "ben", False),
    ]
    assert seen_by(BEN) == [
        ("signed", None, False),
        ("unread", None, False),  # a draft is its author's alone
        ("unread", "ben", True),
    ]


def test_who_may_not_see_a_study_gets_no_list_of_it(store: ReviewStore, tmp_path: Path) -> None:
    stranger = Person(subject="eve", name="Eve", session="window-3")
    with pytest.raises(AccessError, match="eve has no role here"):
        reviews_of(store, stranger, ["brain"], root=tmp_path)


def test_without_a_store_there_are_sites_alone(tmp_path: Path) -> None:
    (tmp_path / "brain").mkdir()
    text = "path,patient,case,site\na.h5,p1,c1,north\n"
    (tmp_path / "brain" / "manifest.csv").write_text(text)
    reviews, _ = reviews_of(None, ADA, ["brain"], root=tmp_path)
    assert (dict(reviews.sites), dict(reviews.verdicts)) == ({("brain", "c1"): "north"}, {})


def test_a_page_of_many_cases_asks_the_store_and_the_disk_a_fixed_number_of_times(
    store: ReviewStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "results"
    many(root, 200)
    index = CaseIndex(root, clock_ns=lambda: 10**19)
    index.lines(["brain"])
    asked: list[str] = []
    opened: list[Path] = []
    engine = store.database.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    monkeypatch.setattr(Path, "open", lambda path, *_: opened.append(path))
    reviews, _ = reviews_of(store, ADA, ["brain"], root=root)
    rows = arranged(joined(index.lines(["brain"]), reviews), by="site")
    page = page_of(chosen(rows, Wanted(words="p-01 mri")))
    assert page.n_rows == 20
    assert opened == []
    assert sum("FROM entry" in text for text in asked) == 1
    assert sum("FROM reading_lock" in text for text in asked) == 1
    assert sum("SELECT" in text for text in asked) == 4  # with one look at the role for each
