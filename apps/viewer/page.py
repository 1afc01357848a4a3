"""The page: the worklist, or the case that the address names on the screen that fits it.

``medconsist view --results DIR`` starts it, through ``main.py``; its settings come from the
environment, see `medconsist.viewing.web.settings`. The address says what is shown: ``?study=`` and
``case=`` a case, ``key=`` one of its results, ``slice=`` or ``entry=`` a place on it, for its
screen; without ``case=`` the rest is the filter of the worklist.
"""

import time
from collections.abc import Hashable, Sequence
from pathlib import Path

import streamlit as st
from screens import mr, signal, slide, still_mr
from screens.sitting import Sitting, begin
from screens.turn import give_back, hold
from screens.worklist import LAST, asked_before, beside, draw_worklist
from streamlit.delta_generator import DeltaGenerator

from medconsist.errors import AccessError, MedconsistError, RefusedInputError
from medconsist.results.store import ResultStore
from medconsist.viewing.case_line import CaseLine
from medconsist.viewing.case_list import KeyLine, key_lines
from medconsist.viewing.markup import NOTICE, readable, safe
from medconsist.viewing.reading import original_elsewhere
from medconsist.viewing.worklist import Place

FLUSH_S = 0.15  # what is sent at once is drawn at once, and nothing would be taken away before
STYLE = Path(__file__).with_name("style.css")
SCREENS = {"wsi": slide.draw, "timeseries": signal.draw}
NOWHERE = "There is no such case here, or you may not look at it."
SAID, VIEW = "said at the end of the list", "view"


def main() -> None:
    """Draw the page."""
    st.set_page_config(page_title="medconsist", layout="wide")
    st.html(STYLE)
    sitting = begin()
    ways = st.container(horizontal=True, gap="small", key="ways")  # at one place in every view
    names = sitting.server.studies(sitting.person)
    if not names:
        give_back(sitting.server)
        with fresh("nothing"):
            draw_empty(sitting)
        return
    places = named_places(sitting, names)
    if len(places) == 1:
        give_back(sitting.server, unless=places[0])
        draw_case(sitting, names, places[0], ways)
        return
    give_back(sitting.server)
    said = ""
    if places:
        said = f"Several studies have a case of this name: {', '.join(s for s, _ in places)}."
    elif "case" in st.query_params:
        said = NOWHERE
    with fresh("worklist"):
        draw_worklist(sitting, names, said=said)


def fresh(view: Hashable) -> DeltaGenerator:
    """Return where to draw: what another view left there is gone before this one is drawn.

    Streamlit keeps the last run on the screen until the new one is whole, and for that while the
    images of one patient would stand below the name of another.
    """
    if st.session_state.get(VIEW) == view:
        return st.container()
    st.session_state[VIEW] = view
    place = st.empty()
    place.html("<p>Opening ...</p>")  # an empty place alone keeps what was in it
    time.sleep(FLUSH_S)
    return place.container()


def named_places(sitting: Sitting, names: Sequence[str]) -> list[Place]:
    """Return the cases that the address of the page can mean, of those that the person may see."""
    case, study = st.query_params.get("case"), st.query_params.get("study")
    if case is None:
        return []
    root = sitting.server.settings.results
    asked = [name for name in names if study in (None, name)]
    return [(name, case) for name in asked if has_case(ResultStore(root, name), case)]


def has_case(store: ResultStore, case: str) -> bool:
    """Say whether there is such a case, be it one that cannot be read."""
    try:
        return bool(store.keys(case))
    except RefusedInputError:  # no name of a case at all
        return False
    except MedconsistError:
        return True


def draw_empty(sitting: Sitting) -> None:
    """Say that there is nothing to show, and how to change that."""
    st.html(f'<p class="mc-notice">{NOTICE}</p>')
    server = sitting.server
    if server.store is not None and not server.store.visible(sitting.person):
        st.html(
            f"<p>{safe(sitting.person.subject)} has no role here. An administrator grants one: "
            "<code>medconsist review grant</code>.</p>"
        )
        return
    st.html(
        f"<p>No finished result in {safe(str(server.settings.results))} that you may see. Make one "
        "with <code>medconsist demo</code>, "
        "<code>medconsist mri reconstruct INPUT --out DIR</code>, "
        "<code>medconsist wsi embed SLIDE --out DIR</code> or <code>medconsist ts predict "
        "RECORDING --model DIR --out DIR</code>, then open it with "
        "<code>medconsist view --results DIR</code>.</p>"
    )


