"""What the MR widget is given: words, numbers and addresses, never pixels.

Everything here is plain JSON. Pixels come from the routes, by the roles that are named here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from medconsist import SIMULATED_NOTE
from medconsist.results.schema import Result
from medconsist.review.entries import Entry
from medconsist.review.records import Annotation, Comment
from medconsist.viewing.case_list import title_of
from medconsist.viewing.compare import DIFFERENCE_SHARE
from medconsist.viewing.markup import NOTICE, readable
from medconsist.viewing.mr_frame import PLANES, Frame, frame_of
from medconsist.viewing.mr_slices import residual_bands, slice_numbers
from medconsist.viewing.numbers import image_title, method_words
from medconsist.viewing.overlay import colour_table
from medconsist.viewing.panes import Pane, first_choice
from medconsist.viewing.reading import Reading, WindowPercent
from medconsist.viewing.scores import stated_width
from medconsist.viewing.trust_maps import style_of
from medconsist.viewing.windowing import percentile_window, white_level

__all__ = ["ORIGINAL", "marks_of", "screen_data", "sealed_reading", "shape_of"]
__all__ += ["unknown_words"]

ORIGINAL = "zerofilled"
"""The role that is shown where the model's part is sealed."""

_FIRST_OTHERS = ("reference", "cirim", "cs", ORIGINAL)  # what an image is compared with at first
_MOST_SHOWN = 4
_AS_STORED = "Orientation unknown: drawn as stored, no side is named."
_RADIOLOGICAL = "Radiological convention: the patient's right is on the left of the screen."
_NO_SIZE = "Voxel size unknown: no distances, and pixels are drawn square."
_NO_SLICE_STEP = "Slice distance unknown: no distances across slices."


def screen_data(reading: Reading, *, sealed: bool = False) -> dict[str, Any]:
    """Return what the widget needs to know of a result, beside address and ticket.

    Parameters
    ----------
    reading
        The opened result; of a sealed one, see `sealed_reading`, which is applied here.
    sealed
        Show the original alone: no map, no score, no name of a method.
    """
    shown = sealed_reading(reading) if sealed else reading
    result, roles = shown.result, shown.drawable
    frame = frame_of(shown.images[roles[0]].record) if roles else None
    examined = first_choice(roles) if roles else ""
    others = [role for role in _FIRST_OTHERS if role in roles and role != examined]
    return {
        "identity": readable(title_of(result)),
        "notice": NOTICE,
        "badges": ["simulated"] if SIMULATED_NOTE in result.notes else [],
        "sealed": sealed,
        "white": shown.white,
        "limit": shown.limit,
        "presets": {name: asdict(one) for name, one in shown.presets.items()},
        "images": [_image(result, pane) for pane in shown.images.values()],
        "shown": _shown(roles, examined, others),
        "examined": examined,
        "compared": others[0] if others else examined,
        "differenceShare": DIFFERENCE_SHARE,
        "maps": [_map(shown, pane) for pane in shown.maps.values()],
        "frame": None if frame is None else _frame(frame),
        "slices": [{**asdict(one), "worst": one.worst} for one in slice_numbers(shown, examined)],
        "residual": [] if sealed else residual_bands(result.trust.scores),
        "samples": [] if shown.mask is None else [[int(one.sum()), one.size] for one in shown.mask],
        "colours": {name: colour_table(name).tolist() for name in ("viridis", "cividis")},
    }


def sealed_reading(reading: Reading) -> Reading:
    """Return the original alone, with the window that it has by itself."""
    images = {role: pane for role, pane in reading.images.items() if role == ORIGINAL}
    volumes = [pane.values for pane in images.values() if pane.values is not None]
    white = white_level(volumes) if volumes else 1.0
    auto = WindowPercent(50.0, 100.0)
    if volumes:
        window = percentile_window(volumes)
        level, width = 100 * window.level / white, 100 * window.width / white
        auto = WindowPercent(round(level, 1), max(round(width, 1), 0.1))
    return replace(reading, images=images, maps={}, white=white, presets={"Auto": auto})


