"""Figures of answers: within folds or over left-out pairs, never pooled over models for an area."""

from collections.abc import Callable

import torch
from jaxtyping import Float64
from torch import Tensor

from medconsist.metrics.area_score import area_score_interval
from medconsist.metrics.calibration import brier_score, log_loss, reliability, top_label
from medconsist.metrics.classification import area_under_roc, confusion, one_vs_rest_auc
from medconsist.metrics.repeated_folds import FoldScores, corrected_interval, leave_pair_out_area
from medconsist.metrics.report import Estimate, interval
from medconsist.timeseries.evaluation.answers import Answers
from medconsist.timeseries.evaluation.coverage import PAIR_INFLATION
from medconsist.timeseries.evaluation.rounds import Rounds
from medconsist.training.draws import generator_for

__all__ = [
    "AREA",
    "FIGURES",
    "area_of",
    "fold_scores",
    "pair_order",
    "patient_figures",
    "secondary_figures",
]

AREA = "AUC"
_TWO = 2
_BINS = 5
_TINY = torch.finfo(torch.float64).tiny
_UNIT = "patient"
_Figure = Callable[[Answers], float]


def _confused(figure: str) -> _Figure:
    def of(answers: Answers) -> float:
        table = confusion(answers.decided, answers.label, classes=answers.classes)
        return float(getattr(table, figure))

    return of


def _area(answers: Answers) -> float:
    if answers.classes == _TWO:
        return area_under_roc(answers.score, answers.label == 1)
    return one_vs_rest_auc(answers.probabilities, answers.label)


FIGURES: dict[str, _Figure] = {
    AREA: _area,
    "accuracy": _confused("accuracy"),
    "balanced accuracy": _confused("balanced_accuracy"),
    "F1 (macro)": _confused("f1_macro"),
}
"""Of the patients of one test fold, or of all left-out pairs together."""


def area_of(answers: Answers, rounds: Rounds) -> float:
    """Return the share of pairs in order, or the mean of the areas within the folds."""
    if rounds.plan.kind == "pairs":
        return leave_pair_out_area(*_scores(answers))
    numbers = torch.unique(answers.round_of).tolist()
    return sum(_area(answers.of_round(number)) for number in numbers) / len(numbers)


def fold_scores(answers: Answers, rounds: Rounds, figure: str) -> FoldScores:
    """Return a figure of the patients of each test fold.

    Raises
    ------
    RefusedInputError
        A fold without a class.
    """
    values = [FIGURES[figure](answers.of_round(place)) for place in range(len(rounds.rounds))]
    folds = rounds.plan.folds
    grouped = tuple(tuple(values[n : n + folds]) for n in range(0, len(values), folds))
    train, other = (
        sum(len(getattr(one, part)) for one in rounds.rounds) for part in ("train", "validation")
    )
    return FoldScores(
        values=grouped,
        units=len(torch.unique(answers.patient)),
        unit=_UNIT,
        trained=train / (train + other),
    )


def pair_order(answers: Answers) -> Float64[Tensor, "positives negatives"]:
    """Return 1, 1/2 or 0 for each left-out pair in order, tied or reversed."""
    high, low = _scores(answers)
    positive = answers.label == 1
    rows, columns = (
        torch.unique(answers.patient[kind], return_inverse=True)[1]
        for kind in (positive, ~positive)
    )
    order = torch.full((int(rows.max()) + 1, int(columns.max()) + 1), torch.nan).double()
    order[rows, columns] = (high > low).double() + (high == low).double() / 2
    return order


