"""Orders of the worklist: by time and name for everybody, by scores when a person asked for it."""

from collections.abc import Iterable
from typing import Any

from medconsist._ids import nearest
from medconsist.errors import RefusedInputError
from medconsist.viewing.worklist import Place, WorkRow

__all__ = ["ORDERS", "SCORE_ORDERS", "arranged"]

ORDERS = ("time", "age", "site", "patient")
SCORE_ORDERS = ("trust", "number")


def arranged(
    rows: Iterable[WorkRow], *, by: str = "time", by_score: bool = False, number: str = ""
) -> list[WorkRow]:
    """Return the rows in an order; what has no place in it comes last, by study and case.

    Parameters
    ----------
    rows
        To sort.
    by
        One of `ORDERS`: ``time`` is latest finished first, ``age`` oldest finished first, ``site``
        and ``patient`` are by name. Or one of `SCORE_ORDERS`: ``trust`` is most scores outside
        their history first, then cases without a history, then those within, smallest p first;
        ``number`` is highest first.
    by_score
        A person switched sorting by what a model says or its evidence on. Without that both are
        refused: a list that a model sorts tells its reader what the model says before the case is
        opened.
    number
        With ``number``, the name in `ResultFacts.numbers`, e.g. ``"probability of tumour"``.

    Raises
    ------
    RefusedInputError
        An unknown order, or one by scores that nobody switched on.
    """
    if by not in (*ORDERS, *SCORE_ORDERS):
        msg = f"A list got the order {by!r}. {nearest(by, (*ORDERS, *SCORE_ORDERS))}"
        raise RefusedInputError(msg)
    if by in SCORE_ORDERS and not by_score:
        msg = (
            f"Nothing is sorted by {by} unless a person switches that on: got by_score=False, "
            f"allowed are {', '.join(ORDERS)}."
        )
        raise RefusedInputError(msg)
    in_place = sorted(rows, key=_place)  # sorting is stable: this decides between equals
    ranks = [_rank(row, by, number) for row in in_place]
    placed = [n for n, rank in enumerate(ranks) if rank is not None]
    unplaced = [row for row, rank in zip(in_place, ranks, strict=True) if rank is None]
    return [in_place[n] for n in sorted(placed, key=ranks.__getitem__)] + unplaced


def _place(row: WorkRow) -> Place:
    return row.place


def _rank(row: WorkRow, by: str, number: str) -> Any:  # noqa: ANN401  what sorts, of one kind each
    """Return what a row is sorted by, the least first; None where it has no place in the order."""
    line, facts = row.line, row.line.current
    if by == "site":
        return row.site
    if by == "patient":
        return line.patient
    if facts is None:
        return None
    if by == "time":
        return -facts.finished.timestamp()
    if by == "age":
        return facts.finished.timestamp()
    if by == "number":
        return -facts.numbers[number] if number in facts.numbers else None
    least = 1.0 if facts.least_p is None else facts.least_p
    return (-facts.n_outside, facts.least_p is not None, least)