def unknown_words(reading: Reading) -> list[str]:
    """Return what is not known of the geometry of the images, for the strip on top."""
    known = [pane.record.orientation for pane in reading.images.values()]
    sized = [pane.pixel_mm for pane in reading.images.values()]
    unknown = ["orientation unknown"] if None in known or not known else []
    return [*unknown, "voxel size unknown"] if None in sized or not sized else unknown


def marks_of(
    result: Result, comments: Sequence[Entry], annotations: Sequence[Entry]
) -> list[dict[str, Any]]:
    """Return what was filed at a place of this very result, for drawing.

    Parameters
    ----------
    result
        What is on the screen; places on another key are not drawn on this one.
    comments, annotations
        Of the case, as far as they count.
    """
    marks: list[dict[str, Any]] = []
    for entry in [*comments, *annotations]:
        body, words = entry.body, {"author": readable(entry.author)}
        if isinstance(body, Comment | Annotation) and body.subject.key == result.key:
            if isinstance(body, Comment):
                if body.pin is not None and body.pin.space == "voxel" and body.text:
                    place = {"kind": "pin", "at": list(body.pin.at)}
                    marks.append({**place, "words": readable(body.text), **words})
            elif body.geometry is not None and body.plane is not None:
                shape = {"kind": "shape", "geometry": body.geometry, "plane": body.plane}
                marks.append({**shape, "words": readable(body.label), **words})
    return marks


def shape_of(sent: object) -> dict[str, Any] | None:
    """Return a shape of a slice as the review panel takes it; None for anything else.

    Examples
    --------
    >>> shape_of({"kind": "shape", "geometry": [], "plane": 1}) is None
    True
    """
    if not isinstance(sent, Mapping):
        return None
    geometry, plane = sent.get("geometry"), sent.get("plane")
    if not isinstance(geometry, Mapping) or type(plane) is not int or plane < 0:
        return None
    return {"kind": "shape", "geometry": dict(geometry), "plane": plane}


def _shown(roles: Sequence[str], examined: str, others: Sequence[str]) -> list[str]:
    """Return the images that are on the screen at first: the original always among them."""
    chosen = dict.fromkeys([ORIGINAL, examined, *others])
    first = [role for role in chosen if role in roles][:_MOST_SHOWN]
    return [role for role in roles if role in first]


def _image(result: Result, pane: Pane) -> dict[str, Any]:
    return {
        "role": pane.role,
        "title": readable(image_title(result, pane.role)),
        "words": readable(method_words(result, pane.role)),
        "unit": pane.record.unit,
        "problem": readable(pane.problem),
    }


def _map(reading: Reading, pane: Pane) -> dict[str, Any]:
    style = style_of(pane.role)
    width = stated_width(reading.result.trust.settings) if style.has_width else ""
    return {
        "role": pane.role,
        "title": style.title,
        "meaning": f"{style.meaning} {width}".strip(),
        "unit": style.unit,
        "high": style.scale(reading.white).high,
        "gaps": pane.values is not None and not bool(np.isfinite(pane.values).all()),
        "showFrom": style.show_from,
        "problem": readable(pane.problem),
    }


def _frame(frame: Frame) -> dict[str, Any]:
    known = frame.orientation is not None
    words = [_RADIOLOGICAL if known else _AS_STORED]
    if None in frame.spacing_mm[:2]:
        words.append(_NO_SIZE)
    elif frame.spacing_mm[2] is None:
        words.append(_NO_SLICE_STEP)
    letters = {plane: frame.letters(plane) for plane in PLANES}
    return {
        "size": list(frame.size),
        "spacing": list(frame.spacing_mm),
        "affine": frame.affine(),
        "orientation": frame.orientation if None not in frame.spacing_mm else None,
        "axes": list(frame.axes),
        "signs": list(frame.signs),
        "native": PLANES.index(frame.native),
        "known": known,
        "words": words,
        "planes": [
            {"name": frame.name(plane), "letters": edges and asdict(edges)}
            for plane, edges in letters.items()
        ],
    }
