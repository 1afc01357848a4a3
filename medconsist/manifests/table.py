"""A table of text cells, however it was stored."""

from dataclasses import dataclass

from medconsist.manifests.problem import Problem

__all__ = ["Table", "TableRow"]

TableRow = tuple[int, tuple[str, ...]]


@dataclass(frozen=True)
class Table:
    """Cells as text, rows numbered as a spreadsheet counts.

    Parameters
    ----------
    header
        Names of the columns, as they stand.
    rows
        Number and cells of each row that is not empty; as many cells as the header has names.
    problems
        Faults found while reading; a row that is at fault as a whole is not among ``rows``.
    notes
        What was found and is no fault, e.g. the separator.

    Examples
    --------
    >>> Table(header=("path",), rows=((2, ("a.svs",)),)).header
    ('path',)
    """

    header: tuple[str, ...] = ()
    rows: tuple[TableRow, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
