"""The trust panel as HTML, every text of it escaped.

From above: the state in one line, the alarms that are raised, what the model claims, the scores in
a line each, the model and the hashes, the alarms that are not raised. What a reader does not need
at once is folded away, and the name of each fold says what is in it.
"""

from collections.abc import Sequence

from medconsist.viewing.alarm_rates import NOT_MEASURED, RATES_NOTE
from medconsist.viewing.markup import badges, safe, table
from medconsist.viewing.numbers import ROUNDED
from medconsist.viewing.scores import score_title
from medconsist.viewing.trust_claim import Claim
from medconsist.viewing.trust_panel import AlarmLine, ScoreLine, TrustPanel

__all__ = ["claim_html", "trust_panel_html"]

_TONES = {"block": "block", "advise": "advise", "inform": "quiet"}
_FEW = 3  # reasons of one alarm that are shown before the others fold away
_LONGEST = 2_000  # letters of a sentence


def trust_panel_html(panel: TrustPanel) -> str:
    """Return the whole panel; no colour of it says that a result is good.

    The classes are those of the page: ``mc-block`` and ``mc-advise`` where something is wrong, and
    ``mc-quiet`` for everything else, a result within its history too.
    """
    tone = panel.tone if panel.tone in ("block", "advise") else "quiet"
    parts = [
        f'<section class="mc-trust" aria-label="Trust panel">'
        f"<p>{badges([panel.headline], tone=tone)}</p>"
        f'<p class="mc-notice">{safe(panel.notice)}</p>',
        _raised(panel),
    ]
    if panel.claim is not None:
        above = tuple(reason for line in panel.raised for reason in line.reasons)
        parts.append(claim_html(panel.claim, above=above))
    if not panel.is_sealed:
        parts += [_scores(panel), _rows("The model: card, label, training cohort", panel.model)]
    parts += [_rows("Hashes, configuration, code", panel.origin), _silent(panel)]
    return "".join(parts) + "</section>"


def claim_html(claim: Claim, *, above: Sequence[str] = ()) -> str:
    """Return what a model claims: its doubts first, its numbers, what they are, how they came.

    Parameters
    ----------
    claim
        In words.
    above
        Sentences that stand above as the reason of an alarm; they are not said again.
    """
    doubts = "".join(
        f'<div class="mc-doubt">{safe(doubt, limit=_LONGEST)}</div>'
        for doubt in claim.doubts
        if doubt not in above
    )
    if any(doubt in above for doubt in claim.doubts):
        doubts += _small("This case cannot be assessed: the reason is the alarm above.")
    rows = table(claim.heads, claim.rows, caption=claim.caption) if claim.rows else ""
    said = "".join(_meaning(words) for words in claim.said if words not in above)
    if any(words in above for words in claim.said):
        said += _small("Why: see the alarm above.")
    facts = "".join(map(_small, claim.facts))
    folded = _fold(f"Training, threshold, notes of the model ({len(claim.facts)})", facts)
    return f'{_heading(claim.title)}<div class="mc-card">{doubts}{rows}{said}{folded}</div>'


def _raised(panel: TrustPanel) -> str:
    raised = "".join(map(_alarm, panel.raised)) or _small("No alarm is raised.")
    return f'{_heading("Alarms")}<div class="mc-card">{raised}</div>'


def _silent(panel: TrustPanel) -> str:
    silent = [line for line in panel.alarms if not line.is_raised]
    noun = "alarm that is" if len(silent) == 1 else "alarms that are"
    title = f"{len(silent)} {noun} not raised: causes and rates"
    said = "".join(map(_alarm, silent))
    return f'<div class="mc-card">{_fold(title, said)}</div>' if silent else ""


def _alarm(line: AlarmLine) -> str:
    alarm = line.alarm
    shown, rest = line.reasons[:_FEW], line.reasons[_FEW:]
    facts = [
        ("Cause", alarm.cause),
        ("Threshold", alarm.threshold),
        ("Promise", alarm.promise or "none"),
        ("Rates measured by" if line.rates else "Rates", line.measured),
    ]
    known = table(["Of this alarm", "Value"], facts, caption=f"About: {alarm.title}")
    inside = [f"{len(rest)} more {'reason' if len(rest) == 1 else 'reasons'}"] if rest else []
    inside += ["cause", "threshold", "promise"]
    inside.append("measured rates" if line.rates else f"rates {NOT_MEASURED}")
    inner = "".join(map(_meaning, rest)) + known + _rates(line)
    folded = _fold(_sentence(", ".join(inside)), inner, of=alarm.title)
    tone = _TONES[alarm.level] if line.is_raised else "quiet"
    return (
        f'<div class="mc-alarm"><p>{badges([alarm.level], tone=tone)} '
        f"<strong>{safe(alarm.title)}</strong></p>{''.join(map(_meaning, shown))}{folded}</div>"
    )


