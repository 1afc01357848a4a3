"""``medconsist bench ts-worlds``: where COMET helps, on recordings of this simulator.

The unit of analysis is the dataset draw: a cohort of simulated patients, their recordings and the
first weights (draws of labels within a dataset are averaged first); intervals are those of
Student's t over draws. In the *shared* world the class shows in every window of a case; in the
other each window draws whether it shows, so that two windows of one patient differ in it as often
as not. Encoders are pre-trained on the windows of 40 patients without labels, a logistic probe sees
the labels of 6 + 6 of them, and 100 fresh patients are judged.

These contrasts were fixed before the first training of a table, paired by draw: AUC of fresh
patients by mended COMET and a logistic probe, less that of the encoder with the very weights that
the training starts from and the same probe.

a. *Shared*: expected above 0.
b. *Not shared*: expected not above 0. An interval above 0 would contradict the claim that COMET's
   gain comes from what a patient's recordings share.

For each the smallest difference that so many draws would have shown by a paired t test at 5 % is
reported. All other rows describe. World, sizes and length of training were set on draws 9001 and
later, and so was the budget of 6 + 6 labels, after a look at the contrast on 9001 and 9002: the
expectation is no guess of a stranger. The tables take other draws. *Permuted labels* deals the
classes of the labelled patients anew: luck. From scratch sees the same patients' labels, for fewer
draws of them, and trains 180 steps where the others pre-train 210.
The best checkpoint of a training is that of the fresh patients themselves, so that the regret of a
choice without labels is an upper limit. The audit is asked about the clean split by patient, about
one in which a trial of a test patient is in training, and about one in which windows of a test
patient were copied into a training patient.
"""

import logging
import os
from dataclasses import dataclass, field
from functools import partial

from medconsist.batch.worker_pool import worker_pool
from medconsist.errors import RefusedInputError
from medconsist.metrics.report import exact_binomial_interval
from medconsist.results.bench import BenchReport, BenchRow, BenchTable, Target
from medconsist.results.draw_table import Contrast, Figures, table
from medconsist.timeseries.bench.world_draw import (
    AUC,
    AUDITED,
    CELLS,
    CLEAN,
    FLAGGED,
    Budget,
    Patients,
    draw_figures,
)

__all__ = ["Sizes", "run_bench"]

logger = logging.getLogger(__name__)

UNIT = "dataset draw"
_FIRST_DRAW, _PER_SEED, _LAST_SEED = 100, 1000, 9


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the bench is; an estimated 21 minutes of two cores as it stands.

    Core-seconds of a dataset in one world, on one busy core of 2026: mended COMET with its seven
    evaluations 41, all else 5; extrapolated from a few steps: the reference 46, the ordering 18,
    from scratch 18. What was spent stands in the table.

    Parameters
    ----------
    draws, first_draw
        Datasets, and the number of the first.
    patients
        Of a dataset.
    budget
        Of the trainings.
    workers
        Processes, of one thread each; by default as many as this process may use cores.

    Raises
    ------
    RefusedInputError
        Draws on which the methods were set, or none.

    Examples
    --------
    >>> Sizes(draws=2).first_draw
    100
    """

    draws: int = 10
    first_draw: int = _FIRST_DRAW
    patients: Patients = field(default_factory=Patients)
    budget: Budget = field(default_factory=Budget)
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))

    def __post_init__(self) -> None:
        if min(self.draws, self.workers) < 1 or self.first_draw + self.draws > 9000:
            msg = (
                f"got draws {self.first_draw} to {self.first_draw + self.draws - 1} and "
                f"{self.workers} workers; allowed: 1 or more of each, draws below 9000 (the "
                "methods were set on later ones)."
            )
            raise RefusedInputError(msg)

    @classmethod
    def of_seed(cls, seed: int, *, draws: int = 10) -> "Sizes":
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
        return cls(first_draw=_FIRST_DRAW + _PER_SEED * seed, draws=draws)

    @property
    def numbers(self) -> range:
        """The dataset draws."""
        return range(self.first_draw, self.first_draw + self.draws)


def run_bench(*, sizes: Sizes | None = None) -> BenchReport:
    """Measure both worlds.

    Parameters
    ----------
    sizes
        None takes the defaults.
    """
    chosen = sizes or Sizes()
    logger.info("%d draws of two worlds ...", chosen.draws)
    draws = _each_draw(chosen)
    done = BenchTable()
    for letter, cell in zip("ab", CELLS, strict=True):
        words = f"{letter}. class information"
        mine = [_of_cell(one, cell) for one in draws]
        done = done.joined(table(words, mine, _contrasts(cell), seed=chosen.first_draw))
    for name in AUDITED:
        done = done.joined(_audited(name, draws, chosen.first_draw))
    return BenchReport(command="medconsist bench ts-worlds", rows=done.rows, targets=done.targets)


def _contrasts(cell: str) -> list[Contrast]:
    random = "random encoder"
    pairs = (
        ("comet", random),
        ("comet-reference", random),
        ("comet-ordering", random),
        ("comet", "comet-reference"),
        ("comet", "band power"),
        ("comet", "supervised from scratch"),
    )
    return [
        Contrast(
            cell,
            AUC,
            first,
            second,
            is_fixed=(first, second) == ("comet", random),
            expected="above 0" if cell == "shared" else "not above 0",
        )
        for first, second in pairs
    ]


def _each_draw(sizes: Sizes) -> list[Figures]:
    """Return the figures of every draw, from several processes where asked for."""
    of_draw = partial(draw_figures, patients=sizes.patients, budget=sizes.budget)
    with worker_pool(sizes.workers) as run:
        return run("draws", of_draw, list(sizes.numbers))


def _of_cell(figures: Figures, cell: str) -> Figures:
    kept = {key: v for key, v in figures.values.items() if key[0] == cell and key[2] != FLAGGED}
    return Figures(kept)


def _audited(name: str, draws: list[Figures], seed: int) -> BenchTable:
    """Return in how many draws the audit found a leak, and whether that is as it should be."""
    marks = [v for one in draws for key, v in one.values.items() if key[1:] == (name, FLAGGED)]
    flagged = sum(any(mark) for mark in marks)
    share = exact_binomial_interval(flagged, len(marks), unit="split")
    row = BenchRow(
        case=f"audit, {name}",
        metric=FLAGGED,
        value=share.proportion,
        unit="1",
        n=len(marks),
        unit_of_analysis="split",
        ci_low=share.ci_low,
        ci_high=share.ci_high,
        seed=seed,
    )
    wanted = 0 if name == CLEAN else len(marks)
    target = Target(
        name=row.case,
        wanted=f"{wanted} of {len(marks)} splits flagged",
        seen=float(flagged),
        met=flagged == wanted,
    )
    return BenchTable((row,), (target,))
