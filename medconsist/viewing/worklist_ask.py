"""What a reader asks of the worklist: filter, order and page, in words of an address and back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import get_args

from medconsist.viewing.worklist import ReviewState, Wanted
from medconsist.viewing.worklist_order import ORDERS, SCORE_ORDERS

__all__ = ["REVIEW_STATES", "Asked"]

REVIEW_STATES: tuple[ReviewState, ...] = get_args(ReviewState)

_LONGEST = 200
_NAMES = ("study", "kind", "site")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Filter, order and page of a list.

    Parameters
    ----------
    words, study, kind, site, review, mine
        As `worklist.Wanted`.
    since
        The first day, in UTC, on which a result was finished.
    by, number
        As `worklist_order.arranged`; an order by scores is one that a person switched on.
    page
        From 1.

    Examples
    --------
    >>> Asked(words="p-7", by="site").address
    {'words': 'p-7', 'sort': 'site'}
    """

    words: str = ""
    study: str | None = None
    kind: str | None = None
    site: str | None = None
    review: tuple[ReviewState, ...] = ()
    mine: bool = False
    since: date | None = None
    by: str = "time"
    number: str = ""
    page: int = 1

    @classmethod
    def of_address(cls, asked: Mapping[str, str]) -> "Asked":
        """Return what an address asks for; what is no part of a list is left out.

        No address sorts by a score: a link that somebody sends is no switch that a person turned.
        """
        names = {name: asked[name][:_LONGEST] for name in _NAMES if name in asked}
        states = asked.get("review", "").split(",")
        return cls(
            words=asked.get("words", "")[:_LONGEST],
            **names,
            review=tuple(state for state in REVIEW_STATES if state in states),
            mine=asked.get("mine") == "1",
            since=_day(asked.get("since", "")),
            by=asked["sort"] if asked.get("sort") in ORDERS else "time",
            page=_page(asked.get("page", "")),
        )

    @property
    def address(self) -> dict[str, str]:
        """What `of_address` reads; an order by scores is left out, and so is what is usual."""
        said: dict[str, str] = {"words": self.words} if self.words else {}
        for name in _NAMES:
            value = getattr(self, name)
            said |= {} if value is None else {name: value}
        said |= {"review": ",".join(self.review)} if self.review else {}
        said |= {"mine": "1"} if self.mine else {}
        said |= {"since": self.since.isoformat()} if self.since else {}
        said |= {"sort": self.by} if self.by in ORDERS[1:] else {}
        return said | ({"page": str(self.page)} if self.page > 1 else {})

    @property
    def wanted(self) -> Wanted:
        """The filter."""
        day = self.since
        since = None if day is None else datetime.combine(day, time(), tzinfo=UTC)
        return Wanted(
            words=self.words,
            study=self.study,
            kind=self.kind,
            site=self.site,
            review=self.review,
            mine=self.mine,
            since=since,
        )

    @property
    def by_score(self) -> bool:
        """Whether what a model says, or its evidence, sorts the list."""
        return self.by in SCORE_ORDERS

    def on_page(self, number: int) -> "Asked":
        """Return the same list at another page."""
        return replace(self, page=number)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _page(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 and int(text) else 1
