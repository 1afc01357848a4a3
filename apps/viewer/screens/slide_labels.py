"""Label and macro images of a slide: for who may see whose it is, by a press, on record."""

from functools import partial
from typing import Any

import streamlit as st

from medconsist.errors import MedconsistError
from medconsist.viewing.case_list import title_of
from medconsist.viewing.markup import readable
from medconsist.viewing.web.server import Opened
from screens.sitting import Sitting
from screens.slide_labels_widget import slide_labels_widget

__all__ = ["draw_labels"]

LOOK = "look at the label"


def draw_labels(sitting: Sitting, opened: Opened) -> None:
    """Draw the button, where there is what it shows and the person may see it; load nothing."""
    if opened.is_sealed or not opened.may("identity"):
        return
    names = sitting.server.desk.slide(opened.stored).associated
    if not names:
        return
    name = f"labels {opened.result.content_sha256}"
    slide_labels_widget(
        key=name,
        data={
            "api": opened.api,
            "names": list(names),
            "of": title_of(opened.result),
            "look": _look(opened),
        },
        on_look_change=partial(_asked, sitting, opened, name),
    )


def _asked(sitting: Sitting, opened: Opened, name: str) -> None:
    """Hand out a ticket for one press; the browser takes it for its own press alone."""
    sent = st.session_state[name].get("look")
    if not sent:
        return
    result, look = opened.result, {"n": dict(sent).get("n"), "ticket": "", "problem": ""}
    at = result.study, result.case, result.key
    try:
        look["ticket"] = sitting.server.opened(sitting.person, *at, purpose="identity").ticket
    except MedconsistError as error:
        look["problem"] = readable(str(error))
    st.session_state[LOOK] = (result.content_sha256, look)


def _look(opened: Opened) -> dict[str, Any] | None:
    """Return the answer to the last press, if it was about this very result."""
    about, look = st.session_state.get(LOOK, ("", None))
    return look if about == opened.result.content_sha256 else None
