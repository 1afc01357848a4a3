"""One case as a list shows it: who it is, which result is shown, and in what state that is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from medconsist.results.schema import Result
from medconsist.viewing.kind_words import kind_words

__all__ = ["CaseLine", "ResultFacts", "facts_of", "title_of"]


@dataclass(frozen=True, slots=True)
class ResultFacts:
    """What a list needs of one result; made by `facts_of`.

    Parameters
    ----------
    key, content_sha256, kind
        Which result it is.
    patient, item
        Ids, None where the result names none.
    finished
        When its job ended, with time zone.
    n_outside, n_within, n_no_history
        How many trust scores stand so against the history of their site.
    least_p
        Smallest p-value of them, None where none was judged.
    numbers
        Trust scores and what is reported of the result as a whole, e.g. the probability of a
        class: to sort by once a person switched that on.

    Examples
    --------
    >>> ResultFacts.__dataclass_params__.frozen
    True
    """

    key: str
    content_sha256: str
    kind: str
    patient: str | None
    item: str | None
    finished: datetime
    n_outside: int = 0
    n_within: int = 0
    n_no_history: int = 0
    least_p: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One line of the list.

    A list of ten thousand holds few objects that the garbage collector has to look at: a line has
    slots, and what it is found and sorted by is made once.

    Parameters
    ----------
    case, patient, item
        Ids; patient and item are None where the current result names none.
    n_results
        Finished keys of the case.
    problem
        Why the current result cannot be read, empty if it can.
    study
        Where the case lies.
    items
        Of all its results that can be read: the slides, series or recordings of the case.
    n_unreadable
        How many of its results cannot be read.
    current
        What is shown; None where that cannot be read.
    place
        Study and case.
    names
        Every name that words are looked for in, in lower case; the kind by code and in words.

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
    study: str = ""
    items: tuple[str, ...] = ()
    n_unreadable: int = 0
    current: ResultFacts | None = None
    place: tuple[str, str] = field(init=False, repr=False, compare=False)
    names: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make place and names."""
        kinds = () if self.kind is None else (self.kind, kind_words(self.kind))
        named = (self.patient, self.case, self.item, *self.items, *kinds, self.study)
        object.__setattr__(self, "place", (self.study, self.case))
        object.__setattr__(self, "names", " ".join(name for name in named if name).lower())

    @property
    def title(self) -> str:
        """Patient, case and item, as far as they have names of their own."""
        return title_of(self)

    @property
    def state(self) -> str:
        """One word or two for the list."""
        if self.problem:
            return "result cannot be read"
        counted = "1 result" if self.n_results == 1 else f"{self.n_results} results"
        return f"{counted}, {self.n_unreadable} cannot be read" if self.n_unreadable else counted

    @property
    def finished(self) -> datetime | None:
        """When the current result was finished, None where it cannot be read."""
        return None if self.current is None else self.current.finished

    @property
    def kind(self) -> str | None:
        """Domain and task of the current result, None where it cannot be read."""
        return None if self.current is None else self.current.kind

    def age(self, now: datetime) -> timedelta | None:
        """Return how long ago the current result was finished, None where it cannot be read."""
        return None if self.finished is None else now - self.finished


def facts_of(result: Result) -> ResultFacts:
    """Return what a list needs of a result."""
    scores = result.trust.scores
    states = [score.state for score in scores]
    judged = [score.p for score in scores if score.p is not None]
    whole = {metric.name: metric.value for metric in result.metrics if metric.role is None}
    return ResultFacts(
        key=result.key,
        content_sha256=result.content_sha256,
        kind=result.kind,
        patient=result.patient,
        item=result.item,
        finished=result.times.finished,
        n_outside=states.count("outside"),
        n_within=states.count("within"),
        n_no_history=states.count("no_history"),
        least_p=min(judged, default=None),
        numbers=whole | {score.name: score.value for score in scores},
    )


def title_of(owner: CaseLine | Result) -> str:
    """Return patient, case and item, each once, as far as they have names of their own.

    A case may hold several slides: a result is named by its own item, not by that of its case.
    """
    names = dict.fromkeys(name for name in (owner.patient, owner.case, owner.item) if name)
    return " › ".join(names)
