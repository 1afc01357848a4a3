"""A prediction as it is stored: arrays for the viewer, numbers for the trust record, sentences."""

import csv
import io
from pathlib import Path
from string import ascii_uppercase

import numpy as np

from medconsist._atomic import atomic_write_bytes, make_folder
from medconsist.results.draft import Draft
from medconsist.results.schema import Metric, Place
from medconsist.results.store import StoredResult
from medconsist.results.trust import Score
from medconsist.timeseries.case_windows import CaseWindows
from medconsist.timeseries.reference import NEAREST
from medconsist.timeseries.signal_answer import SignalAnswer
from medconsist.timeseries.signal_model import SignalModel

__all__ = ["add_arrays", "metrics_of", "notes_of", "scores_of", "segment_rows", "write_segments"]

SIGNAL = "signal_{}"
_MEANINGS = {
    "half_gap": "How far the answers from two halves of the trials differ, on average.",
    "distance_percentile": "How far the median trial lies from training, in percent of its trials.",
    "unusable": "Share of leads and stretches whose signal is unusable.",
    "attribution_agreement": "Whether attention and leaving out point at the same windows.",
    "withheld_leads": "Share of the power of all leads that the others do not tell.",
    "withheld_lead_worst": "The same share of the worst lead; swapped electrodes raise it.",
}
_LOW_IS_BAD = ("attribution_agreement",)


def add_arrays(draft: Draft, model: SignalModel, case: CaseWindows, answer: SignalAnswer) -> None:
    """Write what the viewer shows: the traces, and for each window its time and its numbers."""
    shown, table = model.card.classes[model.positive], case.windows.table
    seconds = model.card.preparation.seconds
    by_window = {
        "window_start": (case.start_s, "s", f"begin of each window, {seconds:g} s long"),
        "window_recording": (case.recording, None, "number of the recording of each window"),
        "window_trial": (table.trial, None, "number of the trial of each window"),
        "attention": (
            answer.attribution.attention.numpy(),
            None,
            "share of the window in the attention, times the number of windows: 1 is even",
        ),
        "occlusion": (
            answer.attribution.occlusion.numpy(),
            None,
            f"probability of {shown} less that without the window",
        ),
    }
    for role, (values, unit, text) in by_window.items():
        draft.add_array(
            role, values, axes=("windows",), unit=unit, method=model.card.method, description=text
        )
    draft.add_array(
        "window_probability",
        answer.windows.numpy(),
        axes=("windows", "classes"),
        method=model.card.method,
        description="of each window by itself; the temperature was fitted on patients",
    )
    _add_neighbours(draft, answer)
    for number, recording in enumerate(case.recordings):
        units = set(recording.info.units)
        draft.add_array(
            SIGNAL.format(number),
            recording.read(),
            axes=("time", "channels"),
            unit=units.pop() if len(units) == 1 else None,
            place=Place(of="recording", unit="s", offset=(0.0,), scale=(1 / recording.info.rate,)),
            description=f"{', '.join(recording.info.channels)} of {recording.info.source}",
        )


def _add_neighbours(draft: Draft, answer: SignalAnswer) -> None:
    trials, count = len(answer.neighbours), NEAREST
    rows = np.full((trials, count), -1, np.int64)
    distance = np.full((trials, count), np.nan)
    for number, near in enumerate(answer.neighbours):
        rows[number, : len(near)] = [one.row for one in near]
        distance[number, : len(near)] = [one.distance for one in near]
    axes = ("trials", "neighbours")
    draft.add_array(
        "neighbour_row", rows, axes=axes, description="row of the model's reference trials; -1 none"
    )
    draft.add_array(
        "neighbour_distance",
        distance,
        axes=axes,
        description="root mean square difference of standardised features",
    )
    draft.add_array(
        "trial_percentile",
        answer.percentile.double().numpy(),
        axes=("trials",),
        unit="%",
        description="share of training trials that are nearer to training than this one",
    )


def metrics_of(model: SignalModel, answer: SignalAnswer) -> tuple[Metric, ...]:
    """Return the probabilities, and the one shown with its interval over the patient's trials."""
    named = zip(model.card.classes, answer.probabilities, strict=True)
    whole = [
        Metric(
            name=f"probability of {name}", value=value, unit="1", n=1, unit_of_analysis="patient"
        )
        for name, value in named
    ]
    interval, shown = answer.interval, model.card.classes[model.positive]
    over = Metric(
        name=f"over this patient's {interval.unit_of_analysis}s, {shown}",
        value=interval.mean,
        unit="1",
        n=interval.n,
        unit_of_analysis=interval.unit_of_analysis,
        ci_low=interval.ci_low,
        ci_high=interval.ci_high,
    )
    deletion = [
        Metric(
            name=f"deletion by {name}, above chance",
            value=value,
            unit="1",
            n=len(answer.windows),
            unit_of_analysis="window",
        )
        for name, value in answer.attribution.deletion.items()
    ]
    return (*whole, over, *deletion)


