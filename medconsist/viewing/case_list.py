"""The list of cases: who they are and in what state, never sorted by a score."""

from collections.abc import Sequence
from dataclasses import dataclass

from medconsist.errors import CorruptResultError, MedconsistError
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore
from medconsist.viewing.numbers import key_label

__all__ = ["CaseLine", "KeyLine", "case_lines", "find", "key_lines", "title_of"]


@dataclass(frozen=True)
class CaseLine:
    """One line of the list.

    Parameters
    ----------
    case, patient, item
        Ids; patient and item are None where the result names none.
    n_results
        Finished keys of the case.
    problem
        Why the current result cannot be read, empty if it can.

    Examples
    --------
    >>> CaseLine(case="scan-1", patient="p-7", item=None, n_results=2, problem="").title
    'p-7 › scan-1'
    """

    case: str
    patient: str | None
    item: str | None
    n_results: int
    problem: str

    @property
    def title(self) -> str:
        """Patient, case and item, as far as they have names of their own."""
        return title_of(self)

    @property
    def state(self) -> str:
        """One word or two for the list."""
        if self.problem:
            return "result cannot be read" if self.n_results else "no finished result"
        return "1 result" if self.n_results == 1 else f"{self.n_results} results"


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


def title_of(owner: CaseLine | Result) -> str:
    """Return patient, case and item, each once, as far as they have names of their own.

    A case may hold several slides: a result is named by its own item, not by that of its case.
    """
    names = dict.fromkeys(name for name in (owner.patient, owner.case, owner.item) if name)
    return " › ".join(names)


def case_lines(store: ResultStore) -> list[CaseLine]:
    """Return one line for every case, in order of patient and case."""
    lines = [_line(store, case) for case in store.cases()]
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


def find(lines: Sequence[CaseLine], words: str) -> list[CaseLine]:
    """Return the lines whose title holds every word, upper and lower case alike."""
    wanted = words.lower().split()
    return [line for line in lines if all(word in line.title.lower() for word in wanted)]


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


def _line(store: ResultStore, case: str) -> CaseLine:
    n_results = len(store.keys(case))
    try:
        result = store.read(case).result
    except MedconsistError as error:
        return CaseLine(case, patient=None, item=None, n_results=n_results, problem=str(error))
    return CaseLine(case, result.patient, result.item, n_results, problem="")
