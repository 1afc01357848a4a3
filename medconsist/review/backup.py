"""The whole store in one file, and back into an empty database, of either kind."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from medconsist._atomic import atomic_replace, storage_errors
from medconsist._digests import canonical_json
from medconsist.errors import ConflictError, CorruptInputError, MissingInputError
from medconsist.review.database import Database
from medconsist.review.tables import AUDIT, ENTRY, MEMBERSHIP
from medconsist.review.verify import Verified, verify

__all__ = ["back_up", "restore"]

_TABLES = (AUDIT, ENTRY, MEMBERSHIP)  # in the order in which rows may refer to each other
_HEADER = "medconsist review backup"
_BATCH = 1000
_LONGEST_LINE = 64 * 2**20  # bytes
_LARGEST_NUMBER = 2**63
_NO_TEXT = re.compile("[\ud800-\udfff]")  # halves of a letter


def back_up(database: Database, path: Path) -> Verified:
    """Write every row, as it is in one moment, as lines of JSON; locks are left out.

    The last line says how many there are, so that a file that was cut off is known as such.

    Returns
    -------
    Verified
        Of the store; a store with faults is written too, since it may be all that there is.

    Raises
    ------
    StorageError
        The file cannot be written; an older one of that name stays.
    """
    with atomic_replace(path) as temporary, database.reading() as connection:
        lines = 0
        with temporary.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)  # all that was said about all patients
            for line in _lines(connection, database.newest):
                file.write(line + b"\n")
                lines += 1
            file.write(canonical_json({"lines": lines}) + b"\n")
    return verify(database)


def restore(path: Path, database: Database) -> Verified:
    """Write every row of a backup into an empty store, all of them or none, and verify it.

    Raises
    ------
    ConflictError
        The store is not empty.
    CorruptInputError
        The file is no backup, of another schema, or cut off. What does not fit its chain is
        restored, with its faults: it may be all that there is.
    """
    if not path.is_file():
        msg = f"there is no backup {path}."
        raise MissingInputError(msg)
    with storage_errors(path, doing="read"), path.open("rb") as file:
        rows = list(_rows(file, str(path), database.newest))
    with database.writing() as connection:
        if connection.execute(sa.select(AUDIT).limit(1)).first() is not None:
            msg = f"the review store {database} is not empty; restore into a new one."
            raise ConflictError(msg)
        for table in _TABLES:
            found = [row for name, row in rows if name == table.name]
            for first in range(0, len(found), _BATCH):
                connection.execute(table.insert(), found[first : first + _BATCH])
    return verify(database)


def _lines(connection: Connection, schema: str) -> Iterator[bytes]:
    yield canonical_json({"file": _HEADER, "schema": schema})
    for table in _TABLES:
        rows = sa.select(table).order_by(*_order(table))
        found = connection.execution_options(yield_per=_BATCH).execute(rows)
        for row in found.mappings():
            yield canonical_json({"table": table.name, "row": dict(row)})


def _order(table: sa.Table) -> list[sa.Column[Any]]:
    # what stands in the place of another entry comes after it
    return [ENTRY.c.audit_seq] if table is ENTRY else list(table.primary_key.columns)


def _rows(file: Any, source: str, schema: str) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401  an open file
    header, n = _parsed(file.readline(_LONGEST_LINE), source, 1), 1
    if header != {"file": _HEADER, "schema": schema}:
        msg = f"{source} is no backup of schema {schema}: it begins with {str(header)[:80]}."
        raise CorruptInputError(msg)
    lines = iter(lambda: file.readline(_LONGEST_LINE), b"")
    for n, line in enumerate(lines, start=2):
        value = _parsed(line, source, n)
        if "lines" in value:
            if value["lines"] == n - 1 and not file.read(1):
                return
            break
        yield _row(value, source, n)
    msg = f"{source} is cut off or was changed near line {n}; take another backup."
    raise CorruptInputError(msg)


def _parsed(line: bytes, source: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        msg = f"{source}, line {number} is no JSON: cut off or changed; take another backup."
        raise CorruptInputError(msg) from error
    if not isinstance(value, dict) or not ({"lines", "file"} & value.keys() or "row" in value):
        msg = f"{source}, line {number} is no line of a backup; take another one."
        raise CorruptInputError(msg)
    return value


def _row(value: dict[str, Any], source: str, number: int) -> tuple[str, dict[str, Any]]:
    """Return table and row of a line that has exactly the columns of that table."""
    table = next((one for one in _TABLES if one.name == value.get("table")), None)
    row = value.get("row")
    if (
        table is not None
        and isinstance(row, dict)
        and row.keys() == set(table.columns.keys())
        and all(_fits(column, row[column.name]) for column in table.columns)
    ):
        return table.name, row
    msg = f"{source}, line {number} is no row of a backup; take another one."
    raise CorruptInputError(msg)


def _fits(column: sa.Column[Any], value: object) -> bool:
    if value is None:
        return bool(column.nullable)
    if isinstance(column.type, sa.Integer):
        return type(value) is int and abs(value) < _LARGEST_NUMBER
    return isinstance(value, str) and _NO_TEXT.search(value) is None
