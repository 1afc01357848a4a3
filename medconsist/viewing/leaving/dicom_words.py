"""Words of people and programs as DICOM holds them, hostile ones made visible."""

from typing import Any

from medconsist._extras import require
from medconsist.mri.formats.dicom_text import text
from medconsist.viewing.markup import readable

__all__ = ["SCHEME", "coded", "long_string", "person_name", "unit_code", "unlimited"]

SCHEME = "99MEDCONSIST"
"""Designator of the codes of this program; those of a site begin with 99 (PS3.3 8.2)."""

_LONGEST_LO = 64  # characters, not bytes (PS3.5 6.2)
_LONGEST_TEXT = 20_000  # twice the longest comment
_NAME_MARKS = str.maketrans({"^": " ", "=": " "})  # they part the components of a name
_UNITS = {"1": "no units", "mm": "mm", "ms": "ms", "s": "s", "mV": "mV", "Hz": "Hz", "%": "percent"}


def long_string(value: str, longest: int = _LONGEST_LO) -> str:
    r"""Return one line that fits the values LO and SH; a longer one ends in an ellipsis.

    Control characters and overrides of direction become U+FFFD, backslashes (they part values)
    slashes. Nothing at all is a dash, as most such values must hold something.

    Examples
    --------
    >>> long_string("a\\b\x00"), long_string("x" * 70)[-2:], long_string(" ")
    ('a/b�', 'x…', '–')
    """
    return text(readable(value.strip(), limit=longest), longest).strip() or "–"


def unlimited(value: str) -> str:
    r"""Return text for the value UT: every letter stays, lines end with CR LF.

    Control characters and overrides of direction become U+FFFD, so that a reader sees that
    something was there; a backslash is a letter here.

    Examples
    --------
    >>> unlimited("a\\b\nc\x1b")
    'a\\b\r\nc�'
    """
    lines = value.replace("\r\n", "\n").split("\n")
    shown = "\r\n".join(readable(line, limit=_LONGEST_TEXT) for line in lines)
    return shown if shown.strip() else "–"


def person_name(value: str) -> str:
    """Return a printed name as the family name of the value PN, at most 64 characters.

    Which part is the family name is not known, so that none is cut off as one.

    Examples
    --------
    >>> person_name("A. Reader^=B")
    'A. Reader  B'
    """
    return long_string(value.translate(_NAME_MARKS), _LONGEST_LO - 1)


def coded(value: str, meaning: str = "") -> Any:  # noqa: ANN401  a class of highdicom
    """Return a code of this program.

    Parameters
    ----------
    value
        Name that programs compare.
    meaning
        What people read; empty for the value with blanks.

    Examples
    --------
    >>> coded("withheld_error").meaning
    'withheld error'
    """
    concept = require("highdicom.sr", extra="dicom").CodedConcept
    said = long_string(meaning or value.replace("_", " "))
    return concept(long_string(value, 200), SCHEME, said)


def unit_code(unit: str) -> Any:  # noqa: ANN401  a class of highdicom
    """Return a unit as a code of UCUM; one that UCUM does not know is an annotation in braces.

    Examples
    --------
    >>> unit_code("1").meaning, unit_code("sigma^2").value
    ('no units', '{sigma^2}')
    """
    concept = require("highdicom.sr", extra="dicom").CodedConcept
    unit = unit.strip() or "1"
    if unit in _UNITS:
        return concept(unit, "UCUM", _UNITS[unit])
    plain = "".join(one if "!" <= one <= "~" and one not in "{}\\" else "_" for one in unit)
    return concept(f"{{{plain[:100]}}}", "UCUM", long_string(unit))
