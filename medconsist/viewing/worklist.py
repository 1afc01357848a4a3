"""The worklist: cases joined with what readers filed, filtered, in pages, and the next one.

::

    rows = arranged(joined(index.lines(studies), reviews), by="time")  # of worklist_order
    page = page_of(chosen(rows, wanted), number=1)
    following = next_row(rows, wanted, after=("brain", "scan-7"), me="u1")
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from medconsist.errors import RefusedInputError
from medconsist.review.records import Verdict
from medconsist.viewing.case_line import CaseLine

__all__ = ["Page", "Place", "ReviewState", "Reviews", "Wanted", "WorkRow"]
__all__ += ["chosen", "joined", "next_row", "page_of"]

Place = tuple[str, str]
"""Study and case."""

ReviewState = Literal["unread", "draft", "signed", "amended", "signed before"]
"""``signed before``: another result of the case was signed, and the one shown now was not."""

_STRONGEST: tuple[ReviewState, ...] = ("amended", "signed", "draft")


@dataclass(frozen=True, kw_only=True)
class Reviews:
    """What the review store says of the cases, read once for a list.

    Parameters
    ----------
    verdicts
        Those of each case that no other stands in the place of, as this reader may see them.
    readers
        Who holds the lock on a case.
    mine
        Cases that this reader reads, drafted or signed, or was given.
    sites
        Of each case whose site is known. No result names a site: a manifest does, see
        ``manifests.case_facts.CaseFacts.site``.

    Examples
    --------
    >>> Reviews(readers={("brain", "scan-1"): "u1"}).mine
    frozenset()
    """

    verdicts: Mapping[Place, Sequence[Verdict]] = field(default_factory=dict)
    readers: Mapping[Place, str] = field(default_factory=dict)
    mine: Collection[Place] = frozenset()
    sites: Mapping[Place, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkRow:
    """One case of the list, with what readers filed.

    Parameters
    ----------
    line
        The case and the result that is shown.
    site
        None is unknown.
    review
        How far its reading is.
    reader
        Who reads it now, None for nobody.
    is_mine
        Whether it is one of this reader's.

    Examples
    --------
    >>> line = CaseLine("scan-1", "p-7", None, 1, "", study="brain")
    >>> WorkRow(line, site=None, review="unread", reader=None, is_mine=False).place
    ('brain', 'scan-1')
    """

    line: CaseLine
    site: str | None
    review: ReviewState
    reader: str | None
    is_mine: bool

    @property
    def place(self) -> Place:
        """Study and case."""
        return self.line.place


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which rows to show; what is left out does not matter.

    Parameters
    ----------
    words
        Each must be part of a name: patient, case, item, kind, study or site.
    study, patient, kind
        The whole name.
    site
        The whole name; ``""`` for unknown.
    review
        How far the reading is: one of these; none named is any.
    readable
        False for the cases alone whose current result cannot be read, True for the others.
    mine
        True for this reader's own alone.
    since, until
        When the result was finished, with time zone: from, and before. A case without a readable
        result has no such time and is left out.

    Raises
    ------
    RefusedInputError
        A time without its zone.

    Examples
    --------
    >>> Wanted(words="p-7", review=("unread", "signed before")).mine
    False
    """

    words: str = ""
    study: str | None = None
    patient: str | None = None
    kind: str | None = None
    site: str | None = None
    review: tuple[ReviewState, ...] = ()
    readable: bool | None = None
    mine: bool = False
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse times that mean another moment elsewhere."""
        for when in (self.since, self.until):
            if when is not None and when.tzinfo is None:
                msg = f"A filter got the time {when.isoformat()} without its zone; add one."
                raise RefusedInputError(msg)


@dataclass(frozen=True)
class Page:
    """Some rows of a list.

    Parameters
    ----------
    rows
        Of this page.
    number, n_pages
        From 1.
    n_rows, n_unreadable
        Of all pages: cases, and those whose current result cannot be read.

    Examples
    --------
    >>> page_of([]).n_pages
    1
    """

    rows: tuple[WorkRow, ...]
    number: int
    n_pages: int
    n_rows: int
    n_unreadable: int


def joined(lines: Iterable[CaseLine], reviews: Reviews) -> list[WorkRow]:
    """Return one row for every case, in the order of the lines."""
    return [_row(line, line.place, reviews) for line in lines]


def chosen(rows: Iterable[WorkRow], wanted: Wanted) -> list[WorkRow]:
    """Return the rows that are wanted, in their order."""
    words = wanted.words.lower().split()
    return [row for row in rows if _is_wanted(row, wanted, words)]


def page_of(rows: Sequence[WorkRow], *, number: int = 1, size: int = 50) -> Page:
    """Return one page of the rows; behind the last page, which may have gone, the last one.

    Raises
    ------
    RefusedInputError
        A page or size below 1.
    """
    if min(number, size) < 1:
        msg = f"A page got number {number} and size {size}; both are 1 or more."
        raise RefusedInputError(msg)
    n_pages = max(1, -(-len(rows) // size))
    number = min(number, n_pages)
    n_unreadable = sum(1 for row in rows if row.line.problem)
    part = tuple(rows[(number - 1) * size : number * size])
    return Page(part, number, n_pages, len(rows), n_unreadable)


def next_row(rows: Sequence[WorkRow], wanted: Wanted, *, after: Place, me: str) -> WorkRow | None:
    """Return the next wanted case that nobody else is reading, None at the end of the list.

    Parameters
    ----------
    rows
        All rows in the order of the list, not yet filtered: a case that was signed a moment ago
        has often left the filter, and what follows it has not.
    wanted
        The filter of the list.
    after
        Study and case on the screen; the first one follows a case that is not there.
    me
        Who asks: one's own lock does not stand in the way.
    """
    at = next((n for n, row in enumerate(rows, start=1) if row.place == after), 0)
    words = wanted.words.lower().split()
    free = (row for row in rows[at:] if row.reader in (None, me))
    return next((row for row in free if _is_wanted(row, wanted, words)), None)


def _row(line: CaseLine, place: Place, reviews: Reviews) -> WorkRow:
    return WorkRow(
        line,
        site=reviews.sites.get(place),
        review=_review_state(line, reviews.verdicts.get(place, ())),
        reader=reviews.readers.get(place),
        is_mine=place in reviews.mine,
    )


def _review_state(line: CaseLine, verdicts: Sequence[Verdict]) -> ReviewState:
    """Return the strongest verdict on the very bytes that are shown, else that there was one."""
    if not verdicts:
        return "unread"
    shown = None if line.current is None else line.current.content_sha256
    states = [verdict.state for verdict in verdicts if verdict.subject.content_sha256 == shown]
    for state in _STRONGEST:
        if state in states:
            return state
    return "signed before" if any(v.state != "draft" for v in verdicts) else "unread"


def _is_wanted(row: WorkRow, wanted: Wanted, words: Sequence[str]) -> bool:
    line = row.line
    return (
        wanted.study in (None, line.study)
        and wanted.patient in (None, line.patient)
        and wanted.kind in (None, line.kind)
        and wanted.site in (None, row.site or "")
        and (not wanted.review or row.review in wanted.review)
        and (wanted.readable is None or wanted.readable == (not line.problem))
        and (row.is_mine or not wanted.mine)
        and _is_in_time(line, wanted)
        and _says(row, words)
    )


def _says(row: WorkRow, words: Sequence[str]) -> bool:
    site = (row.site or "").lower()
    return all(word in row.line.names or word in site for word in words)


def _is_in_time(line: CaseLine, wanted: Wanted) -> bool:
    if wanted.since is None and wanted.until is None:
        return True
    when = line.finished
    if when is None or (wanted.since is not None and when < wanted.since):
        return False
    return wanted.until is None or when < wanted.until
