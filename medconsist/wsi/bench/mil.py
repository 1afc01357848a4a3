"""``medconsist bench mil``: three questions to MIL, on bags of this simulator.

The unit of analysis is the dataset draw (the seeds of a draw are averaged first), the bags are
those of `medconsist.wsi.mil.simulate`, whose hash was frozen before the first training here.
Methods were set on draws 9001 to 9003; the tables take others. These contrasts were fixed
beforehand, paired by draw, with 95 % intervals of Student's t:

a. *Easy positives*: bag AUC of MHIM over ABMIL less that of ABMIL with the epochs of teacher and
   student together, at the largest share of easy positives. Expected: above 0 there, and nothing
   where all positives are alike.
b. *Witness rate*: instance AUC of INS, and of MHIM with INS, less that of a logistic regression on
   copied bag labels, at the middle witness rate. Expected: both above 0.
c. *Site*: bag AUC of mean pooling over random folds less that over site-preserved folds, under a
   planted association of site and label. Expected: above 0.

All other rows describe. ABMIL stands in table b twice, with the compute of INS and with that of
MHIM with INS, and the differences to it are reported for bags and instances. For each fixed
contrast the smallest difference that so many draws would have shown by a paired t test at 5 % is
reported beside it. A logistic line cannot follow two phenotypes in opposite
directions, so passing it is a low bar: a small network on the same copied labels is the rival, and
it and the ceiling (true labels) stand in every table, in table c by the mean and the highest score
of a bag. INS names a tenth of the
instances of positive bags positive in any case; without that, as published, it can collapse, and
has a row of its own. The student of MHIM with INS gives attention alone: its instance classifier
gets no loss.

Not here, as too dear for an hour on two cores: TransMIL and DSMIL, alone and under MHIM, and MHIM
v2. Table c takes one seed of each draw for the same reason.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from statistics import fmean
from time import process_time
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from medconsist.batch.worker_pool import worker_pool
from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.results.bench import BenchReport, BenchTable
from medconsist.results.draw_table import Contrast, Figures, table
from medconsist.wsi.bench.mil_methods import (
    INS_PUBLISHED,
    Budget,
    Ins,
    Method,
    Mhim,
    MhimOfIns,
    Plain,
    ReleasedIns,
    Said,
    standardised,
)
from medconsist.wsi.bench.mil_parts import folds_of
from medconsist.wsi.mil.baselines import (
    InstanceScorer,
    LogisticScorer,
    MlpScorer,
    copied_label_scores,
    mean_instance_auc,
    true_label_scores,
)
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.simulate import BagRecipe, SimulatedBags, simulate_bags

__all__ = ["Sizes", "run_bench"]

logger = logging.getLogger(__name__)

BAG, INSTANCE, COST = "bag AUC", "instance AUC", "training, core-seconds"
# ABMIL with the compute of INS, about twice its own a step, and of teacher and student of that kind
AS_INS, AS_BOTH = "abmil, compute of ins", "abmil, compute of mhim+ins"
SCORERS = ("logistic", "mlp")
_GROUPS: Mapping[str, Literal["patient", "site"]] = {"random": "patient", "site-preserved": "site"}
_FIRST_DRAW, _PER_SEED, _LAST_SEED = 100, 1000, 9


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the bench is; about 90 minutes of one core as it stands, 45 of two.

    Core-seconds of a training of 58 bags on one core of 2026: ABMIL 2, at equal compute 4.5, mean
    and max at equal compute 1.5 and 3.5, MHIM with its teacher 6, INS 4.5, MHIM over INS 4.5; the
    four folds of table c 5 for the mean and 13 for ABMIL.

    Parameters
    ----------
    draws, first_draw
        Datasets, and the number of the first.
    seeds
        Trainings of each method on each dataset in tables a and b.
    site_seeds
        The same of table c, where each is as many trainings as folds.
    easy
        Shares of easy positives of table a; the last is that of the fixed contrast.
    witness
        Ranges of the witness rate of table b; the middle one is that of the fixed contrast.
    association
        Of site and label in table c; the last is that of the fixed contrast, 0 a control.
    models, folds
        Of table c; the first model is that of the fixed contrast.
    recipe
        Of the bags; the tables change what they ask for.
    budget
        Of a training.
    mlp
        The network on copied and on true labels of instances.
    workers
        Processes, of one thread each; by default as many as this process may use cores.

    Raises
    ------
    RefusedInputError
        Draws on which the methods were set, or none.

    Examples
    --------
    >>> Sizes(draws=2, seeds=1).easy
    (0.0, 0.3, 0.9)
    """

    draws: int = 10
    first_draw: int = _FIRST_DRAW
    seeds: int = 3
    site_seeds: int = 1
    easy: tuple[float, ...] = (0.0, 0.3, 0.9)
    witness: tuple[tuple[float, float], ...] = ((0.02, 0.05), (0.05, 0.10), (0.10, 0.20))
    association: tuple[float, ...] = (0.0, 0.8)
    models: tuple[str, ...] = ("mean", "abmil")
    folds: int = 4
    recipe: BagRecipe = field(default_factory=BagRecipe)
    budget: Budget = field(default_factory=Budget)
    mlp: MlpScorer = field(default_factory=MlpScorer)
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))

    def __post_init__(self) -> None:
        least = min(self.draws, self.seeds, self.site_seeds, self.workers)
        if least < 1 or self.first_draw + self.draws > 9000:
            msg = (
                f"got draws {self.first_draw} to {self.first_draw + self.draws - 1}, {self.seeds} "
                f"and {self.site_seeds} seeds, {self.workers} workers; allowed: 1 or more of each, "
                "draws below 9000 (the methods were set on later ones)."
            )
            raise RefusedInputError(msg)

    @classmethod
    def of_seed(cls, seed: int, *, draws: int = 10, seeds: int = 3) -> "Sizes":
        """Return so many draws of their own for each seed of the command, 0 to 8.

        Raises
        ------
        RefusedInputError
            Another seed, or draws that would be those of the next one.
        """
        if not 0 <= seed < _LAST_SEED or not 1 <= draws <= _PER_SEED - _FIRST_DRAW:
            msg = (
                f"seed and draws got {seed} and {draws}; allowed: 0 to {_LAST_SEED - 1}, and 1 to "
                f"{_PER_SEED - _FIRST_DRAW} draws."
            )
            raise RefusedInputError(msg)
        return cls(first_draw=_FIRST_DRAW + _PER_SEED * seed, draws=draws, seeds=seeds)

    @property
    def scorers(self) -> dict[str, InstanceScorer]:
        """Classifiers of single instances by name."""
        return dict(zip(SCORERS, (LogisticScorer(), self.mlp), strict=True))

    @property
    def numbers(self) -> range:
        """The dataset draws."""
        return range(self.first_draw, self.first_draw + self.draws)


