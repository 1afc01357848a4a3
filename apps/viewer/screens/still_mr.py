"""A reconstruction as still pictures: where the browser has no WebGL2, and for older kinds."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from medconsist.results.methods import reason_of_order
from medconsist.results.schema import Result
from medconsist.results.store import StoredResult
from medconsist.viewing.case_list import (
    KeyLine,
)
from medconsist.viewing.compare import DIFFERENCE_SHARE, absolute_difference
from medconsist.viewing.markup import NOTICE, readable, safe
from medconsist.viewing.numbers import (
    image_label,
    image_title,
    method_words,
)
from medconsist.viewing.orientation import edge_letters, ruler_mm
from medconsist.viewing.overlay import Scale, colourise
from medconsist.viewing.panes import Pane, first_choice
from medconsist.viewing.picture import encode_png
from medconsist.viewing.reading import Reading, WindowPercent, open_reading
from medconsist.viewing.scores import stated_width
from medconsist.viewing.trust_maps import draw_map, style_of
from medconsist.viewing.web.server import Opened
from medconsist.viewing.windowing import Window, percentile_window, to_uint8
from screens.frame import framed
from screens.parts import (
    PANES_PER_ROW,
    draw_grid,
    draw_heading,
    draw_legend,
    draw_metrics,
    draw_notes,
    draw_provenance,
    linked_slice,
)
from screens.sitting import Sitting

FIRST_OTHERS = ("reference", "cirim", "cs")  # what an image is compared with at first


@st.cache_resource(max_entries=8, ttl=600, show_spinner="Verifying the stored result ...")
def verified(
    _stored: StoredResult, folder: Path, content_sha256: str, roles: tuple[str, ...]
) -> Reading:
    """Return the verified arrays of a result; ``content_sha256`` names its exact bytes."""
    del folder, content_sha256, roles  # the name in the cache; a sealed result has fewer roles
    return open_reading(_stored)


def draw(sitting: Sitting, opened: Opened, key: KeyLine) -> None:
    """Draw one reconstruction."""
    stored, sha = opened.stored, opened.result.content_sha256
    reading = verified(stored, stored.folder.path, sha, stored.roles())
    begin_reading(reading, key)
    with framed(sitting, opened, key, unknown=unknown_of(reading)) as numbers:
        if reason := reason_of_order(reading.result):
            st.html(f'<p class="mc-order">{safe(reason)}</p>')
        if not reading.drawable:
            draw_problems(reading)
            return
        index = draw_images(reading)
    with numbers:
        draw_notes(reading.result)
        draw_samples(reading, index)


def draw_images(reading: Reading) -> int:
    """Draw all images in one window, and return which slice is on the screen."""
    with st.sidebar:
        window = choose_window(reading)
        invert = st.toggle("Invert", key="invert")
        pair = choose_pair(reading)
        overlay = choose_map(reading)
    index = choose_slice(reading)
    draw = partial(to_uint8, window=window, invert=invert)
    cells = [
        partial(draw_image, pane, index, draw, result=reading.result)
        for pane in reading.images.values()
    ]
    if pair[0] != pair[1]:
        cells.append(partial(draw_difference, reading, index, pair))
    if overlay is not None:
        cells.append(partial(overlay, index, draw, pair[0]))
    draw_grid(cells)
    draw_metrics(reading.result)
    draw_provenance(reading.result)
    return index


def begin_reading(reading: Reading, key: KeyLine) -> None:
    """Start a newly opened result: auto window, slice of the address or else the middle."""
    if st.session_state.get("opened") != key.key:
        st.session_state["opened"] = key.key
        linked = linked_slice(reading.n_slices)
        st.session_state["slice"] = (reading.n_slices // 2 if linked is None else linked) + 1
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


def unknown_of(reading: Reading) -> list[str]:
    """Return what is not known of the geometry of the images."""
    known = [pane.record.orientation for pane in reading.images.values()]
    sized = [pane.pixel_mm for pane in reading.images.values()]
    unknown = []
    if None in known or not known:
        unknown.append("orientation unknown")
    if None in sized or not sized:
        unknown.append("voxel size unknown")
    return unknown


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


def draw_problems(reading: Reading) -> None:
    """Say why no image of a result can be drawn."""
    problems = [f"{p.title}: {p.problem}" for p in reading.images.values()]
    for problem in problems or ["This result holds no image."]:
        st.html(f'<div class="mc-problem">{safe(problem)}</div>')
    draw_provenance(reading.result)


def draw_unreadable(title: str, problem: str, original: Pane | None) -> None:
    """Say that a result cannot be read, and show the original of another one without it."""
    st.html(
        f'<div class="mc-strip"><h1>{safe(title)}</h1>'
        f'<span class="mc-notice">{NOTICE}</span></div>'
        f'<div class="mc-problem">This result cannot be shown: {safe(problem)}</div>'
    )
    if original is None or original.values is None:
        st.html('<p class="mc-small">No other result of this case holds the original.</p>')
        return
    window = percentile_window([original.values])
    with st.columns(PANES_PER_ROW)[0]:
        middle = original.values.shape[0] // 2
        draw_image(original, middle, partial(to_uint8, window=window))
