"""What the slide screen asks for beside tiles: numbers of maps, and small pictures of places.

====================================  ==========================================================
``values/{role}``                     a map of the slide as numbers, float32, row by row
``slide/region.jpg``                  a rectangle of level 0, ``x y w h``, drawn small
====================================  ==========================================================
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from medconsist.errors import CorruptInputError, MissingInputError, RefusedInputError
from medconsist.results.store import StoredResult
from medconsist.viewing.web.desk import Desk
from medconsist.viewing.web.slide_tiles import encode_jpeg, unreadable_tile
from medconsist.wsi.slide import Slide

__all__ = ["REGION_PX", "slide_paths"]

REGION_PX = 160
"""A small picture is so many pixels wide or more, where the slide has them."""

_MOST_PX = 2048  # of a slide without small levels

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
        return region_jpeg(desk.slide(stored).slide, box), "image/jpeg"

    return {"values/{role}": _values, "slide/region.jpg": region}


def region_jpeg(slide: Slide, box: tuple[float, float, float, float]) -> bytes:
    """Return a rectangle as JPEG, from the coarsest level that still shows it.

    Parameters
    ----------
    slide
        Open.
    box
        x, y, width, height [level-0 px]; what lies outside is white.

    Raises
    ------
    RefusedInputError
        It is none, or larger than a small picture can show.
    """
    x, y, width, height = box
    base, levels = slide.facts.levels[0], slide.facts.levels
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
    try:
        return encode_jpeg(slide.read_region(chosen, left, top, *size))
    except CorruptInputError:
        return unreadable_tile(*size)


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
