"""The letters of a report: a font that holds most scripts, and what is done where it does not."""

import importlib.util
import re
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from medconsist._extras import require

__all__ = ["Faces", "Letters", "in_visual_order", "letters", "registered", "wide_faces"]
__all__ += ["small_faces"]

_MIRROR = dict(zip("()[]{}<>«»", ")(][}{><»«", strict=True))
_CLASSES = {"R": "R", "AL": "R", "L": "L", "EN": "n", "AN": "n", "CS": "c", "ES": "c"}
_ONCE = threading.Lock()


@dataclass(frozen=True)
class Faces:
    """Where the two faces of a font lie.

    Parameters
    ----------
    name
        Of the font, in the file too.
    regular, bold
        TrueType files.

    Examples
    --------
    >>> Faces("Vera", Path("Vera.ttf"), Path("VeraBd.ttf")).name
    'Vera'
    """

    name: str
    regular: Path
    bold: Path


@dataclass(frozen=True)
class Letters:
    """A font that reportlab knows.

    Parameters
    ----------
    regular, bold
        Names of its faces.
    known
        Code points that both can draw.

    Examples
    --------
    >>> Letters("Vera", "Vera-Bold", frozenset({65})).printable("A\N{GREEK SMALL LETTER BETA}")
    'A[U+03B2]'
    """

    regular: str
    bold: str
    known: frozenset[int]

    def face(self, *, is_bold: bool) -> str:
        """Return the name of a face."""
        return self.bold if is_bold else self.regular

    def printable(self, text: str) -> str:
        """Return the text with the Unicode number in place of each letter that has no shape."""
        return "".join(one if ord(one) in self.known else f"[U+{ord(one):04X}]" for one in text)

    def wrapped(self, text: str, *, width: float, size: float, is_bold: bool = False) -> list[str]:
        """Return the lines that text takes; a word that is wider than a line is cut.

        Parameters
        ----------
        text
            Without line breaks, `printable`.
        width, size
            Of a line and of the letters, in points.
        is_bold
            Which face.
        """
        font = require("reportlab.pdfbase.pdfmetrics", extra="viewer").getFont(
            self.face(is_bold=is_bold)
        )
        lines, used = [""], 0.0
        for piece in _pieces(text, width, lambda part: font.stringWidth(part, size)):
            wide = font.stringWidth(piece.rstrip(" "), size)
            if lines[-1] and used + wide > width:
                lines.append("")
                used = 0.0
            lines[-1] += piece
            used += font.stringWidth(piece, size)
        return lines


def letters() -> Letters:
    """Return the font of all reports: DejaVu Sans where it is installed, else Bitstream Vera."""
    with _ONCE:  # registered anew, a font would change under a report that another thread writes
        return _letters()


@cache
def _letters() -> Letters:
    return registered(wide_faces() or small_faces())


def wide_faces() -> Faces | None:
    """Return DejaVu Sans (Latin, Greek, Cyrillic, Hebrew, Arabic ...) as matplotlib brings it.

    None without matplotlib, which comes with the extra ``timeseries``; it is not imported.
    """
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    faces = Faces("DejaVuSans", folder / "DejaVuSans.ttf", folder / "DejaVuSans-Bold.ttf")
    return faces if faces.regular.is_file() and faces.bold.is_file() else None


def small_faces() -> Faces:
    """Return Bitstream Vera (western Latin), which reportlab brings."""
    folder = Path(str(require("reportlab", extra="viewer").__file__)).parent / "fonts"
    return Faces("Vera", folder / "Vera.ttf", folder / "VeraBd.ttf")


def registered(faces: Faces) -> Letters:
    """Make a font known to reportlab, which embeds the letters that a report uses."""
    ttfonts = require("reportlab.pdfbase.ttfonts", extra="viewer")
    metrics = require("reportlab.pdfbase.pdfmetrics", extra="viewer")
    fonts = [
        ttfonts.TTFont(faces.name, str(faces.regular)),
        ttfonts.TTFont(f"{faces.name}-Bold", str(faces.bold)),
    ]
    for font in fonts:
        metrics.registerFont(font)
    known = [set(font.face.charToGlyph) for font in fonts]
    return Letters(fonts[0].fontName, fonts[1].fontName, frozenset(known[0] & known[1]))


def in_visual_order(line: str) -> str:
    """Return a line whose right-to-left stretches are turned round, to be drawn from the left.

    The Unicode bidirectional algorithm (UAX 9) for a left-to-right paragraph without nesting:
    numbers keep their order, marks stay on their letters, brackets are mirrored. Arabic letters
    are not joined.
    """
    clusters = _clusters(line)
    classes = "".join(_CLASSES.get(unicodedata.bidirectional(one[0]), "N") for one in clusters)
    for found in re.finditer("R(?:[RncN]*[Rn])?", classes):
        start, end = found.start(), _with_brackets(clusters, *found.span())
        turned = [_MIRROR.get(one, one) for one in reversed(clusters[start:end])]
        for number in re.finditer("n(?:c?n)*", classes[start:end][::-1]):
            first, last = number.span()
            turned[first:last] = reversed(turned[first:last])
        clusters[start:end] = turned
    return "".join(clusters)


def _with_brackets(clusters: list[str], start: int, end: int) -> int:
    """Return the end of a stretch with the brackets behind it that were opened in it."""
    opened = "".join(clusters[start:end])
    while clusters[end:] and (closing := clusters[end]) in _MIRROR:
        if opened.count(_MIRROR[closing]) <= opened.count(closing):
            break
        opened += closing
        end += 1
    return end


def _clusters(line: str) -> list[str]:
    """Return the letters, each with the marks that stand on it."""
    clusters: list[str] = []
    for one in line:
        if clusters and unicodedata.combining(one):
            clusters[-1] += one
        else:
            clusters.append(one)
    return clusters


def _pieces(text: str, width: float, measured: Callable[[str], float]) -> list[str]:
    """Return words with the blanks behind them, those that fit no line cut into several."""
    pieces = []
    for word in re.findall("[^ ]+ *| +", text):
        piece, used = "", 0.0
        for letter in word:
            wide = measured(letter)
            if piece and letter != " " and used + wide > width:
                pieces.append(piece)
                piece, used = "", 0.0
            piece += letter
            used += wide
        pieces.append(piece)
    return pieces
