"""Which alarms one result raises, and why, in the words of its own record."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from medconsist.results.methods import SHOWN_FIRST
from medconsist.results.schema import Result
from medconsist.viewing.numbers import number, singular
from medconsist.viewing.prediction_words import DOUBT
from medconsist.viewing.scores import score_title

__all__ = ["raised_alarms"]

Reasons = tuple[str, ...]

_FLAGGED_MM2 = 0.02  # of healthy tissue; as `medconsist bench tissue` counts
_PICTURES = ("reconstruction", "cs", "zerofilled", "reference")


def raised_alarms(
    result: Result, *, stream: Sequence[str] = (), unreadable: Sequence[str] = ()
) -> dict[str, Reasons]:
    """Return the alarms of a result, by name, each with its reasons.

    Parameters
    ----------
    result
        As it was read and verified.
    stream
        What `medconsist.results.alarm.alarms_beside` says of the history of its study. That takes a
        pass over the history for each score: ask once, not once a screen.
    unreadable
        What of the result could not be read, a sentence each.
    """
    found = {name: look(result) for name, look in _LOOKS.items()}
    found["stored_bytes"] = tuple(unreadable)
    found["stream"] = tuple(_titled(words) for words in stream)
    return {name: reasons for name, reasons in found.items() if reasons}


def _titled(words: str) -> str:
    """Return what an alarm of a stream says, with its score as it is called on the screen."""
    name, colon, rest = words.partition(":")
    return f"{score_title(name)}{colon}{rest}"


def _outside(result: Result) -> Reasons:
    return tuple(
        f"{score_title(score.name)}: {score.judgement}"
        for score in result.trust.scores
        if score.state == "outside"
    )


def _no_history(result: Result) -> Reasons:
    scores = result.trust.scores
    unjudged = [score for score in scores if score.state == "no_history"]
    if not unjudged:
        return ()
    fewest = min(score.n_history for score in unjudged)
    words = f"{len(unjudged)} of {len(scores)} scores: this site has {fewest} earlier cases."
    return (singular(words),)


def _no_card(result: Result) -> Reasons:
    if result.model is None or result.model.card:
        return ()
    return (f"{result.model.name}: the result names no model card.",)


def _simulation_trained(result: Result) -> Reasons:
    model = result.model
    if model is None or not model.label:
        return ()
    return (f"The weights of {model.name} are {model.label}.",)


def _artefact(result: Result) -> Reasons:
    """Return what is flagged over an area as large as that which counts as a false flag."""
    if result.kind != "wsi.features":
        return ()
    values = {score.name: score.value for score in result.trust.scores}
    tissue_mm2 = values.get("tissue_area", math.inf)
    return tuple(
        f"{score.meaning.rstrip('.')}: {number(100 * score.value, '%')}."
        for score in result.trust.scores
        if score.name.endswith("_share") and score.value > 0
        if score.value * tissue_mm2 >= _FLAGGED_MM2
    )


def _orientation(result: Result) -> Reasons:
    shown = [one for one in result.arrays if one.role in _PICTURES]
    if not shown or any(one.orientation is not None for one in shown):
        return ()
    return ("Left and right, head and foot are not known: no letters are drawn.",)


def _spacing(result: Result) -> Reasons:
    shown = [one for one in result.arrays if one.role in _PICTURES]
    if not shown or any(one.spacing_mm and any(one.spacing_mm) for one in shown):
        return ()
    return ("The size of a pixel is not known: nothing is measured in millimetres.",)


def _voltage(result: Result) -> Reasons:
    traces = [one for one in result.arrays if one.axes == ("time", "channels")]
    unknown = [one.role for one in traces if one.unit is None]
    if not unknown:
        return ()
    return (f"No known unit in {len(unknown)} of {len(traces)} recordings: no mV scale.",)


def _noted(*, start: str = "", anywhere: Sequence[str] = ()) -> Callable[[Result], Reasons]:
    """Return a look for notes that begin so and hold one of these words."""

    def look(result: Result) -> Reasons:
        return tuple(
            note
            for note in result.notes
            if note.startswith(start) and (not anywhere or any(words in note for words in anywhere))
        )

    return look


_LOOKS: Mapping[str, Callable[[Result], Reasons]] = MappingProxyType(
    {
        "score_outside": _outside,
        "no_history": _no_history,
        "cannot_assess": _noted(start=DOUBT),
        "network_behind": _noted(start=f"{SHOWN_FIRST} compressed sensing"),
        "no_card": _no_card,
        "own_patient": _noted(anywhere=("was among the training patients",)),
        "simulation_trained": _simulation_trained,
        "kept_start": _noted(start="Zero-shot:", anywhere=("left as it was",)),
        "random_weights": _noted(start="The weights are random"),
        "other_stain": _noted(anywhere=("the stain looks",)),
        "artefact": _artefact,
        "not_assessed": _noted(start="Not assessed:"),
        "other_engine": _noted(anywhere=("read by OpenSlide",)),
        "swapped_arms": _noted(anywhere=("arm may be swapped",)),
        "orientation_unknown": _orientation,
        "spacing_unknown": _spacing,
        "voltage_unknown": _voltage,
    }
)
