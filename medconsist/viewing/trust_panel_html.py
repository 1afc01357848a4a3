"""The trust panel as HTML, every text of it escaped."""

from collections.abc import Sequence

from medconsist.viewing.alarm_rates import NOT_MEASURED, RATES_NOTE
from medconsist.viewing.markup import badges, safe, table
from medconsist.viewing.numbers import plain_name
from medconsist.viewing.trust_panel import AlarmLine, ScoreLine, TrustPanel

__all__ = ["trust_panel_html"]

_TONES = {"block": "block", "advise": "advise", "inform": "quiet"}
_FEW = 3  # scores of one meaning that are shown before the others fold away
_LONGEST = 2_000  # letters of a sentence


def trust_panel_html(panel: TrustPanel) -> str:
    """Return the whole panel; no colour of it says that a result is good.

    The classes are those of the page: ``mc-block`` and ``mc-advise`` where something is wrong, and
    ``mc-quiet`` for everything else, a result within its history too.
    """
    tone = panel.tone if panel.tone in ("block", "advise") else "quiet"
    parts = [
        f'<section class="mc-trust" aria-label="Trust panel">'
        f'<p class="mc-notice">{safe(panel.notice)}</p>'
        f"<p>{badges([panel.headline], tone=tone)}</p>",
        _alarms(panel),
    ]
    if not panel.is_sealed:
        parts += [_scores(panel), _rows("The model", panel.model)]
    parts.append(_rows("Hashes, configuration, code", panel.origin))
    return "".join(parts) + "</section>"


def _alarms(panel: TrustPanel) -> str:
    silent = [line for line in panel.alarms if not line.is_raised]
    raised = "".join(_alarm(line) for line in panel.raised) or _small("No alarm is raised.")
    quiet = "".join(_alarm(line) for line in silent)
    folded = (
        f"<details><summary>{len(silent)} alarms that are not raised, and how often they are right"
        f"</summary>{quiet}</details>"
        if silent
        else ""
    )
    return f'{_heading("Alarms")}<div class="mc-card">{raised}{folded}{_small(RATES_NOTE)}</div>'


def _alarm(line: AlarmLine) -> str:
    alarm = line.alarm
    reasons = "".join(
        f'<p class="mc-meaning">{safe(why, limit=_LONGEST)}</p>' for why in line.reasons
    )
    facts = [
        ("Cause", alarm.cause),
        ("Threshold", alarm.threshold),
        ("Promise", alarm.promise or "none"),
        ("Measured by", line.measured),
    ]
    known = table(["", ""], facts, caption="What it is")
    unfold = " open" if line.is_raised and alarm.level != "inform" else ""
    tone = _TONES[alarm.level] if line.is_raised else "quiet"
    return (
        f'<div class="mc-alarm"><p>{badges([alarm.level], tone=tone)} '
        f"<strong>{safe(alarm.title)}</strong></p>{reasons}"
        f"<details{unfold}><summary>{safe(_summary(line))}</summary>{known}{_rates(line)}</details>"
        "</div>"
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
    return "; ".join(said)


def _rates(line: AlarmLine) -> str:
    names = ", ".join(map(plain_name, line.unmeasured))
    unmeasured = _small(f"Rates {NOT_MEASURED} for: {names}.") if names else ""
    if not line.rates:
        return unmeasured
    rows = [(rate.condition, plain_name(rate.score), rate.rate, rate.words) for rate in line.rates]
    heads = ["On", "Score", "Rate", "Value, 95 % interval, n"]
    return table(heads, rows, caption=f"Measured rates: {line.alarm.title}") + unmeasured


def _scores(panel: TrustPanel) -> str:
    if not panel.scores:
        return _heading("What the measurement says") + _small("This result holds no trust scores.")
    groups: dict[str, list[ScoreLine]] = {}
    for score in panel.scores:
        groups.setdefault(score.meaning, []).append(score)
    cards = "".join(_card(group) for group in groups.values())
    below = "".join(
        _small(words) for words in (panel.width, panel.history, panel.validity) if words
    )
    return f"{_heading('What measurement says')}{cards}{below}"


def _card(group: Sequence[ScoreLine]) -> str:
    """Return scores of one meaning: one outside its history is never folded away."""
    shown = [score for at, score in enumerate(group) if at < _FEW or score.state == "outside"]
    rest = [score for score in group if score not in shown]
    said = "".join(_score(score) for score in shown)
    folded = (
        f"<details><summary>{len(rest)} more</summary>{''.join(map(_score, rest))}</details>"
        if rest
        else ""
    )
    meaning = safe(group[0].meaning, limit=_LONGEST)
    return f'<section class="mc-card">{said}{folded}<p class="mc-meaning">{meaning}</p></section>'


def _score(score: ScoreLine) -> str:
    tone = "advise" if score.state == "outside" else "quiet"
    return (
        f"<h3>{safe(score.name)}</h3><p><strong>{safe(score.value)}</strong> "
        f"{safe(score.expected)}, n = {score.n}</p><p>{badges([score.judgement], tone=tone)}</p>"
        f'<p class="mc-small">{safe(score.place)}</p>'
    )


def _rows(title: str, rows: Sequence[tuple[str, str]]) -> str:
    if not rows:
        return ""
    listed = table(["", "Value"], rows, caption=title)
    folded = f"<details><summary>{safe(title)}</summary>{listed}</details>"
    return f'<div class="mc-card">{folded}</div>'


def _heading(title: str) -> str:
    return f'<h2 class="mc-h">{safe(title)}</h2>'


def _small(words: str) -> str:
    return f'<p class="mc-small">{safe(words, limit=_LONGEST)}</p>'
