"""The viewer page: one case, its reconstructions, slide or signals, and the evidence for them.

Run it with ``medconsist view --results DIR``, or directly::

    streamlit run apps/viewer/main.py --server.address 127.0.0.1 -- --results DIR

The folder may also come from the environment variable MEDCONSIST_RESULTS.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from medconsist import SIMULATED_NOTE
from medconsist.errors import MedconsistError
from medconsist.results.methods import reason_of_order
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore, StoredResult, studies
from medconsist.results.trust import VALIDITY
from medconsist.viewing.case_list import (
    CaseLine,
    KeyLine,
    case_lines,
    find,
    key_lines,
    title_of,
)
from medconsist.viewing.compare import DIFFERENCE_SHARE, absolute_difference
from medconsist.viewing.markup import NOTICE, badges, markdown, readable, safe, table
from medconsist.viewing.numbers import (
    image_label,
    image_title,
    method_words,
    metric_tables,
    model_words,
    plain_name,
    provenance_rows,
    recording_rows,
)
from medconsist.viewing.orientation import edge_letters, ruler_mm
from medconsist.viewing.overlay import Scale, colour_bar, colourise
from medconsist.viewing.panes import Pane, first_choice
from medconsist.viewing.picture import encode_png
from medconsist.viewing.prediction_words import SCOPE, PredictionWords, prediction_words
from medconsist.viewing.reading import Reading, WindowPercent, open_reading, original_elsewhere
from medconsist.viewing.scores import score_cards, stated_width
from medconsist.viewing.slide_maps import draw_slide_map, legend, side_by_side, slide_map
from medconsist.viewing.slide_reading import (
    REGIONS,
    TILES,
    SlideReading,
    marked,
    open_slide_reading,
)
from medconsist.viewing.trust_maps import draw_map, style_of
from medconsist.viewing.windowing import Window, percentile_window, to_uint8

PANES_PER_ROW = 3
LISTED_CASES = 30
FEW_CASES = 8
FIRST_OTHERS = ("reference", "cirim", "cs")  # what an image is compared with at first

STYLE = Path(__file__).with_name("style.css")


def results_folder() -> Path | None:
    """Return the folder of ``--results``, else of the environment, else None."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--results", default=os.environ.get("MEDCONSIST_RESULTS"))
    named = parser.parse_known_args(sys.argv[1:])[0].results
    return Path(named) if named else None


@st.cache_data(ttl=10, show_spinner=False)
def listed_cases(root: Path, study: str) -> list[CaseLine]:
    """Return the case list; read again after ten seconds, for jobs may be running."""
    return case_lines(ResultStore(root, study))


@st.cache_resource(max_entries=8, ttl=600, show_spinner="Verifying the stored result ...")
def opened_slide(_stored: StoredResult, folder: Path, content_sha256: str) -> SlideReading:
    """Return the verified pictures of a slide; ``content_sha256`` names its exact bytes."""
    del folder, content_sha256  # they are the name in the cache
    return open_slide_reading(_stored)


@st.cache_resource(max_entries=8, ttl=600, show_spinner="Verifying the stored result ...")
def opened(_stored: StoredResult, folder: Path, content_sha256: str) -> Reading:
    """Return the verified arrays of a result; ``content_sha256`` names its exact bytes."""
    del folder, content_sha256  # they are the name in the cache
    return open_reading(_stored)


def main() -> None:
    """Draw the page."""
    st.set_page_config(page_title="medconsist", layout="wide")
    st.html(STYLE)
    root = results_folder()
    names = studies(root) if root else []
    if root is None or not names:
        draw_empty(root)
        return
    with st.sidebar:
        store = ResultStore(root, choose_study(names))
        line = choose_case(listed_cases(root, store.study))
        keys = key_lines(store, line.case)
        key = choose_key(line.case, keys)
    draw_result(store, line, key, keys)


