"""Idle time-out: fifteen minutes without use end a sitting, its tickets and its lock."""

import streamlit as st

from medconsist.errors import MedconsistError
from medconsist.review.access import Person
from medconsist.review.locks import ReadingLock
from medconsist.viewing.markup import NOTICE
from medconsist.viewing.web.server import Server
from medconsist.viewing.web.tickets import TICKET_SECONDS

__all__ = ["end_if_idle", "sign_out", "watch"]

RENEW_S = TICKET_SECONDS * 2 / 3
LOOK_EVERY_S = 30

ENDED = (
    "This sitting has ended: nothing was done for 15 minutes. What was filed is kept; what was "
    "written and not filed is gone."
)


def end_if_idle(serving: Server, session: str) -> None:
    """Go on if the sitting was used lately, and count this as use; else draw nothing but that."""
    is_renewal = st.session_state.pop("renewing", False)
    if serving.sittings.is_over(session):
        end(serving, session)
    if not is_renewal:
        serving.sittings.touch(session)
    st.session_state["drawn"] = serving.sittings.now()


def end(serving: Server, session: str) -> None:
    """End a sitting, and ask to begin anew."""
    close(serving, session)
    st.html(f'<p class="mc-notice">{NOTICE}</p><p>{ENDED}</p>')
    is_local = serving.settings.provider is None
    st.button("Begin anew", on_click=begin_anew if is_local else st.logout, type="primary")
    st.stop()


def sign_out(serving: Server, session: str) -> None:
    """Sign out; the tickets that were given out end with it, not when they run out."""
    close(serving, session)
    st.logout()


def close(serving: Server, session: str) -> None:
    """End a sitting: its tickets, its lock, and all that the page holds."""
    serving.sittings.end(session)
    lock = st.session_state.pop("lock", None)
    if serving.store is not None and isinstance(lock, ReadingLock):
        release(serving, lock)
    for name in [one for one in st.session_state if one != "session"]:
        del st.session_state[name]


def release(serving: Server, lock: ReadingLock) -> None:
    """Give back a lock of this sitting; where the store cannot be written it runs out by itself."""
    person = Person(subject=lock.holder, name=lock.holder, session=lock.session)
    try:
        if serving.store is not None:
            serving.store.release_lock(person, lock.study, lock.case)
    except MedconsistError:
        return


def begin_anew() -> None:
    """Forget the sitting; the page draws another one."""
    st.session_state.clear()


@st.fragment(run_every=LOOK_EVERY_S)
def watch(serving: Server, session: str) -> None:
    """Look now and then whether the sitting is over, or in use with tickets that run out soon."""
    if serving.sittings.is_over(session):
        st.rerun()
    drawn: float = st.session_state.get("drawn", serving.sittings.now())
    if serving.sittings.now() - drawn > RENEW_S and serving.sittings.idle(session) < RENEW_S:
        st.session_state["renewing"] = True
        st.rerun()
