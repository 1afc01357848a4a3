"""Write a case manifest: CSV that reads back as the same rows."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

from medconsist._atomic import atomic_write_bytes, make_folder
from medconsist.errors import RefusedInputError
from medconsist.manifests.cases import CaseRow
from medconsist.manifests.columns import COLUMNS, cell_fault, column_fault
from medconsist.manifests.problem import HEADER_ROW, problem_at

__all__ = ["manifest_bytes", "write_case_manifest"]


def write_case_manifest(rows: Sequence[CaseRow], path: Path) -> None:
    """Write rows as CSV (UTF-8, commas), whole or not at all; paths become relative to it.

    Raises
    ------
    RefusedInputError
        A cell would not read back, or the name does not end with .csv.
    StorageError
        The file could not be written; what was there stays.
    """
    data = manifest_bytes(rows, path)
    make_folder(path.parent)
    atomic_write_bytes(path, data)


def manifest_bytes(rows: Sequence[CaseRow], path: Path) -> bytes:
    """Return what `write_case_manifest` writes; columns without any cell are left out."""
    if path.suffix.lower() != ".csv":
        msg = f"{path}: manifests are written as .csv; give the file a name that ends so."
        raise RefusedInputError(msg)
    folder = path.parent.resolve()
    cells = [_cells(row, folder) for row in rows]
    own = sorted({name for row in rows for name in row.own})
    filled = [name for name in (*COLUMNS, *own) if any(row.get(name) for row in cells)]
    header = filled or ["path"]
    _require_sound(header, cells)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, header, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    return text.getvalue().encode()


def _cells(row: CaseRow, folder: Path) -> dict[str, str]:
    values = {name: getattr(row, name) for name in COLUMNS if name != "path"}
    cells = {name: "" if value is None else str(value) for name, value in values.items()}
    relative = os.path.relpath(row.path, folder)
    # A name that begins with = or - would be a formula to a spreadsheet.
    return {
        "path": f"./{relative}" if cell_fault("path", relative) else relative,
        **cells,
        **row.own,
    }


def _require_sound(header: Sequence[str], cells: Sequence[dict[str, str]]) -> None:
    named = [(HEADER_ROW, name, column_fault(name)) for name in header]
    filled = [
        (number, name, cell_fault(name, cell))
        for number, row in enumerate(cells, start=HEADER_ROW + 1)
        for name, cell in row.items()
    ]
    unfit = [
        (number, "path", f"{row['path']!r} is no Unicode text; rename the file.")
        for number, row in enumerate(cells, start=HEADER_ROW + 1)
        if not _is_unicode(row["path"])
    ]
    for number, name, fault in (*named, *unfit, *filled):
        if fault:
            raise RefusedInputError(problem_at(number, name, fault).sentence)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
