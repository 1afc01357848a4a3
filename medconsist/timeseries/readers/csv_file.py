"""CSV and TSV: a row of names with units, then one row a sample; a column of time if there is one.

Names are written ``II [mV]`` or ``II``. The first column may be an index (``index``, ``sample``, or
no name), the first or the one behind it time, ``time [s]`` (also ms, us). An empty cell is a
missing sample, NaN; an empty line could be one or none and is refused. The format allows no jump
into the middle, so the file is read once and held.
"""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from medconsist.errors import CorruptInputError, RefusedInputError, TruncatedFileError
from medconsist.timeseries.readers.files import as_float32, require_budget, require_file
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.readers.raw_header import RawHeader, info_of
from medconsist.timeseries.recording import InMemoryRecording, Recording

__all__ = ["open_csv"]

_NAME_UNIT = re.compile(r"(?P<name>.*?)\s*(?:[\[(](?P<unit>[^\])]*)[\])])?\s*")
_TIME = ("time", "t", "timestamp", "elapsed time")
_INDEX = ("", "index", "sample", "sample #", "n", "#")
_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_MEMORY_PER_BYTE = 16  # of text: the cells as Python text, then as float64
_EXACT = 1e-12  # seconds, or what the unit is
_HALF = 0.5  # of a step: beyond it a row is missing, or there are two


@dataclass(frozen=True)
class _Column:
    name: str
    unit: str | None


def open_csv(path: Path, options: ReadOptions) -> Recording:
    """Read a table of samples.

    Raises
    ------
    RefusedInputError
        No names, no channel, no rate, or time that is not even or has no unit.
    CorruptInputError
        A cell is no number, a row is shorter than the others, or a line between them is empty.
    BudgetError
        The text is too long to be held.
    """
    size = require_file(path)
    require_budget(path.name, _MEMORY_PER_BYTE * size, options.budget_bytes)
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path.name} is no text in UTF-8 ({error.reason}). Save the table as UTF-8."
        raise CorruptInputError(msg) from error
    delimiter = _delimiter(text)
    columns = _columns(text.partition("\n")[0], delimiter, path.name)
    notes = []
    if not text.endswith("\n"):
        _refuse_cut_row(text, delimiter, len(columns), path.name)
        notes.append("The last row has no line end: was the file cut within its last number?")
    table = _table(text, delimiter, columns=len(columns), name=path.name)
    skip = int(columns[0].name.casefold() in _INDEX)
    rate: float | None = None
    if skip < len(columns) and columns[skip].name.casefold() in _TIME:
        rate, said = _rate(table[:, skip], columns[skip].unit, options, path.name)
        notes.append(said)
        skip += 1
    channels = columns[skip:]
    if not channels:
        msg = f"{path.name} has no column beside {columns[0].name!r}; allowed: one channel or more."
        raise RefusedInputError(msg)
    raw = RawHeader(
        kind="CSV",
        rate=rate,
        channels=tuple(column.name for column in channels),
        units=tuple(column.unit for column in channels),
        samples=len(table),
        notes=tuple(notes),
    )
    return InMemoryRecording(info_of(raw, path, options), as_float32(table[:, skip:], path.name))


def _delimiter(text: str) -> str:
    line = text.partition("\n")[0]
    return max(",;\t", key=line.count)


def _columns(line: str, delimiter: str, name: str) -> list[_Column]:
    cells = next(csv.reader([line], delimiter=delimiter), [])
    if not cells or all(_is_number(cell) for cell in cells):
        msg = (
            f"{name} begins with {line[:60]!r}; allowed: a row with a name for each column, such "
            "as 'time [s],I [mV],II [mV]'. Add it."
        )
        raise RefusedInputError(msg)
    found = []
    for cell in cells:
        match = _NAME_UNIT.fullmatch(cell.strip().strip("'"))
        parts = match.groupdict() if match else {"name": cell, "unit": None}
        found.append(_Column((parts["name"] or "").strip(), (parts["unit"] or "").strip() or None))
    return found


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _refuse_cut_row(text: str, delimiter: str, columns: int, name: str) -> None:
    """Refuse a last row that has fewer cells than the others: the file was cut within it."""
    row = next(csv.reader([text.rpartition("\n")[2]], delimiter=delimiter), [])
    if len(row) != columns or not row[-1].strip():
        msg = f"{name} ends within a row ({len(row)} of {columns} columns). Copy the file again."
        raise TruncatedFileError(msg)


