"""The columns of a case manifest: what each may hold, and one sentence for a cell that is wrong."""

import math
import re
from collections.abc import Callable
from types import MappingProxyType

from medconsist._ids import is_id, nearest

__all__ = [
    "COLUMNS",
    "IDS",
    "LONGEST_CELL",
    "OWN_PREFIX",
    "PLAUSIBLE_MPP",
    "cell_fault",
    "column_fault",
    "is_own",
]

IDS = ("patient", "case", "item")
COLUMNS = ("path", *IDS, "sha256", "site", "mpp", "label", "split")
OWN_PREFIX = "x_"
LONGEST_CELL = 4096  # characters; no path of Linux is longer
PLAUSIBLE_MPP = (0.05, 20.0)  # from 200x immersion to a 0.5x overview; a 72-dpi tag says 352.78

_SPLIT = re.compile(r"train|validation|test|fold-(0|[1-9][0-9]?)")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_FORMULA = ("=", "+", "-", "@")
_SHOWN = 40


def is_own(column: str) -> bool:
    """Say whether this is a column of the user's own: it begins with ``x_``."""
    return column.startswith(OWN_PREFIX) and column != OWN_PREFIX


def column_fault(column: str) -> str:
    """Return what is wrong with the name of a column, or an empty text.

    Examples
    --------
    >>> column_fault("pacient")
    "is not known. Did you mean 'patient'? A column of your own begins with x_."
    """
    if column in COLUMNS or (is_own(column) and column.isprintable()):
        return ""
    if not column.strip():
        return "has no name; name it, or delete it."
    hint = nearest(column.strip().lower(), COLUMNS)
    return f"is not known. {hint} A column of your own begins with {OWN_PREFIX}."


def cell_fault(column: str, cell: str) -> str:
    """Return what is wrong with a cell, by itself, or an empty text.

    Examples
    --------
    >>> cell_fault("mpp", "0,25")
    "'0,25' is no number: write 0.25."
    >>> cell_fault("site", "")
    ''
    """
    if not cell:
        return "is empty; name a file." if column == "path" else ""
    general = _text_fault(cell)
    if general or column not in _FAULTS:
        return general or _formula_fault(cell)
    return _FAULTS[column](cell)


def _text_fault(cell: str) -> str:
    if len(cell) > LONGEST_CELL:
        return f"holds {len(cell)} characters, allowed are {LONGEST_CELL}; is a quote missing?"
    if "\0" in cell:
        return f"holds a NUL byte: {_shown(cell)}; write the table again as UTF-8 text."
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in cell):
        return f"holds a line break or control character: {_shown(cell)}; write it on one line."
    if cell != cell.strip():
        return f"has blanks around it: {_shown(cell)}; write {_shown(cell.strip())}."
    return ""


def _formula_fault(cell: str) -> str:
    if cell.startswith(_FORMULA) and not _is_number(cell):
        return f"{_shown(cell)} is a formula to a spreadsheet; begin it with a letter or digit."
    return ""


def _path_fault(cell: str) -> str:
    if cell.startswith(_FORMULA):
        return f"{_shown(cell)} is a formula to a spreadsheet; write {_shown('./' + cell)}."
    if "://" in cell:
        return f"{_shown(cell)} is an address; fetch the file and write where it lies."
    return ""


def _id_fault(cell: str) -> str:
    if is_id(cell):
        return ""
    return (
        f"{_shown(cell)} is no safe id; allowed are 1 to 128 letters, digits, '.', '_' and '-', "
        "beginning with a letter or digit (and not current, result.json, history.jsonl)."
    )


def _sha256_fault(cell: str) -> str:
    if _SHA256.fullmatch(cell):
        return ""
    return f"{_shown(cell)} is no sha256: 64 digits of 0-9 and a-f are; sha256sum prints them."


def _mpp_fault(cell: str) -> str:
    if not _is_number(cell):
        point = cell.replace(",", ".")
        repair = f"write {point}" if _is_number(point) else "write microns per pixel, e.g. 0.25"
        return f"{_shown(cell)} is no number: {repair}."
    low, high = PLAUSIBLE_MPP
    value = float(cell)
    if value <= 0 or math.isnan(value):
        return f"{cell} is not positive; write microns per pixel, e.g. 0.25, or leave it empty."
    if not low <= value <= high:
        return f"{cell} microns per pixel cannot be right; plausible is {low} to {high}."
    return ""


def _split_fault(cell: str) -> str:
    if _SPLIT.fullmatch(cell):
        return ""
    allowed = "train, validation, test, or fold-0, fold-1 ... fold-99"
    return f"{_shown(cell)} is no split; allowed are {allowed}."


def _is_number(cell: str) -> bool:
    if not cell.isascii() or "_" in cell:  # float() takes 0_5 and digits of other scripts
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]}...")


_FAULTS: MappingProxyType[str, Callable[[str], str]] = MappingProxyType(
    {
        "path": _path_fault,
        **dict.fromkeys(IDS, _id_fault),
        "sha256": _sha256_fault,
        "mpp": _mpp_fault,
        "split": _split_fault,
    }
)
