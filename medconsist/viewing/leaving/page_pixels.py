"""A page of the program's own SVG as pixels, without a browser: the same page is the same pixels.

Only what `medconsist.viewing.traces` writes is known here: rectangles, straight paths, text, and a
part that is cut at its box. Anything else is refused, so that nothing is left out in silence.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from math import sqrt
from typing import Any

import numpy as np

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.viewing.leaving.drawing import Pixels, face

__all__ = ["page_pixels"]

_FINER = 3  # drawn larger, then averaged, for smooth lines
_TOKEN = re.compile(r"[A-Za-z]|-?[0-9]+(?:\.[0-9]+)?")
_MOVES = {"M": 2, "L": 2, "H": 1, "V": 1, "h": 1, "v": 1}
_NAMESPACE = "{http://www.w3.org/2000/svg}"


def page_pixels(page: str, *, most: int = 900_000) -> Pixels:
    """Return a page of `medconsist.viewing.traces.document` in colour.

    Parameters
    ----------
    page
        SVG whose unit is the millimetre.
    most
        Pixels; the page has about so many, whatever its size.

    Raises
    ------
    RefusedInputError
        The page holds an element or a command of a path that is not known.
    """
    image = require("PIL.Image", extra="viewer")
    root = ET.fromstring(page)  # noqa: S314  our own text, not a file of somebody
    _, _, width, height = (float(side) for side in root.attrib["viewBox"].split())
    scale = _FINER * sqrt(most / (width * height))
    canvas = image.new("RGB", (int(width * scale), int(height * scale)), "white")
    _draw_all(canvas, root, scale)
    return np.array(canvas.reduce(_FINER))


def _draw_all(canvas: Any, parent: ET.Element, scale: float) -> None:  # noqa: ANN401
    pen = require("PIL.ImageDraw", extra="viewer").Draw(canvas)
    for element in parent:
        said = element.attrib
        match element.tag.removeprefix(_NAMESPACE):
            case "title":
                pass
            case "svg":
                _draw_cut(canvas, element, scale)
            case "rect":
                left, top = (scale * float(said.get(side, "0")) for side in "xy")
                right, bottom = (scale * float(said[side]) for side in ("width", "height"))
                box = (left, top, left + right, top + bottom)
                width = _width(said, scale)
                pen.rectangle(box, fill=said["fill"], outline=said.get("stroke"), width=width)
            case "path":
                for run in _runs(said["d"]):
                    points = [(scale * x, scale * y) for x, y in run]
                    width = _width(said, scale)
                    pen.line(points, fill=said["stroke"], width=width, joint="curve")
            case "text":
                font = face(
                    round(scale * float(said["font-size"])),
                    is_bold=said.get("font-weight") == "bold",
                )
                at = (scale * float(said["x"]), scale * float(said["y"]))
                pen.text(at, element.text or "", font=font, fill=said["fill"], anchor="ls")
            case other:
                msg = f"a page holds <{other[:40]}>, which is not drawn here; add it to _draw_all."
                raise RefusedInputError(msg)


def _draw_cut(canvas: Any, element: ET.Element, scale: float) -> None:  # noqa: ANN401
    """Draw a part whose own unit and origin are those of the page, cut at its box."""
    left, top, width, height = (float(side) for side in element.attrib["viewBox"].split())
    box = [round(scale * side) for side in (left, top, left + width, top + height)]
    whole = canvas.copy()
    _draw_all(whole, element, scale)
    canvas.paste(whole.crop(box), box[:2])


def _width(said: dict[str, str], scale: float) -> int:
    return max(round(scale * float(said.get("stroke-width", "0"))), 1)


def _runs(data: str) -> Iterator[list[tuple[float, float]]]:
    """Yield the corners of each unbroken line of a path."""
    tokens = _TOKEN.findall(data)
    run: list[tuple[float, float]] = []
    command, place, x, y = "", 0, 0.0, 0.0
    while place < len(tokens):
        if tokens[place].isalpha():
            command, place = tokens[place], place + 1
        if command not in _MOVES:
            msg = f"a path of a page holds the command {command!r}; allowed: {', '.join(_MOVES)}."
            raise RefusedInputError(msg)
        numbers = [float(one) for one in tokens[place : place + _MOVES[command]]]
        place += _MOVES[command]
        match command, numbers:
            case "M" | "L", [x, y]:
                pass
            case "H", [x]:
                pass
            case "V", [y]:
                pass
            case "h", [step]:
                x += step
            case "v", [step]:
                y += step
        if command == "M" and run:
            yield run
            run = []
        run.append((x, y))
    if run:
        yield run
