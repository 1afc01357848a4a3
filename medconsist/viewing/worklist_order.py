"""Orders of the worklist: by time and name for everybody, by scores when a person asked for it."""

from collections.abc import Callable, Iterable
from typing import Any

from medconsist._ids import nearest
from medconsist.errors import RefusedInputError
from medconsist.viewing.case_line import CaseLine
from medconsist.viewing.worklist import WorkRow

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
    if by == "site":
        return sorted(rows, key=lambda row: (row.site is None, row.site or "", row.place))
    if by == "number":
        return sorted(rows, key=lambda row: (_number_rank(row.line, number), row.place))
    rank = _RANKS[by]
    return sorted(rows, key=lambda row: (rank(row.line), row.place))


def _time_rank(line: CaseLine) -> tuple[Any, ...]:
    return (1,) if line.finished is None else (0, -line.finished.timestamp())


def _age_rank(line: CaseLine) -> tuple[Any, ...]:
    return (1,) if line.finished is None else (0, line.finished.timestamp())


def _patient_rank(line: CaseLine) -> tuple[Any, ...]:
    return (line.patient is None, line.patient or "")


def _trust_rank(line: CaseLine) -> tuple[Any, ...]:
    facts = line.current
    if facts is None:
        return (1,)
    least = 1.0 if facts.least_p is None else facts.least_p
    return (0, -facts.n_outside, facts.least_p is not None, least)


def _number_rank(line: CaseLine, name: str) -> tuple[Any, ...]:
    numbers = {} if line.current is None else line.current.numbers
    return (0, -numbers[name]) if name in numbers else (1,)


_RANKS: dict[str, Callable[[CaseLine], tuple[Any, ...]]] = {
    "time": _time_rank,
    "age": _age_rank,
    "patient": _patient_rank,
    "trust": _trust_rank,
}
