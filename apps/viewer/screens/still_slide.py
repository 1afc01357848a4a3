"""A slide as still pictures: its overview, regions and maps."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from medconsist.results.store import StoredResult
from medconsist.viewing.case_list import (
    KeyLine,
)
from medconsist.viewing.markup import readable, safe
from medconsist.viewing.numbers import (
    plain_name,
)
from medconsist.viewing.overlay import colour_bar
from medconsist.viewing.picture import encode_png
from medconsist.viewing.prediction_words import prediction_words
from medconsist.viewing.slide_maps import draw_slide_map, legend, side_by_side, slide_map
from medconsist.viewing.slide_reading import (
    REGIONS,
    TILES,
    SlideReading,
    marked,
    open_slide_reading,
)
from medconsist.viewing.web.server import Opened
from screens.frame import framed
from screens.parts import (
    draw_grid,
    draw_heading,
    draw_metrics,
    draw_notes,
    draw_provenance,
    draw_ruler,
)
from screens.sitting import Sitting


@st.cache_resource(max_entries=8, ttl=600, show_spinner="Verifying the stored result ...")
def verified(
    _stored: StoredResult, folder: Path, content_sha256: str, roles: tuple[str, ...]
) -> SlideReading:
    """Return the verified pictures of a slide; ``content_sha256`` names its exact bytes."""
    del folder, content_sha256, roles  # the name in the cache; a sealed result has fewer roles
    return open_slide_reading(_stored)


def draw(sitting: Sitting, opened: Opened, key: KeyLine) -> None:
    """Draw the overview of a slide, what was marked on it, what a model says, and the numbers."""
    stored, sha = opened.stored, opened.result.content_sha256
    reading = verified(stored, stored.folder.path, sha, stored.roles())
    result, words = reading.result, prediction_words(reading.result)
    unknown = [] if reading.pixel_mm else ["microns per pixel unknown"]
    if words is not None and not words.can_assess:
        unknown = ["cannot be assessed: see the reasons", *unknown]
    with framed(sitting, opened, key, unknown=unknown) as numbers:
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
        if words is None or not words.probabilities:  # those of a prediction are in the panel
            draw_notes(result)


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


def draw_overview(reading: SlideReading, title: str, words: str, picture: np.ndarray) -> None:
    """Draw one picture of a slide with its ruler, if its pixels have a known size."""
    draw_heading(title, words)
    size = reading.pixel_mm
    png = encode_png(picture, pixel_aspect=1.0 if size is None else size[0] / size[1])
    st.image(png, width="stretch", output_format="PNG", alt=f"{title} of the slide")
    if size is not None:
        draw_ruler(picture.shape[1] * size[1])
