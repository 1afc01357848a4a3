"""Whose turn it is: taken on opening, held, run out, another's, moved between one's windows."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from medconsist.errors import AccessError
from medconsist.review.access import Person
from medconsist.review.database import Database, sqlite_url
from medconsist.review.locks import LOCK_SECONDS, ReadingLock
from medconsist.review.store import ReviewStore
from medconsist.viewing.reading_turn import Turn, turn_of

ADA = Person(subject="ada", name="Ada", session="window-1")
ADA_AGAIN = Person(subject="ada", name="Ada", session="window-2")
BEN = Person(subject="https://idp.example|ben", name="Ben", session="window-3")
LOOKER = Person(subject="looker", name="Looker", session="window-4")


class Clock:
    """The time of the store: now, and what a test adds."""

    late = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.late


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[ReviewStore]:
    with closing(Database(sqlite_url(tmp_path / "review.db"))) as database:
        store = ReviewStore(database, clock=clock)
        for person in (ADA, BEN):
            store.grant(None, person.subject, "brain", "signer")
        store.grant(None, "looker", "brain", "viewer")
        yield store


def open_case(
    store: ReviewStore, person: Person, *, held: ReadingLock | None = None, moves: bool = False
) -> Turn:
    return turn_of(store, person, "brain", "scan-1", held=held, moves=moves)


def holder(store: ReviewStore) -> tuple[str, str]:
    lock = store.reading(LOOKER, "brain")["scan-1"]
    return lock.holder, lock.session


def test_who_opens_a_case_first_reads_it_and_others_only_look(store: ReviewStore) -> None:
    mine = open_case(store, ADA)
    assert mine.lock is not None
    assert mine.words == ""
    other = open_case(store, BEN)
    assert other.lock is None
    assert other.words.startswith("Read by ada now, at most until ")
    assert other.words.endswith(" UTC: look only.")
    assert not other.may_move
    assert holder(store) == ("ada", "window-1")


def test_a_lock_is_held_without_writing_until_it_is_short(store: ReviewStore, clock: Clock) -> None:
    first = open_case(store, ADA)
    assert open_case(store, ADA, held=first.lock) == first
    clock.late = timedelta(seconds=-LOCK_SECONDS / 2)  # as if it had been taken earlier
    store.take_lock(ADA, "brain", "scan-1")
    clock.late = timedelta()
    longer = open_case(store, ADA, held=first.lock)
    assert longer.lock is not None
    assert longer.words == ""
    left = datetime.fromisoformat(longer.lock.expires) - datetime.now(UTC)
    assert left > timedelta(seconds=LOCK_SECONDS - 60)


def test_a_lock_that_ran_out_is_said_when_it_is_taken_again(
    store: ReviewStore, clock: Clock
) -> None:
    first = open_case(store, ADA)
    clock.late = timedelta(seconds=LOCK_SECONDS + 1)
    again = open_case(store, ADA, held=first.lock)
    assert again.lock is not None
    assert "is gone. It is yours again: look whether the case is as you saw it." in again.words


def test_a_lock_that_ran_out_and_is_another_s_now_leaves_looking(
    store: ReviewStore, clock: Clock
) -> None:
    first = open_case(store, ADA)
    clock.late = timedelta(seconds=LOCK_SECONDS + 1)
    assert open_case(store, BEN).lock is not None
    lost = open_case(store, ADA, held=first.lock)
    assert lost.lock is None
    assert "is gone. Read by ben now" in lost.words


def test_the_lock_of_another_case_is_not_said_to_be_lost(store: ReviewStore) -> None:
    held = store.take_lock(ADA, "brain", "scan-2")
    store.release_lock(ADA, "brain", "scan-2")
    assert open_case(store, ADA, held=held).words == ""


def test_one_s_own_lock_comes_from_another_window_when_asked_for(store: ReviewStore) -> None:
    first = open_case(store, ADA)
    there = open_case(store, ADA_AGAIN)
    assert there.lock is None
    assert there.words.startswith("Read by you in another window now")
    assert there.may_move
    moved = open_case(store, ADA_AGAIN, moves=True)
    assert moved.lock is not None
    assert moved.words == ""
    assert holder(store) == ("ada", "window-2")
    left = open_case(store, ADA, held=first.lock)
    assert left.lock is None
    assert "is gone. Read by you in another window now" in left.words


def test_nobody_moves_the_lock_of_somebody_else(store: ReviewStore) -> None:
    open_case(store, ADA)
    assert open_case(store, BEN, moves=True).lock is None
    assert holder(store) == ("ada", "window-1")


def test_who_may_file_nothing_takes_no_lock_and_is_told_who_reads(store: ReviewStore) -> None:
    assert open_case(store, LOOKER) == Turn(lock=None)
    open_case(store, BEN)
    assert open_case(store, LOOKER).words.startswith("Read by ben now")


def test_a_stranger_is_not_told_who_reads(store: ReviewStore) -> None:
    with pytest.raises(AccessError, match="has no role here"):
        open_case(store, Person(subject="eve", name="Eve", session="s"))


def test_without_a_store_there_is_no_lock() -> None:
    assert turn_of(None, ADA, "brain", "scan-1", held=None) == Turn(lock=None)
