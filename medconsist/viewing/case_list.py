"""The list of cases: who they are and in what state, never sorted by a score."""

from dataclasses import dataclass

from medconsist.errors import CorruptResultError, MedconsistError
from medconsist.results.store import ResultStore
from medconsist.viewing.case_line import CaseLine, title_of
from medconsist.viewing.numbers import key_label
from medconsist.viewing.worklist_index import CaseIndex

__all__ = ["CaseLine", "KeyLine", "case_lines", "key_lines", "title_of"]


@dataclass(frozen=True)
class KeyLine:
    """One result of a case.

    Parameters
    ----------
    key
        Its key.
    label
        How it is named in the list.
    current
        Whether it is the one to show.

    Examples
    --------
    >>> KeyLine(key="0" * 64, label="current · cs", current=True).current
    True
    """

    key: str
    label: str
    current: bool


def case_lines(store: ResultStore) -> list[CaseLine]:
    """Return one line for every case, in order of patient and case; all results are read.

    A page that asks more than once keeps a `worklist_index.CaseIndex`.
    """
    lines = CaseIndex(store.root).lines([store.study])
    return sorted(lines, key=lambda line: (line.patient or "", line.case))


def key_lines(store: ResultStore, case: str) -> list[KeyLine]:
    """Return the results of a case: the current one first, then the latest, unreadable ones last.

    A damaged pointer makes no result current; each stays reachable.
    """
    try:
        current = store.current(case)
    except CorruptResultError:
        current = None
    dated = [_dated(store, case, key, current) for key in store.keys(case)]
    return [line for _, line in sorted(dated, key=lambda pair: pair[0], reverse=True)]


def _dated(
    store: ResultStore, case: str, key: str, current: str | None
) -> tuple[tuple[bool, float], KeyLine]:
    """Return one line with its place in the order: current, then time of finishing."""
    try:
        result = store.read(case, key).result
    except MedconsistError:
        label = f"{'current' if key == current else 'older'} · cannot be read · {key[:8]}"
        return (key == current, 0.0), KeyLine(key, label, current=key == current)
    label = key_label(result, current=key == current)
    order = (key == current, result.times.finished.timestamp())
    return order, KeyLine(key, label, current=key == current)