def draw_empty(root: Path | None) -> None:
    """Say that there is nothing to show, and how to change that."""
    st.html(f'<p class="mc-notice">{NOTICE}</p>')
    place = "No results folder was named." if root is None else f"No finished result in {root}."
    st.html(
        f"<p>{safe(place)} Make one with <code>medconsist demo</code>, "
        "<code>medconsist mri reconstruct INPUT --out DIR</code>, "
        "<code>medconsist wsi embed SLIDE --out DIR</code> or <code>medconsist ts predict "
        "RECORDING --model DIR --out DIR</code>, then open it with "
        "<code>medconsist view --results DIR</code>.</p>"
    )


def choose_study(names: Sequence[str]) -> str:
    """Let the reader choose a study, if there are several."""
    follow_link("study", names)
    if len(names) == 1:
        return names[0]
    chosen = st.selectbox("Study", names, key="study", format_func=readable)
    st.query_params["study"] = chosen
    return chosen


def choose_case(lines: Sequence[CaseLine]) -> CaseLine:
    """Let the reader choose a case from the list, in order of name."""
    by_case = {line.case: line for line in lines}
    follow_link("case", list(by_case))
    words = ""
    if len(lines) > FEW_CASES:
        words = st.text_input("Find a case", key="find", placeholder="patient or case") or ""
    found = [line.case for line in find(lines, words)]
    held = st.session_state.get("case")
    shown = found[:LISTED_CASES]
    if held in by_case and held not in shown:
        shown = [held, *shown]
    with st.container(height=min(64 * max(len(shown), 1) + 24, 280), border=False):
        case = st.radio(
            f"Cases ({len(found)} of {len(lines)})",
            shown or list(by_case)[:1],
            key="case",
            format_func=lambda name: markdown(by_case[name].title),
            captions=[markdown(by_case[name].state) for name in shown] or None,
        )
    if len(found) > LISTED_CASES:
        st.caption(f"{len(found) - LISTED_CASES} more: type to find them.")
    st.query_params["case"] = case
    return by_case[case]


def choose_key(case: str, keys: Sequence[KeyLine]) -> KeyLine:
    """Let the reader choose a result of the case: the current one, or an older one."""
    by_key = {line.key: line for line in keys}
    name = f"key {case}"
    follow_link("key", list(by_key), state=name)
    key = st.selectbox(
        "Result",
        list(by_key),
        key=name,
        format_func=lambda key: readable(by_key[key].label),
        help="The current result is shown first. Older results stay as they were.",
    )
    return by_key[key]


def follow_link(name: str, allowed: Sequence[str], *, state: str | None = None) -> None:
    """Take the first choice from the address of the page, if it names something that is here."""
    asked = st.query_params.get(name)
    if asked in allowed:
        st.session_state.setdefault(state or name, asked)


def draw_result(store: ResultStore, line: CaseLine, key: KeyLine, keys: Sequence[KeyLine]) -> None:
    """Draw one result, or the original alone where the result cannot be read."""
    try:
        stored = store.read(line.case, key.key)
    except MedconsistError as error:
        draw_unreadable(store, line, str(error), [k.key for k in keys if k != key])
        return
    if stored.result.kind.startswith("wsi."):
        slide = opened_slide(stored, stored.folder.path, stored.result.content_sha256)
        draw_slide(key, slide)
        return
    if stored.result.kind.startswith("timeseries."):
        draw_signals(key, stored.result)
        return
    reading = opened(stored, stored.folder.path, stored.result.content_sha256)
    begin_reading(reading, key)
    draw_strip(key, reading)
    if not reading.drawable:
        draw_problems(reading)
        return
    with st.sidebar:
        window = choose_window(reading)
        invert = st.toggle("Invert", key="invert")
        pair = choose_pair(reading)
        overlay = choose_map(reading)
    images, numbers = st.columns([3.1, 1], gap="medium")
    with images:
        index = choose_slice(reading)
        draw = partial(to_uint8, window=window, invert=invert)
        cells = [
            partial(draw_image, pane, index, draw, result=reading.result)
            for pane in reading.images.values()
        ]
        cells.append(partial(draw_difference, reading, index, pair))
        if overlay is not None:
            cells.append(partial(overlay, index, draw, pair[0]))
        draw_grid(cells)
        draw_metrics(reading.result)
        draw_provenance(reading.result)
    with numbers:
        draw_numbers(reading.result)
        draw_samples(reading, index)


