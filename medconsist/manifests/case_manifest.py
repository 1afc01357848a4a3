"""Read a case manifest, or say everything that is wrong with it."""

from collections import Counter
from pathlib import Path

from medconsist._atomic import storage_errors
from medconsist._digests import sha256_of_bytes
from medconsist.errors import BudgetError, MissingInputError, RefusedInputError
from medconsist.manifests.across import problems_across
from medconsist.manifests.cases import CaseManifest
from medconsist.manifests.csv_file import csv_table
from medconsist.manifests.parquet_file import parquet_table
from medconsist.manifests.problem import Problem, problem_at
from medconsist.manifests.rows import KnownRow, case_row, header_problems, rows_of
from medconsist.manifests.table import Table

__all__ = ["SUFFIXES", "examine", "is_manifest", "problems_of", "read_case_manifest"]

SUFFIXES = (".csv", ".parquet")
LARGEST_BYTES = 256 * 2**20  # a million rows; more is no list of cases


def is_manifest(path: Path) -> bool:
    """Say whether the name of a file is that of a manifest.

    Examples
    --------
    >>> is_manifest(Path("cases.CSV")), is_manifest(Path("slide.svs"))
    (True, False)
    """
    return path.suffix.lower() in SUFFIXES


def read_case_manifest(path: Path, *, files: bool = True) -> CaseManifest:
    r"""Return the rows of a manifest without a fault.

    Parameters
    ----------
    path
        The manifest.
    files
        Whether the files that it names must be there. Who asks for ids and labels alone, beside
        features that were made elsewhere, needs none of them.

    Raises
    ------
    MissingInputError
        There is no such file.
    RefusedInputError
        Something is wrong: the first fault, and how many more there are.
    MissingExtraError
        pyarrow is not installed and the manifest is a Parquet file.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "s1.svs").touch()
    >>> size = (folder / "m.csv").write_text("path,patient\ns1.svs,p7\n")
    >>> [(row.patient, row.case, row.item) for row in read_case_manifest(folder / "m.csv").rows]
    [('p7', 's1', 's1')]
    """
    manifest, problems = examine(path, files=files)
    if manifest is None:
        more = len(problems) - 1
        all_of_them = f" ({more} more; see them by: medconsist manifest check {path})"
        msg = f"{path}: {problems[0].sentence}{all_of_them if more else ''}"
        raise RefusedInputError(msg)
    return manifest


def problems_of(path: Path) -> list[Problem]:
    """Return all faults of a manifest, in the order of its rows; none if it can be used.

    Raises
    ------
    MissingInputError
        There is no such file.
    RefusedInputError
        It is a folder, or neither .csv nor .parquet.
    MissingExtraError
        pyarrow is not installed and the manifest is a Parquet file.
    """
    return examine(path)[1]


def examine(path: Path, *, files: bool = True) -> tuple[CaseManifest | None, list[Problem]]:
    """Return the manifest, or None and its faults; raises as `problems_of`.

    Without ``files`` the files that it names need not be there.
    """
    data = _bytes(path)
    folder = path.resolve().parent
    table = parquet_table(data) if path.suffix.lower() == ".parquet" else csv_table(data)
    problems, rows = list(table.problems), list[KnownRow]()
    if table.header:
        problems += header_problems(table)
        rows, faults = rows_of(table, folder, files=files)
        problems += [*faults, *problems_across(rows)]
        if not table.rows and not problems:
            problems.append(problem_at(None, None, "the manifest has a header and no rows."))
    problems.sort(key=lambda problem: problem.row or 0)
    if problems:
        return None, problems
    manifest = CaseManifest(
        rows=tuple(map(case_row, rows)),
        path=path,
        sha256=sha256_of_bytes(data),
        columns=table.header,
        notes=_notes(table, rows),
    )
    return manifest, []


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        msg = f"{path} is a folder; make a manifest of it: medconsist manifest build {path} ..."
        raise RefusedInputError(msg)
    if not is_manifest(path):
        msg = f"{path}: a manifest is a .csv or .parquet file; save it as one of them."
        raise RefusedInputError(msg)
    if not path.is_file():
        msg = (
            f"there is no manifest {path}; make one: medconsist manifest build FOLDER --out {path}"
        )
        raise MissingInputError(msg)
    with storage_errors(path, doing="read"):
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            msg = f"{path} holds {size} bytes, allowed are {LARGEST_BYTES}; is it a manifest?"
            raise BudgetError(msg)
        return path.read_bytes()


def _notes(table: Table, rows: list[KnownRow]) -> tuple[str, ...]:
    absolute = [row.row for row in rows if Path(row.cells["path"] or "").is_absolute()]
    said = list(table.notes)
    if absolute:
        said.append(
            f"{len(absolute)} of {len(rows)} paths are absolute (first in row {absolute[0]}): the "
            "manifest cannot be moved to another machine."
        )
    digests = Counter(filter(None, (row.cells.get("sha256") for row in rows)))
    copies = sum(count for count in digests.values() if count > 1)
    if copies:
        said.append(f"{copies} rows have the sha256 of another one: their files are copies.")
    columns = {"item": "the name of its file", "case": "its item", "patient": "its case"}
    for column, source in columns.items():
        empty = sum(not row.cells.get(column) for row in rows)
        if empty:
            said.append(f"{empty} of {len(rows)} rows name no {column}: it is {source}.")
    return tuple(said)
