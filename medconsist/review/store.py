"""The review store: what a page calls, each call one transaction and one link of the chain."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from medconsist._digests import canonical_json
from medconsist._ids import safe_id
from medconsist.errors import RefusedInputError
from medconsist.review import locks
from medconsist.review.access import (
    EVERY_STUDY,
    RIGHTS,
    Person,
    Right,
    Role,
    account,
    as_role,
    require_right,
    role_in,
    studies_of,
)
from medconsist.review.chain import Act, append, timestamp
from medconsist.review.database import Database
from medconsist.review.entries import Entry, entries_of, entry_by_id, newest, write
from medconsist.review.locks import ReadingLock
from medconsist.review.records import KINDS, Body, Subject
from medconsist.review.steps import open_to, refuse_disorder, refuse_replaced
from medconsist.review.tables import MEMBERSHIP
from medconsist.review.verdict_memory import VerdictMemory

__all__ = ["OPERATOR", "Filing", "ReviewStore"]

OPERATOR = "operator"
"""Role, in the chain, of who works on the database itself; nobody has it in the viewer."""

_LONGEST_WHAT = 32  # as the column is
_OF_THE_STORE = frozenset({*KINDS, "membership"})  # links that `verify` reads
_NEEDS: dict[str, Right] = {"signed": "sign", "amended": "sign"}


@dataclass(frozen=True, kw_only=True)
class Filing:
    """An entry to file.

    Parameters
    ----------
    body
        What it says.
    entry
        Its id, drawn when the form was opened: a page that asks again after a restart files it
        once.
    supersedes
        The entry in whose place it stands; None for the first.

    Examples
    --------
    >>> Filing.__dataclass_params__.frozen
    True
    """

    body: Body
    entry: str
    supersedes: str | None = None


class ReviewStore:
    """Verdicts, comments, locks and memberships of one database.

    Parameters
    ----------
    database
        Where they lie.
    clock
        Gives the time, with its zone.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from medconsist.review.database import sqlite_url
    >>> store = ReviewStore(Database(sqlite_url(Path(tempfile.mkdtemp()) / "review.db")))
    >>> store.role(Person(subject="u1", name="A. Reader", session="s"), "mri") is None
    True
    """

    def __init__(
        self, database: Database, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.database = database
        self._clock = clock
        self._verdicts = VerdictMemory()

    def role(self, person: Person, study: str) -> Role | None:
        """Return the person's role in a study, None where there is none."""
        with self.database.reading() as connection:
            return role_in(connection, person.subject, study)

    def allows(self, person: Person, study: str, right: Right) -> bool:
        """Say whether a person has a right in a study."""
        role = self.role(person, study)
        return role is not None and right in RIGHTS[role]

    def visible(self, person: Person) -> frozenset[str]:
        """Return the studies of a person; `EVERY_STUDY` among them stands for all."""
        with self.database.reading() as connection:
            return studies_of(connection, person.subject)

    def grant(self, by: Person | None, subject: str, study: str, role: str) -> None:
        """Give a role in a study, or in all by `EVERY_STUDY`.

        Parameters
        ----------
        by
            An administrator of that study; None for who runs the command line on the database
            itself: the chain then names the account of the machine, in the role ``operator``.
        subject, study, role
            Who gets what.

        Raises
        ------
        AccessError
            ``by`` is no administrator of that study.
        """
        self._set_membership(by, subject, study, as_role(role))

    def revoke(self, by: Person | None, subject: str, study: str) -> None:
        """Take a role away; see `grant`.

        Raises
        ------
        AccessError
            ``by`` is no administrator of that study.
        RefusedInputError
            There is none to take.
        """
        self._set_membership(by, subject, study, None)

    def viewed(
        self, person: Person, subject: Subject, *, what: str = "result", right: Right = "view"
    ) -> None:
        """Write down that a person looked at a result, or at a part of it.

        Parameters
        ----------
        person, subject
            Who looked at what.
        what
            The part, e.g. ``"label image"``.
        right
            Which right that look needs.

        Raises
        ------
        AccessError
            The person may not.
        """
        with self._acting(person, subject.study, right) as (connection, role, now):
            append(connection, _about(person, role, subject, "viewed", what), now=timestamp(now))

    def exported(self, person: Person, subject: Subject, *, what: str, sha256: str) -> None:
        """Write down that a file left, and the sha256 of its bytes.

        Raises
        ------
        AccessError
            The person may not look at it.
        """
        with self._acting(person, subject.study, "view") as (connection, role, now):
            act = _about(person, role, subject, "exported", what, after={"sha256": sha256})
            append(connection, act, now=timestamp(now))

    def take_lock(
        self, person: Person, study: str, case: str, *, moves: bool = False
    ) -> ReadingLock:
        """Take the lock on a case for reading it, or hold it for longer.

        Parameters
        ----------
        person, study, case
            Who reads what.
        moves
            Whether one's own lock comes here from another window, which then can sign no more.

        Raises
        ------
        AccessError, ConflictError
            The person may not, or somebody else reads it.
        """
        with self._acting(person, study, "comment") as (connection, _, now):
            return locks.take(
                connection, person, safe_id(study), safe_id(case), now=now, moves=moves
            )

    def release_lock(self, person: Person, study: str, case: str) -> None:
        """Give a lock back."""
        with self.database.writing() as connection:
            locks.release(connection, person, study, case)

    def reading(self, person: Person, study: str) -> dict[str, ReadingLock]:
        """Return the cases of a study that are being read, and by whom.

        Raises
        ------
        AccessError
            The person may not look.
        """
        with self.database.reading() as connection:
            require_right(connection, person, study, "view")
            return locks.locks_of(connection, study, now=self._clock())

    def verdicts_of(
        self, person: Person, studies: Collection[str]
    ) -> dict[tuple[str, str], tuple[Entry, ...]]:
        """Return study and case to its verdicts, in order of filing; drafts of others are left out.

        They are read by one query, for a list of many cases; `newest` gives those that count.

        Raises
        ------
        AccessError
            The person may not look at one of the studies.
        """
        with self.database.reading() as connection:
            for study in studies:
                require_right(connection, person, study, "view")
            return self._verdicts.open_to(connection, person, studies)

    def file(self, person: Person, filing: Filing, *, seen: str, stored: str) -> Entry:
        """File a first impression, draft, signature, amendment, comment or annotation.

        Parameters
        ----------
        person
            Who files it.
        filing
            What.
        seen
            ``content_sha256`` of what is on the screen.
        stored
            The same of what the results folder holds now, read again for this call.

        Raises
        ------
        AccessError
            The person's role does not allow it, or the author is another.
        ConflictError
            The result was replaced while it was read, the lock has run out, somebody else was
            first, or two windows show two cases.
        RefusedInputError
            The steps are out of order.
        """
        body = filing.body
        right = _NEEDS.get(getattr(body, "state", ""), "comment")
        subject = body.subject
        with self._acting(person, subject.study, right) as (connection, role, now):
            known = entry_by_id(connection, filing.entry)
            if known is None:
                refuse_replaced(subject, seen=seen, stored=stored)
                refuse_disorder(connection, person, body, supersedes=filing.supersedes, now=now)
            return write(
                connection,
                person,
                body,
                entry=filing.entry,
                supersedes=filing.supersedes,
                role=role,
                now=timestamp(now),
            )

    def entries(self, person: Person, study: str, case: str, kind: str) -> list[Entry]:
        """Return the entries of a case that count: each that no other stands in the place of.

        See `thread` for what is sealed.

        Raises
        ------
        AccessError
            The person may not look.
        """
        return newest(self.thread(person, study, case, kind))

    def thread(self, person: Person, study: str, case: str, kind: str) -> list[Entry]:
        """Return all entries of a kind of a case, replaced ones too, in order of filing.

        Drafts are their author's alone. First impressions of others stay sealed until the person
        has filed one of the same result; who may file none sees them.

        Raises
        ------
        AccessError
            The person may not look.
        """
        with self.database.reading() as connection:
            role = require_right(connection, person, study, "view")
            found = entries_of(connection, study, case, kind)
        return open_to(person, found, may_file="comment" in RIGHTS[role])

    def _set_membership(
        self, by: Person | None, subject: str, study: str, role: Role | None
    ) -> None:
        if study != EVERY_STUDY:
            safe_id(study, what="study id")
        Person(subject=subject, name=subject, session="")  # refuses what is no name
        with self.database.writing() as connection:
            own = OPERATOR if by is None else require_right(connection, by, study, "grant")
            at = (MEMBERSHIP.c.subject == subject) & (MEMBERSHIP.c.study == study)
            old = connection.execute(MEMBERSHIP.select().where(at)).mappings().first()
            if old is None and role is None:
                msg = f"{subject} has no role of its own in {study}, so none can be taken away."
                raise RefusedInputError(msg)
            act = Act(
                actor=account()[0] if by is None else by.subject,
                role=own,
                session="" if by is None else by.session,
                action="revoked" if role is None else "granted",
                object_type="membership",
                object_id=canonical_json([subject, study]).decode(),
                before_json=None if old is None else canonical_json(dict(old)).decode(),
                after_json=_membership(subject, study, role),
            )
            append(connection, act, now=timestamp(self._clock()))
            connection.execute(MEMBERSHIP.delete().where(at))
            if role is not None:
                row = {"subject": subject, "study": study, "role": role}
                connection.execute(MEMBERSHIP.insert().values(**row))
            locks.release_without_right(connection, subject)

    @contextmanager
    def _acting(
        self, person: Person, study: str, right: Right
    ) -> Iterator[tuple[Connection, Role, datetime]]:
        with self.database.writing() as connection:
            yield connection, require_right(connection, person, study, right), self._clock()


def _membership(subject: str, study: str, role: Role | None) -> str | None:
    if role is None:
        return None
    return canonical_json({"subject": subject, "study": study, "role": role}).decode()


def _about(
    person: Person,
    role: Role,
    subject: Subject,
    action: str,
    what: str,
    after: dict[str, str] | None = None,
) -> Act:
    if not (0 < len(what) <= _LONGEST_WHAT and what.isprintable()) or what in _OF_THE_STORE:
        msg = (
            f"what was looked at got {what[:40]!r}; allowed: 1 to {_LONGEST_WHAT} printed "
            f"characters, and none of {', '.join(sorted(_OF_THE_STORE))}."
        )
        raise RefusedInputError(msg)
    return Act(
        actor=person.subject,
        role=role,
        session=person.session,
        action=action,
        object_type=what,
        object_id=f"{subject.study}/{subject.case}/{subject.key}",
        object_sha256=subject.content_sha256,
        model_sha256=subject.model_sha256,
        after_json=None if after is None else canonical_json(after).decode(),
    )