def run_bench(*, sizes: Sizes | None = None) -> BenchReport:
    """Measure the three tables.

    Parameters
    ----------
    sizes
        None takes the defaults.
    """
    chosen = sizes or Sizes()
    easiest = f"easy {chosen.easy[-1]:g}"
    middle = _witness_cell(chosen.witness[len(chosen.witness) // 2])
    planted = _site_cell(chosen.association[-1])
    done = BenchTable()
    for words, of_draw, contrasts, seeds in (
        ("a. easy positives", _easy_of_draw, _easy_contrasts(easiest, chosen), chosen.seeds),
        ("b. witness rate", _witness_of_draw, _witness_contrasts(middle, chosen), chosen.seeds),
        ("c. site", _sites_of_draw, _site_contrasts(planted, chosen), chosen.site_seeds),
    ):
        logger.info("%s: %d draws x %d seeds ...", words, chosen.draws, seeds)
        figures = _each_draw(partial(of_draw, sizes=chosen), chosen)
        done = done.joined(table(words, figures, contrasts, seed=chosen.first_draw))
    return BenchReport(command="medconsist bench mil", rows=done.rows, targets=done.targets)


def _easy_contrasts(fixed: str, sizes: Sizes) -> list[Contrast]:
    pair = ("mhim-abmil", "abmil, equal compute")
    return [
        Contrast(f"easy {easy:g}", BAG, *pair, is_fixed=f"easy {easy:g}" == fixed)
        for easy in sizes.easy
    ]


def _witness_contrasts(fixed: str, sizes: Sizes) -> list[Contrast]:
    logistic, mlp = (f"copied bag labels, {name}" for name in SCORERS)
    ins, both = "ins, instance classifier", "mhim+ins, attention"
    published = "ins as published, instance classifier"
    return [
        Contrast(cell, metric, first, second, is_fixed=cell == fixed and second == logistic)
        for cell in map(_witness_cell, sizes.witness)
        for metric, first, second in (
            (INSTANCE, ins, logistic),
            (INSTANCE, both, logistic),
            (INSTANCE, ins, mlp),
            (INSTANCE, both, mlp),
            (INSTANCE, ins, published),
            (INSTANCE, ins, f"{AS_INS}, attention"),
            (INSTANCE, both, f"{AS_BOTH}, attention"),
            (BAG, "ins", AS_INS),
            (BAG, "mhim+ins", AS_BOTH),
        )
    ]


def _site_contrasts(fixed: str, sizes: Sizes) -> list[Contrast]:
    return [
        Contrast(
            cell,
            BAG,
            f"{model}, random folds",
            f"{model}, site-preserved folds",
            is_fixed=cell == fixed and model == sizes.models[0],
        )
        for cell in map(_site_cell, sizes.association)
        for model in sizes.models
    ]


def _each_draw(of_draw: Callable[[int], Figures], sizes: Sizes) -> list[Figures]:
    """Return the figures of every draw, from several processes where asked for."""
    with worker_pool(sizes.workers) as run:
        return run("draws", of_draw, list(sizes.numbers))


@dataclass(frozen=True, eq=False)
class _Data:
    """One dataset, split by patient and standardised; its truth lies apart."""

    train: Cohort
    validation: Cohort
    test: Cohort
    train_truth: tuple[Bool[Tensor, " _"], ...]
    test_truth: tuple[Bool[Tensor, " _"], ...]

    @classmethod
    def of(cls, simulated: SimulatedBags) -> "_Data":
        # the order of the patients is random in the simulator
        patients = list(dict.fromkeys(simulated.cohort.patients))
        cuts = (0, int(0.36 * len(patients)), int(0.56 * len(patients)), len(patients))
        parts = [
            _of_patients(simulated.cohort, patients[first:end]) for first, end in pairwise(cuts)
        ]
        train, validation, test = standardised(*parts)
        truths = simulated.truth_of(parts[0]), simulated.truth_of(parts[2])
        return cls(train, validation, test, *truths)


def _of_patients(cohort: Cohort, patients: Sequence[str]) -> Cohort:
    wanted = set(patients)
    return cohort.of_cases([info.case for info in cohort.infos if info.patient in wanted])


def _easy_of_draw(draw: int, *, sizes: Sizes) -> Figures:
    """Return bag and instance AUC of MHIM, its baseline at equal compute, and plain pooling."""
    found = Figures()
    plain = Plain(budget=sizes.budget)
    for easy in sizes.easy:
        cell = f"easy {easy:g}"
        simulated = simulate_bags(replace(sizes.recipe, easy=easy), draw=draw)
        data = _Data.of(simulated)
        methods: list[tuple[str, Method]] = [
            ("mhim-abmil", Mhim(plain=plain)),
            ("abmil, equal compute", replace(plain, parts=2)),
            ("mean", replace(plain, model="mean", parts=2)),
            ("max", replace(plain, model="max", parts=2)),
        ]
        for seed in range(sizes.seeds):
            for name, method in methods:
                started = process_time()
                trained = method.train(data.train, data.validation, seed=seed)
                found.add(cell, name, COST, process_time() - started)
                _judge(found, (cell, name), trained(data.test), data)
        _plain_rows(found, cell, data, sizes.scorers)
    return found


def _witness_of_draw(draw: int, *, sizes: Sizes) -> Figures:
    """Return the instance AUC of all that score instances; INS is trained once for two."""
    found = Figures()
    as_ins, as_both = (Plain(budget=sizes.budget, parts=parts) for parts in (2, 4))
    both = MhimOfIns(ins=Ins(budget=sizes.budget))
    published = Ins(budget=sizes.budget, config=INS_PUBLISHED)
    for witness in sizes.witness:
        cell = _witness_cell(witness)
        data = _Data.of(simulate_bags(replace(sizes.recipe, witness=witness), draw=draw))
        leak = ReleasedIns(budget=sizes.budget, truth=data.train_truth)
        parts = data.train, data.validation
        for seed in range(sizes.seeds):
            started = process_time()
            ins = both.ins.train(*parts, seed=seed)
            trained = {
                AS_INS: as_ins.train(*parts, seed=seed),
                AS_BOTH: as_both.train(*parts, seed=seed),
                both.ins.name: ins,
                both.name: both.over(ins, *parts, seed=seed),
                published.name: published.train(*parts, seed=seed),
                leak.name: leak.train(*parts, seed=seed),
            }
            found.add(cell, "all methods of a seed", COST, process_time() - started)
            for name, network in trained.items():
                _judge(found, (cell, name), network(data.test), data)
        _plain_rows(found, cell, data, sizes.scorers)
    return found


def _judge(found: Figures, where: tuple[str, str], said: Sequence[Said], data: _Data) -> None:
    cell, name = where
    found.add(cell, name, BAG, _bag_auc(said, data.test))
    for kind in said[0].instances:
        scores = [one.instances[kind] for one in said]
        auc = mean_instance_auc(scores, data.test_truth)
        found.add(cell, f"{name}, {kind}", INSTANCE, auc)


def _plain_rows(
    found: Figures, cell: str, data: _Data, scorers: Mapping[str, InstanceScorer]
) -> None:
    """Add what copied labels give without MIL, and what the truth would give."""
    for name, scorer in scorers.items():
        copied = copied_label_scores(data.train, data.test, scorer=scorer)
        true = true_label_scores(data.train, data.train_truth, data.test, scorer=scorer)
        for words, scores in (("copied bag labels", copied), ("true-label ceiling", true)):
            auc = mean_instance_auc(scores, data.test_truth)
            found.add(cell, f"{words}, {name}", INSTANCE, auc)


def _sites_of_draw(draw: int, *, sizes: Sizes) -> Figures:
    """Return the mean over folds of the bag AUC; scores of different folds are never pooled."""
    found = Figures()
    for association in sizes.association:
        cell = _site_cell(association)
        recipe = replace(sizes.recipe, sites=2 * sizes.folds, site_label_association=association)
        simulated = simulate_bags(recipe, draw=draw)
        cohort = simulated.cohort
        for words, group in _GROUPS.items():
            parts = list(folds_of(cohort, seed=draw, folds=sizes.folds, group=group))
            folds = [standardised(one.train, one.validation, one.test) for one in parts]
            for model in sizes.models:
                method = Plain(model=model, budget=sizes.budget)
                for seed in range(sizes.site_seeds):
                    areas = [
                        _bag_auc(method.train(train, held, seed=seed)(test), test)
                        for train, held, test in folds
                    ]
                    found.add(cell, f"{model}, {words} folds", BAG, fmean(areas))
            truths = [simulated.truth_of(one.train) for one in parts]
            for name, scorer in sizes.scorers.items():
                copied = [_copied_bag_auc(scorer, train, test) for train, _, test in folds]
                found.add(cell, f"copied bag labels, {name}, {words} folds", BAG, fmean(copied))
                true = [
                    _true_bag_auc(scorer, train, truth, test)
                    for (train, _, test), truth in zip(folds, truths, strict=True)
                ]
                found.add(cell, f"true-label ceiling, {name}, {words} folds", BAG, fmean(true))
    return found


def _copied_bag_auc(scorer: InstanceScorer, train: Cohort, test: Cohort) -> float:
    """Return the AUC of the mean score of a bag, by a classifier on copied labels."""
    said = [float(one.mean()) for one in copied_label_scores(train, test, scorer=scorer)]
    return area_under_roc(torch.tensor(said), test.labels == 1)


def _true_bag_auc(
    scorer: InstanceScorer, train: Cohort, truth: Sequence[Bool[Tensor, " _"]], test: Cohort
) -> float:
    """Return the AUC of the highest score of a bag, by a classifier on the truth."""
    said = [float(one.max()) for one in true_label_scores(train, truth, test, scorer=scorer)]
    return area_under_roc(torch.tensor(said), test.labels == 1)


def _bag_auc(said: Sequence[Said], bags: Cohort) -> float:
    return area_under_roc(torch.tensor([one.positive for one in said]), bags.labels == 1)


def _witness_cell(witness: tuple[float, float]) -> str:
    return f"witness {witness[0]:g} to {witness[1]:g}"


def _site_cell(association: float) -> str:
    return f"association {association:g}"
