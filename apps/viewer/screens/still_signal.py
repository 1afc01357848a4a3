"""Recordings as a list, without their traces."""

import streamlit as st

from medconsist.viewing.case_list import (
    KeyLine,
)
from medconsist.viewing.markup import table
from medconsist.viewing.numbers import (
    recording_rows,
)
from medconsist.viewing.signal_words import signal_words
from medconsist.viewing.web.server import Opened
from screens.frame import framed
from screens.parts import (
    draw_metrics,
    draw_notes,
    draw_provenance,
)
from screens.sitting import Sitting


def draw(sitting: Sitting, opened: Opened, key: KeyLine) -> None:
    """Draw which recordings there are; what a model says of them is in the panel."""
    result = opened.result
    said = signal_words(result)
    words = None if said is None else said.prediction
    doubtful = words is not None and not words.can_assess
    unknown = ["cannot be assessed: see the reasons"] if doubtful else []
    with framed(sitting, opened, key, unknown=unknown) as numbers:
        if words is None:
            draw_metrics(result)
        rows = recording_rows(result)
        if rows:
            head = ["Recording", "Leads and source", "Seconds", "Unit"]
            st.html(table(head, rows, caption="Recordings"))
            st.html('<p class="mc-small">Traces are stored and not drawn on this page.</p>')
        draw_provenance(result)
    with numbers:
        if words is None:
            draw_notes(result)
