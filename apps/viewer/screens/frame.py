"""The frame of every screen: who is shown on top, images left, what is said and filed right."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from medconsist.viewing.case_list import KeyLine
from medconsist.viewing.markup import safe
from medconsist.viewing.numbers import model_words
from medconsist.viewing.web.server import Opened
from screens.parts import draw_panel, draw_title
from screens.review import conflicts_of, draw_review
from screens.sitting import Sitting

__all__ = ["framed"]


@contextmanager
def framed(
    sitting: Sitting, opened: Opened, key: KeyLine, *, unknown: Sequence[str] = ()
) -> Iterator[DeltaGenerator]:
    """Draw the frame; what follows is drawn left, and what is drawn into the yielded column right.

    Parameters
    ----------
    sitting
        Who looks.
    opened, key
        What is shown, and which of the results of the case it is.
    unknown
        What a reader must know not to be known, e.g. ``"orientation unknown"``.
    """
    result = opened.result
    made = "model's part sealed" if opened.is_sealed else model_words(result, digits=12)
    quiet = [f"study {result.study}", made]
    draw_title(opened, key, quiet, list(unknown), problem=sitting.server.look_only_because)
    for conflict in conflicts_of(sitting, opened):
        words = f"Identity in doubt, nobody signs: {conflict}."
        st.html(f'<div class="mc-mismatch">{safe(words)}</div>')
    images, side = st.columns([3.1, 1], gap="medium")
    with side:
        draw_review(sitting, opened)
        draw_panel(sitting, opened)
        said = st.container()
    with images:
        yield said
