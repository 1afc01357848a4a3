"""Whose turn it is to read a case: the lock taken on opening, held, lost, or another's."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from medconsist.errors import ConflictError
from medconsist.review.access import Person
from medconsist.review.locks import LOCK_SECONDS, ReadingLock
from medconsist.review.store import ReviewStore
from medconsist.viewing.worklist_table import who_words

__all__ = ["Turn", "turn_of"]

_HOLD_BELOW = timedelta(seconds=LOCK_SECONDS * 2 / 3)  # a press of a key is no write to the disk


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Who reads a case, as its reader is told.

    Parameters
    ----------
    lock
        This window's; None for who only looks.
    words
        What must be said; empty where nothing must.
    may_move
        Whether another window of the same person reads it, so that the lock may come here.

    Examples
    --------
    >>> Turn(lock=None).words
    ''
    """

    lock: ReadingLock | None
    words: str = ""
    may_move: bool = False


def turn_of(
    store: ReviewStore | None,
    person: Person,
    study: str,
    case: str,
    *,
    held: ReadingLock | None,
    moves: bool = False,
) -> Turn:
    """Take the lock on a case that a person opens, or hold it; say who else reads it.

    Who may file nothing takes no lock, and is told who reads.

    Parameters
    ----------
    store
        None where nothing is filed.
    person, study, case
        Who looks at what, and may.
    held
        The lock that this window had a moment ago; None, or that of another case, for none.
    moves
        The person wants to read here what another window of the same person reads.

    Raises
    ------
    AccessError
        The person may not look at the study.
    StorageError
        The store cannot be read or written.
    """
    if store is None:
        return Turn(lock=None)
    now = store.reading(person, study).get(case)
    is_held = now is not None and (now.holder, now.session) == (person.subject, person.session)
    if is_held and now is not None and _is_long(now):
        return Turn(lock=now)
    lost = "" if is_held or not _is_of(held, study, case) else _lost(held)
    if not store.allows(person, study, "comment"):
        return Turn(lock=None, words="" if now is None else _read_by(now, person))
    if now is not None and not is_held and not (moves and now.holder == person.subject):
        words = f"{lost} {_read_by(now, person)}".strip()
        return Turn(lock=None, words=words, may_move=now.holder == person.subject)
    try:
        lock = store.take_lock(person, study, case, moves=moves)
    except ConflictError as error:  # somebody was faster
        return Turn(lock=None, words=f"{lost} {_sentence(str(error))}".strip())
    again = "It is yours again: look whether the case is as you saw it."
    return Turn(lock=lock, words=f"{lost} {again}" if lost and not moves else "")


def _is_long(lock: ReadingLock) -> bool:
    return datetime.fromisoformat(lock.expires) - datetime.now(UTC) > _HOLD_BELOW


def _is_of(held: ReadingLock | None, study: str, case: str) -> bool:
    return held is not None and (held.study, held.case) == (study, case)


def _lost(held: ReadingLock | None) -> str:
    until = "" if held is None else f", held until {held.expires[11:16]} UTC,"
    return f"Your lock on this case{until} is gone."


def _read_by(lock: ReadingLock, person: Person) -> str:
    is_own = lock.holder == person.subject
    who = "you in another window" if is_own else who_words(lock.holder, person.subject)
    return f"Read by {who} now, at most until {lock.expires[11:16]} UTC: look only."


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
