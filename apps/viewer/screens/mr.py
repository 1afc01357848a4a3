"""The screen of reconstructions: linked panes, their evidence, measures and pins."""

from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from medconsist.results.methods import reason_of_order
from medconsist.results.store import StoredResult
from medconsist.viewing.case_list import KeyLine
from medconsist.viewing.markup import safe
from medconsist.viewing.mr_screen import marks_of, screen_data, shape_of, unknown_words
from medconsist.viewing.places import asked_place, sent_pin
from medconsist.viewing.reading import Reading, open_reading
from medconsist.viewing.vendor import missing_vendor, vendor_folder, vendor_urls
from medconsist.viewing.web.server import Opened
from screens import still_mr
from screens.frame import framed
from screens.mr_widget import mr_widget
from screens.parts import draw_metrics, draw_notes, draw_provenance, linked_slice
from screens.sitting import Sitting
from screens.widget import run_again

__all__ = ["draw"]

STILL = "still pictures of reconstructions"
NO_WEBGL = "browser cannot draw volumes"


@st.cache_resource(max_entries=8, ttl=600, show_spinner="Verifying the stored result ...")
def verified(
    _stored: StoredResult, folder: Path, content_sha256: str, *, is_sealed: bool
) -> tuple[Reading, dict[str, Any]]:
    """Return the verified arrays of a result and what the widget says of them.

    ``content_sha256`` names the exact bytes; a sealed result has the same, and less in it.
    """
    del folder, content_sha256
    reading = open_reading(_stored)
    return reading, screen_data(reading, sealed=is_sealed)


def draw(sitting: Sitting, opened: Opened, key: KeyLine) -> None:
    """Draw linked panes, or still pictures where the browser or the installation has none."""
    if st.query_params.get("still") == "1":  # a link for machines that are known to have no WebGL2
        st.session_state.setdefault(STILL, True)
    why = missing_vendor(vendor_folder()) or st.session_state.get(NO_WEBGL, "")
    if not why and not st.session_state.get(STILL):
        result = opened.result
        folder, sha = opened.stored.folder.path, result.content_sha256
        reading, data = verified(opened.stored, folder, sha, is_sealed=opened.is_sealed)
        if data["frame"] is not None:
            draw_widget(sitting, opened, key, reading, data)
            return
    with st.sidebar:
        st.toggle("Still pictures", key=STILL, disabled=bool(why))
    if why:
        st.html(f'<p class="mc-small" role="status">Still pictures: {safe(why)}</p>')
    still_mr.draw(sitting, opened, key)


def draw_widget(
    sitting: Sitting, opened: Opened, key: KeyLine, reading: Reading, data: dict[str, Any]
) -> None:
    """Draw the widget, and beside it what the measurement says."""
    result, name = opened.result, f"mr {opened.result.content_sha256} {opened.is_sealed}"
    with framed(sitting, opened, key, unknown=unknown_words(reading)) as side:
        if (reason := reason_of_order(result)) and not opened.is_sealed:
            st.html(f'<p class="mc-order">{safe(reason)}</p>')
        comments, shapes = (sitting.entries(opened, kind) for kind in ("comment", "annotation"))
        start = linked_slice(data["frame"]["size"][2])
        mr_widget(
            key=name,
            data={
                **data,
                "start": start,
                "api": opened.api,
                "ticket": opened.ticket,
                "vendor": vendor_urls(vendor_folder()),
                "marks": marks_of(result, comments, shapes),
                "goto": asked_place(st.session_state.get("goto"), "voxel"),
            },
            on_pin_change=partial(keep, name, "pin"),
            on_shape_change=partial(keep, name, "shape"),
            on_still_change=partial(fall_back, name),
            on_renew_change=run_again,
        )
        if not opened.is_sealed:
            draw_metrics(result)
        draw_provenance(result)
    with side:
        draw_notes(result)
        st.toggle("Still pictures", key=STILL, help="As in browsers without WebGL2.")


def keep(name: str, what: str) -> None:
    """Put a place or shape that was marked where the review panel looks for it."""
    sent = st.session_state[name].get(what)
    pin = sent_pin(sent, "voxel") if what == "pin" else None
    found = shape_of(sent) if what == "shape" else pin and pin.model_dump(mode="json")
    if found is not None:
        st.session_state[what] = found


def fall_back(name: str) -> None:
    """Remember for this window that its browser cannot draw volumes."""
    if said := st.session_state[name].get("still"):
        st.session_state[NO_WEBGL] = str(said)