def begin_reading(reading: Reading, key: KeyLine) -> None:
    """Start a newly opened result with its auto window and its middle slice."""
    if st.session_state.get("opened") != key.key:
        st.session_state["opened"] = key.key
        st.session_state["slice"] = reading.n_slices // 2 + 1
        set_window(reading.presets["Auto"])


def set_window(percent: WindowPercent) -> None:
    """Put level and width into the sliders and the number fields."""
    for name, value in (("level", percent.level), ("width", percent.width)):
        st.session_state[f"{name}_slider"] = st.session_state[f"{name}_number"] = value


def copy_state(source: str, target: str) -> None:
    """Let a slider and its number field say the same."""
    st.session_state[target] = st.session_state[source]


def choose_window(reading: Reading) -> Window:
    """Let the reader set the one window of all panes."""
    st.html('<h2 class="mc-h">Window, shared by all images</h2>')
    for column, (name, percent) in zip(st.columns(2) * 2, reading.presets.items(), strict=False):
        column.button(name, on_click=set_window, args=(percent,), width="stretch")
    level = linked_number("Level", "level", 0.0, reading.limit)
    width = linked_number("Width", "width", 0.1, reading.limit)
    window = WindowPercent(level, width).window(reading.white)
    st.html(
        f'<p class="mc-small">Per cent of the white level {reading.white:.4g}, the 99th percentile '
        f"of all images. Black {window.low:.4g}, white {window.high:.4g}.</p>"
    )
    return window


def linked_number(label: str, name: str, low: float, high: float) -> float:
    """Return a number that has a slider and a field, both reachable by keyboard."""
    slider, number = f"{name}_slider", f"{name}_number"
    wide, narrow = st.columns([2, 1], vertical_alignment="bottom")
    wide.slider(
        f"{label} [%]",
        low,
        high,
        step=0.1,
        format="%.1f",
        key=slider,
        on_change=copy_state,
        args=(slider, number),
    )
    narrow.number_input(
        f"{label} [%] as a number",
        low,
        high,
        step=1.0,
        key=number,
        on_change=copy_state,
        args=(number, slider),
        label_visibility="collapsed",
        format="%.1f",
    )
    return float(st.session_state[slider])


def choose_pair(reading: Reading) -> tuple[str, str]:
    """Let the reader choose the image to examine and the one to compare it with."""
    roles = reading.drawable
    st.html('<h2 class="mc-h">Compare</h2>')
    first = first_choice(roles)
    title = partial(image_title, reading.result)
    examined = st.selectbox("Image", roles, index=roles.index(first), format_func=title)
    others = [role for role in roles if role != examined] or roles
    best = next((others.index(role) for role in FIRST_OTHERS if role in others), 0)
    other = st.selectbox("Difference to", others, index=best, format_func=title)
    return examined, other


def choose_map(
    reading: Reading,
) -> Callable[[int, Callable[[np.ndarray], np.ndarray], str], None] | None:
    """Let the reader choose a trust map and its opacity; None where the result holds no map."""
    if not reading.maps:
        return None
    st.html('<h2 class="mc-h">Evidence map</h2>')
    role = st.selectbox("Map", list(reading.maps), format_func=lambda name: style_of(name).title)
    style = style_of(role)
    scale = style.scale(reading.white)
    opacity = st.slider("Opacity [%]", 0, 100, 60, key="opacity")
    first = round(100 * style.show_from)
    percent = st.slider("Show from [% of the scale]", 0, 100, first, key=f"from {role}")
    return partial(
        draw_overlay,
        reading,
        reading.maps[role],
        opacity=opacity / 100,
        show_from=percent / 100 * scale.high,
    )


