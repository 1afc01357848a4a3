"""Whether the store is as it was written: chain, entries, memberships, anchors."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from medconsist.errors import RefusedInputError
from medconsist.review.anchors import Anchor
from medconsist.review.chain import FIRST, Head, faults, links
from medconsist.review.database import Database
from medconsist.review.entries import sealed
from medconsist.review.records import KINDS
from medconsist.review.tables import ENTRY, MEMBERSHIP

__all__ = ["Verified", "verify"]

_MOST = 100  # sentences; a broken chain needs no more


_GUARDED = ("audit", "entry")
_DOINGS = ("update", "delete", "replace")


@dataclass(frozen=True)
class Verified:
    """What was found.

    Parameters
    ----------
    head
        The last link.
    entries
        Number of entries.
    faults
        One sentence each, at most 100; none where everything is as it was written.

    Examples
    --------
    >>> Verified(Head(0, FIRST), 0, ()).faults
    ()
    """

    head: Head
    entries: int
    faults: tuple[str, ...]


def verify(database: Database, *, anchors: Sequence[Anchor] = ()) -> Verified:
    """Read everything once and compare it with the chain.

    Parameters
    ----------
    database
        The store.
    anchors
        Heads that were written down elsewhere: without them nobody sees that the end of the chain
        was cut off, or all of it written anew.
    """
    with database.reading() as connection:
        found, last, after, roles = _walk(connection, anchors)
        n, torn = _entries(connection, after)
        found += torn
        found += _unguarded(connection)
        now = {(r.subject, r.study): r.role for r in connection.execute(sa.select(MEMBERSHIP))}
    for key in sorted({*now, *roles}, key=str):
        if now.get(key) != roles.get(key):
            found.append(
                f"Membership of {key[0]} in {key[1]} is {now.get(key) or 'none'}, the chain says "
                f"{roles.get(key) or 'none'}."
            )
    beyond = [one for one in anchors if one.seq > last.seq]
    found += [f"Link {one.seq} was anchored at {one.ts_utc} and is gone." for one in beyond]
    return Verified(last, n, tuple(found[:_MOST]))


def _walk(
    connection: Connection, anchors: Sequence[Anchor]
) -> tuple[list[str], Head, dict[str, tuple[int, str]], dict[tuple[str, str], str]]:
    """Return faults, the last link, entries and memberships as the chain has them."""
    found, last = list[str](), Head(0, FIRST)
    after, roles = dict[str, tuple[int, str]](), dict[tuple[str, str], str]()
    at = defaultdict[int, list[Anchor]](list)
    for anchor in anchors:
        at[anchor.seq].append(anchor)
    for row in links(connection):
        found += faults(row, last)
        last = Head(row["seq"], row["hash"])
        # all of them: one that was added after a forgery does not make the earlier one untrue
        found += [
            f"Link {last.seq} is not the one that was anchored at {one.ts_utc}."
            for one in at.pop(last.seq, [])
            if one.hash != last.hash
        ]
        if row["object_type"] in KINDS and row["after_json"] is not None:
            after[row["object_id"]] = (row["seq"], row["after_json"])
        elif row["object_type"] == "membership":
            _replay(roles, row)
    return found, last, after, roles


def _unguarded(connection: Connection) -> list[str]:
    """Name the triggers against changes that are not there, or are switched off."""
    if connection.dialect.name == "sqlite":
        asked = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        wanted = [f"{table}_no_{doing}" for table in _GUARDED for doing in _DOINGS]
    else:
        asked = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')"
        wanted = [f"{table}_append_only" for table in _GUARDED]
    there = set(connection.execute(sa.text(asked)).scalars())
    return [
        f"The trigger {name}, which refuses changes, is missing: somebody took it away."
        for name in wanted
        if name not in there
    ]


def _replay(roles: dict[tuple[str, str], str], row: dict[str, Any]) -> None:
    """Carry a change of membership on; a link that was changed is a fault already."""
    try:
        subject, study = json.loads(row["object_id"])
        role = None if row["after_json"] is None else json.loads(row["after_json"])["role"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return
    if not (isinstance(subject, str) and isinstance(study, str)):
        return
    roles.pop((subject, study), None)
    if role is not None:
        roles[subject, study] = role


def _entries(connection: Connection, after: dict[str, tuple[int, str]]) -> tuple[int, list[str]]:
    found, left = list[str](), dict(after)
    rows = connection.execution_options(yield_per=1000).execute(sa.select(ENTRY)).mappings()
    number = 0
    for row in rows:
        number += 1
        seq, content = left.pop(row["id"], (0, ""))
        if content == "":
            found.append(f"Entry {row['id']} is in no link of the chain.")
        elif content != _sealed_or_none(dict(row)) or seq != row["audit_seq"]:
            found.append(f"Entry {row['id']} is not what link {seq} says of it.")
    found += [f"Entry {name} of link {seq} is gone." for name, (seq, _) in left.items()]
    return number, found


def _sealed_or_none(row: dict[str, Any]) -> str | None:
    try:
        return sealed(row)
    except RefusedInputError:  # bytes where text was
        return None