def scores_of(answer: SignalAnswer) -> tuple[Score, ...]:
    """Return the scores of the trust record, not yet judged."""
    return tuple(
        Score(
            name=name,
            value=value,
            unit="%" if name == "distance_percentile" else "1",
            n=len(answer.windows),
            meaning=_MEANINGS[name],
            direction="low_is_bad" if name in _LOW_IS_BAD else "high_is_bad",
        )
        for name, value in answer.scores.items()
    )


def notes_of(model: SignalModel, case: CaseWindows, answer: SignalAnswer) -> tuple[str, ...]:
    """Return what a reader must know, one sentence each."""
    card, table = model.card, case.windows.table
    named = ", ".join(
        f"{name} {value:.3f}"
        for name, value in zip(card.classes, answer.probabilities, strict=True)
    )
    facts = [
        f"Model {card.encoder} ({card.method}), trained on "
        f"{_counted(card.patients['train'], 'patient')} of {card.study}.",
        f"Probabilities of the case: {named}.",
        f"{_counted(len(table), 'window')} of {_counted(len(np.unique(table.trial)), 'trial')} in "
        f"{_counted(len(case.recordings), 'recording')}.",
        _interval(answer, card.classes[model.positive]),
    ]
    if answer.can_assess:
        only = card.classes[answer.classes[0]]
        facts.append(
            f"With {100 * card.sets.alpha:g} % of patients allowed to be wrong, only {only} "
            "remains possible."
        )
    facts += [f"Cannot assess: {reason}" for reason in answer.reasons]
    if table.patients[0] in model.reference.patients:
        facts.append(
            f"Patient {table.patients[0]} was among the training patients: the probability says "
            "what was learnt by heart."
        )
    facts.append(f"Nearest training trials of other patients: {_near(answer)}.")
    point = card.operating_point
    if point is not None:
        facts.append(
            f"Threshold of {card.classes[-1]} {point.threshold:.3f} ({point.rule}): sensitivity "
            f"{point.sensitivity:.2f} of {point.n_positive}, specificity {point.specificity:.2f} "
            f"of {point.n_negative} validation patients, on which it was chosen."
        )
    return (*facts, *dict.fromkeys((*case.notes, *card.notes)))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _near(answer: SignalAnswer) -> str:
    """Name the nearest trials by letters: who reads of this patient may know no other one's id."""
    near = answer.closest(NEAREST)
    letters = dict(zip(dict.fromkeys(one.patient for one in near), ascii_uppercase, strict=False))
    return ", ".join(
        f"one of patient {letters[one.patient]} ({one.label}, {one.distance:.3f})" for one in near
    )


def _interval(answer: SignalAnswer, shown: str) -> str:
    one = answer.interval
    if one.ci_low is None or one.ci_high is None:
        return f"No interval over this patient's {one.unit_of_analysis}s ({one.note})."
    also = f" ({one.note})" if one.note else ""
    return (
        f"Over this patient's own {one.n} {one.unit_of_analysis}s the probability of {shown} lies "
        f"in {one.ci_low:.3f} to {one.ci_high:.3f} ({100 * one.confidence:g} %){also}: how much it "
        "hangs on which were recorded, not how sure the model is."
    )


def segment_rows(stored: StoredResult) -> list[dict[str, float | int | str]]:
    """Return one row a window: where it is, and what was said of it."""
    result = stored.result
    classes = [str(name) for name in _listed(result.config["classes"])]
    seconds = float(str(result.config["window_s"]))
    columns = {
        role: stored.array(role)
        for role in ("window_recording", "window_trial", "window_start", "attention", "occlusion")
    }
    said = stored.array("window_probability")
    return [
        {
            "recording": int(columns["window_recording"][row]),
            "trial": int(columns["window_trial"][row]),
            "start_s": float(columns["window_start"][row]),
            "end_s": float(columns["window_start"][row]) + seconds,
            **{f"probability of {n}": float(p) for n, p in zip(classes, said[row], strict=True)},
            "attention": float(columns["attention"][row]),
            "occlusion": float(columns["occlusion"][row]),
        }
        for row in range(len(said))
    ]


def write_segments(stored: StoredResult, folder: Path) -> Path:
    """Write the windows of a result as ``CASE.csv`` and return its path.

    Raises
    ------
    StorageError
        The disk is full or not writable.
    """
    rows, text = segment_rows(stored), io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    make_folder(folder)
    path = folder / f"{stored.result.case}.csv"
    atomic_write_bytes(path, text.getvalue().encode())
    return path


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]
