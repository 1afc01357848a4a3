"""The lock on the case that is read: taken, held, given back, and its state told."""

import streamlit as st

from medconsist.errors import MedconsistError
from medconsist.review.locks import ReadingLock
from medconsist.viewing.markup import safe
from medconsist.viewing.reading_turn import Turn, turn_of
from medconsist.viewing.web.server import Server
from medconsist.viewing.worklist import Place
from screens.idle import release
from screens.sitting import Sitting

__all__ = ["give_back", "hold"]

LOCK, MOVES = "lock", "move lock"


def hold(sitting: Sitting, place: Place) -> None:
    """Take or hold the lock on a case, and draw who reads it where that is somebody else."""
    held = st.session_state.get(LOCK)
    moves = st.session_state.pop(MOVES, False)
    store, person = sitting.server.store, sitting.person
    try:
        turn = turn_of(store, person, *place, held=held, moves=moves)
    except MedconsistError as error:
        turn = Turn(lock=None, words=str(error))
    st.session_state[LOCK] = turn.lock
    remember(sitting.server).lock = turn.lock
    if turn.words:
        st.html(f'<div class="mc-doubt" role="status">{safe(turn.words)}</div>')
    if turn.may_move:
        st.button("Read it in this window", on_click=ask_to_move)


def ask_to_move() -> None:
    """Let the next run bring the lock here; the other window then looks only."""
    st.session_state[MOVES] = True


def give_back(serving: Server, *, unless: Place | None = None) -> None:
    """Give back the lock of this window, unless it is on the case that is read now."""
    lock = st.session_state.get(LOCK)
    if isinstance(lock, ReadingLock) and (lock.study, lock.case) != unless:
        release(serving, lock)
        del st.session_state[LOCK]
        remember(serving).lock = None


class Held:
    """The lock of one window, given back when the window is closed."""

    def __init__(self, serving: Server) -> None:
        self.serving = serving
        self.lock: ReadingLock | None = None

    def close(self) -> None:
        """Give it back."""
        if self.lock is not None:
            release(self.serving, self.lock)


@st.cache_resource(scope="session", show_spinner=False, on_release=Held.close)
def remember(_serving: Server) -> Held:
    """Return what holds the lock of this window; Streamlit ends it with the window."""
    return Held(_serving)
