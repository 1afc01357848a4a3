"""Where the scores of a result stand among the earlier cases of its own site."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from medconsist.results.history import HistoryLine
from medconsist.results.schema import Result
from medconsist.results.trust import Score, fewest_cases

__all__ = ["ScorePlace", "SiteHistory", "history_of_lines", "history_of_results", "place_of"]

_ALPHA = 0.05  # of `judge_against_history`
_NOT_LISTED = "This result has no line in the history of its study."
_NONE = "No history was read."


@dataclass(frozen=True)
class SiteHistory:
    """The values of earlier cases, one of each case.

    Parameters
    ----------
    values
        Name of a score to its values.
    words
        What was compared, as a sentence for the screen.

    Examples
    --------
    >>> SiteHistory().values
    {}
    """

    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    words: str = _NONE

    def of(self, score: str) -> tuple[float, ...]:
        """Return the values of one score; none where it was never computed."""
        return self.values.get(score, ())


@dataclass(frozen=True)
class ScorePlace:
    """The rank of one value among N earlier ones.

    Parameters
    ----------
    n, n_below, n_equal
        Earlier cases, those with a lower value, and those with the same.
    needed
        Fewest earlier cases with which a p-value can reach 0.05 in this direction.

    Examples
    --------
    >>> ScorePlace(n=40, n_below=30, n_equal=0, needed=19).words
    'rank 31 of 41 from the lowest (percentile 75 of 40 earlier cases)'
    >>> ScorePlace(n=4, n_below=3, n_equal=0, needed=19).words
    'no history: fewer than 20 cases (4 earlier ones)'
    """

    n: int
    n_below: int
    n_equal: int
    needed: int

    @property
    def is_known(self) -> bool:
        """Whether there are cases enough to say anything."""
        return self.n >= self.needed

    @property
    def percentile(self) -> float:
        """Share of the earlier cases below, in percent; equal ones count half."""
        return 100 * (self.n_below + self.n_equal / 2) / self.n if self.n else 0.0

    @property
    def words(self) -> str:
        """The place, or that there is none."""
        if not self.is_known:
            earlier = "1 earlier one" if self.n == 1 else f"{self.n} earlier ones"
            return f"no history: fewer than {self.needed + 1} cases ({earlier})"
        first, last = self.n_below + 1, self.n_below + self.n_equal + 1
        rank = f"{first}" if first == last else f"{first} to {last}"
        return (
            f"rank {rank} of {self.n + 1} from the lowest "
            f"(percentile {self.percentile:.0f} of {self.n} earlier cases)"
        )


def place_of(score: Score, history: SiteHistory) -> ScorePlace:
    """Return where a score stands among the earlier cases."""
    earlier = history.of(score.name)
    return ScorePlace(
        n=len(earlier),
        n_below=sum(value < score.value for value in earlier),
        n_equal=sum(value == score.value for value in earlier),
        needed=fewest_cases(_ALPHA, score.direction),
    )


def history_of_lines(lines: Sequence[HistoryLine], result: Result) -> SiteHistory:
    """Return the earlier cases of the group that the result itself belongs to.

    Earlier is what stands before its own line: the file is only ever appended to. Each case counts
    once, with its latest line, as in `judge_against_history`; the case itself is left out.

    Parameters
    ----------
    lines
        Of ``ResultStore.history.read()``, in the order of the file.
    result
        Whose place is asked for.
    """
    own = (result.case, result.key)
    at = next((i for i, line in enumerate(lines) if (line.case, line.key) == own), None)
    if at is None:
        return SiteHistory(words=_NOT_LISTED)
    group = lines[at].group
    latest = {
        line.case: line.scores
        for line in lines[:at]
        if line.group == group and line.case != result.case
    }
    return _gathered(latest, "same task and settings of this study, from its history")


def history_of_results(results: Iterable[Result], result: Result) -> SiteHistory:
    """Return the earlier cases among other results, where no history was kept.

    Compared are results of the same study, kind, version and weights that were finished before;
    each case counts once, with its latest one. Who calls bounds how many are read.

    Parameters
    ----------
    results
        E.g. of `finished_results` of each case; the result itself may be among them.
    result
        Whose place is asked for.
    """
    alike = sorted(
        (
            one
            for one in results
            if one.case != result.case
            and _sort(one) == _sort(result)
            and one.times.finished < result.times.finished
        ),
        key=lambda one: one.times.finished,
    )
    latest = {one.case: {s.name: s.value for s in one.trust.scores} for one in alike}
    return _gathered(latest, "same study, task, version and weights, finished before this one")


def _sort(result: Result) -> tuple[str, str, int, str | None]:
    weights = None if result.model is None else result.model.sha256
    return result.study, result.kind, result.result_version, weights


def _gathered(latest: Mapping[str, Mapping[str, float]], what: str) -> SiteHistory:
    values: dict[str, list[float]] = {}
    for scores in latest.values():
        for name, value in scores.items():
            values.setdefault(name, []).append(value)
    cases = "1 earlier case" if len(latest) == 1 else f"{len(latest)} earlier cases"
    fixed = {name: tuple(found) for name, found in values.items()}
    return SiteHistory(fixed, f"{cases} of this site: {what}.")
