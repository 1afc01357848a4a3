"""A model that stays as it is, judged on patients that it never saw."""

from typing import Any

import torch

from medconsist.errors import RefusedInputError
from medconsist.metrics.area_score import area_score_interval
from medconsist.metrics.calibration import brier_score, log_loss
from medconsist.metrics.classification import area_under_roc, confusion
from medconsist.metrics.report import Estimate, exact_binomial_interval
from medconsist.timeseries.evaluation.answers import Aggregation, Answers, aggregated
from medconsist.timeseries.evaluation.coverage import fixed_area_coverage
from medconsist.timeseries.evaluation.figures import AREA, FIGURES
from medconsist.timeseries.evaluation.report import Report, Row
from medconsist.timeseries.method import Predict
from medconsist.timeseries.window_set import UNKNOWN, WindowSet

__all__ = ["judge_model"]

_UNIT = "patient"
_TWO = 2


def judge_model(
    predict: Predict,
    windows: WindowSet,
    *,
    name: str,
    aggregate: Aggregation = "probability",
    confidence: float = 0.95,
) -> Report:
    """Return the figures of one model on all patients with a label of these windows.

    The area has the interval of `area_score_interval`, the accuracy that of Clopper and Pearson.

    Parameters
    ----------
    predict
        Gives logits of windows, whose labels are hidden from it.
    windows
        Of patients that neither training nor any choice saw; of two classes.
    name
        Of the model.
    aggregate
        How windows become trials and patients.
    confidence
        Nominal coverage.

    Raises
    ------
    RefusedInputError
        Other than two classes, a class without a patient, or logits that are not finite.

    Examples
    --------
    ::

        judge_model(model, fresh, name="COMET, fine-tuned").text
    """
    labels = windows.table.patient_labels
    known = windows.take((windows.table.label != UNKNOWN).nonzero()[0])
    counts = {kind: int((labels == n).sum()) for n, kind in enumerate(windows.table.classes)}
    if len(counts) != _TWO or not all(counts.values()):
        msg = f"patients by class: {counts}; allowed: two classes, one patient or more of each."
        raise RefusedInputError(msg)
    logits = predict(known.without_labels()).detach().cpu().double()
    levels = aggregated(logits, known.table, labels, round_of=0, how=aggregate)
    negatives, positives = counts.values()
    area = area_score_interval(
        area_under_roc(levels[2].score, levels[2].label == 1),
        positives=positives,
        negatives=negatives,
        unit=_UNIT,
        confidence=confidence,
    )
    secondary = [{name: FIGURES[name](one) for name in ("accuracy", AREA)} for one in levels[:2]]
    row = Row(
        name=name,
        figures={AREA: area, **_rest(levels[2], area, confidence)},
        windows=secondary[0],
        trials=secondary[1],
    )
    said = fixed_area_coverage(positives, negatives, confidence=confidence).sentence
    return Report(
        rows=(row,),
        contrast=None,
        rounds_sha256="",
        fingerprint=windows.fingerprint,
        classes=counts,
        aggregate=aggregate,
        sentences=(said, "Figures of windows and trials are secondary."),
    )


def _rest(patients: Answers, area: Estimate, confidence: float) -> dict[str, Estimate]:
    table = confusion(patients.decided, patients.label, classes=_TWO)
    right = sum(row[kind] for kind, row in enumerate(table.counts))
    share = exact_binomial_interval(right, table.n, unit=_UNIT, confidence=confidence)
    logits = patients.probabilities.clamp(min=torch.finfo(torch.float64).tiny).log()
    shared: dict[str, Any] = {"n": area.n, "unit_of_analysis": _UNIT, "confidence": confidence}
    plain = {
        "balanced accuracy": table.balanced_accuracy,
        "F1 (macro)": table.f1_macro,
        "log loss": log_loss(logits, patients.label),
        "Brier score": brier_score(patients.probabilities, patients.label),
    }
    accuracy = Estimate(mean=share.proportion, ci_low=share.ci_low, ci_high=share.ci_high, **shared)
    return {"accuracy": accuracy} | {
        name: Estimate(mean=value, ci_low=None, ci_high=None, **shared)
        for name, value in plain.items()
    }
