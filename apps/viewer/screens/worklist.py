"""The worklist: the cases that a person may see, filtered, sorted, in pages."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial

import streamlit as st

from medconsist.viewing.kind_words import kind_words
from medconsist.viewing.markup import NOTICE, readable, safe
from medconsist.viewing.worklist import Place, WorkRow, chosen, joined, next_row, page_of
from medconsist.viewing.worklist_ask import REVIEW_STATES, Asked
from medconsist.viewing.worklist_order import ORDERS, SCORE_ORDERS, arranged
from medconsist.viewing.worklist_reviews import reviews_of
from medconsist.viewing.worklist_table import (
    ORDER_WORDS,
    STATE_WORDS,
    columns_of,
    numbers_in,
    row_cells,
)
from screens.sitting import Sitting
from screens.worklist_widget import worklist_table

__all__ = ["asked_before", "beside", "draw_worklist"]

ASKED, LAST, TABLE = "asked", "last place", "list table"
FIRST_LOOK_CASES = 200
BY_SCORE = (
    "Sorted by a model's score: the place of a case in this list says what the model says of it, "
    "before you have seen the case."
)
SEALED = "Models' scores sort nothing where a first impression comes first."


def draw_worklist(sitting: Sitting, studies: Sequence[str], *, said: str = "") -> None:
    """Draw the list, and its filter in the sidebar.

    Parameters
    ----------
    sitting
        Who looks.
    studies
        Those that the person may see.
    said
        What the reader must know first; empty for nothing.
    """
    st.html(
        f'<div class="mc-strip"><h1>Worklist</h1><span class="mc-notice">{NOTICE}</span></div>'
        + (f'<div class="mc-doubt">{safe(said)}</div>' if said else "")
    )
    rows, problems = rows_of(sitting, studies)
    with st.sidebar:
        asked = ask(sitting, rows, studies)
    page = page_of(chosen(ordered(sitting, rows, asked), asked.wanted), number=asked.page)
    asked = asked.on_page(page.number)
    keep(asked)
    if asked.by_score:
        st.html(f'<div class="mc-doubt" role="status">{safe(BY_SCORE)}</div>')
    for problem in problems:
        st.html(f'<div class="mc-doubt">{safe(problem)}</div>')
    cells = partial(
        row_cells,
        asked=asked,
        now=datetime.now(UTC),
        me=sitting.person.subject,
        root=sitting.server.settings.results,
    )
    worklist_table(
        data={
            "caption": caption(page.n_rows, len(rows), page.n_unreadable),
            "columns": columns_of(asked),
            "rows": [cells(row) for row in page.rows],
            "last": st.session_state.get(LAST),
        },
        key=TABLE,
        on_open_change=open_pressed,
    )
    if page.n_pages > 1:
        st.session_state["list page"] = page.number
        st.pagination(page.n_pages, key="list page")


def rows_of(sitting: Sitting, studies: Sequence[str]) -> tuple[list[WorkRow], tuple[str, ...]]:
    """Return all cases with what readers filed, and what could not be read."""
    root = sitting.server.settings.results
    with telling() as told:
        lines = sitting.server.index.lines(studies, told=told)
    reviews, problems = reviews_of(sitting.server.store, sitting.person, studies, root=root)
    return joined(lines, reviews), problems


class telling:  # noqa: N801  a context, named as it is used
    """Say how far a first look at many cases is."""

    def __enter__(self) -> Callable[[int, int], None]:
        self.place = st.empty()
        return self._tell

    def __exit__(self, *_: object) -> None:
        self.place.empty()

    def _tell(self, done: int, n_cases: int) -> None:
        if n_cases >= FIRST_LOOK_CASES and done % FIRST_LOOK_CASES == 0:
            self.place.progress(done / n_cases, f"Reading the list: {done} of {n_cases} cases")


def ordered(sitting: Sitting, rows: Sequence[WorkRow], asked: Asked) -> list[WorkRow]:
    """Return the rows in the order that is asked for; one by scores was switched on by a person.

    Where a first impression comes first, no order by scores is taken from anywhere.
    """
    if asked.by_score and sitting.server.settings.impressions == "first":
        asked = replace(asked, by=ORDERS[0])
    return arranged(rows, by=asked.by, by_score=asked.by_score, number=asked.number)


def beside(sitting: Sitting, studies: Sequence[str], place: Place, *, back: bool) -> Place | None:
    """Return the case after, or before, another one in the reader's list; None at its end."""
    asked = asked_before()
    rows, _ = rows_of(sitting, studies)
    listed = ordered(sitting, rows, asked)
    if back:
        listed.reverse()
    found = next_row(listed, asked.wanted, after=place, me=sitting.person.subject)
    return None if found is None else found.place


