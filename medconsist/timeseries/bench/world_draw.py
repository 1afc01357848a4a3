"""One simulated dataset of ``medconsist bench ts-worlds``: its patients, its methods, its audit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import process_time
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.results.draw_table import Figures
from medconsist.timeseries.audit.audit import audit_split
from medconsist.timeseries.checkpoint_choice import Regret, checkpoints, chosen, regret
from medconsist.timeseries.evaluation.answers import aggregated
from medconsist.timeseries.evaluation.band_power import BandPower
from medconsist.timeseries.evaluation.majority import Majority
from medconsist.timeseries.evaluation.probes import LogisticProbe
from medconsist.timeseries.method import Predict, Supervised
from medconsist.timeseries.pretrained import Pretraining, as_released
from medconsist.timeseries.pretraining import WindowSampling, encode_all
from medconsist.timeseries.simulated.cohort import SimulatedCohort, simulate_cohort
from medconsist.timeseries.simulated.recipe import TWO_WORLDS, CohortRecipe, World
from medconsist.timeseries.starts import RandomStart
from medconsist.timeseries.supervised import Finetuned, Finetuning
from medconsist.timeseries.window_set import WindowSet
from medconsist.training.draws import generator_for

__all__ = [
    "AUC",
    "AUDITED",
    "CELLS",
    "CLEAN",
    "FLAGGED",
    "Budget",
    "Dataset",
    "Patients",
    "draw_figures",
]

AUC, COST = "AUC of fresh patients", "training, core-seconds"
TO_BEST, ON_LAST = "AUC, best checkpoint less chosen", "AUC, chosen checkpoint less last"
CELLS: Mapping[str, World] = {"shared": "shared", "not shared": "by_window"}
CLEAN, TORN, COPIED = "clean split", "trials of a test patient in training", "copied test windows"
AUDITED, FLAGGED = (CLEAN, TORN, COPIED), "flagged by the audit"
_LABELS, _SUPERVISED, _PERMUTED = 0, 1, 2  # places of random numbers

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Patients:
    """Who is simulated, and what is known of them.

    Parameters
    ----------
    learnt, fresh
        Patients whose signals are learnt from without labels, and those who are judged.
    labelled
        Of each class among the first, whose labels a probe sees.
    label_draws
        How often these are drawn; a figure of a dataset is the mean over these draws.
    trials, windows, samples
        Of a patient, of a trial, of a window.
    rate
        In Hz.
    channels
        Of the EEG.

    Examples
    --------
    >>> Patients().recipe("shared").patients
    140
    """

    learnt: int = 40
    fresh: int = 100
    labelled: int = 6
    label_draws: int = 8
    trials: int = 6
    windows: int = 4
    samples: int = 128
    rate: float = 128.0
    channels: tuple[str, ...] = ("Fp1", "C3", "T5", "O1")

    def recipe(self, cell: str) -> CohortRecipe:
        """Return the cohort of a world of `TWO_WORLDS`, in this size."""
        return replace(
            TWO_WORLDS[CELLS[cell]],
            patients=self.learnt + self.fresh,
            trials=self.trials,
            windows=self.windows,
            samples=self.samples,
            rate=self.rate,
            channels=self.channels,
        )


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long everything learns.

    Parameters
    ----------
    epochs, batch, lr
        Of every pre-training, over the windows of all patients that are learnt from.
    options
        Sizes of the encoder, the same for all.
    scratch_epochs, scratch_draws
        Of the supervised row, over labelled windows, and for how many draws of labels.

    Examples
    --------
    >>> Budget(epochs=1).batch
    32
    """

    epochs: int = 7
    batch: int = 32
    lr: float = 1e-3
    options: Mapping[str, Any] = field(
        default_factory=lambda: {"hidden": 32, "dim": 64, "depth": 6}
    )
    scratch_epochs: int = 20
    scratch_draws: int = 2

    def pretraining(self, method: str) -> Pretraining:
        """Return that of a method, of mended COMET with an evaluation after each epoch.

        The reference has frozen batches and the mean of all weights, as released, the others the
        last ones.
        """
        how = Pretraining(
            method=method,
            options=self.options,
            epochs=self.epochs,
            lr=self.lr,
            sampling=WindowSampling(batch=self.batch),
            average="last",
            evaluations=self.epochs if method == "comet" else 1,
        )
        return as_released(how)

    def scratch(self) -> Finetuned:
        """Return the same encoder with a head, trained on the labelled windows alone."""
        how = Finetuning(epochs=self.scratch_epochs, batch=self.batch, lr=self.lr, evaluations=1)
        return Finetuned(RandomStart(options=self.options), how)


