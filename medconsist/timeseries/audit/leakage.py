"""What identity is worth: windows of known patients told apart, and the accuracy that it feigns."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float64
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.results.finding import Finding
from medconsist.timeseries.evaluation.probes import LogisticProbe
from medconsist.timeseries.evaluation.rounds import RoundsPlan, make_rounds
from medconsist.timeseries.method import Probe
from medconsist.timeseries.window_set import UNKNOWN, WindowTable

__all__ = ["Leakage", "LeakageSettings", "SplitScore", "identity_probe", "leakage"]

_TWO = 2
_LEVEL = 0.05

Features = Float64[npt.NDArray[np.float64], "windows dim"]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LeakageSettings:
    """How leaked and honest accuracy are measured.

    Parameters
    ----------
    probe
        Fitted on the features.
    folds
        Of windows, whoever they are of.
    patient_folds, repeats
        Of patients.
    random_labels
        How many times patients get random labels, for the chance level of both.
    seed
        Of the folds of patients.

    Raises
    ------
    RefusedInputError
        Fewer than two folds, or no run with random labels.

    Examples
    --------
    >>> LeakageSettings().patient_folds
    4
    """

    probe: Probe = field(default_factory=LogisticProbe)
    folds: int = 5
    patient_folds: int = 4
    repeats: int = 3
    random_labels: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.folds, self.patient_folds) < _TWO or min(self.repeats, self.random_labels) < 1:
            msg = f"got {self}; allowed: two folds or more, one repeat and one random run or more."
            raise RefusedInputError(msg)


@dataclass(frozen=True, kw_only=True)
class SplitScore:
    """Accuracy over all test windows, and the mean over folds of the area within each.

    Parameters
    ----------
    accuracy, area
        Of windows; the area is None for more than two classes.

    Examples
    --------
    >>> SplitScore(accuracy=0.96, area=0.99).accuracy
    0.96
    """

    accuracy: float
    area: float | None


@dataclass(frozen=True, kw_only=True)
class Leakage:
    """The same features and probe, judged in two ways, with true and with random labels.

    Parameters
    ----------
    dependent, independent
        Folds of windows (a patient is on both sides), and folds of patients.
    random_dependent, random_independent
        The same after labels changed places among the patients, mean of all runs.
    windows, patients
        How many.

    Examples
    --------
    >>> one, two = SplitScore(accuracy=0.9, area=0.9), SplitScore(accuracy=0.6, area=0.6)
    >>> Leakage(dependent=one, independent=two, random_dependent=one, random_independent=two,
    ...         windows=9, patients=3).feigned
    0.3
    """

    dependent: SplitScore
    independent: SplitScore
    random_dependent: SplitScore
    random_independent: SplitScore
    windows: int
    patients: int

    @property
    def feigned(self) -> float:
        """Accuracy that is gone when patients are kept apart."""
        return round(self.dependent.accuracy - self.independent.accuracy, 12)

    @property
    def sentence(self) -> str:
        """Both accuracies beside each other."""
        return (
            f"Accuracy over {self.windows} windows of {self.patients} patients: "
            f"{self.dependent.accuracy:.3f} if patients are on both sides, "
            f"{self.independent.accuracy:.3f} if they are kept apart; AUC {_area(self.dependent)} "
            f"and {_area(self.independent)}. With random labels of the patients: accuracy "
            f"{self.random_dependent.accuracy:.3f} and {self.random_independent.accuracy:.3f}, AUC "
            f"{_area(self.random_dependent)} and {_area(self.random_independent)}."
        )

    @property
    def finding(self) -> Finding:
        """A warning where random labels can be learned from other windows of the same patients."""
        chance = self.random_independent.accuracy
        passed = self.random_dependent.accuracy - chance <= _LEVEL
        numbers = {
            "dependent": self.dependent.accuracy,
            "independent": self.independent.accuracy,
            "random_dependent": self.random_dependent.accuracy,
            "random_independent": chance,
        }
        said = "" if passed else " A split that tears patients measures identity."
        return Finding(
            name="dependence",
            passed=passed,
            sentence=self.sentence + said,
            numbers=numbers,
            weight="warning",
        )


def leakage(
    features: Features,
    table: WindowTable,
    *,
    generator: Generator,
    settings: LeakageSettings | None = None,
) -> Leakage:
    """Return the accuracy that a split within patients feigns, beside the honest one.

    Parameters
    ----------
    features
        One row a window, of a representation that learned nothing from these labels.
    table
        Of the windows; those without label are left out.
    generator
        Of the folds of windows and the random labels.
    settings
        None takes the defaults.

    Raises
    ------
    RefusedInputError
        Too few patients of a class for the folds, or features that are not finite.
    """
    settings = settings or LeakageSettings()
    known = np.flatnonzero(table.label != UNKNOWN)
    features, table = features[known], table.take(known)
    truth = table.patient_labels
    labelled = np.flatnonzero(truth != UNKNOWN)
    random = list[npt.NDArray[np.int64]]()
    for _ in range(settings.random_labels):
        labels = truth.copy()
        order = torch.randperm(len(labelled), generator=generator).numpy()
        labels[labelled] = truth[labelled[order]]
        random.append(labels)
    scores = [_both(features, table, labels, settings, generator) for labels in (truth, *random)]
    (dependent, independent), *others = scores
    return Leakage(
        dependent=dependent,
        independent=independent,
        random_dependent=_mean([one for one, _ in others]),
        random_independent=_mean([other for _, other in others]),
        windows=len(table),
        patients=len(labelled),
    )


def identity_probe(
    features: Features,
    table: WindowTable,
    *,
    generator: Generator,
    folds: int = 5,
    probe: Probe | None = None,
) -> Finding:
    """Say how well a probe tells from a window of a new trial which patient it is of.

    It almost always can, and that alone is no leak: it says what a split within patients, or a
    representation that is rewarded for identity, would measure.

    Parameters
    ----------
    features
        One row a window.
    table
        Of the windows; patients of one trial are left out.
    generator
        Of the folds of trials.
    folds
        Two or more.
    probe
        None takes `LogisticProbe`.

    Raises
    ------
    RefusedInputError
        Fewer than two patients of two trials or more, or fewer than two folds.
    """
    fold = np.full(len(table), -1)
    kept = list[int]()
    for patient in np.unique(table.patient).tolist():
        trials = np.unique(table.trial[table.patient == patient])
        if len(trials) < _TWO:
            continue
        order = torch.randperm(len(trials), generator=generator).numpy()
        of_trial = dict(zip(trials.tolist(), (order % folds).tolist(), strict=True))
        rows = np.flatnonzero(table.patient == patient)
        fold[rows] = [of_trial[trial] for trial in table.trial[rows].tolist()]
        kept.append(patient)
    if len(kept) < _TWO or folds < _TWO:
        msg = (
            f"{len(kept)} patients with two trials or more, {folds} folds; allowed: two such "
            "patients and two folds or more."
        )
        raise RefusedInputError(msg)
    used = np.flatnonzero(fold >= 0)
    owner = np.searchsorted(kept, table.patient[used])
    said = _decided(features[used], owner, fold[used], probe or LogisticProbe(), len(kept))
    right = float((said == owner).mean())
    often = float(np.bincount(owner).max() / len(owner))
    passed = right <= often + _LEVEL
    sentence = (
        f"A probe tells the patient of a window of a new trial in {right:.3f} of {len(used)} "
        f"windows ({len(kept)} patients; always the most frequent one: {often:.3f})."
    )
    numbers = {"accuracy": right, "chance": often, "patients": len(kept), "windows": len(used)}
    return Finding(
        name="identity", passed=passed, sentence=sentence, numbers=numbers, weight="warning"
    )


def _both(
    features: Features,
    table: WindowTable,
    labels: npt.NDArray[np.int64],
    settings: LeakageSettings,
    generator: Generator,
) -> tuple[SplitScore, SplitScore]:
    label = labels[table.patient]
    fold = torch.empty(len(table), dtype=torch.int64)
    for kind in np.unique(label).tolist():  # as many of each class in each fold
        rows = torch.from_numpy(np.flatnonzero(label == kind))
        fold[rows] = torch.randperm(len(rows), generator=generator) % settings.folds
    tests = [np.flatnonzero(fold.numpy() == number) for number in range(settings.folds)]
    dependent = _score(features, label, tests, settings.probe, len(table.classes))
    plan = RoundsPlan(folds=settings.patient_folds, repeats=settings.repeats, seed=settings.seed)
    relabelled = WindowTable(
        patient=table.patient,
        trial=table.trial,
        start=table.start,
        label=label,
        patients=table.patients,
        classes=table.classes,
        sites=table.sites,
    )
    place = {name: number for number, name in enumerate(table.patients)}
    apart = [
        np.flatnonzero(np.isin(table.patient, [place[name] for name in one.test]))
        for one in make_rounds(relabelled, plan).rounds
    ]
    return dependent, _score(features, label, apart, settings.probe, len(table.classes))


def _score(
    features: Features, label: Rows, tests: Sequence[Rows], probe: Probe, classes: int
) -> SplitScore:
    right, count, areas = 0, 0, list[float]()
    for test in tests:
        train = np.setdiff1d(np.arange(len(label)), test)
        logits = probe.fit(features[train], label[train], classes)(features[test])
        truth = torch.from_numpy(label[test])
        right += int((logits.argmax(1) == truth).sum())
        count += len(test)
        if classes == _TWO:
            areas.append(area_under_roc(logits[:, 1] - logits[:, 0], truth == 1))
    area = sum(areas) / len(areas) if areas else None
    return SplitScore(accuracy=right / count, area=area)


def _decided(features: Features, label: Rows, fold: Rows, probe: Probe, classes: int) -> Rows:
    said = np.full(len(label), -1)
    for number in np.unique(fold).tolist():
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        ask = probe.fit(features[train], label[train], classes)
        said[test] = ask(features[test]).argmax(1).numpy()
    return said


def _mean(scores: Sequence[SplitScore]) -> SplitScore:
    areas = [one.area for one in scores if one.area is not None]
    return SplitScore(
        accuracy=sum(one.accuracy for one in scores) / len(scores),
        area=sum(areas) / len(areas) if areas else None,
    )


def _area(score: SplitScore) -> str:
    return "-" if score.area is None else f"{score.area:.3f}"
