"""Results as text for a terminal and as one JSON object for a program."""

from typing import Any

import medconsist
from medconsist.results.alarm import alarms_beside
from medconsist.results.cases import Outcome
from medconsist.results.folder import RESULT_NAME
from medconsist.results.methods import labelled_method
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore
from medconsist.results.tables import aligned

__all__ = ["alarms_of", "as_json", "as_text"]

HEADLINE_SCORES = (
    "withheld_error",
    "withheld_error_cs",
    "withheld_error_cirim",
    "withheld_nrmse",
    "residual",
    "not_determined_share",
    "refutable_contrast",
    "matched_filter_peak",
)


def alarms_of(store: ResultStore, outcome: Outcome) -> tuple[str, ...]:
    """Return the alarms that the study's history has raised, as sentences."""
    return alarms_beside(store.history.read().lines, outcome.stored.result)


def as_json(outcome: Outcome, *, alarms: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return where the result is, whether this run made it, its metrics, scores, and alarms."""
    result = outcome.stored.result
    return {
        "result": str(outcome.stored.folder.path / RESULT_NAME),
        "key": result.key,
        "fresh": outcome.fresh,
        "shown_first": labelled_method(result, "reconstruction"),
        "metrics": [metric.model_dump(mode="json") for metric in result.metrics],
        "scores": [score.model_dump(mode="json") for score in result.trust.scores],
        "alarms": list(alarms),
        "notes": list(result.notes),
        "said": medconsist.RESEARCH_USE_ONLY,
    }


def as_text(outcome: Outcome, *, alarms: tuple[str, ...] = ()) -> str:
    """Return the table of one result; its path is the last line."""
    result = outcome.stored.result
    state = "done now" if outcome.fresh else "was done before; nothing was computed"
    parts = [f"{result.case}: {state}. {medconsist.RESEARCH_USE_ONLY}"]
    parts += [f"- {note}" for note in result.notes]
    parts += [f"History: {alarm}" for alarm in alarms]
    parts += [*_quality(result), *_scores(result), str(outcome.stored.folder.path / RESULT_NAME)]
    return "\n".join(parts)


def _quality(result: Result) -> list[str]:
    if not result.metrics:
        return []
    names = list(dict.fromkeys(metric.name for metric in result.metrics))
    by_role: dict[str, dict[str, float]] = {}
    for metric in result.metrics:
        by_role.setdefault(metric.role or "reconstruction", {})[metric.name] = metric.value
    header = ("beside the reference", *names)
    lines = [
        (labelled_method(result, role), *(f"{values[name]:.4g}" for name in names))
        for role, values in by_role.items()
    ]
    return ["", aligned([header, *lines])]


def _scores(result: Result) -> list[str]:
    chosen = [score for score in result.trust.scores if score.name in HEADLINE_SCORES]
    if not chosen:
        return []
    table = [("what the samples say", "value", "expected", "unit", "n", "site history")]
    for score in chosen:
        expected = "-" if score.expectation is None else f"{score.expectation:.3g}"
        history = "none yet" if score.p is None else f"{score.state}, p = {score.p:.3g}"
        table.append(
            (score.name, f"{score.value:.3g}", expected, score.unit, str(score.n), history)
        )
    return ["", aligned(table), ""]
