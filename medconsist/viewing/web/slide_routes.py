"""What the slide screen asks for beside tiles: numbers of maps, small pictures, label and macro.

====================================  ==========================================================
``values/{role}``                     a map of the slide as numbers, float32, row by row
``slide/region.jpg``                  a rectangle of level 0, ``x y w h``, drawn small
``slide/associated/{name}.jpg``       label or macro image, for a ticket of the purpose `identity`;
                                      the look is in the audit chain before it is given
====================================  ==========================================================
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.results.store import StoredResult
from medconsist.viewing.web.desk import Desk
from medconsist.viewing.web.slide_tiles import SlideTiles, encode_jpeg
from medconsist.wsi.readers.openslide_reader import OpenSlideSlide

__all__ = ["REGION_PX", "SLIDE_IDENTITY", "slide_paths"]

REGION_PX = 160
"""A small picture is so many pixels wide or more, where the slide has them."""

_ASSOCIATED = "slide/associated/{name}.jpg"

SLIDE_IDENTITY = {_ASSOCIATED: "{name} image"}
"""Addresses that may show who the patient is, and what a look at each is in the audit chain."""

_MOST_PX = 2048  # of a slide without small levels
_SIDE_PX = 2000  # longer side of a label or macro image: what is written there can be read

Work = Callable[[StoredResult, Any], tuple[bytes, str]]


def slide_paths(desk: Desk) -> dict[str, Work]:
    """Return the addresses below a result, each with what it gives.

    Parameters
    ----------
    desk
        Opens slides.
    """

    def region(stored: StoredResult, request: Any) -> tuple[bytes, str]:  # noqa: ANN401  starlette
        box = _box(request.query_params)
        return region_jpeg(desk.slide(stored), box), "image/jpeg"

    def associated(stored: StoredResult, request: Any) -> tuple[bytes, str]:  # noqa: ANN401
        desk.slide(stored)  # checked before it is opened, and few at a time
        name = request.path_params["name"]
        return associated_jpeg(desk.slide_file(stored), name), "image/jpeg"

    return {"values/{role}": _values, "slide/region.jpg": region, _ASSOCIATED: associated}


def region_jpeg(tiles: SlideTiles, box: tuple[float, float, float, float]) -> bytes:
    """Return a rectangle as JPEG, from the coarsest level that still shows it.

    Parameters
    ----------
    tiles
        Of the slide.
    box
        x, y, width, height [level-0 px]; what lies outside is white.

    Raises
    ------
    RefusedInputError
        It is none, or larger than a small picture can show.
    """
    x, y, width, height = box
    levels = tiles.slide.facts.levels
    base = levels[0]
    chosen = max(
        (number for number, one in enumerate(levels) if _across(one.width, base.width, width)),
        default=0,
    )
    level = levels[chosen]
    across, down = level.width / base.width, level.height / base.height
    left, top = round(x * across), round(y * down)
    size = max(1, round(width * across)), max(1, round(height * down))
    if max(size) > _MOST_PX:
        msg = f"a region of {width:g} x {height:g} px is no small picture; ask for its tiles."
        raise RefusedInputError(msg)
    return tiles.region(chosen, (left, top, *size))


def associated_jpeg(path: Path, name: str) -> bytes:
    """Return the label or macro image, decoded and encoded anew: no bytes of the file leave.

    It is read through a handle of its own, as the direct engine has none and another slide that
    came to the place of an open one must not lend its label.

    Raises
    ------
    MissingInputError
        The slide has none of this name.
    BudgetError, CorruptInputError
        It is too large, or cannot be decoded.
    """
    with closing(OpenSlideSlide(path, handles=1)) as reader:
        return encode_jpeg(reader.associated(name, side=_SIDE_PX))


def _across(level: int, base: int, width: float) -> bool:
    return width * level / base >= REGION_PX


def _values(stored: StoredResult, request: Any) -> tuple[bytes, str]:  # noqa: ANN401  starlette
    role = request.path_params["role"]
    if role not in stored.roles():
        msg = "this result has no such array."
        raise MissingInputError(msg)
    record = stored.record(role)
    if record.dtype != "float32" or len(record.shape) != 2 or record.place is None:
        msg = f"{role} is no map of a slide."
        raise MissingInputError(msg)
    values = np.ascontiguousarray(stored.array(role), dtype="<f4")
    return values.tobytes(), "application/octet-stream"


def _box(query: Any) -> tuple[float, float, float, float]:  # noqa: ANN401  starlette
    try:
        x, y, width, height = (float(query[name]) for name in "xywh")
    except (KeyError, ValueError) as error:
        msg = "a region needs x, y, w and h, all numbers."
        raise RefusedInputError(msg) from error
    limit = 2.0**31  # no slide is wider, and beyond it a reader would overflow
    if not (abs(x) < limit and abs(y) < limit and 0 < width < limit and 0 < height < limit):
        msg = "a region lies on the slide and has a width and a height above 0."
        raise RefusedInputError(msg)
    return x, y, width, height
