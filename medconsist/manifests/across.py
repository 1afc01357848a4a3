"""Faults between rows: each is one sentence, whatever the order of the rows."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from medconsist.manifests.problem import Problem, problem_at, rows_said
from medconsist.manifests.rows import KnownRow

__all__ = ["problems_across"]

_Value = str | None
_Said = dict[str, list[int]]


def problems_across(rows: Sequence[KnownRow]) -> Iterator[Problem]:
    """Yield what no row shows by itself.

    The same file or the same (case, item) twice; one case under two patients; one patient, or the
    same bytes, in two splits; ids that differ only by upper and lower case; splits of two kinds.
    """
    yield from _twice(rows)
    for name, within in _grouped(rows, lambda row: row.case).items():
        owners = _said((row.row, row.patient) for row in within)
        yield from _at_odds(f"case {name}", "patient", owners, "a case has one patient")
    for name, within in _grouped(rows, lambda row: row.patient).items():
        repair = "all files of a patient go into one split"
        yield from _at_odds(f"patient {name}", "split", _splits(within), repair)
    for digest, within in _grouped(rows, _digest).items():
        repair = "the same bytes go into one split"
        yield from _at_odds(f"sha256 {digest[:8]}...", "split", _splits(within), repair)
    patients = list(_alike([(row.row, row.patient) for row in rows], "patient"))
    yield from patients
    said = {problem.sentence for problem in patients}  # a patient may be named by its case
    for problem in _alike([(row.row, row.case) for row in rows], "case"):
        if problem.sentence.replace("column case", "column patient") not in said:
            yield problem
    for within in _grouped(rows, lambda row: row.case).values():
        yield from _alike([(row.row, row.item) for row in within], "item")
    yield from _mixed_splits(rows)


def _twice(rows: Sequence[KnownRow]) -> Iterator[Problem]:
    for within in _grouped(rows, _real_path).values():
        if len(within) > 1:
            fault = f"{_rows(within)} name one file; keep one of them."
            yield problem_at(within[1].row, "path", fault)
    for name, within in _grouped(rows, _name).items():
        if len(within) > 1:
            fault = f"{_rows(within)} are one item of one case ({name}); give each its own item."
            yield problem_at(within[1].row, "item", fault)


def _at_odds(of: str, column: str, values: _Said, repair: str) -> Iterator[Problem]:
    if len(values) > 1:
        fault = f"{of} has {len(values)} {column}s: {_listed(values)}; {repair}."
        yield problem_at(_second(values), column, fault)


def _alike(pairs: Iterable[tuple[int, _Value]], column: str) -> Iterator[Problem]:
    spellings = defaultdict[str, _Said](dict)
    for spelling, numbers in _said(pairs).items():
        spellings[spelling.casefold()][spelling] = numbers
    for values in spellings.values():
        if len(values) > 1:
            fault = f"ids differ only by upper and lower case: {_listed(values)}; choose one."
            yield problem_at(_second(values), column, fault)


def _mixed_splits(rows: Sequence[KnownRow]) -> Iterator[Problem]:
    said = _splits(rows)
    folds = {split: numbers for split, numbers in said.items() if split.startswith("fold-")}
    named = {split: numbers for split, numbers in said.items() if split in ("train", "validation")}
    if folds and named:
        fault = f"folds and train or validation in one manifest ({_listed(folds | named)}); "
        fault += "take one way of splitting; only test may stand beside folds."
        yield problem_at(_second(folds | named), "split", fault)


def _splits(rows: Iterable[KnownRow]) -> _Said:
    return _said((row.row, row.cells.get("split")) for row in rows)


def _real_path(row: KnownRow) -> _Value:
    return None if row.path is None else os.path.realpath(row.path)


def _digest(row: KnownRow) -> _Value:
    return (row.cells.get("sha256") or "").lower()


def _name(row: KnownRow) -> _Value:
    return None if row.case is None or row.item is None else f"case {row.case}, item {row.item}"


def _grouped(
    rows: Sequence[KnownRow], by: Callable[[KnownRow], _Value]
) -> dict[str, list[KnownRow]]:
    groups = defaultdict[str, list[KnownRow]](list)
    for row in rows:
        value = by(row)
        if value:
            groups[value].append(row)
    return groups


def _said(pairs: Iterable[tuple[int, _Value]]) -> _Said:
    said = defaultdict[str, list[int]](list)
    for number, value in pairs:
        if value:
            said[value].append(number)
    return dict(said)


def _second(values: _Said) -> int:
    return sorted(numbers[0] for numbers in values.values())[1]


def _listed(values: _Said) -> str:
    return ", ".join(f"{value} ({rows_said(values[value])})" for value in sorted(values))


def _rows(within: Sequence[KnownRow]) -> str:
    return rows_said([row.row for row in within])
