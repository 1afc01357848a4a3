"""The trust scores as a reader sees them: value, expectation, judgement, meaning."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from medconsist.results.trust import Score
from medconsist.viewing.markup import badges, safe, table
from medconsist.viewing.numbers import number, plain_name

__all__ = ["score_cards", "stated_width"]


def score_cards(scores: Sequence[Score]) -> str:
    """Return the trust scores as HTML: value beside expectation, judgement, and the meaning.

    Scores that share a meaning (a residual of each coil) make one card: the first is shown in
    full and the others fold away, unless one of them is outside its history.
    """
    groups: dict[str, list[Score]] = {}
    for score in scores:
        groups.setdefault(score.meaning, []).append(score)
    return "".join(_card(group[0], group[1:]) for group in groups.values())


def stated_width(settings: Mapping[str, JsonValue]) -> str:
    """Return the width of the feature that maps and scores are about, empty if there is none.

    Examples
    --------
    >>> stated_width({"fwhm_px": 4.0})
    'Stated width of a feature: 4 pixels at half of its height.'
    """
    width = settings.get("fwhm_px")
    if not isinstance(width, int | float):
        return ""
    return f"Stated width of a feature: {width:g} pixels at half of its height."


def _card(score: Score, parts: Sequence[Score]) -> str:
    tone = "advise" if score.state == "outside" else "quiet"
    return (
        f'<section class="mc-card"><h3>{safe(plain_name(score.name))}</h3>'
        f"<p><strong>{safe(number(score.value, score.unit))}</strong> {safe(_expected(score))}, "
        f"n = {score.n}</p><p>{badges([score.judgement], tone=tone)}</p>"
        f'<p class="mc-meaning">{safe(score.meaning)}</p>{_folded(parts)}</section>'
    )


def _folded(parts: Sequence[Score]) -> str:
    if not parts:
        return ""
    outside = [plain_name(score.name) for score in parts if score.state == "outside"]
    rows = [
        [plain_name(score.name), number(score.value, score.unit), _expected(score), _p(score)]
        for score in parts
    ]
    listed = table(["Part", "Value", "Expectation", "History"], rows, caption="The parts")
    warning = badges([f"outside: {', '.join(outside)}"], tone="advise") if outside else ""
    unfold = " open" if outside else ""
    return f"<details{unfold}><summary>{len(parts)} parts {warning}</summary>{listed}</details>"


def _expected(score: Score) -> str:
    if score.expectation is None:
        return "no expectation"
    return f"expected {number(score.expectation, score.unit)}"


def _p(score: Score) -> str:
    return "none yet" if score.p is None else f"{score.state}, p = {score.p:.3g}"