def _table(text: str, delimiter: str, *, columns: int, name: str) -> Float64[np.ndarray, "rows c"]:
    if not text.partition("\n")[2].strip():
        msg = f"{name} has a row of names and no row of samples below it. Copy the file again."
        raise TruncatedFileError(msg)
    empty = text.rstrip("\n").find("\n\n")
    if empty >= 0:
        row = text.count("\n", 0, empty) + 1
        msg = (
            f"{name}: the line below row {row} is empty, and whether a sample is missing there is "
            "not said. Write nan for a missing sample, or take the line out."
        )
        raise CorruptInputError(msg)
    try:
        table = _parsed(text, delimiter)
    except ValueError as error:
        reason = str(error).splitlines()[0][:160].rstrip(".")
        msg = f"{name}: {reason}; allowed: numbers with a decimal point, and empty if missing."
        raise CorruptInputError(msg) from error
    if not len(table) or table.shape[1] != columns:
        msg = f"{name} has {columns} names above {table.shape} rows and columns of numbers."
        raise CorruptInputError(msg)
    return table


def _parsed(text: str, delimiter: str) -> Float64[np.ndarray, "rows c"]:
    shared: dict[str, Any] = {"delimiter": delimiter, "skiprows": 1, "ndmin": 2, "comments": None}
    try:
        return np.loadtxt(io.StringIO(text), **shared)
    except ValueError:  # the slow way knows empty cells
        return np.loadtxt(io.StringIO(text), converters=_number, **shared)


def _number(cell: str) -> float:
    return float(cell) if cell.strip() else float("nan")


def _rate(
    time: Float64[np.ndarray, " rows"], unit: str | None, options: ReadOptions, name: str
) -> tuple[float, str]:
    """Return the rate by a column of time, after making sure that it is even."""
    scale = _SECONDS.get(unit or "")
    if scale is None:
        msg = f"{name}: the time column has the unit {unit!r}; allowed: {', '.join(_SECONDS)}."
        raise RefusedInputError(msg)
    steps = len(time) - 1
    mean = (time[-1] - time[0]) / steps if steps else np.nan
    if not mean > 0:
        msg = f"{name}: time does not run forward from {time[0]} to {time[-1]} in {len(time)} rows."
        raise RefusedInputError(msg)
    _refuse_uneven(time, float(mean), name)
    rate = float(1 / (mean * scale))
    wanted = options.rate or round(rate)
    if wanted > 0 and _fits(time, 1 / (wanted * scale)):
        return float(wanted), f"Rate {wanted:g} Hz fits every time stamp."
    return rate, f"Rate {rate:.9g} Hz by the first and the last time stamp."


def _refuse_uneven(time: Float64[np.ndarray, " rows"], mean: float, name: str) -> None:
    # A step of two samples, or a drift of half a one, cannot come from rounded stamps.
    step = np.abs(np.diff(time) - mean) > _HALF * mean
    drift = np.abs(time - time[0] - mean * np.arange(len(time))) > _HALF * mean
    uneven = np.flatnonzero(np.append(step, False) | drift | ~np.isfinite(time))
    if len(uneven):
        row = int(uneven[0])
        msg = (
            f"{name}: time is not even at row {row + 1} ({time[row]:g}; mean step {mean:g}): "
            "samples are missing or the rate changes. Resample the table, or cut it there."
        )
        raise RefusedInputError(msg)


def _fits(time: Float64[np.ndarray, " rows"], step: float) -> bool:
    """Say whether even steps, rounded as the stamps are, give the stamps."""
    decimals = next(
        (d for d in range(10) if np.allclose(time, time.round(d), rtol=0, atol=1e-12)), 10
    )
    apart = np.abs(time - time[0] - step * np.arange(len(time))).max()
    return bool(apart <= 10.0**-decimals)
