"""Outlines of readers: filed, withdrawn, and brought from other programs."""

import uuid
from typing import Any

import streamlit as st

from medconsist.errors import MedconsistError
from medconsist.review.store import Filing
from medconsist.viewing.leaving.annotations import MAX_UPLOAD, Canvas, read_annotations
from medconsist.viewing.markup import readable, safe
from medconsist.viewing.slide_shapes import drawn_filing, of_slide, withdrawal
from medconsist.viewing.web.server import Opened
from screens.review_panel import Panel
from screens.sitting import Sitting

__all__ = ["draw_files", "file_shape", "may_file", "said", "say", "withdraw"]

MEGABYTE = 2**20
SAID = "slide said"


def say(opened: Opened, words: str, *, tone: str = "", of: object = None) -> None:
    """Keep what became of the last thing that was asked for, for the widget to say once.

    Parameters
    ----------
    opened
        What it was about.
    words, tone
        Said to the reader; ``"problem"`` for what was refused.
    of
        Id of the outline that was sent: one that was refused comes back to be mended.
    """
    about = opened.result.content_sha256
    told = {"n": uuid.uuid4().hex, "tone": tone, "words": readable(words), "of": of}
    st.session_state[SAID] = (about, told)


def said(opened: Opened) -> dict[str, Any] | None:
    """Return what `say` kept, if it is about this very result; its ``n`` tells it from the last."""
    about, told = st.session_state.get(SAID, ("", None))
    return told if about == opened.result.content_sha256 else None


def may_file(sitting: Sitting, opened: Opened) -> bool:
    """Say whether this person may file, and there is where to."""
    return sitting.server.store is not None and opened.may("comment")


def file_shape(sitting: Sitting, opened: Opened, canvas: Canvas, sent: dict[str, Any]) -> str:
    """File what was drawn; return what to say."""
    entry = str(sent.get("id"))
    filing = drawn_filing(sent, entry=entry, subject=opened.subject, canvas=canvas)
    Panel(sitting, opened).put(filing)
    return "Your outline is filed."


def withdraw(sitting: Sitting, opened: Opened, _canvas: Canvas, sent: dict[str, Any]) -> str:
    """Withdraw one's own; return what to say."""
    entries = sitting.entries(opened, "annotation")
    withdrawn = withdrawal(
        entries,
        str(sent.get("id")),
        entry=uuid.uuid4().hex,
        person=sitting.person,
        subject=opened.subject,
    )
    Panel(sitting, opened).put(withdrawn)
    return "Your outline is withdrawn; the record keeps it."


def draw_files(sitting: Sitting, opened: Opened, canvas: Canvas) -> None:
    """Say how many outlines there are and where they leave, and let others in."""
    if sitting.server.store is None:
        return
    st.html('<h2 class="mc-h">Outlines of readers</h2>')
    count = len(of_slide(sitting.entries(opened, "annotation"), opened.subject))
    words = f"{count}; Export makes a GeoJSON of them." if count else "None yet: key P draws one."
    st.html(f'<p class="mc-small">{words}</p>')
    if opened.may("comment"):
        _draw_upload(sitting, opened, canvas)


def _draw_upload(sitting: Sitting, opened: Opened, canvas: Canvas) -> None:
    """Let a reader bring outlines of another program; all of a file are filed, or none."""
    round_ = st.session_state.setdefault("brought", 0)
    with st.expander("Bring outlines (GeoJSON)"):
        brought = st.file_uploader(
            "GeoJSON in level-0 pixels, as QuPath writes it",
            type=["geojson", "json"],
            key=f"geojson {opened.result.key} {round_}",
            max_upload_size=MAX_UPLOAD // MEGABYTE,
        )
        if brought is None:
            return
        try:
            read = read_annotations(
                brought.getvalue(), name=brought.name, subject=opened.subject, canvas=canvas
            )
        except MedconsistError as error:
            st.html(f'<div class="mc-problem">{safe(str(error))}</div>')
            return
        if st.button(f"File {len(read)} under my name"):
            filings = [Filing(body=body, entry=uuid.uuid4().hex) for body in read]
            try:
                Panel(sitting, opened).put(*filings)
            except MedconsistError as error:
                st.html(f'<div class="mc-problem">{safe(str(error))}</div>')
                return
            st.session_state["brought"] = round_ + 1
            count = "1 outline is" if len(read) == 1 else f"{len(read)} outlines are"
            say(opened, f"{count} filed.")
            st.rerun()
