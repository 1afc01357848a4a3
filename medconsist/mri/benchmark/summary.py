"""The thousands of rows of a benchmark as a few tables: one line a method, one column a cell."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from medconsist.results.bench import BenchRow
from medconsist.results.tables import aligned, rows_text

__all__ = ["summary_text"]

_ABREAST = 5  # columns that fit beside each other
_REFERENCE = ", zerofilled"  # the method that every cell has
_EDGE = "edge of the grid"
_PAIRED = " (paired"
_LOST = "SSIM lost"
_MIB = 2.0**20
_COSTS = {
    "parameters": "parameters",
    "training, time of one core": "training [core-s]",
    "training, steps": "steps",
    "training, learning rate chosen on validation slices": "rate",
    "training, SSIM on validation slices": "SSIM on validation slices",
    "peak memory of a training step": "training [MiB]",
    "peak memory of inference": "inference [MiB]",
    "time of one slice on one core, median": "slice [core-s]",
}


@dataclass(frozen=True)
class _Entry:
    """One row, by what stands before its line and above its column."""

    line: str
    column: str
    row: BenchRow


def summary_text(rows: Sequence[BenchRow]) -> str:
    """Return SSIM, its paired differences, NMSE, PSNR, dose response, lesions and costs.

    SSIM, differences and responses have their 95 % intervals; those of NMSE and PSNR, their paired
    differences and the d' of the observer stand in ``benchmark.json`` alone.

    Parameters
    ----------
    rows
        Of the report of `run_benchmark`.
    """
    ends = [one.case for one in rows if one.metric == "ssim" and one.case.endswith(_REFERENCE)]
    cells = [case.removesuffix(_REFERENCE) for case in ends]
    quality = {
        metric: [_entry(one, cells) for one in rows if one.metric == metric]
        for metric in ("ssim", "nmse", "psnr")
    }
    ssim, lost = quality["ssim"], [one for one in rows if one.metric.startswith(_LOST)]
    lesions = {
        f"{words} {of}": [_lesion(one, cells) for one in rows if one.metric == metric]
        for metric, words, of in (
            ("response", "Response to inserted lesions [%]", "and 95 % interval"),
            ("sham response", "Response to shams [%]", "and 95 % interval"),
            ("observer AUC", "AUC of the observer", "who does not know the anatomy"),
            ("observer AUC, anatomy known", "AUC of the observer", "who knows the anatomy"),
        )
    }
    tables = {
        "SSIM, mean and 95 % interval": _abreast([one for one in ssim if not _is_paired(one)]),
        "Paired differences in SSIM": _abreast([one for one in ssim if _is_paired(one)]),
        "NMSE, mean": _turned([one for one in quality["nmse"] if not _is_paired(one)]),
        "PSNR [dB], mean": _turned([one for one in quality["psnr"] if not _is_paired(one)]),
        "SSIM lost by wrong coil maps": rows_text(lost) if lost else "",
        **{words: _by_cell(found, cells) for words, found in lesions.items()},
        "What a network takes": _costs(rows),
    }
    edge = any(_EDGE in one.case for one in rows)
    said = ["*: the weight that was chosen lies at the edge of its grid."] if edge else []
    return "\n\n".join([f"{words}\n{table}" for words, table in tables.items() if table] + said)


def _entry(row: BenchRow, cells: Iterable[str]) -> _Entry:
    """Take the words of a case apart: cell, method, and what was said of it."""
    cell = max((one for one in cells if row.case.startswith(f"{one}, ")), key=len, default="")
    method = row.case.removeprefix(f"{cell}, ")
    line = method.partition(_PAIRED)[0].partition(", ")[0]
    return _Entry(line, cell.partition(", ")[2], row)


def _lesion(row: BenchRow, cells: Iterable[str]) -> _Entry:
    found = _entry(row, cells)
    lesion = row.case.partition(f", {found.column}, ")[2].partition(", ")[2]
    return _Entry(found.line, f"{found.column}, {lesion}", row)


def _is_paired(entry: _Entry) -> bool:
    return _PAIRED in entry.row.case


def _abreast(entries: Sequence[_Entry]) -> str:
    """Return tables of a few columns each, with intervals."""
    columns = list(dict.fromkeys(one.column for one in entries))
    parts = []
    for first in range(0, len(columns), _ABREAST):
        some = columns[first : first + _ABREAST]
        here = [one for one in entries if one.column in some]
        parts.append(_grid(here, lambda one: (one.line, one.column), _with_interval))
    return "\n\n".join(parts)


def _by_cell(entries: Sequence[_Entry], cells: Iterable[str]) -> str:
    """Return tables of lesions, those of a cell beside each other."""
    names = [cell.partition(", ")[2] for cell in cells]
    parts = [
        _abreast([one for one in entries if one.column.startswith(f"{name}, ")]) for name in names
    ]
    return "\n\n".join(part for part in parts if part)


def _turned(entries: Sequence[_Entry]) -> str:
    """Return one table of means, a line for each cell."""
    return _grid(entries, lambda one: (one.column, one.line), lambda row: f"{row.value:.3g}")


def _costs(rows: Sequence[BenchRow]) -> str:
    found = [
        _Entry(one.case.partition(", ")[2], _COSTS[one.metric], one)
        for one in rows
        if one.metric in _COSTS
    ]
    return _grid(found, lambda one: (one.line, one.column), _cost)


def _cost(row: BenchRow) -> str:
    if row.unit == "B":
        return f"{row.value / _MIB:.0f}"
    return f"{row.value:.0f}" if row.value >= 1000 else f"{row.value:.3g}"


def _with_interval(row: BenchRow) -> str:
    mark = "*" if _EDGE in row.case else ""
    digits = 1 if row.unit == "%" else 4 if _PAIRED in row.case else 3
    if row.ci_low is None or row.ci_high is None:
        return f"{row.value:.{digits}f}{mark}"
    return f"{row.value:.{digits}f}{mark} ({row.ci_low:.{digits}f} to {row.ci_high:.{digits}f})"


def _grid(
    entries: Sequence[_Entry],
    place: Callable[[_Entry], tuple[str, str]],
    said: Callable[[BenchRow], str],
) -> str:
    """Return a table with each row of the report at its place; a dash where there is none."""
    values = {place(one): said(one.row) for one in entries}
    lines = dict.fromkeys(line for line, _ in values)
    columns = dict.fromkeys(column for _, column in values)
    body = [(line, *(values.get((line, one), "-") for one in columns)) for line in lines]
    return aligned([("", *columns), *body]) if body else ""