def choose_slice(reading: Reading) -> int:
    """Return the index of the slice on the screen; the reader counts from 1."""
    if reading.n_slices == 1:
        st.html('<p class="mc-small">One slice.</p>')
        return 0
    st.slider(f"Slice, 1 to {reading.n_slices}", 1, reading.n_slices, key="slice")
    return int(st.session_state["slice"]) - 1


def draw_strip(key: KeyLine, reading: Reading) -> None:
    """Name patient, case and study, the notice, and what is unknown."""
    result = reading.result
    known = [pane.record.orientation for pane in reading.images.values()]
    sized = [pane.pixel_mm for pane in reading.images.values()]
    unknown = []
    if None in known or not known:
        unknown.append("orientation unknown")
    if None in sized or not sized:
        unknown.append("voxel size unknown")
    draw_title(key, result, [f"study {result.study}", model_words(result)], unknown)
    if reason := reason_of_order(result):
        st.html(f'<p class="mc-order">{safe(reason)}</p>')


def draw_title(key: KeyLine, result: Result, quiet: Sequence[str], unknown: Sequence[str]) -> None:
    """Draw who and what is on the screen, and what a reader must not overlook."""
    advise = ["simulated, not a person"] if SIMULATED_NOTE in result.notes else []
    if result.model is not None and result.model.label:
        advise.append(f"{result.model.name}: {result.model.label}")
    if not key.current:
        advise.append("older result, not the current one")
    st.html(
        f'<div class="mc-strip"><h1>{safe(title_of(result))}</h1>{badges(quiet)}'
        f'{badges([*advise, *unknown], tone="advise")}<span class="mc-notice">{NOTICE}</span></div>'
    )


def draw_slide(key: KeyLine, reading: SlideReading) -> None:
    """Draw the overview of a slide, what was marked on it, what a model says, and the numbers."""
    result, words = reading.result, prediction_words(reading.result)
    unknown = [] if reading.pixel_mm else ["microns per pixel unknown"]
    if words is not None and not words.can_assess:
        unknown = ["cannot be assessed: see the reasons", *unknown]
    draw_title(key, result, [f"study {result.study}", model_words(result)], unknown)
    images, numbers = st.columns([3.1, 1], gap="medium")
    with images:
        for problem in reading.problems:
            st.html(f'<div class="mc-problem">{safe(problem)}</div>')
        if reading.overview is not None:
            shown = choose_regions(reading)
            draw_slide_pictures(reading, reading.overview, shown)
        elif reading.record is None:
            st.html('<p class="mc-small">This result holds no overview to draw maps on.</p>')
        draw_tiles(reading)
        if words is None:
            draw_metrics(result)
        draw_provenance(result)
    with numbers:
        if words is not None:
            draw_prediction(words)
        draw_numbers(result, has_notes=words is None)


def choose_regions(reading: SlideReading) -> list[str]:
    """Let the reader choose which regions are marked; all of them at first."""
    with st.sidebar:
        st.html('<h2 class="mc-h">Marked on the overview</h2>')
        return [
            role
            for role in reading.regions
            if st.checkbox(REGIONS[role].title, value=True, key=role)
        ]


def draw_slide_pictures(reading: SlideReading, overview: np.ndarray, shown: Sequence[str]) -> None:
    """Draw the overview as it is, with its regions marked, and each colour map of the features."""
    picture = marked(overview, {role: reading.regions[role] for role in shown})
    legend = ", ".join(REGIONS[role].title for role in shown) or "nothing marked"
    cells = [
        partial(draw_overview, reading, "Overview", "as scanned", overview),
        partial(draw_overview, reading, "Regions", legend, picture),
    ]
    described = {record.role: record.description for record in reading.result.arrays}
    for role, colours in reading.maps.items():
        title = plain_name(role).capitalize()
        cells.append(partial(draw_overview, reading, title, described[role], colours))
    if reading.grids:
        role, opacity = choose_slide_map(reading)
        cells.append(partial(draw_slide_grid, reading, overview, role, opacity=opacity))
    draw_grid(cells)
    if shown:
        badge = '<span class="mc-badge" style="border-left:1em solid rgb{}">{}</span> '
        regions = [REGIONS[role] for role in shown]
        st.html("".join(badge.format(one.colour, safe(one.title)) for one in regions))


