"""``medconsist bench musk``: accuracy on MUSK1, whose 92 bags rank nothing.

Real data, 92 molecules as bags of 476 shapes. Ten times ten folds by molecule, classes balanced,
each method on the same folds. One setting for all, taken as it is and tuned on nothing: 300 steps
of 8 bags, Adam at 1e-3 with half a cosine, weight decay 1e-3, width 64, last weights; features have
mean 0 and deviation 1 over the training molecules. All nine other folds train; the probe alone
needs validation, for its penalty, and takes a fifth of them. INS has a bank of 256 keys, since
there are some 430 instances to train on.

Intervals are the corrected resampled t of `medconsist.metrics.repeated_folds`: repeats split the
same 92 molecules anew and add none. Beside each method stands its paired difference from the probe,
and the smallest one that this protocol would show. Not here: TransMIL and DTFD, whose squares and
pseudo-bags have nothing to work on in bags of five shapes, and MHIM, which hides instances of large
bags. No published value stands beside: those are of other folds and other trainings.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from medconsist.batch.worker_pool import worker_pool
from medconsist.errors import RefusedInputError
from medconsist.metrics.power import smallest_fold_difference
from medconsist.metrics.repeated_folds import FoldScores, corrected_interval, corrected_test
from medconsist.metrics.report import Estimate
from medconsist.results.bench import BenchReport, BenchRow, real_data
from medconsist.training.settings import TrainConfig
from medconsist.wsi.bench.mil_methods import standardised
from medconsist.wsi.bench.mil_parts import folds_of
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.methods import MethodChoice, train_method
from medconsist.wsi.mil.musk import read_musk
from medconsist.wsi.mil.objective import Sampling, all_bags

__all__ = ["WARNING", "Sizes", "run_bench"]

logger = logging.getLogger(__name__)

FILE = Path("wsi") / "musk1.data"
CASE = "MUSK1"
UNIT = "bag"
PROBE = "probe"
_SEEDS = 100  # room for the folds of a repeat, and for the repeats of a seed
_Folds = dict[str, tuple[float, ...]]
WARNING = "92 bags rank nothing"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the bench is; about 9 minutes of two cores as it stands.

    Parameters
    ----------
    repeats, folds
        How often the molecules are split anew, and into how many parts.
    methods
        Names in `medconsist.wsi.mil.methods.METHODS`; the probe among them.
    steps, bags, width, lr, weight_decay
        Of every training.
    ins
        Numbers of INS.
    workers
        Processes, of one thread each; by default as many as this process may use cores.

    Raises
    ------
    RefusedInputError
        Methods without the probe, or no repeat.

    Examples
    --------
    >>> Sizes(repeats=2).folds
    10
    """

    repeats: int = 10
    folds: int = 10
    methods: tuple[str, ...] = (
        PROBE,
        "mean",
        "max",
        "abmil",
        "abmil-gated",
        "clam-sb",
        "dsmil",
        "panther",
        "ins",
    )
    steps: int = 300
    bags: int = 8
    width: int = 64
    lr: float | int = 1e-3
    weight_decay: float | int = 1e-3
    ins: InsConfig = field(
        default_factory=lambda: InsConfig(bank=256, warmup=30, phi_steps=300, least_positive=0.1)
    )
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))

    def __post_init__(self) -> None:
        least = min(self.repeats, self.workers)
        if PROBE not in self.methods or least < 1 or max(self.repeats, self.folds) > _SEEDS:
            msg = (
                f"got {self.repeats} repeats of {self.folds} folds, {self.workers} workers and "
                f"methods {', '.join(self.methods)}; allowed: 1 to {_SEEDS} repeats and folds, 1 "
                f"worker or more, the {PROBE} among the methods."
            )
            raise RefusedInputError(msg)

    def training(self, seed: int) -> TrainConfig:
        """Return the settings that all methods share."""
        return TrainConfig(
            steps=self.steps,
            lr=self.lr,
            weight_decay=self.weight_decay,
            seed=seed,
            checkpoint_every=10**6,
        )


