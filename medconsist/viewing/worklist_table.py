"""Rows of the worklist as the cells that a reader sees."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from medconsist.viewing.kind_words import kind_words
from medconsist.viewing.markup import readable
from medconsist.viewing.numbers import number
from medconsist.viewing.worklist import WorkRow
from medconsist.viewing.worklist_ask import Asked

__all__ = ["ORDER_WORDS", "STATE_WORDS", "age_words", "columns_of", "numbers_in", "row_cells"]
__all__ += ["who_words"]

ORDER_WORDS = {
    "time": "Finished, latest first",
    "age": "Finished, oldest first",
    "site": "Site",
    "patient": "Patient",
    "trust": "Trust: most scores outside their history first",
    "number": "A number of the model: highest first",
}
"""Order to its name in the list."""

STATE_WORDS = {
    "unread": "unread",
    "draft": "draft",
    "signed": "signed",
    "amended": "amended",
    "signed before": "another result was signed",
}
"""How far the reading is, to its words."""

_LONGEST = 120
_SORTED = {"time": ("finished", "descending"), "age": ("finished", "ascending")}
_SORTED |= {"site": ("site", "ascending"), "patient": ("case", "ascending")}
_COLUMNS = {
    "case": "Patient › case › item",
    "kind": "Kind",
    "study": "Study",
    "finished": "Finished (UTC)",
    "age": "Ago",
    "site": "Site",
    "state": "Review",
    "reader": "Read now by",
}
_HOUR, _DAY = 3600, 86400


def columns_of(asked: Asked) -> list[dict[str, str]]:
    """Return id, title and ``aria-sort`` of each column."""
    by, way = _SORTED.get(asked.by, ("score", "descending"))
    columns = _COLUMNS | ({"score": _score_title(asked)} if asked.by_score else {})
    return [
        {"id": name, "title": title, "sort": way if name == by else "none"}
        for name, title in columns.items()
    ]


def row_cells(row: WorkRow, asked: Asked, *, now: datetime, me: str, root: Path) -> dict[str, Any]:
    """Return one row: where it leads, its cells in the order of `columns_of`, and what is wrong.

    Parameters
    ----------
    row
        A case.
    asked
        What the list shows.
    now
        With time zone.
    me
        Subject of who looks.
    root
        Folder of all studies, which no row names.
    """
    line = row.line
    n_items = f" (of {len(line.items)} items)" if len(line.items) > 1 else ""
    finished = line.finished and line.finished.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    cells = [
        line.title + n_items,
        "unknown" if line.kind is None else kind_words(line.kind),
        line.study,
        finished or "unknown",
        age_words(line.age(now)),
        row.site or "unknown",
        STATE_WORDS[row.review],
        "" if row.reader is None else who_words(row.reader, me),
        *([_score_words(row, asked)] if asked.by_score else []),
    ]
    place = {"study": line.study, "case": line.case}
    return {
        "open": place,
        "href": f"?{urlencode(place)}",
        "cells": [readable(cell, limit=_LONGEST) for cell in cells],
        "problem": readable(line.problem.replace(f"{root}/", "")),
        "note": line.state if line.n_unreadable and not line.problem else "",
        "state": row.review,
    }


def age_words(age: timedelta | None) -> str:
    """Return how long ago something was, in one unit.

    Examples
    --------
    >>> age_words(timedelta(minutes=90)), age_words(timedelta(days=3)), age_words(None)
    ('1 h', '3 d', 'unknown')
    """
    if age is None:
        return "unknown"
    seconds = max(0.0, age.total_seconds())  # the clock that finished it may be ahead of ours
    if seconds < _HOUR:
        return f"{seconds // 60:.0f} min"
    return f"{seconds // _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds // _DAY:.0f} d"


def who_words(subject: str, me: str) -> str:
    """Return who somebody is; the subject of an identity provider is named without its issuer.

    Examples
    --------
    >>> who_words("https://login.example|ada", "u1"), who_words("u1", "u1")
    ('ada', 'you')
    """
    return "you" if subject == me else readable(subject.rpartition("|")[2] or subject)


def numbers_in(rows: Sequence[WorkRow]) -> list[str]:
    """Return the names of all numbers that cases can be sorted by."""
    return sorted({name for row in rows if row.line.current for name in row.line.current.numbers})


def _score_title(asked: Asked) -> str:
    return "Trust" if asked.by == "trust" else readable(asked.number, limit=_LONGEST) or "Number"


def _score_words(row: WorkRow, asked: Asked) -> str:
    facts = row.line.current
    if facts is None:
        return "unknown"
    if asked.by == "number":
        value = facts.numbers.get(asked.number)
        return "unknown" if value is None else number(value)
    if not facts.n_outside + facts.n_within:
        return "no history"
    least = "" if facts.least_p is None else f", least p {facts.least_p:.2g}"
    return f"{facts.n_outside} outside{least}"
