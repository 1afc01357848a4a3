"""Entries of the store: written with their link of the chain, read, never changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from medconsist._digests import canonical_json
from medconsist.errors import ConflictError, RefusedInputError
from medconsist.review.access import Person, Role
from medconsist.review.chain import Act, append
from medconsist.review.records import Body, body_of, kind_of, plain
from medconsist.review.tables import ENTRY

__all__ = ["Entry", "entries_of", "entry_by_id", "newest", "sealed", "verdicts_from", "write"]

_LONGEST_ID = 64
_LARGEST = 2**20  # characters; the chain holds an entry up to three times


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row that a reader filed.

    Parameters
    ----------
    id
        Named by the page that files it: filed twice, it is there once.
    created, author
        When and by whom.
    supersedes
        The entry in whose place it stands; None for the first.
    body
        What it says.

    Examples
    --------
    >>> Entry.__dataclass_params__.frozen
    True
    """

    id: str
    created: str
    author: str
    supersedes: str | None
    body: Body


def write(
    connection: Connection,
    person: Person,
    body: Body,
    *,
    entry: str,
    supersedes: str | None,
    role: Role,
    now: str,
) -> Entry:
    """File an entry and its link of the chain, or find it filed.

    Raises
    ------
    ConflictError
        The id is that of another entry, or another entry already stands in that place.
    RefusedInputError
        The id is no name, or the entry is too large or too deep to be kept.
    """
    if not (0 < len(entry) <= _LONGEST_ID and entry.isascii() and entry.isalnum()):
        msg = f"id of an entry got {entry[:80]!r}; allowed: 1 to 64 letters and digits."
        raise RefusedInputError(msg)
    text = canonical_json(plain(body)).decode()
    found = entry_by_id(connection, entry)
    if found is not None:
        return _same(found, body, person, supersedes)
    if len(text) > _LARGEST:
        msg = (
            f"this {kind_of(body)} has {len(text)} characters; allowed: {_LARGEST}. Draw it with "
            "fewer points, or in parts."
        )
        raise RefusedInputError(msg)
    if not _reads_back(body, text):
        msg = f"this {kind_of(body)} could not be read again as it is; draw or write it simpler."
        raise RefusedInputError(msg)
    before = None if supersedes is None else _in_place(connection, supersedes, body)
    row = {
        "id": entry,
        "kind": kind_of(body),
        "study": body.subject.study,
        "case_id": body.subject.case,
        "created": now,
        "author": person.subject,
        "supersedes": supersedes,
        "body": text,
    }
    act = Act(
        actor=person.subject,
        role=role,
        session=person.session,
        action=action_of(body),
        object_type=kind_of(body),
        object_id=entry,
        object_sha256=body.subject.content_sha256,
        model_sha256=body.subject.model_sha256,
        before_json=before,
        after_json=sealed(row),
        reason=getattr(body, "amended_because", None),
    )
    seq = append(connection, act, now=now)
    connection.execute(ENTRY.insert().values(audit_seq=seq, **row))
    return Entry(id=entry, created=now, author=person.subject, supersedes=supersedes, body=body)


def sealed(row: Mapping[str, Any]) -> str:
    """Return the columns of an entry as the chain holds them."""
    kept = {name: value for name, value in row.items() if name != "audit_seq"}
    return canonical_json(kept).decode()


def action_of(body: Body) -> str:
    """Return what filing this entry is called in the chain."""
    return getattr(body, "state", None) or f"filed {kind_of(body)}"


def entry_by_id(connection: Connection, entry: str) -> Entry | None:
    """Return the entry, None where there is none."""
    row = connection.execute(sa.select(ENTRY).where(ENTRY.c.id == entry)).mappings().first()
    return None if row is None else _entry(dict(row))


def entries_of(connection: Connection, study: str, case: str, kind: str) -> list[Entry]:
    """Return the entries of a kind of a case, in the order in which they were filed."""
    rows = (
        sa.select(ENTRY)
        .where(ENTRY.c.study == study, ENTRY.c.case_id == case, ENTRY.c.kind == kind)
        .order_by(ENTRY.c.audit_seq)
    )
    return [_entry(dict(row)) for row in connection.execute(rows).mappings()]


def verdicts_from(connection: Connection, seq: int) -> list[tuple[int, Entry]]:
    """Return the verdicts of all studies from this link of the chain on, each with its link."""
    # "" makes it no search by kind, of which there are many, but one by link, of which few are new
    rows = (
        sa.select(ENTRY)
        .where(ENTRY.c.audit_seq >= seq, ENTRY.c.kind + "" == "verdict")
        .order_by(ENTRY.c.audit_seq)
    )
    return [(row["audit_seq"], _entry(dict(row))) for row in connection.execute(rows).mappings()]


def newest(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that no other stands in the place of."""
    replaced = {entry.supersedes for entry in entries}
    return [entry for entry in entries if entry.id not in replaced]


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(
        id=row["id"],
        created=row["created"],
        author=row["author"],
        supersedes=row["supersedes"],
        body=body_of(row["kind"], row["body"]),
    )


def _reads_back(body: Body, text: str) -> bool:
    """Say whether it can be read: one row that cannot would close its case for good."""
    try:
        return body_of(kind_of(body), text) == body
    except RefusedInputError:
        return False


def _same(found: Entry, body: Body, person: Person, supersedes: str | None) -> Entry:
    asked = (body, person.subject, supersedes)
    if (found.body, found.author, found.supersedes) == asked:
        return found  # the page asks again after a restart
    msg = f"entry {found.id} was filed with other content; open the case again and repeat it."
    raise ConflictError(msg)


def _in_place(connection: Connection, supersedes: str, body: Body) -> str:
    old = connection.execute(sa.select(ENTRY).where(ENTRY.c.id == supersedes)).mappings().first()
    # one of another study is not told apart from none
    if old is None or (old["kind"], old["study"]) != (kind_of(body), body.subject.study):
        msg = f"there is no {kind_of(body)} {supersedes} to stand in the place of."
        raise RefusedInputError(msg)
    if old["case_id"] != body.subject.case:
        msg = (
            f"{kind_of(body)} {supersedes} is of case {old['case_id']}, not of "
            f"{body.subject.case}; two windows show two cases. Open the case again."
        )
        raise ConflictError(msg)
    taken = connection.execute(sa.select(ENTRY.c.author).where(ENTRY.c.supersedes == supersedes))
    if author := taken.scalar():
        msg = (
            f"{author} has meanwhile filed another {kind_of(body)} in this place; open the case "
            "again and look at it."
        )
        raise ConflictError(msg)
    return sealed(dict(old))
