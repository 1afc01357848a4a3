"""Pages filled from top to bottom with text, rows and pictures, the same bytes each time."""

import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from medconsist._extras import require
from medconsist.errors import BudgetError
from medconsist.viewing.leaving.letters import Letters, in_visual_order
from medconsist.viewing.markup import NOTICE, readable
from medconsist.viewing.picture import encode_png

__all__ = ["MAX_PIXELS", "Frame", "Paper", "Picture"]

MAX_PIXELS = 1 << 24
"""Of one picture; it is drawn 17 cm wide at most."""

_WIDTH, _HEIGHT = 595.2756, 841.8898  # A4 [points]
_MARGIN = 50.0
_INSIDE = _WIDTH - 2 * _MARGIN
_BOTTOM = 62.0
_NAMES = 125.0  # width of the column of names
_TALLEST = 330.0  # of a picture
_HEADING = 30.0  # of the title of a section
_LARGEST_DOT = 4.0  # points to a pixel of a small picture
_SMALL, _NORMAL, _SPACED = 7.0, 9.0, 1.35
_LONGEST = 20_000  # twice the longest comment
_ONE_AT_A_TIME = threading.Lock()  # a font of reportlab reads its file at one place for all

_Mark = Callable[[Any], None]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What stands on every page, beside the number of the page and the notice.

    Parameters
    ----------
    title
        Of the document.
    head
        Lines above: whose it is.
    watermark
        Large and pale over everything; empty for none.

    Examples
    --------
    >>> Frame(title="Report", head=("Patient p-7",)).watermark
    ''
    """

    title: str
    head: Sequence[str]
    watermark: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture of a result, drawn by the caller.

    Parameters
    ----------
    pixels
        Grey, colour, or colour and opacity; row 0 on top.
    caption
        What it shows.
    pixel_aspect
        Height of a pixel over its width.
    is_what_if
        Whether it shows what would be if the data were others: it goes into no report.

    Examples
    --------
    >>> Picture(pixels=np.zeros((2, 3), np.uint8), caption="Slice 1").is_what_if
    False
    """

    pixels: UInt8[np.ndarray, "height width *channels"]
    caption: str
    pixel_aspect: float = 1.0
    is_what_if: bool = False


