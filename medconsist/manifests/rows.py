"""From the cells of a table to rows: every cell, and every file, by itself."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from medconsist.manifests.cases import CaseRow
from medconsist.manifests.columns import cell_fault, column_fault, is_own
from medconsist.manifests.files import is_zarr
from medconsist.manifests.problem import HEADER_ROW, Problem, problem_at
from medconsist.manifests.table import Table

__all__ = ["KnownRow", "case_row", "header_problems", "rows_of"]


@dataclass(frozen=True)
class KnownRow:
    """What is known of a row, sound or not: a faulty cell hides no other fault.

    Parameters
    ----------
    row
        As a spreadsheet counts.
    path
        Of the file, links in its folder followed; None where the cell is at fault.
    cells
        By column; None for a cell at fault, empty where nothing is said.

    Examples
    --------
    >>> KnownRow(2, Path("/a/s1.svs"), {"case": "", "item": None}).case is None
    True
    """

    row: int
    path: Path | None
    cells: Mapping[str, str | None]

    @property
    def item(self) -> str | None:
        """As given, else the name of the file without its suffix; None where that is at fault."""
        stem = None if self.path is None or cell_fault("item", self.path.stem) else self.path.stem
        return self._given("item", stem)

    @property
    def case(self) -> str | None:
        """As given, else the item."""
        return self._given("case", self.item)

    @property
    def patient(self) -> str | None:
        """As given, else the case."""
        return self._given("patient", self.case)

    def _given(self, column: str, default: str | None) -> str | None:
        cell = self.cells.get(column, "")
        return default if cell == "" else cell


def header_problems(table: Table) -> Iterator[Problem]:
    """Yield the faults of the header."""
    for name, count in Counter(table.header).items():
        fault = column_fault(name)
        if fault:
            yield problem_at(HEADER_ROW, name, fault)
        elif count > 1:
            fault = f"stands {count} times in the header; keep one of them."
            yield problem_at(HEADER_ROW, name, fault)
    if "path" not in table.header:
        yield problem_at(HEADER_ROW, "path", "is missing; it names the file of each row.")


def rows_of(
    table: Table, folder: Path, *, files: bool = True
) -> tuple[list[KnownRow], list[Problem]]:
    """Return what is known of each row, and the faults of its cells and its file.

    Parameters
    ----------
    table
        Cells; of columns of one name the last counts.
    folder
        Paths are relative to it.
    files
        Whether the files must be there.
    """
    rows, problems = list[KnownRow](), list[Problem]()
    for number, cells in table.rows:
        row = dict(zip(table.header, cells, strict=True))
        faults = {name: _cell_fault(name, cell) for name, cell in row.items()}
        known = {name: None if faults[name] else cell for name, cell in row.items()}
        path = _path(known.get("path"), folder)
        if path is not None:
            faults["path"] = _file_fault(row["path"], path, folder) if files else ""
            if not faults["path"] and not row.get("item"):
                faults["item"] = _stem_fault(path)
        rows.append(KnownRow(number, path, known))
        problems += [problem_at(number, name, fault) for name, fault in faults.items() if fault]
    return rows, problems


def case_row(known: KnownRow) -> CaseRow:
    """Return the row, once nothing of the manifest is at fault."""
    cells = known.cells
    mpp, sha256 = cells.get("mpp"), cells.get("sha256")
    values = {name: cells.get(name) or None for name in ("site", "label", "split")}
    return CaseRow.model_validate(
        {
            "row": known.row,
            "path": known.path,
            "patient": known.patient,
            "case": known.case,
            "item": known.item,
            "sha256": sha256.lower() if sha256 else None,
            "mpp": float(mpp) if mpp else None,
            "own": {name: cell for name, cell in cells.items() if is_own(name) and cell},
            **values,
        }
    )


def _cell_fault(column: str, cell: str) -> str:
    return "" if column_fault(column) else cell_fault(column, cell)


def _path(cell: str | None, folder: Path) -> Path | None:
    if not cell:
        return None
    named = folder / cell
    # Path.resolve raises on a circle of links; here it is a file that is not there.
    return Path(os.path.realpath(named.parent), named.name)


def _file_fault(cell: str, path: Path, folder: Path) -> str:
    try:
        if path.is_file() or is_zarr(path):
            return ""
        if path.is_dir():
            return f"{cell!r} is a folder; name a file in it."
        if path.exists():
            return f"{cell!r} is no ordinary file."
        missing = f"there is no file {cell!r}"
        if not path.parent.is_dir():
            missing = f"there is no folder {str(Path(cell).parent)!r}"
    except OSError as error:  # a name too long, a folder that may not be entered
        return f"{cell!r} cannot be looked at: {error.strerror}."
    below = "" if Path(cell).is_absolute() else f" in {str(folder)!r}, the folder of the manifest"
    backslash = "; separate folders by /" if "\\" in cell else ""
    return f"{missing}{below}{backslash}."


def _stem_fault(path: Path) -> str:
    fault = cell_fault("item", path.stem)
    return fault and f"is empty, and the name of the file does not serve: {fault}"