def patient_figures(
    answers: Answers, rounds: Rounds, *, confidence: float, seed: int
) -> dict[str, Estimate]:
    """Return the figures by patient, with their intervals.

    In folds a figure is computed in each and averaged, with the interval of `corrected_interval`.
    Of pairs the area has the interval of `area_score_interval` with the inflation that models
    trained for each pair need; a patient is in several pairs, so accuracy is the mean over patients
    of the share of pairs in which they were decided rightly, and F1 is that of all decisions,
    classes weighing alike: both without interval. So are all figures of one given split. Log loss
    and Brier score are means over patients of their mean over rounds, with the bootstrap of
    `metrics.report.interval`, which takes the models as they are. The calibration error is that of
    all answers.

    Parameters
    ----------
    answers
        Of patients.
    rounds
        In which they were given.
    confidence
        Nominal coverage.
    seed
        Of the bootstrap.
    """
    pairs = rounds.plan.kind == "pairs"
    found = _of_pairs(answers, confidence) if pairs else _of_folds(answers, rounds, confidence)
    scores = _proper(answers)
    for number, (name, values) in enumerate(scores.items()):
        means = _by_patient(values, answers)[0].tolist()
        generator = generator_for(seed, number)
        found[name] = interval(means, unit=_UNIT, generator=generator, confidence=confidence)
    sure, right = answers.score, answers.label == 1
    if answers.classes > _TWO:
        sure, right = top_label(answers.probabilities, answers.label)
    table = reliability(sure, right, unit=_UNIT, bins=_BINS, by="mass")
    note = f"{_BINS} bins of equal mass; above 0 by chance with few patients"
    found["calibration error"] = _bare(table.expected_error, answers, confidence, note)
    return found


def secondary_figures(answers: Answers, rounds: Rounds) -> dict[str, float]:
    """Return accuracy and area of windows or trials, in each round and averaged: no interval.

    Windows of a patient are not independent, and patients of many windows weigh more here: these
    are for comparison with papers that report them.
    """
    of_rounds = [answers.of_round(place) for place in range(len(rounds.rounds))]
    return {
        name: sum(FIGURES[name](one) for one in of_rounds) / len(of_rounds)
        for name in ("accuracy", AREA)
    }


def _of_folds(answers: Answers, rounds: Rounds, confidence: float) -> dict[str, Estimate]:
    if rounds.plan.kind == "given":
        note = "one split: no interval"
        return {
            name: _bare(figure(answers), answers, confidence, note)
            for name, figure in FIGURES.items()
        }
    return {
        name: corrected_interval(fold_scores(answers, rounds, name), confidence=confidence)
        for name in FIGURES
    }


def _of_pairs(answers: Answers, confidence: float) -> dict[str, Estimate]:
    order = pair_order(answers)
    area = area_score_interval(
        float(order.mean()),
        positives=order.shape[0],
        negatives=order.shape[1],
        unit=_UNIT,
        confidence=confidence,
        inflation=PAIR_INFLATION,
    )
    right, label = _by_patient((answers.decided == answers.label).double(), answers)
    balanced = sum(float(right[label == kind].mean()) for kind in (0, 1)) / _TWO
    return {
        AREA: area,
        "accuracy": _bare(float(right.mean()), answers, confidence, ""),
        "balanced accuracy": _bare(balanced, answers, confidence, ""),
        "F1 (macro)": _bare(FIGURES["F1 (macro)"](answers), answers, confidence, ""),
    }


def _proper(answers: Answers) -> dict[str, Tensor]:
    """Return log loss and Brier score of each answer."""
    logits = answers.probabilities.clamp(min=_TINY).log()
    rows = [slice(row, row + 1) for row in range(len(logits))]
    losses = [log_loss(logits[row], answers.label[row]) for row in rows]
    squares = [brier_score(answers.probabilities[row], answers.label[row]) for row in rows]
    return {"log loss": torch.tensor(losses), "Brier score": torch.tensor(squares)}


def _scores(answers: Answers) -> tuple[Tensor, Tensor]:
    """Return the scores of the positive and of the negative patient, pairs in their order."""
    positive = answers.label == 1
    places = [torch.argsort(answers.round_of[kind], stable=True) for kind in (positive, ~positive)]
    high, low = (
        answers.score[kind][p] for kind, p in zip((positive, ~positive), places, strict=True)
    )
    return high, low


def _by_patient(values: Tensor, answers: Answers) -> tuple[Tensor, Tensor]:
    """Return the mean of each patient's rows, and the patient's label."""
    numbers, place = torch.unique(answers.patient, return_inverse=True)
    counts = torch.bincount(place)
    label = torch.zeros(len(numbers), dtype=torch.int64)
    label[place] = answers.label
    return torch.bincount(place, weights=values) / counts, label


def _bare(value: float, answers: Answers, confidence: float, note: str) -> Estimate:
    return Estimate(
        mean=value,
        ci_low=None,
        ci_high=None,
        n=len(torch.unique(answers.patient)),
        unit_of_analysis=_UNIT,
        confidence=confidence,
        note=note,
    )
