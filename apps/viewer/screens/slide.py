"""The screen of slides: deep zoom, what a model says of each place, outlines of readers."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from medconsist.errors import MedconsistError, RefusedInputError
from medconsist.results.store import ResultStore, StoredResult
from medconsist.viewing.case_list import KeyLine, title_of
from medconsist.viewing.leaving.annotations import Canvas
from medconsist.viewing.markup import NOTICE, safe
from medconsist.viewing.places import asked_place, sent_pin
from medconsist.viewing.prediction_words import prediction_words
from medconsist.viewing.slide_screen import (
    RankedTiles,
    SlideMpp,
    colours,
    model_tag,
    ranked_tiles,
    slide_maps_of,
    slide_mpp,
)
from medconsist.viewing.slide_shapes import pins_of, shapes_of
from medconsist.viewing.vendor import missing_vendor, vendor_folder, vendor_urls
from medconsist.viewing.web.server import Opened
from screens import still_slide
from screens.frame import framed
from screens.parts import draw_metrics, draw_notes, draw_provenance
from screens.sitting import Sitting
from screens.slide_labels import draw_labels
from screens.slide_outlines import draw_files, file_shape, may_file, said, say, withdraw
from screens.slide_widget import slide_widget
from screens.widget import run_again

__all__ = ["draw"]

PREDICTION = "wsi.prediction"
ANSWER = "what if"
STILL = "still pictures of slides"

Verified = tuple[list[dict[str, Any]], RankedTiles | None, tuple[str, ...]]


@st.cache_resource(max_entries=16, ttl=600, show_spinner="Verifying the stored result ...")
def verified_maps(_stored: StoredResult, folder: Path, content_sha256: str) -> Verified:
    """Return maps, ranked tiles and problems of a result; the other two name its exact bytes."""
    del folder, content_sha256
    maps, problems = slide_maps_of(_stored)
    try:
        return maps, ranked_tiles(_stored), problems
    except MedconsistError as error:
        return maps, None, (*problems, f"ranked tiles are not shown. {error}")


def draw(sitting: Sitting, opened: Opened, key: KeyLine) -> None:
    """Draw a slide by deep zoom, or as still pictures where that cannot be."""
    why = "" if st.session_state.get(STILL) else _no_zoom(sitting, opened)
    if why or st.session_state.get(STILL):
        with st.sidebar:
            st.toggle("Still pictures", key=STILL)
            if why:
                st.html(f'<p class="mc-small">{safe(why)}</p>')
        still_slide.draw(sitting, opened, key)
        return
    _draw_zoom(sitting, opened, key)


def _no_zoom(sitting: Sitting, opened: Opened) -> str:
    """Return why there is no deep zoom; empty where there is."""
    missing = missing_vendor(vendor_folder())
    if missing is not None:
        return missing
    try:
        sitting.server.desk.slide(opened.stored)
    except MedconsistError as error:
        return f"No deep zoom: {error}"
    return ""


def _draw_zoom(sitting: Sitting, opened: Opened, key: KeyLine) -> None:
    result, is_sealed = opened.result, opened.is_sealed
    words = None if is_sealed else prediction_words(result)
    info = sitting.server.desk.slide(opened.stored).info()
    mpp = slide_mpp(result, info)
    unknown = list(mpp.doubts)
    if words is not None and not words.can_assess:
        unknown = ["cannot be assessed: see the reasons", *unknown]
    with framed(sitting, opened, key, unknown=unknown) as side:
        canvas = Canvas(width=info["width"], height=info["height"])
        problems = _draw_slide(sitting, opened, mpp, canvas)
        draw_labels(sitting, opened)
        for problem in problems:
            st.html(f'<div class="mc-problem">{safe(problem)}</div>')
        if words is None and not is_sealed:
            draw_metrics(result)
        draw_provenance(result)
    with side:
        if words is None or not words.probabilities:  # those of a prediction are in the panel
            draw_notes(result)
        draw_files(sitting, opened, canvas)
        st.toggle("Still pictures", key=STILL, help="Without deep zoom, as every browser shows.")


def _draw_slide(sitting: Sitting, opened: Opened, mpp: SlideMpp, canvas: Canvas) -> tuple[str, ...]:
    """Draw the widget; return what it could not be given."""
    result, is_sealed = opened.result, opened.is_sealed
    nothing: Verified = ([], None, ())
    maps, ranked, problems = (
        nothing
        if is_sealed
        else verified_maps(opened.stored, opened.stored.folder.path, result.content_sha256)
    )
    name = f"slide {result.content_sha256}"
    on = partial(_heard, sitting, opened, canvas, name)
    slide_widget(
        key=name,
        data={
            "api": opened.api,
            "ticket": opened.ticket,
            "vendor": vendor_urls(vendor_folder()),
            "who": f"{title_of(result)} · {NOTICE}",
            "model": "" if is_sealed else model_tag(result),
            "mpp": mpp.as_json(),
            "doubts": list(mpp.doubts),
            "maps": maps,
            "ranked": _plain(ranked),
            "colours": colours(),
            "shapes": shapes_of(
                sitting.entries(opened, "annotation"),
                person=sitting.person,
                subject=opened.subject,
            ),
            "pins": pins_of(sitting.entries(opened, "comment"), opened.subject),
            "goto": asked_place(st.session_state.get("goto"), "slide"),
            "pinned": st.session_state.get("pin") is not None,
            "may_file": may_file(sitting, opened),
            "what_if": result.kind == PREDICTION and not is_sealed,
            "answer": _answer(opened),
            "said": said(opened),
        },
        on_shape_change=partial(on, "shape", file_shape),
        on_withdraw_change=partial(on, "withdraw", withdraw),
        on_pin_change=partial(on, "pin", _pin),
        on_renew_change=run_again,
        on_what_if_change=partial(on, "what_if", _ask_again),
    )
    return problems


def _plain(ranked: RankedTiles | None) -> dict[str, Any] | None:
    if ranked is None:
        return None
    rows = {
        name: [{"box": [one.x, one.y, one.width, one.height], "value": one.value} for one in tiles]
        for name, tiles in (("top", ranked.top), ("bottom", ranked.bottom))
    }
    return {"title": ranked.title, **rows}


Work = Callable[[Sitting, Opened, Canvas, dict[str, Any]], str]


def _heard(
    sitting: Sitting, opened: Opened, canvas: Canvas, name: str, trigger: str, work: Work
) -> None:
    """Do what the widget asks for, before the page is drawn again; say what came of it."""
    sent = st.session_state[name].get(trigger)
    if not sent:
        return
    try:
        say(opened, work(sitting, opened, canvas, dict(sent)))
    except MedconsistError as error:
        say(opened, str(error), tone="problem", of=sent.get("id"))


def _pin(_sitting: Sitting, _opened: Opened, _canvas: Canvas, sent: dict[str, Any]) -> str:
    pin = sent_pin(sent, "slide")
    if pin is None:
        msg = "a pin of a slide has two numbers, x and y in level-0 pixels."
        raise RefusedInputError(msg)
    st.session_state["pin"] = pin.model_dump(mode="json")
    return "The pin waits for your comment."


@st.cache_resource(max_entries=2, ttl=600, show_spinner="Reading the model ...")
def _predictor(_store: ResultStore, _stored: StoredResult, weights_sha256: str | None) -> Any:  # noqa: ANN401
    """Return the model of a prediction; torch is imported where somebody asks."""
    from medconsist.viewing.what_if import found_predictor

    del weights_sha256  # the name in the cache
    return found_predictor(_store, _stored.result)


def _ask_again(sitting: Sitting, opened: Opened, _canvas: Canvas, sent: dict[str, Any]) -> str:
    """Ask the model without the tiles of an outline; the answer is shown and kept nowhere."""
    from medconsist.viewing.what_if import what_if, what_if_words

    st.session_state.pop(ANSWER, None)
    result = opened.result
    geometry = sent.get("geometry")
    if opened.is_sealed or not isinstance(geometry, dict):
        msg = "there is no model to ask, or no outline to leave out."
        raise RefusedInputError(msg)
    store = ResultStore(sitting.server.settings.results, result.study)
    sha = None if result.model is None else result.model.sha256
    predictor = _predictor(store, opened.stored, sha)
    answer = what_if(store, opened.stored, geometry, predictor=predictor)
    if sitting.server.store is not None:
        sitting.server.store.viewed(sitting.person, opened.subject, what="what-if")
    words = {"n": sent.get("n"), **what_if_words(answer)}
    st.session_state[ANSWER] = (result.content_sha256, words)
    return ""


def _answer(opened: Opened) -> dict[str, Any] | None:
    """Return the last answer, if it is about this very result."""
    about, words = st.session_state.get(ANSWER, ("", None))
    return words if about == opened.result.content_sha256 and not opened.is_sealed else None
