"""The audit chain: every link holds the hash of the one before it.

``hash = sha256(prev_hash + canonical JSON of all other columns)``, the first ``prev_hash`` 64
zeros. A changed link breaks its own hash, a lost or inserted one that of its successor. Who can
write the database can also write a new chain: anchors in a second place find that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from medconsist import __version__
from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.errors import RefusedInputError
from medconsist.review.tables import AUDIT

__all__ = ["FIRST", "Act", "Head", "append", "faults", "hash_of", "head", "links"]
__all__ += ["links_of", "newest_links", "timestamp"]

FIRST = "0" * 64
"""What stands for the hash before the first link."""


@dataclass(frozen=True, kw_only=True)
class Act:
    """What somebody did.

    Parameters
    ----------
    actor, role, session
        Who, in which role, in which session of the program.
    action
        E.g. ``"viewed"``, ``"signed"``.
    object_type, object_id
        What was acted on.
    object_sha256, model_sha256
        Its bytes, and those of the weights that made it; None where there are none.
    before_json, after_json
        Canonical JSON of what changed.
    reason
        Why, where a reason is asked for.

    Examples
    --------
    >>> Act(actor="a", role="reader", session="s", action="viewed", object_type="result",
    ...     object_id="mri/head").reason is None
    True
    """

    actor: str
    role: str
    session: str
    action: str
    object_type: str
    object_id: str
    object_sha256: str | None = None
    model_sha256: str | None = None
    before_json: str | None = None
    after_json: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Head:
    """The last link.

    Parameters
    ----------
    seq
        Its number, from 1; 0 before the first.
    hash
        Its hash.

    Examples
    --------
    >>> Head(0, FIRST).seq
    0
    """

    seq: int
    hash: str


def timestamp(now: datetime | None = None) -> str:
    """Return a time as it is stored: UTC, microseconds, ``2026-01-31T09:30:00.000000Z``."""
    now = (now or datetime.now(UTC)).astimezone(UTC)
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def head(connection: Connection) -> Head:
    """Return the last link of the chain."""
    last = sa.select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)
    row = connection.execute(last).first()
    return Head(0, FIRST) if row is None else Head(row.seq, row.hash)


def append(connection: Connection, act: Act, *, now: str) -> int:
    """Add a link and return its number; the connection is that of `Database.writing`."""
    last = head(connection)
    row: dict[str, Any] = {field.name: getattr(act, field.name) for field in fields(act)}
    row |= {"seq": last.seq + 1, "ts_utc": now, "app_version": __version__}
    row["prev_hash"] = last.hash
    connection.execute(AUDIT.insert().values(hash=hash_of(row), **row))
    return last.seq + 1


def hash_of(row: dict[str, Any]) -> str:
    """Return the hash of a link from its columns."""
    content = {name: value for name, value in row.items() if name not in ("hash", "prev_hash")}
    return sha256_of_bytes(row["prev_hash"].encode() + canonical_json(content))


def links(connection: Connection) -> Iterator[dict[str, Any]]:
    """Yield all links in order, a batch at a time."""
    found = connection.execution_options(yield_per=1000).execute(
        sa.select(AUDIT).order_by(AUDIT.c.seq)
    )
    for row in found.mappings():
        yield dict(row)


def newest_links(connection: Connection, most: int) -> list[dict[str, Any]]:
    """Return the last links, the newest first."""
    rows = sa.select(AUDIT).order_by(AUDIT.c.seq.desc()).limit(most)
    return [dict(row) for row in connection.execute(rows).mappings()]


def links_of(connection: Connection, entries: Sequence[str]) -> dict[str, Head]:
    """Return the id of each of these verdicts to the link that it was filed with."""
    rows = sa.select(AUDIT.c.object_id, AUDIT.c.seq, AUDIT.c.hash).where(
        AUDIT.c.object_type == "verdict", AUDIT.c.object_id.in_(entries)
    )
    return {row.object_id: Head(row.seq, row.hash) for row in connection.execute(rows)}


def faults(row: dict[str, Any], last: Head) -> list[str]:
    """Return what is wrong with a link that follows ``last``, one sentence each."""
    found = []
    if row["seq"] != last.seq + 1:
        found.append(f"Link {last.seq + 1} is missing: {last.seq} is followed by {row['seq']}.")
    elif row["prev_hash"] != last.hash:
        found.append(f"Link {row['seq']} does not follow from link {last.seq}.")
    if row["hash"] != _hash_or_none(row):
        found.append(f"Link {row['seq']} was changed: its content does not give its hash.")
    return found


def _hash_or_none(row: dict[str, Any]) -> str | None:
    try:
        return hash_of(row)
    except (RefusedInputError, AttributeError):  # SQLite keeps bytes or nothing in any column
        return None
