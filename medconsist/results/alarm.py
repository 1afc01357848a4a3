"""The alarm of a site: it says that the stream of cases changed, by the history of the tasks.

Beside the p-value of one case (`trust.judge_against_history`), which says nothing of many slightly
unusual ones in a row. A function of ``history.jsonl`` alone, so that it goes on tomorrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from medconsist.errors import RefusedInputError
from medconsist.metrics.martingale import AlarmSettings, Step, watch
from medconsist.results.history import HistoryLine
from medconsist.results.schema import Result

__all__ = ["HistoryAlarm", "alarm_of_history", "alarms_beside"]


@dataclass(frozen=True)
class HistoryAlarm:
    """What the stream of one score of one group says.

    Parameters
    ----------
    score, group
        Which stream.
    cases, steps
        Ids in the order in which their first results were finished, and what each did.
    settings
        What counted as an alarm.

    Examples
    --------
    >>> alarm_of_history([], group="cs", score="residual").sentence[:32]
    'residual: no alarm in 0 cases. A'
    """

    score: str
    group: str
    cases: tuple[str, ...]
    steps: tuple[Step, ...]
    settings: AlarmSettings

    @property
    def alarms(self) -> tuple[str, ...]:
        """The cases that raised an alarm."""
        pairs = zip(self.cases, self.steps, strict=True)
        return tuple(case for case, step in pairs if step.alarm)

    @property
    def sentence(self) -> str:
        """What the screen says, with what is guaranteed."""
        found = f"alarm at {', '.join(self.alarms)}" if self.alarms else "no alarm"
        return f"{self.score}: {found} in {len(self.cases)} cases. {self.settings.guarantee}"


def alarm_of_history(
    lines: Sequence[HistoryLine],
    *,
    group: str,
    score: str,
    settings: AlarmSettings | None = None,
) -> HistoryAlarm:
    """Return the alarms of one score; see `medconsist.metrics.martingale` for what they mean.

    Each case counts once, with its first line: a later one would change what was already counted.
    (A p-value compares with the latest line of each.) Ties are not broken, so that the same file
    always gives the same alarms. Of several scores or groups, the rates add.

    Parameters
    ----------
    lines
        Of ``History.read``, in the order of the file.
    group
        Only lines of this group are one stream: same task, same configuration, same site.
    score
        Name; lines without it are left out.
    settings
        The direction is that of the score. None takes the defaults: 1 false alarm in 1,000 cases
        on average, high is bad.

    Raises
    ------
    RefusedInputError
        The group has lines, and none has the score.
    """
    settings = settings or AlarmSettings()
    first: dict[str, float] = {}
    of_group = [line for line in lines if line.group == group]
    for line in of_group:
        if score in line.scores:
            first.setdefault(line.case, line.scores[score])
    if of_group and not first:
        known = sorted({name for line in of_group for name in line.scores})
        msg = f"no line of the group has the score {score!r}; they have {', '.join(known)}."
        raise RefusedInputError(msg)
    steps = tuple(watch(first.values(), settings))
    return HistoryAlarm(score, group, tuple(first), steps, settings)


def alarms_beside(lines: Sequence[HistoryLine], result: Result) -> tuple[str, ...]:
    """Return a sentence for each score of a result whose stream has raised an alarm by now.

    Its group is that of its own line in the history; none without one. Each takes a pass over the
    history: ask once a run, not once a case.

    Parameters
    ----------
    lines
        Of ``History.read``, the result's own among them.
    result
        Whose scores, each in its direction.
    """
    own = [one for one in lines if (one.case, one.key) == (result.case, result.key)]
    found = [
        alarm_of_history(
            lines,
            group=line.group,
            score=score.name,
            settings=AlarmSettings(direction=score.direction),
        )
        for line in own[:1]
        for score in result.trust.scores
        if score.name in line.scores
    ]
    raised = tuple(one.sentence for one in found if one.alarms)
    if raised and len(found) > 1:
        return (*raised, f"{len(found)} scores are watched side by side: their rates add.")
    return raised