def asked_before() -> Asked:
    """Return what this window asked of the list last, or what the address of the page asks."""
    if ASKED not in st.session_state:
        address = {name: st.query_params[name] for name in st.query_params}
        if "case" in address:  # its study is that of the case, not a filter
            address = {}
        st.session_state[ASKED] = Asked.of_address(address)
    found: Asked = st.session_state[ASKED]
    return found


def keep(asked: Asked) -> None:
    """Keep what was asked for the way back, and in the address of the page."""
    st.session_state[ASKED] = asked
    if {name: st.query_params[name] for name in st.query_params} != asked.address:
        st.query_params.from_dict(asked.address)


def ask(sitting: Sitting, rows: Sequence[WorkRow], studies: Sequence[str]) -> Asked:
    """Draw the filter and the order; return what they say."""
    before = asked_before()
    page = st.session_state.get("list page", before.page)
    for name, value in fields_of(before).items():
        st.session_state.setdefault(name, value)
    words = st.text_input("Find", key="list words", placeholder="patient, case, item, site") or ""
    after = replace(
        before,
        words=words[:200],
        mine=st.segmented_control("Cases", ("All", "Mine"), key="list mine") == "Mine",
        study=one_of("Study", "list study", studies),
        kind=one_of(
            "Kind", "list kind", {row.line.kind for row in rows if row.line.kind}, kind_words
        ),
        site=one_of("Site", "list site", {row.site or "" for row in rows}),
        review=tuple(
            st.multiselect(
                "Review", REVIEW_STATES, key="list review", format_func=STATE_WORDS.__getitem__
            )
        ),
        since=day_of(st.date_input("Finished since (UTC)", value=None, key="list since")),
    )
    after = ask_order(sitting, rows, after)
    return after.on_page(page if after == before else 1)


def fields_of(asked: Asked) -> dict[str, object]:
    """Return what each field of the filter holds for a list that was asked for."""
    return {
        "list words": asked.words,
        "list mine": "Mine" if asked.mine else "All",
        "list study": asked.study,
        "list kind": asked.kind,
        "list site": asked.site,
        "list review": list(asked.review),
        "list since": asked.since,
        "list sort": asked.by,
        "list by score": asked.by_score,
        "list number": asked.number or None,
    }


def one_of(
    label: str, key: str, names: Sequence[str] | set[str], words: Callable[[str], str] = str
) -> str | None:
    """Let the reader choose one of some names, or none of them; nothing is asked of one alone.

    ``words`` says how a name is shown.
    """
    held = st.session_state.get(key)
    options = sorted({*names, *([] if held is None else [held])})
    if len(options) < 2 and held is None:
        return None
    return st.selectbox(
        label,
        options,
        index=None,
        key=key,
        placeholder="any",
        format_func=lambda name: readable(words(name)) or "unknown",
    )


def ask_order(sitting: Sitting, rows: Sequence[WorkRow], asked: Asked) -> Asked:
    """Draw the order; a model's scores are among its choices once a person switched them on."""
    is_sealed = sitting.server.settings.impressions == "first"
    if is_sealed:
        st.session_state["list by score"] = False
    numbers = numbers_in(rows)
    orders: tuple[str, ...] = ORDERS
    if st.session_state["list by score"]:
        orders += SCORE_ORDERS if numbers else SCORE_ORDERS[:1]
    if st.session_state["list sort"] not in orders:
        st.session_state["list sort"] = orders[0]
    by = st.selectbox("Sort by", orders, key="list sort", format_func=ORDER_WORDS.__getitem__)
    number = ""
    if by == "number":
        if st.session_state.get("list number") not in numbers:
            st.session_state["list number"] = numbers[0]
        number = st.selectbox("Number", numbers, key="list number", format_func=readable)
    st.toggle(
        "Offer models' scores to sort by",
        key="list by score",
        disabled=is_sealed,
        help=SEALED if is_sealed else "Off unless you switch it on, and never kept in a link.",
    )
    return replace(asked, by=by, number=number)


def day_of(value: object) -> date | None:
    """Return the day that was chosen, None for none."""
    return value if isinstance(value, date) else None


def caption(n_rows: int, n_all: int, n_unreadable: int) -> str:
    """Return how many cases are listed."""
    of = "" if n_rows == n_all else f" of {n_all}"
    cases = "case" if (n_all if of else n_rows) == 1 else "cases"
    bad = f", {n_unreadable} cannot be read" if n_unreadable else ""
    return f"{n_rows}{of} {cases}{bad}. Open one by a click or Enter; arrow keys go up and down."


def open_pressed() -> None:
    """Open the case that was pressed in the table; who may see it is asked when it is opened."""
    pressed = st.session_state[TABLE].get("open")
    if isinstance(pressed, dict) and {"study", "case"} <= pressed.keys():
        st.query_params.from_dict({name: str(pressed[name]) for name in ("study", "case")})
