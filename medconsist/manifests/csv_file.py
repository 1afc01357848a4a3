"""CSV as spreadsheets and programs write it: UTF-8, commas or semicolons, quoted or not."""

import codecs
import csv
import io
import re
from collections.abc import Iterator

from medconsist.manifests.columns import COLUMNS, LONGEST_CELL
from medconsist.manifests.problem import HEADER_ROW, Problem, problem_at
from medconsist.manifests.table import Table, TableRow

__all__ = ["csv_table"]

_SEPARATORS = {",": "commas", ";": "semicolons"}
_EXCEL_HINT = re.compile(r'"?sep=(.?)"?\s*', re.IGNORECASE)
_SAVE = "save it as CSV with UTF-8 (in Excel: CSV UTF-8)"


def csv_table(data: bytes) -> Table:
    r"""Return the table that a CSV file holds, with its faults; nothing is raised.

    Empty rows are counted and left out. A byte order mark is taken off. The separator is the one
    that finds more known columns in the header.

    Examples
    --------
    >>> csv_table(b"path;case\na.svs;c1\n").notes
    ('Cells are separated by semicolons.',)
    """
    notes = list[str]()
    if data.startswith(codecs.BOM_UTF8):
        data = data.removeprefix(codecs.BOM_UTF8)
        notes.append("The file begins with a byte order mark.")
    if not data.strip():
        return _refused(None, "the file is empty; write a header with the column path and rows.")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _refused(None, f"the file is UTF-16 text, not UTF-8; {_SAVE}.")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        fault = f"byte {error.start} (0x{data[error.start]:02x}) is not UTF-8; {_SAVE}."
        return _refused(line, fault)
    problems = list[Problem]()
    first, _, rest = text.partition("\n")
    if _EXCEL_HINT.fullmatch(first):
        fault = f"{first.strip()!r} is a hint to Excel and no header; delete this line."
        problems.append(problem_at(HEADER_ROW, None, fault))
        text = rest
    return _parsed(text, problems, notes)


def _refused(row: int | None, fault: str) -> Table:
    return Table(problems=(problem_at(row, None, fault),))


def _parsed(text: str, problems: list[Problem], notes: list[str]) -> Table:
    separator = _separator(text)
    notes.append(f"Cells are separated by {_SEPARATORS[separator]}.")
    records = _records(text, separator, problems)
    header = next(records, (HEADER_ROW, ()))[1]
    named = len(header)
    fault = _header_fault(header)
    if fault:
        return Table(problems=tuple(problems) or (problem_at(HEADER_ROW, None, fault),))
    rows = list[TableRow]()
    unnamed = False
    for number, cells in records:
        full = _without_empty_end(cells, named)
        if len(full) != named:
            fault = f"{len(full)} cells, but the header has {named} columns; is a quote missing?"
            problems.append(problem_at(number, None, fault))
            continue
        unnamed = unnamed or any(cells[place] for place in _unnamed_end(header))
        rows.append((number, full))
    if not unnamed:  # spreadsheets write separators for columns that were emptied
        kept = len(header) - len(_unnamed_end(header))
        header, rows = header[:kept], [(number, cells[:kept]) for number, cells in rows]
    return Table(header, tuple(rows), tuple(problems), tuple(notes))


def _header_fault(header: tuple[str, ...]) -> str:
    if not any(header):
        return "is empty; write the names of the columns there."
    if "\t" in header[0]:
        return f"cells are separated by tabs; {_SAVE}."
    return ""


def _separator(text: str) -> str:
    """Return the separator by which the header names more known columns, else more columns."""

    def known(separator: str) -> tuple[int, int]:
        lines = io.StringIO(text[: 64 * LONGEST_CELL], newline="")
        try:
            names = next(csv.reader(lines, delimiter=separator), [])
        except csv.Error:
            return (0, 0)
        return (sum(name.strip().lower() in COLUMNS for name in names), len(names))

    return max(_SEPARATORS, key=known)


def _records(text: str, separator: str, problems: list[Problem]) -> Iterator[TableRow]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    number = HEADER_ROW - 1
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = (
                f"cannot be cut into cells ({error}); is a quote missing? Later rows are unread."
            )
            problems.append(problem_at(number, None, fault))
            return
        if number == HEADER_ROW or any(cells):
            yield number, tuple(cells)


def _without_empty_end(cells: tuple[str, ...], width: int) -> tuple[str, ...]:
    return cells[:width] if not any(cells[width:]) else cells


def _unnamed_end(header: tuple[str, ...]) -> range:
    named = max((place + 1 for place, name in enumerate(header) if name), default=0)
    return range(named, len(header))
