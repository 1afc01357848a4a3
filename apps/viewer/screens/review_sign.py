"""The dialog of a signature: what is signed, by whom, what it means, and what pressing does."""

from collections.abc import Callable

import streamlit as st

from medconsist.review.entries import Entry
from medconsist.review.records import Opinion
from medconsist.viewing.case_list import title_of
from medconsist.viewing.markup import NOTICE, markdown, readable, safe
from medconsist.viewing.review_form import MEANINGS, Form, Signing, form_of, signature_of
from screens.review_panel import Panel, draw_said, say_no

__all__ = ["ask_for_signature", "draw_decision", "draw_dialog"]

OPEN = "signing"
OPINIONS = tuple(one.value for one in Opinion)


def ask_for_signature(panel: Panel, amends: str | None) -> None:
    """Let the dialog be open from now on, for this result alone."""
    if panel.begin():
        st.session_state[OPEN] = (panel.subject.content_sha256, amends)


def close() -> None:
    """Let the dialog be closed from now on."""
    st.session_state.pop(OPEN, None)


def draw_dialog(panel: Panel, form: Form, codes: dict[str, str]) -> None:
    """Draw the dialog, if it was asked for on this very result."""
    sha, amends = st.session_state.get(OPEN, ("", None))
    if sha != panel.subject.content_sha256:
        close()
        return
    old = next((one for one in panel.standing.signed if one.id == amends), None)
    if amends is not None and old is None:
        close()
        return
    dialog(panel, form, old, codes)


@st.dialog("Sign", width="medium", on_dismiss=close)
def dialog(panel: Panel, form: Form, old: Entry | None, codes: dict[str, str]) -> None:
    """Draw what is signed and the button that signs it."""
    panel = panel.anew()  # the dialog is drawn again without the page
    draw_said(panel)
    draw_what(panel)
    because = None
    if old is not None:
        form = draw_decision(panel.name(f"amended {old.id[:8]}"), codes, form_of(old))
        name = panel.name(f"because {old.id[:8]}")
        because = st.text_area("Why the signature is amended", key=name, max_chars=1_000, height=68)
    else:
        draw_form(form, codes)
    meaning = st.selectbox(
        "Meaning of the signature",
        list(MEANINGS),
        format_func=lambda one: MEANINGS[one],
        key=panel.name("meaning"),
    )
    draw_effect(panel, old)
    confirmed = st.checkbox(
        f"I have read this result, and sign as {markdown(panel.person.name)}.",
        key=panel.name("confirmed"),
    )
    reason = panel.leave.amend if old is not None else panel.leave.sign
    if reason:
        say_no(reason)
    label = "Sign the amendment" if old is not None else "Sign now"
    name = panel.name("sign now")
    if st.button(label, type="primary", disabled=bool(reason) or not confirmed, key=name):
        press(panel, form, meaning, old, because)


def press(panel: Panel, form: Form, meaning: str, old: Entry | None, because: str | None) -> None:
    """Sign, and draw the page anew; a refusal stays in the dialog."""
    after = old or panel.standing.draft
    signing = Signing(
        meaning=meaning, supersedes=None if after is None else after.id, because=because
    )
    words = f"{'Amended' if old is not None else 'Signed'} by {panel.person.name}."
    if panel.file(lambda: signature_of(form, panel.subject, panel.person, signing), words):
        close()
        st.rerun()
    draw_said(panel)


def draw_what(panel: Panel) -> None:
    """Draw whose result is signed, and its sha256."""
    result, sha = panel.opened.result, panel.subject.content_sha256
    states = [score.state for score in result.trust.scores]
    trust = (
        f"Trust record: {states.count('outside')} of {len(states)} scores outside their history, "
        f"{states.count('no_history')} without one."
        if states
        else "Trust record: no scores."
    )
    st.html(
        f'<div class="mc-sign"><b>{safe(title_of(result))}</b>'
        f"<span>study {safe(result.study)} · {safe(result.kind)}</span>"
        f'<span title="{sha}">sha256 of what is on the screen: <code>{sha[:12]}</code>…</span>'
        f"<span>{safe(trust)}</span></div>"
    )


def draw_form(form: Form, codes: dict[str, str]) -> None:
    """Draw what was decided in the panel."""
    chosen = "nothing yet" if form.opinion is None else form.opinion.value
    reasons = ", ".join(codes.get(code, code) for code in form.reasons) or "none"
    st.html(
        f'<div class="mc-sign"><b>Decision: {safe(chosen)}</b>'
        f"<span>Reasons: {safe(reasons)}</span>"
        f"<span>Comment: {safe(form.comment, limit=2_000) or 'none'}</span></div>"
    )


def draw_decision(
    name: str,
    codes: dict[str, str],
    start: Form,
    *,
    on_change: Callable[[], None] | None = None,
) -> Form:
    """Draw the fields of a decision, and return what they say.

    Parameters
    ----------
    name
        Begin of the names of the fields.
    codes
        Reasons to choose from; without any there is no such field.
    start
        What the fields say at first.
    on_change
        Called when the reader changes one.
    """
    keys = {one: f"{name} {one}" for one in ("opinion", "reasons", "comment")}
    chosen = start.opinion.value if start.opinion is not None else None
    st.session_state.setdefault(keys["opinion"], chosen)
    st.session_state.setdefault(keys["comment"], start.comment)
    opinion = st.radio("Decision", OPINIONS, index=None, key=keys["opinion"], on_change=on_change)
    reasons: list[str] = []
    if codes:
        kept = [code for code in start.reasons if code in codes]
        st.session_state.setdefault(keys["reasons"], kept)
        reasons = st.multiselect(
            "Reasons",
            list(codes),
            format_func=lambda code: readable(codes[code]),
            key=keys["reasons"],
            on_change=on_change,
        )
    comment = st.text_area(
        "Comment", key=keys["comment"], max_chars=10_000, height=90, on_change=on_change
    )
    return Form(None if opinion is None else Opinion(opinion), tuple(reasons), comment or "")


def draw_effect(panel: Panel, old: Entry | None) -> None:
    """Say what pressing does."""
    what = (
        f"Your signature takes the place of that of {old.author}, which stays readable."
        if old is not None
        else "The verdict cannot be changed afterwards; it can be amended, with a reason."
    )
    words = (
        f"Printed name: {panel.person.name} (account {panel.person.subject}). {what} It binds the "
        f"sha256 above and becomes a link of the audit chain. {NOTICE}"
    )
    st.html(f'<p class="mc-meaning">{safe(words, limit=900)}</p>')
