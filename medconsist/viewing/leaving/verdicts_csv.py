"""Verdicts and first impressions as a table that no spreadsheet program mistakes for formulas."""

import csv
import io
from collections.abc import Sequence

from medconsist._ids import safe_id
from medconsist.errors import RefusedInputError
from medconsist.review.entries import Entry, newest
from medconsist.review.records import Impression, Verdict, kind_of
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.markup import NOTICE, readable

__all__ = ["COLUMNS", "cell", "verdicts_csv"]

COLUMNS = (
    "study",
    "case",
    "patient",
    "item",
    "key",
    "content_sha256",
    "model_sha256",
    "kind",
    "entry",
    "supersedes",
    "is_newest",
    "state",
    "opinion",
    "reasons",
    "comment",
    "author",
    "printed_name",
    "meaning",
    "amended_because",
    "created_utc",
    "notice",
)
"""In this order; a new one goes to the end."""

_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def verdicts_csv(study: str, entries: Sequence[Entry]) -> Export:
    """Return one row for each entry, replaced ones too, in order of time.

    UTF-8, comma, one header line. A text that a spreadsheet program would take for a formula has
    an apostrophe before it; control characters are shown as U+FFFD; line breaks stay. Nothing is
    an empty cell.

    Parameters
    ----------
    study
        Of all of them.
    entries
        Verdicts and first impressions, as `ReviewStore.thread` gives them, of any number of cases.

    Raises
    ------
    RefusedInputError
        One is a comment or an annotation, or of another study.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    current = {one.id for one in newest(entries)}
    for entry in sorted(entries, key=lambda one: (one.created, one.id)):
        row = _row(entry, study) | {"is_newest": "yes" if entry.id in current else "no"}
        writer.writerow([cell(row[column]) for column in COLUMNS])
    return Export(
        name=f"{safe_id(study, what='study id')}-verdicts.csv",
        media_type="text/csv; charset=utf-8",
        what="verdicts",
        data=text.getvalue().encode(),
    )


def cell(value: str | None) -> str:
    """Return a text as it stands in a cell.

    Examples
    --------
    >>> cell("=1+1"), cell(" -2"), cell("a=b"), cell(None)
    ("'=1+1", "' -2", 'a=b', '')
    """
    if value is None:
        return ""
    lines = value.replace("\r\n", "\n").split("\n")
    shown = "\n".join(readable(line, limit=len(line) + 1) for line in lines)
    return f"'{shown}" if shown.lstrip().startswith(_STARTS) else shown


def _row(entry: Entry, study: str) -> dict[str, str | None]:
    body = entry.body
    if not isinstance(body, Verdict | Impression) or body.subject.study != study:
        msg = f"entry {entry.id} is a {kind_of(body)} of {body.subject.study}; the table holds "
        msg += f"verdicts and first impressions of {study}."
        raise RefusedInputError(msg)
    subject = body.subject
    row = {
        "study": subject.study,
        "case": subject.case,
        "patient": subject.patient,
        "item": subject.item,
        "key": subject.key,
        "content_sha256": subject.content_sha256,
        "model_sha256": subject.model_sha256,
        "kind": kind_of(body),
        "entry": entry.id,
        "supersedes": entry.supersedes,
        "opinion": body.opinion.value,
        "comment": body.comment,
        "author": entry.author,
        "created_utc": entry.created,
        "notice": NOTICE,
    }
    return row | _of_verdict(body)


def _of_verdict(body: Verdict | Impression) -> dict[str, str | None]:
    names = ("state", "reasons", "printed_name", "meaning", "amended_because")
    if isinstance(body, Impression):
        return dict.fromkeys(names)
    said = {name: getattr(body, name) for name in names}
    return said | {"reasons": "; ".join(body.reasons)}
