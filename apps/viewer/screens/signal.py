"""The screen of recordings: traces to scale, and what a model says of the patient beside them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from medconsist.errors import MedconsistError
from medconsist.results.store import studies
from medconsist.review.records import Comment
from medconsist.viewing.case_list import KeyLine, title_of
from medconsist.viewing.markup import readable, safe, table
from medconsist.viewing.signal_events import event_filing, events_data
from medconsist.viewing.signal_screen import SignalPin, pin_of, place_of, widget_data
from medconsist.viewing.signal_traces import traces_of
from medconsist.viewing.signal_words import near_trials, signal_words
from medconsist.viewing.web.server import Opened
from screens import still_signal
from screens.frame import framed
from screens.parts import draw_metrics, draw_notes, draw_provenance
from screens.review_panel import Panel
from screens.signal_widget import signal_widget
from screens.sitting import Sitting
from screens.widget import run_again

__all__ = ["draw"]

STILL = "still pictures of signals"
SAID = "what became of an event"


def draw(sitting: Sitting, opened: Opened, key: KeyLine) -> None:
    """Draw recordings to scale, or as a list where none can be drawn or a reader wants it so."""
    traces = traces_of(opened.result)
    if not traces or st.session_state.get(STILL):
        if traces:
            with st.sidebar:
                st.toggle("Still pictures", key=STILL)
        still_signal.draw(sitting, opened, key)
        return
    is_sealed = opened.is_sealed or bool(st.session_state.get("sealed"))
    words = None if is_sealed else signal_words(opened.result)
    unknown = []
    if words is not None and not words.prediction.can_assess:
        unknown.append("cannot be assessed: see the reasons")
    if any(trace.millivolts is None for trace in traces):
        unknown.append("voltage unit unknown")
    with framed(sitting, opened, key, unknown=unknown) as side:
        draw_widget(sitting, opened, is_sealed=is_sealed)
        if words is None and not is_sealed:
            draw_metrics(opened.result)
        draw_provenance(opened.result)
    with side:
        if words is not None:
            draw_near(sitting, opened)
        if words is None:
            draw_notes(opened.result)
        st.toggle("Still pictures", key=STILL, help="A list of the recordings, without traces.")


def draw_widget(sitting: Sitting, opened: Opened, *, is_sealed: bool) -> None:
    """Mount the traces; what comes back is a place that a comment will hang at."""
    result = opened.result
    name = f"signal {result.content_sha256} {is_sealed}"
    data = widget_data(
        opened.stored,
        title=title_of(result),
        is_sealed=is_sealed,
        pins=pins(sitting, opened),
    )
    signal_widget(
        key=name,
        data={
            **data,
            "api": opened.api,
            "ticket": opened.ticket,
            "goto": place_of(st.session_state.get("goto")),
            "events": events(sitting, opened),
        },
        on_pin_change=partial(hear_pin, opened, name),
        on_event_change=partial(hear_event, sitting, opened, name),
        on_renew_change=run_again,
    )


def hear_pin(opened: Opened, name: str) -> None:
    """Keep the place of the next comment, before the page is drawn again."""
    pin = pin_of(st.session_state[name].get("pin"), opened.result)
    if pin is not None:
        st.session_state["pin"] = pin.model_dump(mode="json")


def hear_event(sitting: Sitting, opened: Opened, name: str) -> None:
    """Mark, move or delete an event before the page is drawn again; keep what came of it."""
    sent = st.session_state[name].get("event")
    if not isinstance(sent, Mapping):
        return
    panel = Panel(sitting, opened)
    try:
        panel.use()
        filing, words = event_filing(
            sent,
            thread=panel.thread("annotation"),
            result=opened.result,
            subject=opened.subject,
            person=sitting.person,
        )
        panel.put(filing)
    except MedconsistError as error:
        words = str(error)
    st.session_state[SAID] = words


def events(sitting: Sitting, opened: Opened) -> dict[str, Any]:
    """Return the events of this result as far as this reader sees them, and what came of the last.

    Who may file none, or where there is no review store, sees them and marks none.
    """
    try:
        entries = sitting.entries(opened, "annotation")
    except MedconsistError:
        entries = []  # the comments, read before, say why
    found = events_data(
        entries,
        person=sitting.person,
        result=opened.result,
        may_mark=sitting.server.store is not None and opened.may("comment"),
    )
    return {**found, "said": readable(st.session_state.pop(SAID, ""), limit=400)}


def pins(sitting: Sitting, opened: Opened) -> list[SignalPin]:
    """Return the comments on this result that hang at a time, as far as this reader sees them."""
    result = opened.result
    try:
        entries = sitting.entries(opened, "comment")
    except MedconsistError as error:
        st.html(f'<div class="mc-problem">{safe(str(error))}</div>')
        return []
    return [
        SignalPin(entry.body.pin, entry.body.text, entry.author)
        for entry in entries
        if isinstance(entry.body, Comment)
        and entry.body.pin is not None
        and entry.body.subject.key == result.key
    ]


def draw_near(sitting: Sitting, opened: Opened) -> None:
    """Draw which training trials of others are nearest, without saying whose they are."""
    seen = sitting.server.studies(sitting.person)
    near = near_trials(
        opened.result,
        studies=studies(sitting.server.settings.results),
        may_see=lambda study: study in seen,
    )
    said = f'<p class="mc-small">{safe(near.why_none)}</p>'
    if near.trials:
        rows = [[one.whose, one.label, one.distance] for one in near.trials]
        head = ["Training patient", "Class", "Distance"]
        said = table(head, rows, caption="Nearest trials of training, ids left out")
        said += (
            '<p class="mc-small">Distance of features: 0 is the same, 1.4 nothing in common. Their '
            "traces are not stored with this result.</p>"
        )
    title = f"Nearest trials of other patients ({len(near.trials)})"
    st.html(f'<div class="mc-card"><details><summary>{title}</summary>{said}</details></div>')
