"""What every screen draws: who is shown, numbers, and where they come from."""

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from medconsist import SIMULATED_NOTE
from medconsist.errors import MedconsistError, RefusedInputError
from medconsist.results.methods import reason_of_order
from medconsist.results.schema import Result
from medconsist.viewing.case_list import (
    KeyLine,
    title_of,
)
from medconsist.viewing.markup import NOTICE, badges, safe, table
from medconsist.viewing.numbers import (
    image_title,
    metric_tables,
    provenance_rows,
)
from medconsist.viewing.orientation import ruler_mm
from medconsist.viewing.overlay import Scale, colour_bar
from medconsist.viewing.picture import encode_png
from medconsist.viewing.places import asked_slice
from medconsist.viewing.sealing import SEALED_WORDS
from medconsist.viewing.trust_claim import claim_of
from medconsist.viewing.trust_panel_html import claim_html, trust_panel_html
from medconsist.viewing.web.server import Opened
from screens.sitting import Sitting

PANES_PER_ROW = 3
SOURCE = "source said"


def draw_title(
    opened: Opened, key: KeyLine, quiet: Sequence[str], unknown: Sequence[str], *, problem: str = ""
) -> None:
    """Draw who and what is on the screen, and what a reader must not overlook.

    A widget shows itself only below the heading whose ``data-of`` is the address of its result.
    """
    result = opened.result
    advise = ["simulated, not a person"] if SIMULATED_NOTE in result.notes else []
    if result.model is not None and result.model.label:
        advise.append(f"{result.model.name}: {result.model.label}")
    if problem:
        advise.append(problem)
    if not key.current:
        advise.append("older result, not the current one")
    st.html(
        f'<div class="mc-strip" data-of="{safe(opened.api, limit=len(opened.api))}">'
        f"<h1>{safe(title_of(result))}</h1>{badges(quiet)}"
        f'{badges([*advise, *unknown], tone="advise")}<span class="mc-notice">{NOTICE}</span></div>'
    )


def is_sealed() -> bool:
    """Say whether the model's part of the case on the screen waits for a first impression."""
    return bool(st.session_state.get("sealed"))


def linked_slice(count: int) -> int | None:
    """Return the slice that the address names; where there is no such one, say so."""
    try:
        return asked_slice(st.query_params.get("slice"), count)
    except RefusedInputError as error:
        st.html(f'<div class="mc-doubt" role="status">{safe(str(error))}</div>')
        return None


def draw_ruler(extent_mm: float) -> None:
    """Draw a bar of a round length below a picture that is ``extent_mm`` wide."""
    length = ruler_mm(extent_mm)
    st.html(f'<div class="mc-ruler" style="width:{100 * length / extent_mm:.3f}%"></div>')
    st.html(f'<p class="mc-small">bar {length:g} mm</p>')


def draw_grid(cells: Sequence[Callable[[], object]]) -> None:
    """Draw the cells in rows of equal columns, so that all images have one size."""
    for start in range(0, len(cells), PANES_PER_ROW):
        columns = st.columns(PANES_PER_ROW, gap="small")
        for column, cell in zip(columns, cells[start : start + PANES_PER_ROW], strict=False):
            with column:
                cell()


def draw_heading(title: str, words: str) -> None:
    """Name a pane above its image."""
    below = safe(words)
    st.html(f'<div class="mc-pane"><b>{safe(title)}</b><span title="{below}">{below}</span></div>')


def draw_legend(name: str, scale: Scale, words: str) -> None:
    """Draw the colour bar with both ends and what they count."""
    st.image(encode_png(colour_bar(name=name)), width="stretch", alt="Colour bar, low to high")
    st.html(
        f'<div class="mc-ends"><span>{scale.low:.3g}</span><span>{safe(words)}</span>'
        f"<span>{scale.high:.3g}</span></div>"
    )


def draw_panel(sitting: Sitting, opened: Opened) -> None:
    """Draw the alarms of a result, what is claimed of it, and what the measurement says."""
    if opened.is_sealed:
        st.html(f'<p class="mc-order">{safe(SEALED_WORDS)}</p>')
    try:
        panel = sitting.server.panel(opened)
    except MedconsistError as error:
        words = f"No trust panel: the history of this study cannot be read. {error}"
        st.html(f'<div class="mc-problem">{safe(words)}</div>')
        if not opened.is_sealed:
            st.html(claim_html(claim_of(opened.result)))
        return
    st.html(trust_panel_html(panel))


def draw_notes(result: Result) -> None:
    """Draw the notes of a result that do not stand elsewhere."""
    notes = [note for note in result.notes if note != reason_of_order(result)]  # it is on top
    if notes and not is_sealed():
        words = "".join(f'<p class="mc-small">{safe(note)}</p>' for note in notes)
        title = f"Notes of this result ({len(notes)})"
        st.html(f'<div class="mc-card"><details><summary>{title}</summary>{words}</details></div>')


def draw_metrics(result: Result) -> None:
    """Draw one table for each metric, in the columns of the images."""
    if is_sealed():
        return
    tables = metric_tables(result.metrics, title=partial(image_title, result))
    head = ["Image", "Value", "Interval"]
    draw_grid([partial(st.html, table(head, tables[name], caption=name)) for name in tables])


def draw_provenance(result: Result) -> None:
    """Draw where every pixel of this result comes from."""
    if is_sealed():
        return
    with st.expander("Where this result comes from"):
        rows = [*provenance_rows(result), *source_rows(result)]
        st.html(table(["", "Value"], rows, caption="Provenance of this result"))


def source_rows(result: Result) -> list[list[str]]:
    """Return for each input whether its file was asked whose it is, as the frame found it."""
    sha, asked = st.session_state.get(SOURCE, ("", ()))
    said = asked if sha == result.content_sha256 else (("input", "source not asked"),)
    return [[f"Patient in the source: {role}", words] for role, words in said]