def draw_figures(draw: int, *, patients: Patients, budget: Budget) -> Figures:
    """Return all figures of both worlds of one dataset draw.

    Parameters
    ----------
    draw
        Its number, the seed of patients, signals and weights.
    patients, budget
        See their classes.

    Raises
    ------
    RefusedInputError
        Too few patients of a class to label.
    """
    found = Figures()
    for cell in CELLS:
        data = Dataset.of(patients.recipe(cell), patients, draw)
        _plain(found, cell, data)
        _learnt(found, cell, data, budget)
        _supervised(found, cell, data, budget)
        _audited(found, cell, data)
    return found


@dataclass(frozen=True, eq=False)
class Dataset:
    """One dataset: who is learnt from, whose labels are seen, and who is judged.

    Parameters
    ----------
    cohort
        All patients, in microvolts; those with the lowest numbers are learnt from.
    learnt
        How many these are.
    labelled
        Rows of the windows whose labels are seen, for each draw of labels.
    draw
        Number of the dataset.

    Examples
    --------
    >>> small = Patients(learnt=8, fresh=4, labelled=1, trials=2)
    >>> len(Dataset.of(small.recipe("shared"), small, 9001).seen)
    64
    """

    cohort: SimulatedCohort
    learnt: int
    labelled: tuple[Rows, ...]
    draw: int

    @classmethod
    def of(cls, recipe: CohortRecipe, patients: Patients, draw: int) -> "Dataset":
        """Return the dataset of a draw.

        Raises
        ------
        RefusedInputError
            Too few patients of a class to label.
        """
        cohort = simulate_cohort(recipe, generator=torch.Generator().manual_seed(draw))
        # the order of the patients is random in the simulator
        labels = cohort.truth.label[: patients.learnt]
        rows = tuple(
            np.flatnonzero(np.isin(cohort.windows.table.patient, chosen_patients))
            for chosen_patients in _dealt(labels, patients, draw)
        )
        return cls(cohort, patients.learnt, rows, draw)

    @cached_property
    def scaled(self) -> WindowSet:
        """All windows, each channel divided by its deviation over those that are learnt from."""
        raw = self.cohort.windows
        known = raw.signals[raw.table.patient < self.learnt]
        signals = (raw.signals - known.mean((0, 1))) / known.std((0, 1))
        return WindowSet(
            signals,
            raw.table,
            rate=raw.rate,
            channels=raw.channels,
            units=(None,) * len(raw.channels),
        )

    @cached_property
    def seen(self) -> WindowSet:
        """The scaled windows that are learnt from."""
        return self.scaled.of_patients(range(self.learnt))

    @cached_property
    def fresh(self) -> Rows:
        """Rows of the windows of fresh patients."""
        return np.flatnonzero(self.cohort.windows.table.patient >= self.learnt)

    def probed(self, features: npt.NDArray[np.float64]) -> float:
        """Return the area of a logistic probe, the mean over draws of labels."""
        table = self.cohort.windows.table
        asks = (LogisticProbe().fit(features[r], table.label[r], 2) for r in self.labelled)
        areas = [self.judged(ask(features[self.fresh])) for ask in asks]
        return sum(areas) / len(areas)

    def permuted(self, features: npt.NDArray[np.float64]) -> float:
        """Return the same with the classes of the labelled patients dealt anew: luck."""
        table = self.cohort.windows.table
        areas = []
        for number, rows in enumerate(self.labelled):
            who, place = np.unique(table.patient[rows], return_inverse=True)
            order = torch.randperm(
                len(who), generator=generator_for(self.draw, _PERMUTED, number)
            ).numpy()
            label = self.cohort.truth.label[who][order][place]
            ask = LogisticProbe().fit(features[rows], label, 2)
            areas.append(self.judged(ask(features[self.fresh])))
        return sum(areas) / len(areas)

    def judged(self, logits: torch.Tensor) -> float:
        """Return the area of fresh patients."""
        table = self.cohort.windows.table.take(self.fresh)
        answers = aggregated(
            logits.double(), table, self.cohort.truth.label, round_of=0, how="probability"
        )[2]
        return area_under_roc(answers.score, answers.label == 1)


