"""What became of a list of slides, as text for a terminal and as one JSON object."""

from typing import Any

import medconsist
from medconsist.results.cases import Outcome
from medconsist.results.folder import RESULT_NAME
from medconsist.results.tables import aligned
from medconsist.wsi.jobs import Done, Refused
from medconsist.wsi.task import N_FACTS

__all__ = ["as_json", "as_text"]


def as_json(done: Done) -> dict[str, Any]:
    """Return where each result is and what it says, and why a slide has none."""
    return {
        "results": [_result(outcome) for outcome in done.outcomes],
        "refused": [
            {"slide": str(one.slide), "reason": one.reason, "said": one.sentence}
            for one in done.refused
        ],
        "said": medconsist.RESEARCH_USE_ONLY,
    }


def as_text(done: Done) -> str:
    """Return a table of the slides, what to know of each, the refused ones; paths come last."""
    parts = [medconsist.RESEARCH_USE_ONLY]
    if done.outcomes:
        header = ("slide", "tiles", "tissue", "microns per pixel", "state")
        parts += ["", aligned([header, *map(_row, done.outcomes)])]
        warned = [line for outcome in done.outcomes for line in _warnings(outcome)]
        parts += ["", *warned] if warned else []
    if done.refused:
        parts += ["", *map(_left_out, done.refused)]
    parts += ["", *(_path(outcome) for outcome in done.outcomes)]
    return "\n".join(parts).rstrip()


def _result(outcome: Outcome) -> dict[str, Any]:
    result = outcome.stored.result
    return {
        "result": _path(outcome),
        "key": result.key,
        "fresh": outcome.fresh,
        "metrics": [metric.model_dump(mode="json") for metric in result.metrics],
        "scores": [score.model_dump(mode="json") for score in result.trust.scores],
        "notes": list(result.notes),
    }


def _row(outcome: Outcome) -> tuple[str, ...]:
    result = outcome.stored.result
    values = {metric.name: metric.value for metric in result.metrics}
    return (
        result.item or result.case,
        f"{values['tiles']:.0f}",
        f"{values['tissue_area']:.3g} mm^2",
        result.notes[0].removeprefix("Microns per pixel ").rstrip("."),
        "done now" if outcome.fresh else "was done before",
    )


def _warnings(outcome: Outcome) -> list[str]:
    result = outcome.stored.result
    return [f"{result.item or result.case}: {note}" for note in result.notes[N_FACTS:]]


def _left_out(one: Refused) -> str:
    named = "" if one.slide.name in one.sentence else f"{one.slide.name}: "
    return f"left out ({one.reason}): {named}{one.sentence}"


def _path(outcome: Outcome) -> str:
    return str(outcome.stored.folder.path / RESULT_NAME)