def run_bench(
    *, data: Path | None, seed: int, draws: int | None = None, sizes: Sizes | None = None
) -> BenchReport:
    """Measure every method on the same folds.

    Parameters
    ----------
    data
        Folder with ``wsi/musk1.data``; None asks MEDCONSIST_TEST_DATA.
    seed
        Of the splits and the trainings.
    draws
        How often the molecules are split anew; None leaves that to ``sizes``.
    sizes
        None takes the defaults.

    Raises
    ------
    MissingInputError
        There is no such file.
    """
    chosen = sizes or Sizes()
    chosen = chosen if draws is None else replace(chosen, repeats=draws)
    cohort = read_musk(real_data(data) / FILE)
    logger.info("%s: %d x %d folds, %s ...", CASE, chosen.repeats, chosen.folds, WARNING)
    work = partial(_accuracies, cohort, seed=seed, sizes=chosen)
    repeats = _each(work, chosen)
    scores = {
        name: FoldScores(
            values=tuple(repeat[name] for repeat in repeats), units=len(cohort), unit=UNIT
        )
        for name in chosen.methods
    }
    return BenchReport(command="medconsist bench musk", rows=tuple(_rows(scores, seed)))


def _each(work: Callable[[int], _Folds], sizes: Sizes) -> list[_Folds]:
    with worker_pool(sizes.workers) as run:
        return run("repeats", work, range(sizes.repeats))


def _accuracies(cohort: Cohort, repeat: int, *, seed: int, sizes: Sizes) -> _Folds:
    """Return the accuracy of each method in each fold of one repeat."""
    found: dict[str, list[float]] = {name: [] for name in sizes.methods}
    drawn = _SEEDS * seed + repeat
    for fold, parts in enumerate(folds_of(cohort, seed=drawn, folds=sizes.folds)):
        nested = standardised(parts.train, parts.validation, parts.test)
        whole = standardised(parts.known(cohort), parts.test)
        for name in sizes.methods:
            cohorts = nested if name == PROBE else whole
            accuracy = _accuracy(name, cohorts, seed=_SEEDS * drawn + fold, sizes=sizes)
            found[name].append(accuracy)
    return {name: tuple(values) for name, values in found.items()}


def _accuracy(name: str, cohorts: Sequence[Cohort], *, seed: int, sizes: Sizes) -> float:
    train, *validation, test = cohorts
    with tempfile.TemporaryDirectory() as folder:
        trained = train_method(
            MethodChoice(name=name, width=sizes.width, ins=sizes.ins),
            train,
            validation[0] if validation else None,
            folder=Path(folder),
            config=sizes.training(seed),
            sampling=Sampling(bags=sizes.bags, seed=seed),
            recipe={},
            progress=False,
        )
    said = torch.cat([output.probabilities for _, output in all_bags(trained.network, test)])
    return float((said.argmax(1) == test.labels).double().mean())


def _rows(scores: Mapping[str, FoldScores], seed: int) -> Iterator[BenchRow]:
    for name, of_folds in scores.items():
        yield _row(name, "accuracy", corrected_interval(of_folds), seed)
    for name, of_folds in scores.items():
        if name == PROBE:
            continue
        words = f"{name} less {PROBE} (paired; {WARNING})"
        compared = corrected_test(of_folds, scores[PROBE])
        yield _row(words, "accuracy", compared, seed)
        if compared.standard_error is not None:
            least = smallest_fold_difference(compared)
            yield BenchRow(
                case=f"{CASE}, {words}",
                metric=f"accuracy, smallest difference shown with {least.power:.0%} power",
                value=least.difference,
                unit="1",
                n=least.n,
                unit_of_analysis=UNIT,
                seed=seed,
            )


def _row(words: str, metric: str, estimate: Estimate, seed: int) -> BenchRow:
    return BenchRow(
        case=f"{CASE}, {words}",
        metric=metric,
        value=estimate.mean,
        unit="1",
        n=estimate.n,
        unit_of_analysis=UNIT,
        ci_low=estimate.ci_low,
        ci_high=estimate.ci_high,
        seed=seed,
    )
