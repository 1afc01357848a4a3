"""The picture of a reconstruction: the image shown first beside the measured samples alone."""

import numpy as np
from jaxtyping import Real

from medconsist.errors import RefusedInputError
from medconsist.results.store import StoredResult
from medconsist.review.records import Pin
from medconsist.viewing.leaving.drawing import (
    Pixels,
    Point,
    circled,
    fitted,
    framed,
    joined,
    outlined,
)
from medconsist.viewing.leaving.plate_scene import Filed, Scene
from medconsist.viewing.mr_screen import ORIGINAL, unknown_words
from medconsist.viewing.numbers import image_title, number
from medconsist.viewing.orientation import edge_letters
from medconsist.viewing.panes import Pane, first_choice
from medconsist.viewing.reading import open_reading
from medconsist.viewing.windowing import to_uint8

__all__ = ["mr_scene"]

_BOX = (560, 560)  # of one image [px]
_AS_STORED = "Drawn as stored; the letters name the sides."


def mr_scene(stored: StoredResult, filed: Filed) -> Scene:
    """Return the image shown first and the zero-filled one, in one window, as they are stored.

    The slice is that of the first comment that hangs at one, else the middle; the window is Auto.
    What readers marked on that slice is drawn on the first image alone.

    Raises
    ------
    RefusedInputError
        No image can be drawn.
    """
    reading = open_reading(stored)
    if not reading.drawable:
        msg = "none of its images can be drawn."
        raise RefusedInputError(msg)
    result, first = reading.result, first_choice(reading.drawable)
    roles = list(dict.fromkeys([first, *(one for one in [ORIGINAL] if one in reading.drawable)]))
    pins = [pin for pin in filed.pins("voxel") if 0 <= round(pin.at[0]) < reading.n_slices]
    index = round(pins[0].at[0]) if pins else reading.n_slices // 2
    percent = reading.presets["Auto"]
    window, unit = percent.window(reading.white), reading.images[first].record.unit or "1"
    drawn = [
        fitted(
            to_uint8(_slice(pane, index), window), box=_BOX, pixel_aspect=pane.pixel_aspect or 1.0
        )
        for pane in (reading.images[role] for role in roles)
    ]
    here = [pin for pin in pins if round(pin.at[0]) == index]
    rings = filed.outlines(index)
    drawn[0] = _marked(drawn[0], _slice(reading.images[first], index).shape, rings, here)
    panes = [
        _named(picture, reading.images[role], image_title(result, role))
        for picture, role in zip(drawn, roles, strict=True)
    ]
    why = "that of the first comment at a place" if pins else "the middle one"
    unknown = unknown_words(reading)
    return Scene(
        pixels=joined(panes),
        roles=" beside ".join(roles),
        words=(
            f"Slice {index + 1} of {reading.n_slices}, {why}.",
            f"Window Auto: level {percent.level:g} %, width {percent.width:g} % of the white level "
            f"{number(reading.white, unit)}.",
            f"{', '.join(unknown).capitalize()}; drawn as stored." if unknown else _AS_STORED,
            *filed.marks(rings, here),
        ),
    )


def _slice(pane: Pane, index: int) -> Real[np.ndarray, "height width"]:
    assert pane.values is not None  # noqa: S101  it is drawable
    values: Real[np.ndarray, "height width"] = pane.values[index]
    return values


def _marked(
    picture: Pixels, stored: tuple[int, ...], rings: list[list[Point]], pins: list[Pin]
) -> Pixels:
    """Return a picture with marks, whose whole numbers are the centres of stored pixels."""
    down, across = picture.shape[0] / stored[0], picture.shape[1] / stored[1]
    lines = [[((x + 0.5) * across, (y + 0.5) * down) for x, y in ring] for ring in rings]
    places = [((pin.at[2] + 0.5) * across, (pin.at[1] + 0.5) * down) for pin in pins]
    return circled(outlined(picture, lines), places)


def _named(picture: Pixels, pane: Pane, title: str) -> Pixels:
    """Return a picture with the letters of its edges, or the word that nobody knows them."""
    if pane.record.orientation is None:
        return framed(picture, title, top="orientation unknown")
    edges = edge_letters(pane.record.orientation)
    sides = {"left": edges.left, "right": edges.right, "top": edges.top, "bottom": edges.bottom}
    return framed(picture, title, **sides)