def choose_slide_map(reading: SlideReading) -> tuple[str, float]:
    """Let the reader choose what is coloured over the overview, and how strongly."""
    with st.sidebar:
        st.html('<h2 class="mc-h">What the model says of each place</h2>')
        role = st.selectbox(
            "Map", list(reading.grids), format_func=lambda role: map_title(reading, role)
        )
        opacity = st.slider("Opacity [%]", 0, 100, 70, key="opacity of the map")
    return role, opacity / 100


def map_title(reading: SlideReading, role: str) -> str:
    """Return the title of a map, with the class that it is about."""
    words = prediction_words(reading.result)
    return readable(slide_map(role).titled(words.shown if words is not None else ""))


def draw_slide_grid(
    reading: SlideReading, overview: np.ndarray, role: str, *, opacity: float
) -> None:
    """Draw a map over the overview, with its legend, its meaning, and what it does not mean."""
    style, values = slide_map(role), reading.grids[role]
    described = {record.role: record.description for record in reading.result.arrays}
    meaning = described[role] or "no description is stored"
    picture = draw_slide_map(overview, values, style, opacity=opacity)
    draw_overview(reading, map_title(reading, role), meaning, picture)
    st.image(encode_png(colour_bar()), width="stretch", alt="Colour bar, low to high")
    ends = legend(style, values)
    said = "".join(f"<span>{safe(text)}</span>" for text in (ends.low, ends.middle, ends.high))
    st.html(f'<div class="mc-ends">{said}</div>')
    words = f"{meaning[0].upper()}{meaning[1:]}. {style.caution} No colour: no tile was used there."
    st.html(f'<p class="mc-meaning">{safe(words)}</p>')


def draw_tiles(reading: SlideReading) -> None:
    """Draw the tiles that were stored one by one, in their order."""
    described = {record.role: record.description for record in reading.result.arrays}
    for role, tiles in reading.tiles.items():
        draw_heading(TILES[role], described[role])
        picture = encode_png(side_by_side(tiles))
        st.image(picture, width="content", output_format="PNG", alt=TILES[role])


def draw_prediction(words: PredictionWords) -> None:
    """Draw what a model says of a case: its doubts first, then its numbers, then what it is."""
    st.html('<h2 class="mc-h">What the model says of the case</h2>')
    doubts = "".join(f'<div class="mc-doubt">{safe(doubt)}</div>' for doubt in words.doubts)
    said = table(["Class", "Probability"], words.probabilities, caption="Probabilities of the case")
    facts = "".join(f'<p class="mc-small">{safe(fact)}</p>' for fact in words.facts)
    st.html(f'{doubts}{said}<p class="mc-meaning">{safe(SCOPE)}</p>{facts}')
    st.html(f'<p class="mc-notice">{NOTICE}</p>')


def draw_signals(key: KeyLine, result: Result) -> None:
    """Draw what a model says of recordings, and which they are; traces are not drawn yet."""
    words = prediction_words(result)
    doubtful = words is not None and not words.can_assess
    unknown = ["cannot be assessed: see the reasons"] if doubtful else []
    draw_title(key, result, [f"study {result.study}", model_words(result)], unknown)
    said, numbers = st.columns([2, 1], gap="medium")
    with said:
        if words is not None:
            draw_prediction(words)
        else:
            draw_metrics(result)
        rows = recording_rows(result)
        if rows:
            head = ["Recording", "Leads and source", "Seconds", "Unit"]
            st.html(table(head, rows, caption="Recordings"))
            st.html('<p class="mc-small">Traces are stored and not drawn on this page.</p>')
        draw_provenance(result)
    with numbers:
        draw_numbers(result, has_notes=words is None)


