"""What pictures that leave are drawn with: fitting, frames, marks, and words beside the pixels.

The same call gives the same pixels where the same version of Pillow is installed.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import UInt8

from medconsist._extras import require
from medconsist.viewing.leaving.letters import small_faces

__all__ = ["Pixels", "Point", "banded", "circled", "face", "fitted", "framed", "joined", "outlined"]
__all__ += ["ruled"]

Pixels = UInt8[np.ndarray, "_ _ 3"]
Point = tuple[float, float]
"""Column and row of a drawn picture [px], from the corner of its first pixel."""

_SIZE, _LINE, _MARGIN = 13, 18, 6  # of letters [px]
_CASING = (0, 0, 0)
_SHAPE, _PIN = (86, 180, 233), (240, 228, 66)  # Okabe and Ito's, apart for every colour vision
_RADIUS = 8


@cache
def face(size: int, *, is_bold: bool = False) -> Any:  # noqa: ANN401  a class of Pillow
    """Return the font of a height [px], laid out letter by letter on every machine."""
    fonts, faces = require("PIL.ImageFont", extra="viewer"), small_faces()
    path = faces.bold if is_bold else faces.regular
    return fonts.truetype(str(path), size, layout_engine=fonts.Layout.BASIC)


def fitted(
    picture: UInt8[np.ndarray, "rows columns *channels"],
    *,
    box: tuple[int, int],
    pixel_aspect: float = 1.0,
) -> Pixels:
    """Return a picture as large as a box of height and width allows, with square pixels.

    A smaller one is repeated a whole number of times, so that no value is invented; of a larger one
    the mean of what falls on a pixel is drawn.
    """
    image = require("PIL.Image", extra="viewer")
    rows, columns = picture.shape[:2]
    tall, wide = rows * max(pixel_aspect, 1.0), columns * max(1 / pixel_aspect, 1.0)
    scale = min(box[0] / tall, box[1] / wide)
    scale = float(int(scale)) if scale >= 1 else scale
    size = max(round(wide * scale), 1), max(round(tall * scale), 1)
    how = image.Resampling.NEAREST if scale >= 1 else image.Resampling.BOX
    return np.array(image.fromarray(picture).convert("RGB").resize(size, how))


def outlined(picture: Pixels, rings: Sequence[Sequence[Point]]) -> Pixels:
    """Return a picture with closed lines on it, in a colour with a dark casing."""
    canvas, pen = _pen(picture)
    for colour, width in ((_CASING, 6), (_SHAPE, 3)):
        for ring in rings:
            pen.line([*ring, ring[0]], fill=colour, width=width, joint="curve")
    return np.array(canvas)


def circled(picture: Pixels, places: Sequence[Point]) -> Pixels:
    """Return a picture with a circle about each place; the place itself stays as it is."""
    canvas, pen = _pen(picture)
    for x, y in places:
        for colour, width, radius in ((_CASING, 6, _RADIUS + 2), (_PIN, 3, _RADIUS)):
            box = (x - radius, y - radius, x + radius, y + radius)
            pen.ellipse(box, outline=colour, width=width)
    return np.array(canvas)


def framed(
    picture: Pixels,
    title: str,
    *,
    left: str = "",
    right: str = "",
    top: str = "",
    bottom: str = "",
) -> Pixels:
    """Return a picture in a black frame with a title and a word at each edge, outside of it."""
    height, width = picture.shape[:2]
    side = max(_length(word) for word in (left, right)) + 2 * _MARGIN
    lines = _wrapped(title, width + 2 * side - 2 * _MARGIN)
    above = _LINE * (len(lines) + bool(top)) + _MARGIN
    below = (_LINE if bottom else 0) + _MARGIN
    black = np.zeros((above + height + below, width + 2 * side, 3), np.uint8)
    black[above : above + height, side : side + width] = picture
    canvas, pen = _pen(black)
    for number, line in enumerate(lines):
        pen.text((_MARGIN, number * _LINE + 2), line, font=face(_SIZE, is_bold=True), fill="white")
    middle, centre = above + height / 2 - _SIZE / 2, side + width / 2
    words = [(left, _MARGIN, middle), (right, side + width + _MARGIN, middle)]
    words += [(top, centre - _length(top) / 2, above - _LINE)]
    words += [(bottom, centre - _length(bottom) / 2, above + height + 2)]
    for word, x, y in words:
        pen.text((round(x), round(y)), word, font=face(_SIZE), fill="white")
    return np.array(canvas)


def ruled(picture: Pixels, length: float, words: str) -> Pixels:
    """Return a picture with a bar of a length [px] and its words below it."""
    black = np.zeros((_LINE + 2 * _MARGIN, picture.shape[1], 3), np.uint8)
    canvas, pen = _pen(black)
    end = _MARGIN + round(length)
    pen.rectangle((_MARGIN, _LINE // 2 + 4, end - 1, _LINE // 2 + 7), fill="white")
    pen.text((end + _MARGIN, _MARGIN), words, font=face(_SIZE), fill="white")
    return np.concatenate([picture, np.array(canvas)])


def joined(pictures: Sequence[Pixels]) -> Pixels:
    """Return pictures side by side, upper edges in a line."""
    height = max(one.shape[0] for one in pictures)
    padded = [np.pad(one, ((0, height - one.shape[0]), (0, 0), (0, 0))) for one in pictures]
    return np.concatenate(padded, axis=1)


def banded(picture: Pixels, words: Sequence[str], *, least: int = 420) -> Pixels:
    """Return a picture with lines of white words on black burned in below it.

    Parameters
    ----------
    picture
        None of its pixels is changed; it stands at the upper left.
    words
        A line each, wrapped where it is too long.
    least
        Width [px] that a narrower picture is padded to.
    """
    width = max(picture.shape[1], least)
    lines = [line for one in words for line in _wrapped(one, width - 2 * _MARGIN)]
    band = np.zeros((_LINE * len(lines) + 2 * _MARGIN, width, 3), np.uint8)
    canvas, pen = _pen(band)
    for number, line in enumerate(lines):
        at = (_MARGIN, _MARGIN + number * _LINE)
        pen.text(at, line, font=face(_SIZE, is_bold=number == 0), fill="white")
    wide = np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)))
    return np.concatenate([wide, np.array(canvas)])


def _pen(picture: Pixels) -> tuple[Any, Any]:
    canvas = require("PIL.Image", extra="viewer").fromarray(picture)
    return canvas, require("PIL.ImageDraw", extra="viewer").Draw(canvas)


def _length(words: str) -> int:
    return int(face(_SIZE, is_bold=True).getlength(words)) + 1 if words else 0


def _wrapped(words: str, width: int) -> list[str]:
    lines = [""]
    for word in _broken(words.split(), width):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _length(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _broken(words: Iterable[str], width: int) -> Iterator[str]:
    """Yield words, in pieces where one is longer than a line: of an id no letter may be cut off."""
    for word in words:
        piece = ""
        for letter in word:
            if piece and _length(piece + letter) > width:
                yield piece
                piece = ""
            piece += letter
        yield piece
