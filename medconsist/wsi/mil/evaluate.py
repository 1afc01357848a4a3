"""How a trained model does on cases it was not trained on: figures by patient, with intervals."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from medconsist import RESEARCH_USE_ONLY
from medconsist.errors import RefusedInputError
from medconsist.metrics.calibration import brier_score, log_loss, reliability, top_label
from medconsist.metrics.classification import (
    area_under_roc,
    average_precision,
    confusion,
    one_vs_rest_auc,
)
from medconsist.metrics.delong import AreaDifference, AreaEstimate, delong_interval, delong_test
from medconsist.metrics.operating_point import OperatingPoint, OperatingReport, judge_at
from medconsist.metrics.power import Detectable, smallest_area_difference
from medconsist.metrics.report import Estimate
from medconsist.metrics.resampling import Resampling, Units, bootstrap
from medconsist.training.draws import generator_for
from medconsist.wsi.mil.card import MilCard
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.objective import all_bags
from medconsist.wsi.mil.predictor import Predictor

__all__ = ["CaseAnswers", "Comparison", "Evaluation", "answers_of", "compare", "evaluate"]

_PLAN = Resampling(resamples=999)
_BINS = 10
_TWO = 2
_UNIT = "patient"
_Figure = Callable[["CaseAnswers", Int64[Tensor, " rows"]], float]


@dataclass(frozen=True, eq=False)
class CaseAnswers:
    """Probabilities and true classes of cases, and whose they are.

    Parameters
    ----------
    probabilities
        One row a case.
    labels
        The true classes.
    patients
        Of each case.
    cases
        Ids.

    Raises
    ------
    RefusedInputError
        Lengths that do not fit.

    Examples
    --------
    >>> said = CaseAnswers(torch.tensor([[0.1, 0.9]]), torch.tensor([1]), ("p",), ("c",))
    >>> said.by_patient().labels.tolist()
    [1]
    """

    probabilities: Float[Tensor, "cases classes"]
    labels: Int64[Tensor, " cases"]
    patients: tuple[str, ...]
    cases: tuple[str, ...]

    def __post_init__(self) -> None:
        sizes = {len(self.labels), len(self.patients), len(self.cases)}
        if sizes != {len(self.probabilities)}:
            msg = f"got {len(self.probabilities)} probabilities and {sorted(sizes)} of the others."
            raise RefusedInputError(msg)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.probabilities.shape[1]

    @property
    def owner(self) -> Int64[Tensor, " cases"]:
        """Number of the patient of each case."""
        numbers = {name: number for number, name in enumerate(dict.fromkeys(self.patients))}
        return torch.tensor([numbers[name] for name in self.patients])

    def by_patient(self) -> "CaseAnswers":
        """Return one row a patient: that of the case most probably of the last class.

        With two classes a patient is positive if any case is, and as probable as the most probable
        one. With more, the class of the patient is the highest of the cases'.
        """
        chosen, labels, owner = list[int](), list[int](), self.owner
        for number in range(len(set(self.patients))):
            rows = (owner == number).nonzero()[:, 0]
            chosen.append(int(rows[self.probabilities[rows, -1].argmax()]))
            labels.append(int(self.labels[rows].max()))
        return CaseAnswers(
            self.probabilities[chosen],
            torch.tensor(labels),
            tuple(self.patients[row] for row in chosen),
            tuple(self.cases[row] for row in chosen),
        )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All figures of one model on one part of a split.

    Parameters
    ----------
    method, part
        Of the model, and what was judged: ``"validation"`` or ``"test"``.
    cases, patients, positives
        How many; positives are patients of the last class.
    area
        Under the ROC curve, by patient, with DeLong's interval; None for several classes or where
        one kind is missing.
    figures
        Name to figure over cases, with intervals that resample patients.
    operating
        At the threshold of the card; None without one.
    sentences
        What must be read with the figures.

    Examples
    --------
    >>> Evaluation(method="abmil", part="test", cases=2, patients=1, positives=1).figures
    {}
    """

    method: str
    part: str
    cases: int
    patients: int
    positives: int
    area: AreaEstimate | None = None
    figures: dict[str, Estimate] = field(default_factory=dict)
    operating: OperatingReport | None = None
    sentences: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"said": RESEARCH_USE_ONLY, **asdict(self)}

    @property
    def text(self) -> str:
        """The figures for people."""
        lines = [
            RESEARCH_USE_ONLY,
            f"{self.method} on {self.part}: {self.cases} cases of {self.patients} patients, "
            f"{self.positives} of them of the last class.",
        ]
        if self.area is not None:
            lines.append(f"  {'AUC (DeLong)':<22}{_said(self.area)}")
        lines += [f"  {name:<22}{_said(one)}" for name, one in self.figures.items()]
        if self.operating is not None:
            point = self.operating.point
            lines.append(f"  at {point.threshold:.3f} ({point.rule}, from {point.chosen_on}):")
            for name in ("sensitivity", "specificity"):
                one = getattr(self.operating, name)
                lines.append(
                    f"    {name:<20}{one.proportion:.3f}  [{one.ci_low:.3f}, {one.ci_high:.3f}]  "
                    f"{one.k} of {one.n} {one.unit_of_analysis}s"
                )
        return "\n".join([*lines, *self.sentences])


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on the same patients.

    Parameters
    ----------
    first, second
        Their names.
    area
        Difference of the areas, with DeLong's paired test.
    detectable
        The smallest difference that this test would find; None where it has no standard error.

    Examples
    --------
    >>> Comparison.__dataclass_params__.frozen
    True
    """

    first: str
    second: str
    area: AreaDifference
    detectable: Detectable | None

    @property
    def text(self) -> str:
        """For people."""
        said = f"AUC of {self.first} less {self.second}: {_said(self.area)}"
        p = "" if self.area.p is None else f", p = {self.area.p:.3g}"
        if self.detectable is None:
            return f"{said}{p}."
        share = f"{self.detectable.power:.0%}"
        smallest = f"{self.detectable.difference:.3f}"
        return f"{said}{p}. A difference of {smallest} would be found in {share} of such tests."


@torch.no_grad()
def answers_of(predictor: Predictor, cohort: Cohort) -> CaseAnswers:
    """Return what a model says of a cohort with labels, after the temperature of its card.

    Raises
    ------
    RefusedInputError
        A label is sealed or missing, or the classes are not those of the model.
    """
    if cohort.classes != predictor.card.classes:
        msg = (
            f"the model knows the classes {list(predictor.card.classes)}, these cases have "
            f"{list(cohort.classes)}; give the same, in the same order."
        )
        raise RefusedInputError(msg)
    labels = cohort.labels  # refused before anything is computed
    outputs = (output for _, output in all_bags(predictor.network, cohort))
    said = torch.cat([predictor.probabilities(output).cpu() for output in outputs])
    return CaseAnswers(said, labels, cohort.patients, tuple(info.case for info in cohort.infos))


def evaluate(
    answers: CaseAnswers,
    card: MilCard,
    *,
    part: str,
    seed: int = 0,
    sentences: Sequence[str] = (),
) -> Evaluation:
    """Return the figures of answers; thresholds and temperature are those of the card.

    The unit of analysis is the patient. The area is that of one row a patient; the other figures
    are over cases, and their intervals resample patients, stratified by class.

    Parameters
    ----------
    answers
        Of one part of a split.
    card
        Of the model.
    part
        Its name.
    seed
        Of the resampling.
    sentences
        What must be read with the figures.
    """
    patients = answers.by_patient()
    positive = patients.labels == patients.classes - 1
    # a class of cases that is no patient's would be missing in some resamples
    every = len(torch.unique(patients.labels)) == patients.classes
    units = Units(of_row=answers.owner, name=_UNIT, stratum=patients.labels[answers.owner])
    figures = {
        name: bootstrap(
            partial(figure, answers),
            units,
            generator=generator_for(seed, number),
            plan=_PLAN,
        )
        for number, (name, figure) in enumerate(_figures(answers.classes, every=every).items())
    }
    two = answers.classes == _TWO and every
    operating = _judged(card, patients, part) if two else None
    score = patients.probabilities[:, -1]
    return Evaluation(
        method=card.method,
        part=part,
        cases=len(answers.cases),
        patients=len(patients.cases),
        positives=int(positive.sum()),
        area=delong_interval(score, positive, unit=_UNIT) if two else None,
        figures=figures,
        operating=operating,
        sentences=(
            *sentences,
            *_cautions(card, patients, operating),
            *card.assumption,
            *card.notes,
        ),
    )


def compare(first: CaseAnswers, second: CaseAnswers, *, names: tuple[str, str]) -> Comparison:
    """Return the paired comparison of two models of two classes on the same cases.

    Raises
    ------
    RefusedInputError
        Other cases, or another order; several classes; fewer than two patients of a kind.
    """
    same = first.cases == second.cases and torch.equal(first.labels, second.labels)
    if not same or first.classes != _TWO or second.classes != _TWO:
        msg = (
            f"got {len(first.cases)} and {len(second.cases)} cases of {first.classes} and "
            f"{second.classes} classes; allowed: the same cases in the same order, two classes."
        )
        raise RefusedInputError(msg)
    # each patient by its own most probable case, as `evaluate` does
    one, other = first.by_patient(), second.by_patient()
    area = delong_test(
        one.probabilities[:, 1], other.probabilities[:, 1], one.labels == 1, unit=_UNIT
    )
    detectable = None if area.standard_error is None else smallest_area_difference(area)
    return Comparison(first=names[0], second=names[1], area=area, detectable=detectable)


def _figures(classes: int, *, every: bool) -> dict[str, _Figure]:
    """Return those that exist; ``every``: each class is that of a patient."""
    found: dict[str, _Figure] = {"accuracy": lambda a, r: _confused(a, r).accuracy}
    if every and classes == _TWO:
        found["AUC of cases"] = lambda a, r: area_under_roc(a.probabilities[r, 1], a.labels[r] == 1)
        found["average precision"] = lambda a, r: average_precision(
            a.probabilities[r, 1], a.labels[r] == 1
        )
    elif every:
        found["AUC, one against rest"] = lambda a, r: one_vs_rest_auc(
            a.probabilities[r], a.labels[r]
        )
    if every:
        found["balanced accuracy"] = lambda a, r: _confused(a, r).balanced_accuracy
        found["F1 (macro)"] = lambda a, r: _confused(a, r).f1_macro
    found["log loss"] = _log_loss
    found["Brier score"] = lambda a, r: brier_score(a.probabilities[r], a.labels[r])
    found["calibration error"] = _calibration_error
    return found


def _cautions(
    card: MilCard, patients: CaseAnswers, operating: OperatingReport | None
) -> Iterator[str]:
    """Yield what is left out, and a threshold that was chosen over another unit."""
    lacking = sorted(set(range(patients.classes)) - set(patients.labels.tolist()))
    if lacking:
        names = ", ".join(card.classes[number] for number in lacking)
        yield f"No patient is of the class {names}: figures that need each class are left out."
    if operating is None:
        return
    count = operating.point.n_positive + operating.point.n_negative
    if count != card.patients.get(operating.point.chosen_on, count):
        yield (
            f"The threshold was chosen over {count} cases; a patient of several is as probable as "
            "the most probable one, so expect more sensitivity and less specificity here."
        )


def _confused(answers: CaseAnswers, rows: Int64[Tensor, " rows"]) -> Any:  # noqa: ANN401
    decided = answers.probabilities[rows].argmax(1)
    return confusion(decided, answers.labels[rows], classes=answers.classes)


def _log_loss(answers: CaseAnswers, rows: Int64[Tensor, " rows"]) -> float:
    said = answers.probabilities[rows]
    return log_loss(said.clamp(min=torch.finfo(said.dtype).tiny).log(), answers.labels[rows])


def _calibration_error(answers: CaseAnswers, rows: Int64[Tensor, " rows"]) -> float:
    """Return that of the positive class of two, or of the likeliest of several."""
    said, labels = answers.probabilities[rows], answers.labels[rows]
    sure, right = (said[:, 1], labels == 1) if answers.classes == _TWO else top_label(said, labels)
    return float(reliability(sure, right, unit="case", bins=_BINS, by="mass").expected_error)


def _judged(card: MilCard, patients: CaseAnswers, part: str) -> OperatingReport | None:
    said = card.operating_point
    if said is None or part == said.chosen_on:
        return None
    point = OperatingPoint(
        threshold=said.threshold,
        rule=said.rule,
        chosen_on=said.chosen_on,
        sensitivity=said.sensitivity,
        specificity=said.specificity,
        n_positive=said.n_positive,
        n_negative=said.n_negative,
        unit_of_analysis=_UNIT,
    )
    return judge_at(point, patients.probabilities[:, 1], patients.labels == 1, judged_on=part)


def _said(one: Estimate) -> str:
    limits = ""
    if one.ci_low is not None and one.ci_high is not None and math.isfinite(one.ci_low):
        limits = f"  [{one.ci_low:.3f}, {one.ci_high:.3f}]"
    note = f"  ({one.note})" if one.note else ""
    return f"{one.mean:.3f}{limits}  n = {one.n} {one.unit_of_analysis}s{note}"