def draw_overview(reading: SlideReading, title: str, words: str, picture: np.ndarray) -> None:
    """Draw one picture of a slide with its ruler, if its pixels have a known size."""
    draw_heading(title, words)
    size = reading.pixel_mm
    png = encode_png(picture, pixel_aspect=1.0 if size is None else size[0] / size[1])
    st.image(png, width="stretch", output_format="PNG", alt=f"{title} of the slide")
    if size is not None:
        draw_ruler(picture.shape[1] * size[1])


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


def draw_picture(picture: np.ndarray, pane: Pane, alt: str) -> None:
    """Draw the picture with square millimetres, its edges and its ruler, as far as known."""
    png = encode_png(picture, pixel_aspect=pane.pixel_aspect or 1.0)
    st.image(png, width="stretch", output_format="PNG", alt=readable(alt))
    words = []
    if pane.record.orientation is not None:
        words.append(edge_letters(pane.record.orientation).sentence)
    if pane.pixel_mm is not None:
        extent = picture.shape[1] * pane.pixel_mm[1]
        words.append(f"bar {ruler_mm(extent):g} mm")
        st.html(
            f'<div class="mc-ruler" style="width:{100 * ruler_mm(extent) / extent:.3f}%"></div>'
        )
    if words:
        st.html(f'<p class="mc-small">{safe(" · ".join(words))}</p>')


def draw_image(
    pane: Pane,
    index: int,
    draw: Callable[[np.ndarray], np.ndarray],
    *,
    result: Result | None = None,
) -> None:
    """Draw one reconstruction, or say why it is not there."""
    words = method_words(result, pane.role) if result else ""
    label = image_label(result, pane.role) if result else ""
    title = f"{pane.title} ({label})" if label else pane.title
    draw_heading(pane.title, pane.record.description or words or pane.role)
    if pane.values is None:
        st.html(f'<div class="mc-problem">{safe(pane.problem)}</div>')
        return
    draw_picture(draw(pane.values[index]), pane, f"{title}, slice {index + 1}")


def draw_difference(reading: Reading, index: int, pair: tuple[str, str]) -> None:
    """Draw the absolute difference of two images on its fixed scale."""
    image, other = (reading.images[role] for role in pair)
    if image.values is None or other.values is None:
        return
    scale = Scale(0.0, DIFFERENCE_SHARE * reading.white)
    first, second = (image_title(reading.result, role) for role in pair)
    draw_heading("Absolute difference", f"{first} minus {second}")
    difference = absolute_difference(image.values[index], other.values[index])
    draw_picture(
        colourise(difference, scale, name="cividis"), image, f"Difference, slice {index + 1}"
    )
    draw_legend("cividis", scale, f"fixed, {DIFFERENCE_SHARE:.0%} of the white level")


def draw_overlay(
    reading: Reading,
    pane: Pane,
    index: int,
    draw: Callable[[np.ndarray], np.ndarray],
    below: str,
    *,
    opacity: float,
    show_from: float,
) -> None:
    """Draw a trust map over the examined image, with its legend and its meaning."""
    style = style_of(pane.role)
    scale = style.scale(reading.white)
    draw_heading(style.title, f"over {image_title(reading.result, below)}")
    image = reading.images[below]
    if pane.values is None or image.values is None:
        st.html(f'<div class="mc-problem">{safe(pane.problem)}</div>')
        return
    picture = draw_map(
        draw(image.values[index]),
        pane.values[index],
        scale,
        opacity=opacity,
        show_from=show_from,
    )
    draw_picture(picture, image, f"{style.title}, slice {index + 1}")
    draw_legend("viridis", scale, f"{style.unit}, shown from {show_from:.3g}")
    width = stated_width(reading.result.trust.settings) if style.has_width else ""
    st.html(f'<p class="mc-meaning">{safe(f"{style.meaning} {width}")}</p>')


