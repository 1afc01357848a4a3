"""Comments and shapes of a case: filed at a place, listed, gone to, withdrawn."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from medconsist._records import make_record
from medconsist.errors import RefusedInputError
from medconsist.review.entries import Entry
from medconsist.review.records import Annotation, Comment, Pin
from medconsist.review.store import Filing
from medconsist.viewing.event_labels import event_label
from medconsist.viewing.leaving.verdict_line import pin_words, time_words
from medconsist.viewing.markup import safe
from medconsist.viewing.review_form import comment_of, shape_of, withdrawal_of
from medconsist.viewing.signal_events import event_of
from screens.review_panel import Panel, say_no

__all__ = ["draw_notes"]

MOST_SHAPES = 30  # newest first; more, as of beats, would make the page slow
SHOWN, FOLLOWED = "shown in the review", "followed entry"


def draw_notes(panel: Panel) -> None:
    """Draw the comments and shapes of the case, and the fields for new ones."""
    forget_other_places(panel)
    comments = [one for one in panel.counting("comment") if _text(one)]
    shapes = [one for one in panel.counting("annotation") if _geometry(one)]
    follow_link([*comments, *shapes])
    waiting = "pin" in st.session_state or "shape" in st.session_state
    title = f"Comments and shapes ({len(comments) + len(shapes)})"
    with st.expander(title, expanded=waiting or bool(comments)):
        draw_new_shape(panel)
        draw_new_comment(panel)
        for entry in reversed(comments):
            draw_comment(panel, entry)
        for entry in shapes[: -MOST_SHAPES - 1 : -1]:
            draw_shape(panel, entry)
        rest = len(shapes) - MOST_SHAPES
        if rest > 0:
            st.caption(f"{rest} earlier {'one is' if rest == 1 else 'ones are'} drawn, not listed.")


def draw_new_comment(panel: Panel) -> None:
    """Draw the field for a comment, at the place that was marked on the image if there is one."""
    if panel.leave.comment:
        say_no(panel.leave.comment)
        return
    pin = _pin()
    place = "about the whole" if pin is None else f"at {pin_words(pin)}"
    st.html(f'<p class="mc-small">New comment {safe(place)}.</p>')
    times: int = st.session_state.get("comments filed", 0)  # an empty field after each
    name = panel.name(f"new comment {times}")
    text = st.text_area(
        "New comment", key=name, height=68, max_chars=10_000, label_visibility="collapsed"
    )
    left, right = st.columns(2)
    is_pressed = left.button("File comment", key=panel.name("file comment"), width="stretch")
    if is_pressed and panel.file(lambda: _comment(panel, text or "", pin), "Comment filed."):
        st.session_state["comments filed"] = times + 1
        st.session_state.pop("pin", None)
        st.rerun()
    if pin is not None and right.button(
        "Without place", key=panel.name("drop pin"), width="stretch"
    ):
        st.session_state.pop("pin", None)
        st.rerun()


def draw_new_shape(panel: Panel) -> None:
    """Draw the label of a shape that was drawn on the image and is not filed yet."""
    shape = st.session_state.get("shape")
    if not isinstance(shape, Mapping) or panel.leave.comment:
        return
    st.html('<p class="mc-small">A shape was drawn and is not filed yet.</p>')
    label = st.text_input("Label of the shape", key=panel.name("shape label"), max_chars=200)
    left, right = st.columns(2)
    is_pressed = left.button("File shape", key=panel.name("file shape"), width="stretch")
    if is_pressed and panel.file(lambda: _shape(panel, shape, label or ""), "Shape filed."):
        st.session_state.pop("shape", None)
        st.rerun()
    if right.button("Discard", key=panel.name("drop shape"), width="stretch"):
        st.session_state.pop("shape", None)
        st.rerun()


def draw_comment(panel: Panel, entry: Entry) -> None:
    """Draw a comment with its place, and the buttons that go there and withdraw it."""
    body = entry.body
    if not isinstance(body, Comment):
        return
    _draw_words(panel, entry, body.text, pin_words(body.pin))
    _draw_buttons(panel, entry)


def draw_shape(panel: Panel, entry: Entry) -> None:
    """Draw what a shape is, and the buttons that go there and withdraw it."""
    body = entry.body
    if not isinstance(body, Annotation) or body.geometry is None:
        return
    event = event_of(body)
    if event is not None:
        _draw_words(panel, entry, event_label(body.label).words, event.words)
        _draw_buttons(panel, entry)
        return
    place = "on the slide" if body.plane is None else f"on slice {body.plane + 1}"
    _draw_words(panel, entry, body.label or "no label", f"{body.geometry.get('type')} {place}")
    _draw_buttons(panel, entry)


def forget_other_places(panel: Panel) -> None:
    """Drop a place or shape that was marked on another result: it would lie wrong on this one."""
    sha = panel.subject.content_sha256
    if st.session_state.get(SHOWN, sha) != sha:
        for name in ("pin", "shape", "goto"):
            st.session_state.pop(name, None)
    st.session_state[SHOWN] = sha


def follow_link(entries: Sequence[Entry]) -> None:
    """Go to the comment or shape that the address of the page names, once."""
    asked = st.query_params.get("entry")
    found = next((one for one in entries if one.id == asked), None)
    pin = None if found is None else pin_of(found)
    if pin is not None and st.session_state.get(FOLLOWED) != asked:
        st.session_state[FOLLOWED] = asked
        go(pin)


def pin_of(entry: Entry) -> Pin | None:
    """Return where a comment or a shape lies, None for the whole."""
    if isinstance(entry.body, Annotation):
        event = event_of(entry.body)
        return _middle(entry.body) if event is None else event.pin
    return entry.body.pin if isinstance(entry.body, Comment) else None


def go(pin: Pin) -> None:
    """Ask the screen to show a place; the counter lets it do so once."""
    times = st.session_state.get("goto", {}).get("n", 0)
    st.session_state["goto"] = pin.model_dump(mode="json") | {"n": times + 1}


def _draw_words(panel: Panel, entry: Entry, text: str, place: str) -> None:
    other = entry.body.subject.key != panel.subject.key
    about = " · on another result of the case" if other else ""
    when = f"{entry.author} · {time_words(entry.created)}{about}"
    st.html(
        f'<div class="mc-note"><p>{safe(text, limit=10_000)}</p>'
        f"<span>{safe(place)}</span><span>{safe(when)}</span></div>"
    )


def _draw_buttons(panel: Panel, entry: Entry) -> None:
    is_here = entry.body.subject.item == panel.subject.item
    pin = pin_of(entry) if is_here else None  # a case may hold several slides
    left, right = st.columns(2)
    if pin is not None and left.button("Go there", key=f"go {entry.id}", width="stretch"):
        go(pin)
        st.session_state[FOLLOWED] = entry.id
        st.query_params["entry"] = entry.id  # the address leads here when it is sent on
        st.rerun()
    is_own = entry.author == panel.person.subject and not panel.leave.comment
    if is_own and right.button("Withdraw", key=f"withdraw {entry.id}", width="stretch"):
        panel.file(lambda: withdrawal_of(entry, panel.subject, panel.person), "Withdrawn.")
        st.rerun()


def _comment(panel: Panel, text: str, pin: Pin | None) -> Filing:
    thread = panel.thread("comment")
    return comment_of(text, panel.subject, panel.person, pin=pin, thread=thread)


def _shape(panel: Panel, shape: Mapping[str, Any], label: str) -> Filing:
    geometry, plane = shape.get("geometry"), shape.get("plane")
    body = make_record(
        Annotation, subject=panel.subject, geometry=geometry, label=label, plane=plane
    )
    return shape_of(body, panel.person, thread=panel.thread("annotation"))


def _pin() -> Pin | None:
    """Return the place that was marked on the image; what is none is not taken."""
    marked = st.session_state.get("pin")
    if not isinstance(marked, Mapping):
        return None
    values = {name: marked.get(name) for name in ("space", "at", "lead")}
    try:
        return make_record(Pin, **values | {"at": tuple(map(float, values["at"] or ()))})
    except (RefusedInputError, TypeError, ValueError, OverflowError):
        return None


def _middle(shape: Annotation) -> Pin | None:
    """Return the middle of the box of a shape, None where it has no numbers."""
    points = list(_points((shape.geometry or {}).get("coordinates")))
    if not points:
        return None
    columns, rows = zip(*points, strict=True)
    x, y = (min(columns) + max(columns)) / 2, (min(rows) + max(rows)) / 2
    if shape.plane is None:
        return Pin(space="slide", at=(x, y))
    return Pin(space="voxel", at=(float(shape.plane), y, x))


def _points(value: object) -> list[tuple[float, float]]:
    if not isinstance(value, list) or not value:
        return []
    if all(isinstance(one, int | float) for one in value):
        return [(float(value[0]), float(value[1]))] if len(value) > 1 else []
    return [point for one in value for point in _points(one)]


def _text(entry: Entry) -> bool:
    return isinstance(entry.body, Comment) and bool(entry.body.text)


def _geometry(entry: Entry) -> bool:
    return isinstance(entry.body, Annotation) and entry.body.geometry is not None
