"""Who sits at this page, and the one server of the process."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import NoReturn

import streamlit as st

from medconsist.errors import AccessError
from medconsist.review.access import Person
from medconsist.review.entries import Entry
from medconsist.viewing.markup import NOTICE, markdown, safe
from medconsist.viewing.sealing import open_to
from medconsist.viewing.web.identity import (
    SIGN_WITHIN,
    SITTING_AT_MOST,
    person_of,
    signed_in_at,
    why_again,
)
from medconsist.viewing.web.server import Opened, Server, local_person, server
from screens.idle import end_if_idle, sign_out, watch

__all__ = ["Sitting", "ask_to_sign_in", "begin"]


@dataclass(frozen=True)
class Sitting:
    """One window of one person."""

    server: Server
    person: Person
    signed_in: datetime | None = None

    def why_not_sign(self) -> str:
        """Return why this person must sign in again before a signature, empty where not so."""
        if self.server.settings.provider is None:
            return ""
        return why_again(self.signed_in, now=datetime.now(UTC), within=SIGN_WITHIN)

    def open(self, study: str, case: str, key: str | None = None) -> Opened:
        """Return a result that this person may look at, and write down that it was looked at."""
        opened = self.server.opened(self.person, study, case, key, purpose="view")
        st.session_state["sealed"] = opened.is_sealed
        what = "original" if opened.is_sealed else "result"
        seen: set[tuple[str, str]] = st.session_state.setdefault("seen", set())
        looked_at = (what, opened.result.content_sha256)
        if self.server.store is not None and looked_at not in seen:
            self.server.store.viewed(self.person, opened.subject, what=what)
            seen.add(looked_at)
        return opened

    def entries(self, opened: Opened, kind: str) -> list[Entry]:
        """Return the entries of a case that count, as far as this person may read them now.

        While the result is sealed, those are one's own.
        """
        store, result = self.server.store, opened.result
        if store is None:
            return []
        found = store.entries(self.person, result.study, result.case, kind)
        return open_to(self.person, found, is_sealed=opened.is_sealed)


def begin() -> Sitting:
    """Return who sits here; each window is a sitting of its own. Nobody is asked to sign in."""
    serving = server()
    session = st.session_state.setdefault("session", secrets.token_urlsafe(12))
    is_local = serving.settings.provider is None
    if not is_local and not st.user.is_logged_in:  # a stranger has no sitting that is remembered
        ask_to_sign_in("Sign in to see the cases that you may read.", "Sign in", st.login)
    end_if_idle(serving, session)
    watch(serving, session)
    if is_local:
        return Sitting(serving, local_person(session))
    leave = partial(sign_out, serving, session)
    claims = st.user.to_dict()
    when = signed_in_at(claims)
    if reason := why_again(when, now=datetime.now(UTC), within=SITTING_AT_MOST):
        ask_to_sign_in(f"Sign in again: {reason}.", "Sign in again", leave)
    try:
        person = person_of(claims, session=session)
    except AccessError as error:
        ask_to_sign_in(str(error), "Sign out", leave)
    with st.sidebar:
        st.button(f"Sign out {markdown(person.name)}", on_click=leave, width="stretch")
    return Sitting(serving, person, when)


def ask_to_sign_in(words: str, label: str, action: Callable[[], None]) -> NoReturn:
    """Draw nothing but why nobody is let in, and the button that leads on."""
    st.html(f'<p class="mc-notice">{NOTICE}</p><p>{safe(words)}</p>')
    st.button(label, on_click=action, type="primary")
    st.stop()