def draw_legend(name: str, scale: Scale, words: str) -> None:
    """Draw the colour bar with both ends and what they count."""
    st.image(encode_png(colour_bar(name=name)), width="stretch", alt="Colour bar, low to high")
    st.html(
        f'<div class="mc-ends"><span>{scale.low:.3g}</span><span>{safe(words)}</span>'
        f"<span>{scale.high:.3g}</span></div>"
    )


def draw_numbers(result: Result, *, has_notes: bool = True) -> None:
    """Draw the trust scores and, unless they are said elsewhere, the notes of a result."""
    st.html('<h2 class="mc-h">What the measurement says</h2>')
    if result.trust.scores:
        width = stated_width(result.trust.settings)
        said = "".join(f'<p class="mc-meaning">{safe(words)}</p>' for words in (width, VALIDITY))
        st.html(score_cards(result.trust.scores) + said)
    else:
        st.html('<p class="mc-small">This result holds no trust scores.</p>')
    notes = [note for note in result.notes if note != reason_of_order(result)]  # it is on top
    if notes and has_notes:
        st.html(
            '<h2 class="mc-h">Notes</h2>'
            + "".join(f'<p class="mc-small">{safe(note)}</p>' for note in notes)
        )


def draw_metrics(result: Result) -> None:
    """Draw one table for each metric, in the columns of the images."""
    tables = metric_tables(result.metrics, title=partial(image_title, result))
    head = ["Image", "Value", "Interval"]
    draw_grid([partial(st.html, table(head, tables[name], caption=name)) for name in tables])


def draw_samples(reading: Reading, index: int) -> None:
    """Draw where k-space was measured, and how many times faster that is than all of it."""
    if reading.mask is None:
        return
    mask = reading.mask[index if len(reading.mask) > 1 else 0]
    st.html('<h2 class="mc-h">Samples taken</h2>')
    picture = np.where(mask, 255, 0).astype(np.uint8)
    with st.columns([1, 1])[0]:
        st.image(encode_png(picture), width="stretch", alt="Sampling mask, centre in the middle")
    st.html(
        f'<p class="mc-small">{int(mask.sum())} of {mask.size} positions of k-space, '
        f"acceleration {mask.size / max(int(mask.sum()), 1):.2f}.</p>"
    )


def draw_provenance(result: Result) -> None:
    """Draw where every pixel of this result comes from."""
    with st.expander("Where this result comes from"):
        rows = provenance_rows(result)
        st.html(table(["", "Value"], rows, caption="Provenance of this result"))


def draw_problems(reading: Reading) -> None:
    """Say why no image of a result can be drawn."""
    problems = [f"{p.title}: {p.problem}" for p in reading.images.values()]
    for problem in problems or ["This result holds no image."]:
        st.html(f'<div class="mc-problem">{safe(problem)}</div>')
    draw_provenance(reading.result)


def draw_unreadable(
    store: ResultStore, line: CaseLine, problem: str, others: Sequence[str]
) -> None:
    """Say that a result cannot be read, and show the original of another one without it."""
    st.html(
        f'<div class="mc-strip"><h1>{safe(line.title)}</h1>'
        f'<span class="mc-notice">{NOTICE}</span></div>'
        f'<div class="mc-problem">This result cannot be shown: {safe(problem)}</div>'
    )
    original = original_elsewhere(store, line.case, others)
    if original is None or original.values is None:
        st.html('<p class="mc-small">No other result of this case holds the original.</p>')
        return
    window = percentile_window([original.values])
    with st.columns(PANES_PER_ROW)[0]:
        middle = original.values.shape[0] // 2
        draw_image(original, middle, partial(to_uint8, window=window))


main()
