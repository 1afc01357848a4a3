"""What a model says of a patient's recordings: probabilities, spans, nearest trials of others."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from medconsist.results.schema import Result
from medconsist.viewing.numbers import singular
from medconsist.viewing.prediction_words import PredictionWords, prediction_words

__all__ = ["Near", "NearTrials", "SignalWords", "near_trials", "signal_words"]
__all__ += ["without_other_patients"]

_OVER = "over this patient's "
_NEAREST = "Nearest training trials of other patients:"
# Of results that were made before trials were told without ids, "trial 3 of p-7".
_TRIAL = re.compile(r"(one|trial [0-9]+) of (.+?) \(([^()]*), ([0-9.]+)\)(?:, |\.$)")
_INTERVAL = re.compile(r"(No interval|Over this patient's own)")
_STRATUM = re.compile(r"only ([0-9]+) units \((.+?)\) in a stratum: too narrow below ([0-9]+)")


@dataclass(frozen=True)
class SignalWords:
    """What is written beside traces.

    Parameters
    ----------
    prediction
        Doubts and facts, without the names of other patients.
    rows
        Class, probability of the patient, and the span over the patient's own trials; empty where
        there is none.
    span
        The sentence that says what the span is, and is not.

    Examples
    --------
    >>> SignalWords(PredictionWords((), (), ()), (("case", "0.9", "0.8 to 1"),), "").rows[0][0]
    'case'
    """

    prediction: PredictionWords
    rows: tuple[tuple[str, str, str], ...]
    span: str


@dataclass(frozen=True)
class Near:
    """A trial of another patient that is like one of this patient's.

    Parameters
    ----------
    whose
        ``patient A`` and so on: the same letter is the same patient, and no id is told.
    label
        Class of that patient in training.
    distance
        Root mean square difference of standardised features; two trials with nothing in common
        are 1.4 apart.

    Examples
    --------
    >>> Near("patient A", "case", "0.412").whose
    'patient A'
    """

    whose: str
    label: str
    distance: str


@dataclass(frozen=True)
class NearTrials:
    """The nearest trials of training, or why they are not shown.

    Parameters
    ----------
    trials
        Nearest first.
    why_none
        Empty where there are some.

    Examples
    --------
    >>> NearTrials((), "none is stored").trials
    ()
    """

    trials: tuple[Near, ...]
    why_none: str


def signal_words(result: Result) -> SignalWords | None:
    """Return what is written beside traces; None for a result that is no prediction."""
    words = prediction_words(result)
    if words is None or not words.probabilities:
        return None
    spans = {
        metric.name.rpartition(", ")[2]: f"{metric.ci_low:.3f} to {metric.ci_high:.3f}"
        for metric in result.metrics
        if metric.name.startswith(_OVER) and metric.ci_low is not None
    }
    told = tuple(_plain(fact) for fact in words.facts if not fact.startswith(_NEAREST))
    span = next((fact for fact in told if _INTERVAL.match(fact)), "")
    facts = tuple(fact for fact in told if fact != span)
    rows = tuple((name, value, spans.get(name, "")) for name, value in words.probabilities)
    return SignalWords(PredictionWords(words.probabilities, words.doubts, facts), rows, span)


def near_trials(
    result: Result, *, studies: Sequence[str], may_see: Callable[[str], bool]
) -> NearTrials:
    """Return the nearest trials of other patients, without their ids.

    Parameters
    ----------
    result
        A prediction.
    studies
        All studies of this site. Where the model was trained on one of them, its trials are shown
        to those who may see it.
    may_see
        Whether the reader may see a study.
    """
    note = next((one for one in result.notes if one.startswith(_NEAREST)), "")
    trained_on = "" if result.model is None else result.model.trained_on or ""
    found = _TRIAL.findall(note)
    if not found:
        return NearTrials((), "This result stores no nearest trials of other patients.")
    if trained_on in studies and not may_see(trained_on):
        return NearTrials((), "The nearest trials are of a study that you may not see.")
    letters = _letters(patient for _, patient, _, _ in found)
    return NearTrials(
        tuple(Near(letters[patient], label, far) for _, patient, label, far in found), ""
    )


def without_other_patients(
    result: Result, *, studies: Sequence[str], may_see: Callable[[str], bool]
) -> Result:
    """Return a result whose notes name no training patient, for whatever a reader is given of it.

    Parameters
    ----------
    result
        Any; one that names nobody else is returned as it is.
    studies, may_see
        As `near_trials`. Trials of a study that the reader may not see are left out altogether.
    """
    if not any(note.startswith(_NEAREST) for note in result.notes):
        return result
    near = near_trials(result, studies=studies, may_see=may_see).trials
    told = ", ".join(f"one of {one.whose} ({one.label}, {one.distance})" for one in near)
    said = [note for note in result.notes if not note.startswith(_NEAREST)]
    said += [f"{_NEAREST} {told}."] if near else []
    return result.model_copy(update={"notes": tuple(said)})


def _plain(fact: str) -> str:
    """Return a stored sentence without the words of statistics, and one of something as one."""
    return singular(_STRATUM.sub(r"only \1 \2s: too narrow below \3", fact))


def _letters(patients: Iterable[str]) -> dict[str, str]:
    """Return for each patient a letter in the order of their coming."""
    letters = dict[str, str]()
    for patient in patients:
        letters.setdefault(patient, f"patient {ascii_uppercase[len(letters) % 26]}")
    return letters
