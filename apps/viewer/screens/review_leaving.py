"""Files that leave: made and written into the audit chain first, then given."""

from functools import partial

import streamlit as st

from medconsist.errors import MedconsistError
from medconsist.viewing.leaving.annotations import Canvas
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.markup import markdown, safe
from medconsist.viewing.review_export import Leaving, Offer, export_now, offers
from screens.review_panel import Panel

__all__ = ["draw_leaving"]

MADE = "export made"


def draw_leaving(panel: Panel) -> None:
    """Draw what may leave; what was made last can be downloaded."""
    leaving = leaving_of(panel)
    draft = panel.standing.draft
    verdicts = [*panel.standing.signed, *([draft] if draft is not None else [])]
    with st.expander("Export", expanded=_made(panel) is not None):
        st.caption("Each file is written into the audit log with its sha256 before it is given.")
        for offer in offers(leaving, verdicts):
            if st.button(offer.title, key=panel.name(f"make {offer.title}"), width="stretch"):
                make(panel, leaving, offer)
        made = _made(panel)
        if made is not None:
            draw_made(made)


def make(panel: Panel, leaving: Leaving, offer: Offer) -> None:
    """Make a file; say why where it cannot be made."""
    st.session_state.pop(MADE, None)
    try:
        panel.use()
        made = export_now(leaving, offer, panel.subject)
    except MedconsistError as error:
        st.error(markdown(str(error), limit=800))
        return
    st.session_state[MADE] = (panel.subject.content_sha256, made)


def draw_made(made: Export) -> None:
    """Draw the button that gives a file, and its sha256."""
    st.download_button(
        f"Download {markdown(made.name)}",
        made.data,
        file_name=made.name,
        mime=made.media_type,
        on_click="ignore",
        type="primary",
        width="stretch",
    )
    st.html(
        f'<p class="mc-small">{len(made.data):,} bytes, <span title="{made.sha256}">sha256 '
        f"<code>{safe(made.sha256[:12])}</code>…</span></p>"
    )


def leaving_of(panel: Panel) -> Leaving:
    """Return who exports what."""
    is_slide = panel.opened.result.kind.startswith("wsi")
    canvas = partial(canvas_of, panel) if is_slide else None
    return Leaving(
        store=panel.store, person=panel.person, stored=panel.opened.stored, canvas=canvas
    )


def canvas_of(panel: Panel) -> Canvas:
    """Return the size of the slide."""
    facts = panel.sitting.server.desk.slide(panel.opened.stored).slide.facts
    return Canvas(width=facts.size[0], height=facts.size[1])


def _made(panel: Panel) -> Export | None:
    sha, made = st.session_state.get(MADE, ("", None))
    return made if sha == panel.subject.content_sha256 else None