def _summary(line: AlarmLine) -> str:
    """Return the rates on one line: one if there is one, else their range."""
    said = []
    for which in ("false", "true"):
        values = [rate for rate in line.rates if rate.rate == which]
        if len(values) == 1:
            said.append(f"{which} rate {values[0].words}")
        elif values:
            low, high = (f(values, key=lambda rate: rate.value) for f in (min, max))
            said.append(f"{which} rate from {low.words} to {high.words}")
        else:
            said.append(f"{which} rate {NOT_MEASURED}")
    return f"{_sentence('; '.join(said))}."


def _rates(line: AlarmLine) -> str:
    names = ", ".join(map(score_title, line.unmeasured))
    unmeasured = _small(f"Rates {NOT_MEASURED} for: {names}.") if names else ""
    if not line.rates:
        return unmeasured
    rows = [(rate.condition, score_title(rate.score), rate.rate, rate.words) for rate in line.rates]
    heads = ["On", "Score", "Rate", "Value, 95 % interval, n"]
    measured = table(heads, rows, caption=f"Measured rates: {line.alarm.title}")
    return _small(_summary(line)) + measured + unmeasured + _small(RATES_NOTE)


def _scores(panel: TrustPanel) -> str:
    if not panel.scores:
        return _heading("What measurement says") + _small("This result holds no trust scores.")
    groups: dict[str, list[ScoreLine]] = {}
    for score in panel.scores:
        groups.setdefault(score.meaning, []).append(score)
    lines = "".join(map(_group, groups.values()))
    compared = [panel.width, panel.history, panel.validity, ROUNDED]
    is_judged = any(score.state != "no_history" for score in panel.scores)
    if is_judged:  # a p-value stands nowhere without its condition
        compared.remove(panel.validity)
    below = _small(panel.validity) if is_judged else ""
    folded = _fold(
        "Site history, p-values, rounding",
        "".join(_small(words) for words in compared if words),
    )
    return f'{_heading("What measurement says")}<div class="mc-card">{lines}{below}{folded}</div>'


def _group(group: Sequence[ScoreLine]) -> str:
    """Return scores of one meaning: one outside its history is never folded away."""
    shown = [score for at, score in enumerate(group) if at == 0 or score.state == "outside"]
    rest = [score for score in group if score not in shown]
    said = "".join(map(_score, shown))
    if not rest:
        return said
    same = f"{shown[0].name}, "
    first, last = (score.name.removeprefix(same) for score in (rest[0], rest[-1]))
    named = first if len(rest) == 1 else f"{first} to {last}"
    return said + _fold(f"{len(rest)} more: {named}", "".join(map(_score, rest)), of=shown[0].name)


def _score(score: ScoreLine) -> str:
    """Return name, value and what stands beside it; the rest is behind that line."""
    beside = f", {safe(score.beside)}"
    if score.state == "outside":
        beside = f" {badges([score.beside], tone='advise')}"
    line = f"<b>{safe(score.name)}</b>: <strong>{safe(score.value)}</strong>{beside}"
    details = "".join(_small(words) for words in score.details)
    return f'<details class="mc-score"><summary>{line}</summary>{details}</details>'


def _rows(title: str, rows: Sequence[tuple[str, str]]) -> str:
    if not rows:
        return ""
    return f'<div class="mc-card">{_fold(title, table(["", "Value"], rows, caption=title))}</div>'


def _fold(title: str, inner: str, *, of: str = "") -> str:
    """Return what is closed until a reader opens it; nothing where there is nothing in it.

    Parameters
    ----------
    title
        What is in it.
    inner
        HTML.
    of
        Whose it is, for those who hear the page; who sees it sees what it stands below.
    """
    heard = f'<span class="mc-heard"> of: {safe(of)}</span>' if of else ""
    return f"<details><summary>{safe(title)}{heard}</summary>{inner}</details>" if inner else ""


def _heading(title: str) -> str:
    return f'<h2 class="mc-h">{safe(title)}</h2>'


def _sentence(words: str) -> str:
    """Return words with a capital at their begin."""
    return f"{words[:1].upper()}{words[1:]}"


def _meaning(words: str) -> str:
    return f'<p class="mc-meaning">{safe(words, limit=_LONGEST)}</p>'


def _small(words: str) -> str:
    return f'<p class="mc-small">{safe(words, limit=_LONGEST)}</p>'