def _dealt(labels: Rows, patients: Patients, draw: int) -> Iterator[Rows]:
    """Yield the patients whose labels are seen, as many of each class."""
    kinds = [np.flatnonzero(labels == kind) for kind in (0, 1)]
    if min(map(len, kinds)) < patients.labelled:
        msg = (
            f"draw {draw} has {len(kinds[0])} controls and {len(kinds[1])} cases to learn from; "
            f"{patients.labelled} of each are to be labelled: take more patients, or fewer labels."
        )
        raise RefusedInputError(msg)
    for number in range(patients.label_draws):
        generator = generator_for(draw, _LABELS, number)
        orders = [torch.randperm(len(kind), generator=generator).numpy() for kind in kinds]
        yield np.concatenate(
            [kind[order[: patients.labelled]] for kind, order in zip(kinds, orders, strict=True)]
        )


def _plain(found: Figures, cell: str, data: Dataset) -> None:
    """Add what takes no training, and the best that any score of the truth can do."""
    truth = data.cohort.truth
    score, label = truth.score[data.learnt :], truth.label[data.learnt :]
    best = area_under_roc(torch.from_numpy(score), torch.from_numpy(label == 1))
    found.add(cell, "best possible score (truth)", AUC, best)
    found.add(cell, "band power", AUC, data.probed(BandPower().features(data.cohort.windows)))


def _learnt(found: Figures, cell: str, data: Dataset, budget: Budget) -> None:
    """Add the random encoder and the pre-trained ones, which all start at its very weights."""
    how = budget.pretraining("comet")
    network = how.make(data.seen)(generator_for(data.draw)).eval()
    found.add(cell, "random encoder", AUC, data.probed(encode_all(network, data.scaled)))
    for method in ("comet-reference", "comet", "comet-ordering"):
        started = process_time()
        taken = checkpoints(budget.pretraining(method), data.seen, data.scaled, seed=data.draw)
        spent = process_time() - started
        areas = [data.probed(one.features) for one in taken]
        found.add(cell, method, AUC, areas[-1])
        found.add(cell, method, COST, spent)
        if method == "comet":
            luck = data.permuted(taken[-1].features)
            found.add(cell, "comet, permuted labels", AUC, luck)
            found.add(cell, "comet, checkpoint chosen without labels", AUC, areas[chosen(taken)])
            _regretted(found, cell, regret(taken, areas))


def _regretted(found: Figures, cell: str, cost: Regret) -> None:
    found.add(cell, "choice by rank less identity", TO_BEST, cost.against_best)
    found.add(cell, "choice by rank less identity", ON_LAST, cost.gain_on_last)
    found.add(cell, "last checkpoint", TO_BEST, cost.best - cost.last)


def _supervised(found: Figures, cell: str, data: Dataset, budget: Budget) -> None:
    """Add the models that learn from the labelled windows alone, end to end."""
    methods: Sequence[tuple[str, int, Supervised]] = (
        ("majority class", 1, Majority()),
        ("supervised from scratch", budget.scratch_draws, budget.scratch()),
    )
    for name, count, method in methods:
        started = process_time()
        for number, rows in enumerate(data.labelled[:count]):
            generator = generator_for(data.draw, _SUPERVISED, number)
            predict: Predict = method.fit(data.scaled.take(rows), None, generator=generator)
            hidden = data.scaled.take(data.fresh).without_labels()
            found.add(cell, name, AUC, data.judged(predict(hidden)))
        found.add(cell, name, COST, process_time() - started)


def _audited(found: Figures, cell: str, data: Dataset) -> None:
    """Add 1 where the audit finds a leak in a split, 0 where it finds none."""
    windows, table = data.cohort.windows, data.cohort.windows.table
    train = np.flatnonzero(table.patient < data.learnt)
    moved = np.flatnonzero(table.trial == table.trial[data.fresh[0]])
    torn = {"train": np.union1d(train, moved), "test": np.setdiff1d(data.fresh, moved)}
    signals = windows.signals.copy()
    signals[train[: len(moved)]] = signals[moved]
    copied = WindowSet(
        signals, table, rate=windows.rate, channels=windows.channels, units=windows.units
    )
    clean = {"train": train, "test": data.fresh}
    for name, looked, parts in (
        (CLEAN, windows, clean),
        (TORN, windows, torn),
        (COPIED, copied, clean),
    ):
        findings = audit_split(looked, parts, seed=data.draw)
        found.add(cell, name, FLAGGED, float(any(one.is_leak for one in findings)))
