"""One reader at a time: a lock on a case that runs out by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from medconsist.errors import ConflictError
from medconsist.review.access import RIGHTS, Person, role_in
from medconsist.review.chain import timestamp
from medconsist.review.tables import LOCK

__all__ = ["LOCK_SECONDS", "ReadingLock", "lock_of", "locks_of", "release"]
__all__ += ["release_without_right", "require_lock", "take"]

LOCK_SECONDS = 900
"""Fifteen minutes, the idle time after which a session ends."""


@dataclass(frozen=True)
class ReadingLock:
    """Who reads a case, and until when.

    Parameters
    ----------
    study, case
        What is read.
    holder, session
        Who reads it, in which sitting.
    expires
        UTC text, see `timestamp`.

    Examples
    --------
    >>> ReadingLock("mri", "head", "u1", "s1", "2026-01-31T09:30:00.000000Z").holder
    'u1'
    """

    study: str
    case: str
    holder: str
    session: str
    expires: str


def lock_of(connection: Connection, study: str, case: str, *, now: datetime) -> ReadingLock | None:
    """Return the lock on a case, None where there is none or it has run out."""
    rows = _live(now).where(LOCK.c.study == study, LOCK.c.case_id == case)
    row = connection.execute(rows).mappings().first()
    return None if row is None else _lock(dict(row))


def locks_of(connection: Connection, study: str, *, now: datetime) -> dict[str, ReadingLock]:
    """Return the cases of a study that are being read."""
    rows = connection.execute(_live(now).where(LOCK.c.study == study)).mappings()
    return {row["case_id"]: _lock(dict(row)) for row in rows}


def take(
    connection: Connection,
    person: Person,
    study: str,
    case: str,
    *,
    now: datetime,
    moves: bool = False,
) -> ReadingLock:
    """Take the lock on a case, or keep one's own for longer.

    Parameters
    ----------
    connection, person, study, case, now
        Who, what, when.
    moves
        Whether a lock that another window of the same person holds comes here: a page that was
        loaded again is another window.

    Raises
    ------
    ConflictError
        Somebody else, or another window of the same person, reads it.
    """
    held = lock_of(connection, study, case, now=now)
    own = {(person.subject, person.session)}
    if held is not None and moves:
        own.add((person.subject, held.session))
    if held is not None and (held.holder, held.session) not in own:
        who = "you, in another window" if held.holder == person.subject else held.holder
        msg = (
            f"case {case} is being read by {who}, at most until {held.expires}; take another case, "
            "or look without a verdict."
        )
        raise ConflictError(msg)
    until = timestamp(now.astimezone(UTC) + timedelta(seconds=LOCK_SECONDS))
    found = ReadingLock(study, case, person.subject, person.session, until)
    connection.execute(_at(study, case))
    row = {"study": study, "case_id": case, "holder": person.subject, "session": person.session}
    connection.execute(LOCK.insert().values(**row, expires=until))
    return found


def release(connection: Connection, person: Person, study: str, case: str) -> None:
    """Give the lock back; that of somebody else stays."""
    own = (LOCK.c.holder == person.subject) & (LOCK.c.session == person.session)
    connection.execute(_at(study, case).where(own))


def release_without_right(connection: Connection, holder: str) -> None:
    """Give back the locks of a person on studies in which that person may no longer read."""
    held = sa.select(LOCK.c.study).where(LOCK.c.holder == holder).distinct()
    for study in connection.execute(held).scalars().all():
        role = role_in(connection, holder, study)
        if role is None or "comment" not in RIGHTS[role]:
            gone = (LOCK.c.holder == holder) & (LOCK.c.study == study)
            connection.execute(LOCK.delete().where(gone))


def require_lock(
    connection: Connection, person: Person, study: str, case: str, *, now: datetime
) -> None:
    """Refuse to go on without the lock.

    Raises
    ------
    ConflictError
        It has run out, or is another's.
    """
    held = lock_of(connection, study, case, now=now)
    if held is None or (held.holder, held.session) != (person.subject, person.session):
        msg = (
            f"your lock on case {case} has run out, and nothing was signed; look whether the case "
            "is as you saw it, and sign again."
        )
        raise ConflictError(msg)


def _live(now: datetime) -> sa.Select[Any]:
    return sa.select(LOCK).where(LOCK.c.expires > timestamp(now))


def _lock(row: Mapping[str, Any]) -> ReadingLock:
    return ReadingLock(row["study"], row["case_id"], row["holder"], row["session"], row["expires"])


def _at(study: str, case: str) -> sa.Delete:
    return LOCK.delete().where(LOCK.c.study == study, LOCK.c.case_id == case)