def draw_case(sitting: Sitting, names: Sequence[str], place: Place, ways: DeltaGenerator) -> None:
    """Draw a case, with the ways to the list and to its neighbours in a row above it."""
    asked_before()  # a case that a link opened leaves the filter of the list empty
    st.session_state[LAST] = {"study": place[0], "case": place[1]}
    with ways:
        draw_ways(sitting, names, place)
    try:
        keys = key_lines(ResultStore(sitting.server.settings.results, place[0]), place[1])
    except MedconsistError as error:
        with fresh(place):
            still_mr.draw_unreadable(place[1], str(error), None)
        return
    with ways:
        key = choose_key(place[1], keys)
    with fresh((place, key.key)):
        if said := st.session_state.pop(SAID, ""):
            st.html(f'<div class="mc-doubt" role="status">{safe(said)}</div>')
        hold(sitting, place)
        draw_result(sitting, place, key, keys)


def draw_ways(sitting: Sitting, names: Sequence[str], place: Place) -> None:
    """Draw the buttons that lead away; N and Shift+N press two of them."""
    st.button("← Worklist", on_click=st.query_params.clear)
    for label, keys, is_back in (("Next case", "n", False), ("Previous case", "shift+n", True)):
        st.button(
            label,
            on_click=go_beside,
            args=(sitting, names, place, is_back),
            shortcut=keys,
        )


def go_beside(sitting: Sitting, names: Sequence[str], place: Place, is_back: bool) -> None:  # noqa: FBT001  Streamlit gives arguments by place
    """Open the next case of the list that nobody else reads, or say that there is none."""
    try:
        found = beside(sitting, names, place, back=is_back)
    except MedconsistError as error:
        st.session_state[SAID] = str(error)
        return
    if found is None:
        way = "before" if is_back else "after"
        st.session_state[SAID] = f"No case {way} this one in your list that nobody else reads."
        return
    st.query_params.from_dict({"study": found[0], "case": found[1]})


def choose_key(case: str, keys: Sequence[KeyLine]) -> KeyLine:
    """Let the reader choose a result of the case: the current one, or an older one."""
    by_key = {line.key: line for line in keys}
    name = f"key {case}"
    if st.session_state.get(name) not in by_key:
        st.session_state.pop(name, None)
    asked = st.query_params.get("key")
    if asked in by_key:
        st.session_state.setdefault(name, asked)
    key = st.selectbox(
        "Result",
        list(by_key),
        key=name,
        format_func=lambda key: readable(by_key[key].label),
        label_visibility="collapsed",
        help="The current result is shown first. Older results stay as they were.",
        width=420,
    )
    if asked is not None and asked not in by_key:
        words = "The link names a result that is not here; the one below is another."
        st.html(f'<div class="mc-doubt">{words}</div>')
    if asked != key and (asked is not None or not by_key[key].current):
        st.query_params["key"] = key  # a link that is sent on leads to what is on the screen
    return by_key[key]


def draw_result(sitting: Sitting, place: Place, key: KeyLine, keys: Sequence[KeyLine]) -> None:
    """Draw one result, or the original alone where the result cannot be read."""
    study, case = place
    try:
        opened = sitting.open(study, case, key.key)
    except AccessError as error:
        st.html(f'<div class="mc-problem">{safe(str(error))}</div>')
        return
    except MedconsistError as error:
        others = [one.key for one in keys if one != key]
        store = ResultStore(sitting.server.settings.results, study)
        title = title_of_case(sitting, place)
        still_mr.draw_unreadable(title, str(error), original_elsewhere(store, case, others))
        return
    screen = SCREENS.get(opened.result.kind.partition(".")[0], mr.draw)
    screen(sitting, opened, key)


def title_of_case(sitting: Sitting, place: Place) -> str:
    """Return how the list names a case whose result cannot be read."""
    lines: list[CaseLine] = [
        line for line in sitting.server.index.lines([place[0]]) if line.case == place[1]
    ]
    return lines[0].title if lines else place[1]


main()
