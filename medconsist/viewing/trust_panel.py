"""The trust panel, the same on every screen: what measurement says of a result, and how well.

A description made of words alone, which the page draws (`trust_panel_html`) and a report may set.
It never says that a result is good: the best that it has is that nothing was outside the history of
the site, and that only where every score was judged against one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from medconsist.results.schema import Result
from medconsist.results.trust import Score
from medconsist.viewing.alarm_list import ALARMS, Alarm
from medconsist.viewing.alarm_raised import raised_alarms
from medconsist.viewing.alarm_rates import NOT_MEASURED, AlarmRate, rates_of
from medconsist.viewing.markup import NOTICE
from medconsist.viewing.numbers import number, provenance_rows
from medconsist.viewing.scores import NO_EXPECTATION, expected_words, score_title, stated_width
from medconsist.viewing.trust_claim import Claim, claim_of
from medconsist.viewing.trust_panel_history import SiteHistory, place_of
from medconsist.viewing.trust_panel_model import model_rows

__all__ = [
    "SEALED",
    "AlarmLine",
    "ScoreLine",
    "Tone",
    "TrustPanel",
    "sealed_trust_panel",
    "trust_panel",
]

Tone = Literal["block", "advise", "neutral", "within"]
"""``within`` only if every score was judged against a history and none was outside."""

SEALED = (
    "Sealed: what the model says of this case, and every number made of it, is shown after the "
    "first impression is filed."
)
_HEADLINES: dict[Tone, str] = {
    "block": "Blocked: a part of this result must not be read.",
    "advise": "Look at the alarms before the numbers.",
    "neutral": "Not judged as a whole.",
    "within": "Every score is within the history of this site. That says nothing of whether the "
    "result is right.",
}
_NO_DIGEST = " The earlier cases that some scores were judged by are not on record."
_NO_SCORES = "This result holds no trust scores: nothing was measured of it."
_BESIDE = {
    "no_history": "not judged",
    "within": "within the history of this site",
    "outside": "outside the history of this site",
}
_OF_THE_INPUT = ("Input: ", "Kind", "Finished", "Code", "Versions")


@dataclass(frozen=True, kw_only=True)
class ScoreLine:
    """One score as a reader sees it.

    Parameters
    ----------
    name, value, expected, judgement, place, meaning
        In words; ``value`` has its unit, ``judgement`` is that of the record, ``place`` the rank
        among the earlier cases that are known now.
    n
        How many measured samples the value rests on.
    state
        As in the record.

    Examples
    --------
    >>> ScoreLine(name="Unusable leads", value="0", n=16, expected="no expectation",
    ...           state="no_history", judgement="", place="", meaning="").beside
    'not judged'
    """

    name: str
    value: str
    n: int
    expected: str
    state: Literal["no_history", "within", "outside"]
    judgement: str
    place: str
    meaning: str

    @property
    def beside(self) -> str:
        """What stands beside the value: what was expected, and how unusual it is here.

        That it is not judged stands there only where nothing was expected either.
        """
        history = _BESIDE[self.state]
        if self.expected == NO_EXPECTATION:
            return history
        return self.expected if self.state == "no_history" else f"{self.expected}, {history}"

    @property
    def details(self) -> tuple[str, ...]:
        """What stands behind the line, a sentence each; no history is said once."""
        rests = f"{self.expected[:1].upper()}{self.expected[1:]}; n = {self.n}."
        place = f"{self.place[:1].upper()}{self.place[1:]}."
        judged = () if self.state == "no_history" else (self.judgement,)
        return (self.meaning, rests, *judged, place)


@dataclass(frozen=True, kw_only=True)
class AlarmLine:
    """One alarm that a result of this kind can raise.

    Parameters
    ----------
    alarm
        What it is.
    reasons
        Why it is raised here; none: it is not.
    rates
        Measured ones, for the scores of this result where it is about scores.
    unmeasured
        Scores of this result whose rates nobody measured, where each score can raise it.

    Examples
    --------
    >>> AlarmLine(alarm=ALARMS[0]).measured
    'not measured'
    """

    alarm: Alarm
    reasons: tuple[str, ...] = ()
    rates: tuple[AlarmRate, ...] = ()
    unmeasured: tuple[str, ...] = ()

    @property
    def is_raised(self) -> bool:
        """Whether this result raises it."""
        return bool(self.reasons)

    @property
    def measured(self) -> str:
        """By which commands its rates were measured, or that they were not."""
        return ", ".join(dict.fromkeys(rate.command for rate in self.rates)) or NOT_MEASURED


@dataclass(frozen=True, kw_only=True)
class TrustPanel:
    """All that the panel says.

    Parameters
    ----------
    tone, headline
        The heaviest thing that is said, and its sentence.
    claim
        The image that is shown first, or a prediction; None where that is sealed.
    scores, history, validity
        The trust record, what it was compared with now, and the condition of its p-values.
    alarms
        Those that are raised first, the heaviest on top.
    model, origin
        Card and cohort; hashes of inputs and result, configuration, code. Pairs of name and value.
    width
        Of the feature that scores are about; empty if there is none.
    is_sealed
        Whether what tells of the model is left out.

    Examples
    --------
    >>> TrustPanel(tone="neutral", headline="Nothing was measured.").notice
    'Research use only, not for diagnosis.'
    """

    tone: Tone
    headline: str
    claim: Claim | None = None
    scores: tuple[ScoreLine, ...] = ()
    history: str = ""
    validity: str = ""
    alarms: tuple[AlarmLine, ...] = ()
    model: tuple[tuple[str, str], ...] = ()
    origin: tuple[tuple[str, str], ...] = ()
    width: str = ""
    is_sealed: bool = False
    notice: str = field(default=NOTICE, init=False)

    @property
    def raised(self) -> tuple[AlarmLine, ...]:
        """The alarms of this result."""
        return tuple(line for line in self.alarms if line.is_raised)


def trust_panel(
    result: Result,
    *,
    history: SiteHistory | None = None,
    stream: Sequence[str] = (),
    unreadable: Sequence[str] = (),
) -> TrustPanel:
    """Return the panel of a result.

    Parameters
    ----------
    result
        As it was read and verified.
    history
        Of its site, see `history_of_lines`; None: no place is named.
    stream
        What `medconsist.results.alarm.alarms_beside` says.
    unreadable
        What of the result could not be read, a sentence each.
    """
    history = history or SiteHistory()
    alarms = _alarm_lines(result, raised_alarms(result, stream=stream, unreadable=unreadable))
    scores = tuple(_score_line(score, history) for score in result.trust.scores)
    tone = _tone(result.trust.scores, alarms)
    return TrustPanel(
        tone=tone,
        headline=_headline(tone, result.trust.scores),
        claim=claim_of(result),
        scores=scores,
        history=history.words,
        validity=result.trust.validity,
        alarms=alarms,
        model=model_rows(result),
        origin=_origin(result),
        width=stated_width(result.trust.settings),
    )


def sealed_trust_panel(result: Result, *, unreadable: Sequence[str] = ()) -> TrustPanel:
    """Return the panel before the first impression: nothing that is made of the model's part.

    What is left tells of the recorded data: their hashes, and alarms about them.

    Parameters
    ----------
    result, unreadable
        See `trust_panel`.
    """
    found = raised_alarms(result, unreadable=unreadable)
    alarms = tuple(line for line in _alarm_lines(result, found) if line.alarm.about == "data")
    is_blocked = any(line.is_raised and line.alarm.level == "block" for line in alarms)
    return TrustPanel(
        tone="block" if is_blocked else "neutral",
        headline=f"{_HEADLINES['block']} {SEALED}" if is_blocked else SEALED,
        alarms=alarms,
        origin=tuple(row for row in _origin(result) if row[0].startswith(_OF_THE_INPUT)),
        is_sealed=True,
    )


def _score_line(score: Score, history: SiteHistory) -> ScoreLine:
    place = place_of(score, history)
    lost = score.n_history - place.n
    said = f"; {lost} of the cases that it was judged by are not there now" if lost > 0 else ""
    return ScoreLine(
        name=score_title(score.name),
        value=number(score.value, score.unit),
        n=score.n,
        expected=expected_words(score),
        state=score.state,
        judgement=score.judgement,
        place=f"{place.words}{said}",
        meaning=score.meaning,
    )


def _headline(tone: Tone, scores: Sequence[Score]) -> str:
    if tone != "neutral":
        return _HEADLINES[tone]
    if not scores:
        return _NO_SCORES
    # where there is no history, the alarm that says so stands below; nothing else would say this
    has_no_digest = any(score.p is not None and score.calibration_id is None for score in scores)
    return f"{_HEADLINES['neutral']}{_NO_DIGEST if has_no_digest else ''}"


def _alarm_lines(result: Result, raised: dict[str, tuple[str, ...]]) -> tuple[AlarmLine, ...]:
    weights = {"block": 0, "advise": 1, "inform": 2}
    lines = (
        _alarm_line(alarm, result, raised.get(alarm.name, ()))
        for alarm in ALARMS
        if alarm.is_for(result.kind)
    )
    return tuple(sorted(lines, key=lambda line: (not line.is_raised, weights[line.alarm.level])))


def _alarm_line(alarm: Alarm, result: Result, reasons: tuple[str, ...]) -> AlarmLine:
    names = [score.name for score in result.trust.scores]
    rates = tuple(
        rate
        for rate in rates_of(alarm.name, kind=result.kind)
        if not rate.score or rate.score in names
    )
    measured = {rate.score for rate in rates}
    unmeasured = [name for name in names if alarm.is_of_each_score and name not in measured]
    told = alarm.told_of(result.kind)
    return AlarmLine(alarm=told, reasons=reasons, rates=rates, unmeasured=tuple(unmeasured))


def _tone(scores: Sequence[Score], alarms: Sequence[AlarmLine]) -> Tone:
    levels = {line.alarm.level for line in alarms if line.is_raised}
    if "block" in levels:
        return "block"
    if "advise" in levels:
        return "advise"
    # a score whose earlier values have no digest was judged by nobody knows what
    is_calibrated = bool(scores) and all(score.calibration_id is not None for score in scores)
    return "within" if is_calibrated and all(s.state == "within" for s in scores) else "neutral"


def _origin(result: Result) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in provenance_rows(result) if name != "Model")
