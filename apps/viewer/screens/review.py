"""The review panel: first impression, draft, signature, amendment, comments, history, export."""

from contextlib import suppress
from functools import partial

import streamlit as st

from medconsist.errors import MedconsistError, RefusedInputError
from medconsist.viewing.markup import badges, markdown, safe
from medconsist.viewing.reason_codes import DEFAULT_REASONS, reason_codes
from medconsist.viewing.review_form import Form, draft_of, form_of, impression_of
from medconsist.viewing.review_standing import state_words
from medconsist.viewing.sealing import SEALED_WORDS
from medconsist.viewing.web.server import Opened
from screens.idle import sign_out
from screens.parts import SOURCE
from screens.review_leaving import draw_leaving
from screens.review_notes import draw_notes
from screens.review_panel import Panel, draw_said, say_no
from screens.review_past import draw_log, draw_past, entry_html
from screens.review_sign import ask_for_signature, draw_decision, draw_dialog
from screens.sitting import Sitting

__all__ = ["conflicts_of", "draw_review"]

FORMS = "forms"


def conflicts_of(sitting: Sitting, opened: Opened) -> list[str]:
    """Return what speaks against the identity of the result on the screen.

    Whether its sources were asked is kept for where the page says where the result comes from.
    """
    panel = Panel(sitting, opened)
    found = panel.conflicts
    with suppress(MedconsistError):  # it stands among the conflicts
        st.session_state[SOURCE] = (panel.subject.content_sha256, panel.source.asked)
    return found


def draw_review(sitting: Sitting, opened: Opened) -> None:
    """Draw the panel beside the images."""
    st.html('<h2 class="mc-h">Review</h2>')
    if sitting.server.store is None:
        say_no(sitting.server.look_only_because)
        return
    draw_panel(sitting, opened)


@st.fragment
def draw_panel(sitting: Sitting, opened: Opened) -> None:
    """Draw the panel; what is pressed in it draws it alone anew, unless something is filed."""
    panel = Panel(sitting, opened)
    parts = [draw_state, draw_said, draw_verdict, draw_notes, draw_past, draw_leaving, draw_log]
    if opened.is_sealed:
        parts = [draw_state, draw_said, draw_impression, draw_notes, draw_past]
    try:
        panel.stay()
        for draw in parts:
            with st.container():  # a part that comes or goes moves no other, which would fold up
                draw(panel)
    except MedconsistError as error:
        st.error(markdown(str(error), limit=800))


def draw_state(panel: Panel) -> None:
    """Draw how far the review is, what it is about, and who reads the case."""
    sha = panel.subject.content_sha256
    words = badges(state_words(panel.standing))
    st.html(
        f"<div>{words}</div>"
        f'<p class="mc-small"><span title="{sha}">on the screen: sha256 <code>{sha[:12]}</code>…'
        f"</span>{safe(lock_words(panel))}</p>"
    )
    if panel.screen.is_replaced:
        st.warning("Another result took the place of this one while you read it.")
        if st.button("Open the new one", key=panel.name("open new"), width="stretch"):
            open_current(panel)


def lock_words(panel: Panel) -> str:
    """Return who reads the case, empty for nobody."""
    if panel.lock is None:
        return ""
    until = panel.lock.expires[11:16]
    who = "you read it" if panel.holds_lock else f"read by {panel.lock.holder}"
    return f" · {who} until {until} UTC"


def open_current(panel: Panel) -> None:
    """Show the result that took the place of the one on the screen."""
    case = panel.subject.case
    current = panel.results.current(case)
    st.session_state["was_current"][panel.subject.content_sha256] = False
    if current is not None:
        st.session_state.pop(f"key {case}", None)
        st.query_params["key"] = current
    st.rerun()


def draw_impression(panel: Panel) -> None:
    """Draw the form of the first impression, which opens the seal."""
    st.html(f'<p class="mc-order">{safe(SEALED_WORDS)}</p>')
    if panel.leave.comment:
        say_no(panel.leave.comment)
        return
    form = draw_decision(panel.name("first"), {}, Form(None))
    is_pressed = st.button(
        "File first impression",
        type="primary",
        key=panel.name("file impression"),
        disabled=form.opinion is None,
        width="stretch",
    )
    words = "First impression filed; it stays as it is."
    if is_pressed and panel.file(lambda: impression_of(form, panel.subject, panel.person), words):
        st.rerun()


def draw_verdict(panel: Panel) -> None:
    """Draw what is signed, and the form of a draft or a signature where there may be one."""
    codes = codes_of(panel)
    for entry in panel.standing.signed:
        st.html(entry_html(entry, is_replaced=False, key=panel.subject.key))
        is_off = bool(panel.leave.amend)
        name = f"amend {entry.id}"
        label = f"Amend that of {markdown(entry.author)} …"
        if st.button(label, key=name, disabled=is_off, width="stretch"):
            ask_for_signature(panel, entry.id)
            draw_said(panel)
    if panel.standing.signed and panel.leave.amend:
        say_no(panel.leave.amend)
    if panel.leave.verdict:
        if not panel.standing.has_signed:
            say_no(panel.leave.verdict)
        form = Form(None)
    else:
        form = draw_form(panel, codes)
    draw_dialog(panel, form, codes)


def draw_form(panel: Panel, codes: dict[str, str]) -> Form:
    """Draw the fields of a verdict with the buttons that keep or sign it; return what they say."""
    kept: dict[str, Form] = st.session_state.setdefault(FORMS, {})
    name = panel.name("verdict")
    start = kept.get(name, form_of(panel.standing.draft))
    form = draw_decision(name, codes, start, on_change=panel.hold)
    kept[name] = form  # another case and back, and what was written is still there
    left, right = st.columns(2)
    nothing = form.opinion is None
    if left.button("Save draft", key=panel.name("save"), disabled=nothing, width="stretch"):
        draft = panel.standing.draft
        words = "Draft saved; only you see it."
        panel.file(lambda: draft_of(form, panel.subject, panel.person, supersedes=draft), words)
        st.rerun()
    off = nothing or bool(panel.leave.sign)
    if right.button(
        "Sign …", key=panel.name("sign"), disabled=off, type="primary", width="stretch"
    ):
        ask_for_signature(panel, None)
        draw_said(panel)
    if panel.leave.sign:
        say_no(panel.leave.sign)
    if panel.screen.sign_in_again:
        leave = partial(sign_out, panel.sitting.server, panel.person.session)
        st.button("Sign in again", on_click=leave, key=panel.name("again"), width="stretch")
    return form


def codes_of(panel: Panel) -> dict[str, str]:
    """Return the reasons of the site, or the built-in ones where its list cannot be read."""
    kind = panel.opened.result.kind
    try:
        listed = reason_codes(panel.sitting.server.settings.results, kind)
    except RefusedInputError as error:
        say_no(f"The list of reasons of this site is not used: {error}")
        listed = tuple(reason for reason in DEFAULT_REASONS if reason.fits(kind))
    return {reason.code: reason.words for reason in listed}