class Paper:
    """A document that grows downwards; text is shown letter by letter and never interpreted.

    Parameters
    ----------
    letters
        The font.
    frame
        What stands on every page.

    Examples
    --------
    >>> from medconsist.viewing.leaving.letters import letters
    >>> paper = Paper(letters(), Frame(title="Report", head=("Patient p-7",)))
    >>> paper.text("Read on a Monday.")
    >>> paper.pdf()[:5]
    b'%PDF-'
    """

    def __init__(self, letters: Letters, frame: Frame) -> None:
        self.letters = letters
        self.unknown: set[str] = set()
        self._frame = frame
        self._head = [line for text in frame.head for line in self._lines(text, _INSIDE, _SMALL)]
        self._top = _HEIGHT - 50.0 - _SMALL * _SPACED * len(self._head)
        self._pages: list[list[_Mark]] = [[]]
        self._y = self._top

    def heading(self, text: str) -> None:
        """Set the title of a section, on the page of what follows it."""
        self.room(60.0)
        self._y -= 8.0
        self.text(text, size=12.0, is_bold=True)
        self._y -= 2.0

    def text(self, text: str, *, size: float = _NORMAL, is_bold: bool = False) -> None:
        """Set a paragraph over the whole width."""
        for line in self._lines(text, _INSIDE, size, is_bold=is_bold):
            self._down(size)
            self._put(line, _MARGIN, size, is_bold=is_bold)

    def row(self, name: str, value: str) -> None:
        """Set a name and, beside it, its value; an empty value is a dash."""
        names = self._lines(name, _NAMES - 10.0, _NORMAL)
        values = self._lines(value or "–", _INSIDE - _NAMES, _NORMAL)
        for number in range(max(len(names), len(values))):
            self._down(_NORMAL)
            for column, left in ((names, _MARGIN), (values, _MARGIN + _NAMES)):
                if number < len(column):
                    self._put(column[number], left, _NORMAL, is_bold=column is names)

    def picture(self, picture: Picture, *, title: str = "") -> None:
        """Set a picture with its caption below it, and a title above, on one page.

        Raises
        ------
        BudgetError
            It has more than `MAX_PIXELS`.
        RefusedInputError
            It is empty, or no grey or colour picture.
        """
        if picture.pixels.size > 4 * MAX_PIXELS:
            height, width = picture.pixels.shape[:2]
            msg = f"a picture of {height} x {width} pixels does not go into a report, at most "
            msg += f"{MAX_PIXELS} do. Draw it smaller."
            raise BudgetError(msg)
        png = encode_png(picture.pixels, pixel_aspect=picture.pixel_aspect)
        drawn = require("reportlab.lib.utils", extra="viewer").ImageReader(io.BytesIO(png))
        width, height = drawn.getSize()
        scale = min(_INSIDE / width, _TALLEST / height, _LARGEST_DOT)
        caption = self._lines(picture.caption, _INSIDE, _NORMAL)
        above = _HEADING if title else 0.0
        self.room(above + scale * height + _NORMAL * _SPACED * len(caption) + 12.0)
        if title:
            self.heading(title)
        self._y -= scale * height + 4.0
        box = (_MARGIN, self._y, scale * width, scale * height)
        self._mark(lambda canvas: canvas.drawImage(drawn, *box, mask="auto"))
        self.text(picture.caption)
        self._y -= 8.0

    def room(self, height: float) -> None:
        """Begin a page where less than this is left of one that has something on it."""
        if self._y - height < _BOTTOM and self._pages[-1]:
            self._pages.append([])
            self._y = self._top

    def pdf(self) -> bytes:
        """Return the document; the same content is the same bytes."""
        stream = io.BytesIO()
        with _ONE_AT_A_TIME:
            canvas = require("reportlab.pdfgen.canvas", extra="viewer").Canvas(
                stream, pagesize=(_WIDTH, _HEIGHT), invariant=1, pageCompression=1, lang="en"
            )
            canvas.setTitle(self._frame.title)
            canvas.setAuthor("medconsist")
            canvas.setSubject(NOTICE)
            for number, marks in enumerate(self._pages, start=1):
                for mark in [*marks, *self._framed(f"page {number} of {len(self._pages)}")]:
                    mark(canvas)
                canvas.showPage()
            canvas.save()
        return stream.getvalue()

    def _lines(self, text: str, width: float, size: float, *, is_bold: bool = False) -> list[str]:
        lines = []
        for part in text.replace("\r\n", "\n").split("\n"):
            shown = readable(part, limit=_LONGEST)
            self.unknown.update(one for one in shown if ord(one) not in self.letters.known)
            lines += self.letters.wrapped(
                self.letters.printable(shown), width=width, size=size, is_bold=is_bold
            )
        return lines

    def _down(self, size: float) -> None:
        self.room(size * _SPACED)
        self._y -= size * _SPACED

    def _put(self, line: str, left: float, size: float, *, is_bold: bool) -> None:
        self._mark(_written(self.letters.face(is_bold=is_bold), size, left, self._y, line))

    def _mark(self, mark: _Mark) -> None:
        self._pages[-1].append(mark)

    def _framed(self, number: str) -> list[_Mark]:
        regular, bold = self.letters.regular, self.letters.bold
        top = _HEIGHT - 36.0
        marks = [
            _written(regular, _SMALL, _MARGIN, top - _SMALL * _SPACED * place, line)
            for place, line in enumerate(self._head)
        ]
        marks.append(_written(bold, 8.0, _MARGIN, 36.0, NOTICE))
        marks.append(lambda canvas: _numbered(canvas, regular, number))
        if self._frame.watermark:
            marks.append(lambda canvas: _watermark(canvas, bold, self._frame.watermark))
        return marks


def _written(face: str, size: float, left: float, y: float, line: str) -> _Mark:
    def mark(canvas: Any) -> None:  # noqa: ANN401  reportlab comes with the viewer
        canvas.setFont(face, size)
        canvas.drawString(left, y, in_visual_order(line))

    return mark


def _numbered(canvas: Any, face: str, number: str) -> None:  # noqa: ANN401
    canvas.setFont(face, 8.0)
    canvas.drawRightString(_WIDTH - _MARGIN, 36.0, number)
    canvas.setLineWidth(0.5)
    canvas.line(_MARGIN, 48.0, _WIDTH - _MARGIN, 48.0)


def _watermark(canvas: Any, face: str, words: str) -> None:  # noqa: ANN401
    canvas.saveState()
    canvas.setFillGray(0.5, alpha=0.35)  # seen on white and on black, and what is below it too
    canvas.translate(_WIDTH / 2, _HEIGHT / 2)
    canvas.rotate(50)
    canvas.setFont(face, 110)
    canvas.drawCentredString(0, -30, words)
    canvas.restoreState()
