"""Parquet through pyarrow, as a table of text."""

import io
from typing import Any

from medconsist._extras import require
from medconsist.manifests.problem import HEADER_ROW, Problem, problem_at
from medconsist.manifests.table import Table

__all__ = ["parquet_table"]

_NUMBERS = ("mpp",)
MOST_ROWS = 1_000_000  # a compressed file of 40 kB can claim 20 million


def parquet_table(data: bytes) -> Table:
    """Return the table that a Parquet file holds, with its faults.

    A null is an empty cell. Ids must be text or whole numbers: 7.0, which pandas makes of 7 beside
    an empty cell, would name another case.

    Raises
    ------
    MissingExtraError
        pyarrow is not installed.
    """
    parquet, arrow = (require(name, extra="wsi") for name in ("pyarrow.parquet", "pyarrow"))
    try:
        file = parquet.ParquetFile(io.BytesIO(data))
        rows, width = file.metadata.num_rows, len(file.schema_arrow.names)
        if rows > MOST_ROWS or not width:
            fault = f"the table has {rows} rows and {width} columns, allowed are {MOST_ROWS} rows "
            fault += "and one column or more; is it a manifest?"
            return Table(problems=(problem_at(None, None, fault),))
        stored = file.read()
        stored.validate(full=True)  # text that is no UTF-8 passes the reader
    except (arrow.ArrowException, OSError) as error:
        said = " ".join(str(error).split())[:200]
        fault = f"the file cannot be read as Parquet ({said}); write it again."
        return Table(problems=(problem_at(None, None, fault),))
    header = tuple(stored.schema.names)
    problems, columns = list[Problem](), list[list[str]]()
    for name, field, column in zip(header, stored.schema, stored.columns, strict=True):
        fits = _fits(name, field.type, arrow.types)
        if not fits:
            fault = f"is of type {field.type}; write it as {_wanted(name)}."
            problems.append(problem_at(HEADER_ROW, name, fault))
        values = column.to_pylist() if fits else [None] * stored.num_rows
        columns.append(["" if value is None else str(value) for value in values])
    rows = enumerate(zip(*columns, strict=True), start=HEADER_ROW + 1)
    kept = tuple((number, cells) for number, cells in rows if any(cells))
    return Table(header, kept, tuple(problems))


def _fits(name: str, kind: Any, types: Any) -> bool:  # noqa: ANN401  pyarrow has no annotations
    if types.is_dictionary(kind):
        kind = kind.value_type
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind)
    if name == "path":
        return bool(text)
    number = name in _NUMBERS and types.is_floating(kind)
    return bool(text or number or types.is_integer(kind))


def _wanted(name: str) -> str:
    if name in _NUMBERS:
        return "numbers"
    return "text" if name == "path" else "text or whole numbers"
