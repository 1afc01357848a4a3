"""Heads of the chain, written down in a second place."""

import fcntl
import os
from pathlib import Path

from pydantic import Field

from medconsist._atomic import storage_errors
from medconsist._records import Record, read_record
from medconsist.errors import ConflictError
from medconsist.results.append_only import append_line, locked
from medconsist.review.chain import head, timestamp
from medconsist.review.database import Database

__all__ = ["Anchor", "add_anchor", "read_anchors"]


class Anchor(Record):
    """One head.

    Parameters
    ----------
    seq, hash
        Of the link.
    ts_utc
        When it was written down.

    Examples
    --------
    >>> Anchor(seq=1, hash="0" * 64, ts_utc="2026-01-31T09:30:00.000000Z").seq
    1
    """

    seq: int = Field(ge=1)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    ts_utc: str


def read_anchors(path: Path) -> list[Anchor]:
    """Return the anchors of a file, one JSON object a line.

    Raises
    ------
    RefusedInputError, StorageError
        A line is no anchor, or the file cannot be read.
    """
    with storage_errors(path, doing="read"):
        lines = path.read_bytes().splitlines()
    numbered = enumerate(lines, start=1)
    return [read_record(Anchor, text, source=f"{path}, line {n}") for n, text in numbered]


def add_anchor(database: Database, path: Path) -> Anchor:
    """Write the head of the chain to the end of a file, on another disk than the store.

    Raises
    ------
    ConflictError
        The chain is empty.
    StorageError
        The file cannot be written.
    """
    with database.reading() as connection:
        last = head(connection)
    if last.seq == 0:
        msg = "nothing has happened in this review store yet, so there is nothing to anchor."
        raise ConflictError(msg)
    anchor = Anchor(seq=last.seq, hash=last.hash, ts_utc=timestamp())
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    with storage_errors(path), locked(path, flags, fcntl.LOCK_EX) as descriptor:
        append_line(descriptor, anchor.model_dump_json().encode() + b"\n")
    return anchor
