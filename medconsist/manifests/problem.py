"""A fault of a manifest: where it is, and one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["HEADER_ROW", "Problem", "problem_at", "rows_said"]

HEADER_ROW = 1  # as a spreadsheet counts
_ROWS_SAID = 5


@dataclass(frozen=True)
class Problem:
    """One fault.

    Parameters
    ----------
    row
        As a spreadsheet counts: the header is row 1; None where the whole file is at fault.
    column
        Name of the column; None where the whole row is at fault.
    sentence
        Names row and column, what was found, what is allowed and what to do.

    Examples
    --------
    >>> problem_at(4, "mpp", "'x' is no number.").sentence
    "row 4, column mpp: 'x' is no number."
    """

    row: int | None
    column: str | None
    sentence: str


def problem_at(row: int | None, column: str | None, fault: str) -> Problem:
    """Return the problem whose sentence begins with its place."""
    places = (
        "" if row is None else f"row {row}",
        "" if column is None else f"column {column or '(no name)'}",
    )
    place = ", ".join(filter(None, places))
    return Problem(row, column, f"{place}: {fault}" if place else fault)


def rows_said(rows: Sequence[int]) -> str:
    """Return ``rows 2, 5 and 7``, cut where there are many.

    Examples
    --------
    >>> rows_said([2, 5, 7])
    'rows 2, 5 and 7'
    >>> rows_said([3])
    'row 3'
    """
    numbers = [str(row) for row in rows]
    if len(numbers) == 1:
        return f"row {numbers[0]}"
    if len(numbers) > _ROWS_SAID:
        return f"rows {', '.join(numbers[:_ROWS_SAID])} and {len(numbers) - _ROWS_SAID} more"
    return f"rows {', '.join(numbers[:-1])} and {numbers[-1]}"
