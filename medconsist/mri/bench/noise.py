"""``medconsist bench mri-noise``: is the noise level worth something to a network.

One small CIRIM is trained in three ways, for the same time of one core each, on the same heads and
coils of this simulator: *aware* is shown the noise level sigma beside image and gradient
(`CirimConfig.noise_input`) and sees scans whose SNR is drawn from 5 to 60, uniformly in its
logarithm; *blind* sees these scans without sigma; *trained at SNR 30* is blind and sees that level
alone. Each is trained twice, with other first weights and another order of the slices. All judge
the same test heads at seven levels, of which 3 and 100 lie outside training. sigma is that of the
scan's own noise scan, by which it was prewhitened; coil maps are estimated from its noisy samples.
Masks, alike in training and test, take 2x to 4x, mild ones, so that aliasing does not hide the
noise. Zero-filled and compressed sensing stand beside, the latter with the best of nine weights for
each level, on validation heads: a method that knows the level in its own way.

Named before any network of the table was trained, the contrast: aware less blind in SSIM at SNR 5,
paired by head, each the mean of its trainings; expected above 0. It may well be a tie, since a
network can tell the level from the background of the image that it is shown; the smallest
difference that these heads would have shown stands in the table, and a row whose interval holds 0
says "no difference shown". All other rows describe, and their intervals are not widened for their
number. Intervals are those of Student's t over heads: they know of no other trainings. What two
trainings differ by stands in the rows "training 1" and "training 2".

*Told sigma x 2* and *told sigma / 2* are the aware network with a wrong level: a network that does
not mind has not used it.

Architecture, learning rate and masks were chosen on heads of another series, by how fast the aware
network learns; a minute and a half is little, and says nothing of what longer trainings would
reach. Once they were fixed, one training of 600 steps of each on that series had blind ahead: the
contrast may be missed. Once that was seen, two changes were tried on two other series. Weights of
the level that start at zero helped in one and harmed in the other; a level divided by 25, so that
its channel hardly acts, left the network behind in both. Neither is taken.

Estimated costs, on one core of 2026: 540 seconds of training, 40 of simulating pools, 40 of tuning,
70 of judging; 6 minutes on 2 idle cores.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from medconsist._extras import require
from medconsist.batch.worker_pool import worker_pool
from medconsist.errors import ConvergenceError, RefusedInputError
from medconsist.mri.bench.learned.tuning import Tuned
from medconsist.mri.bench.noise_scans import (
    CS,
    METRICS,
    TOLD,
    ZEROFILLED,
    cell_name,
    judge_test,
    judge_validation,
    tuned,
)
from medconsist.mri.bench.noise_study import (
    ARMS,
    AWARE,
    BLIND,
    FIXED,
    HEADS,
    SPECIAL,
    NoiseStudy,
    Training,
    train,
)
from medconsist.mri.benchmark.training import Outcome
from medconsist.results.bench import BenchReport, BenchRow, BenchTable, Target
from medconsist.results.draw_table import Contrast, Figures, table
from medconsist.results.kept import KeptFolder

__all__ = ["noise_table", "run_bench"]

UNIT = "simulated head"
_TITLE = "simulated"
_TOLERANCE = 0.1  # of the budget
_BETTER: Mapping[str, Literal["higher", "lower"]] = {"ssim": "higher", "nmse": "lower"}


def run_bench(
    *,
    seed: int = 0,
    draws: int | None = None,
    folder: Path | None = None,
    study: NoiseStudy | None = None,
    processes: int | None = None,
) -> BenchReport:
    """Train, judge and write the table, or go on with it.

    Parameters
    ----------
    seed, draws
        Series of the scans, and number of test heads (None: 24); not used where a study is given.
    folder
        Keeps trainings and judged heads: a table that was killed goes on there. None keeps none.
    study
        None takes the defaults.
    processes
        Of one thread each; None takes as many as this process may use cores.

    Raises
    ------
    RefusedInputError
        The folder is of another table, or fewer than one process.
    ConvergenceError
        A training diverged.
    MissingExtraError
        Lightning or TensorBoard is not installed.
    """
    processes = len(os.sched_getaffinity(0)) if processes is None else processes
    if processes < 1:
        msg = f"processes got {processes}; allowed: 1 or more."
        raise RefusedInputError(msg)
    for module in ("lightning.pytorch", "tensorboard"):
        require(module, extra="train")  # before the pools are simulated
    chosen = study or NoiseStudy(seed=seed, scans=HEADS if draws is None else draws)
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory() as place:
        kept = KeptFolder(Path(place), chosen.as_config())
        done = _each(chosen, kept, processes)
    return BenchReport(command="medconsist bench mri-noise", rows=done.rows, targets=done.targets)


def _each(study: NoiseStudy, kept: KeptFolder, processes: int) -> BenchTable:
    trainings = study.all_trainings
    with worker_pool(processes) as run:
        # once, not by every worker, nor for every arm of the same levels
        levels = {arm.snr: name for name, arm in ARMS.items()}
        run("pools", partial(_pools, study, kept), list(levels.values()))
        outcomes = run("trainings", partial(train, study, kept), trainings)
        lost = [one for one in outcomes if one.weights is None]
        if lost:
            msg = f"{lost[0].name} diverged: {lost[0].diverged} Take another seed or a lower lr."
            raise ConvergenceError(msg)
        weights = {
            arm: [o.weights for t, o in zip(trainings, outcomes, strict=True) if t.arm == arm]
            for arm in ARMS
        }
        judge = partial(judge_validation, study, kept)
        run("validation heads", judge, range(study.validation_scans))
        judge = partial(judge_test, study, kept, weights)
        judged = run("test heads", judge, range(study.scans))
    done = noise_table(study, [one["cells"] for one in judged], tuned(study, kept))
    seconds = sum(one["seconds"] for one in judged)
    return done.joined(_cost(study, dict(zip(trainings, outcomes, strict=True)), seconds))


def _pools(study: NoiseStudy, kept: KeptFolder, arm: str) -> None:
    for role in ("training", "validation"):
        study.pool(ARMS[arm], role, kept.path / "pools")


def noise_table(
    study: NoiseStudy, judged: Sequence[Mapping[str, Any]], best: Mapping[str, Tuned]
) -> BenchTable:
    """Return means and paired differences of every level.

    Parameters
    ----------
    study
        What was judged.
    judged
        Of each head: level to method to metric to values.
    best
        Compressed sensing of each level.
    """
    fixed = cell_name(FIXED)
    cs = {cell: f"{CS}, {one.said}" for cell, one in best.items()}
    heads = [_figures(study, one, cs) for one in judged]
    contrasts = []
    for cell in map(cell_name, study.snr):
        pairs = [(AWARE, BLIND), (AWARE, SPECIAL), *((told, AWARE) for told in TOLD)]
        for first, second in [*pairs, (AWARE, cs[cell])]:
            contrasts += [_contrast(cell, metric, first, second) for metric in METRICS]
    for number in range(study.trainings):
        contrasts.append(_contrast(fixed, "ssim", _nth(AWARE, number), _nth(BLIND, number)))
    return table(_TITLE, heads, contrasts, seed=study.seed, unit=UNIT)


def _figures(study: NoiseStudy, judged: Mapping[str, Any], cs: Mapping[str, str]) -> Figures:
    """Return the figures of one head, several trainings as several values."""
    found, fixed = Figures(), cell_name(FIXED)
    for cell in map(cell_name, study.snr):
        for name in (ZEROFILLED, CS, *ARMS, *TOLD):
            for metric in METRICS:
                for value in judged[cell][name][metric]:
                    found.add(cell, cs[cell] if name == CS else name, metric, value)
    for name in (AWARE, BLIND):
        for number, value in enumerate(judged[fixed][name]["ssim"]):
            found.add(fixed, _nth(name, number), "ssim", value)
    return found


def _nth(name: str, number: int) -> str:
    return f"{name} (training {number + 1})"


def _contrast(cell: str, metric: str, first: str, second: str) -> Contrast:
    is_fixed = (cell, metric, first, second) == (cell_name(FIXED), "ssim", AWARE, BLIND)
    better = _BETTER[metric]
    return Contrast(cell, metric, first, second, is_fixed=is_fixed, better=better)


def _cost(study: NoiseStudy, outcomes: Mapping[Training, Outcome], judging: float) -> BenchTable:
    """Return time and steps of the trainings, and whether they kept to their time."""
    rows, every = list[BenchRow](), [one.facts or {} for one in outcomes.values()]
    for arm in ARMS:
        facts = [one.facts or {} for training, one in outcomes.items() if training.arm == arm]
        for name, key in (("seconds of one core", "seconds"), ("steps", "steps")):
            value, n = fmean(one[key] for one in facts), len(facts)
            rows.append(_row(study, arm, f"training, {name}", value, n, "training"))
    spent = judging + sum(one["seconds"] for one in every)
    metric = "trainings and test heads, core-seconds"
    rows.append(_row(study, "cost", metric, spent, len(outcomes), "training"))
    if study.steps is not None:
        return BenchTable(tuple(rows))
    budget = 60 * study.minutes
    # a training that was killed and went on has lost count of its time
    whole = [one["seconds"] for one in every if not one["resumed"]]
    spread = max((abs(seconds / budget - 1) for seconds in whole), default=0.0)
    target = Target(
        name=f"{_TITLE}, equal training time",
        wanted=f"{budget:.0f} s of one core each, within {_TOLERANCE:.0%}",
        seen=f"at most {spread:.1%} off, {len(whole)} of {len(every)} trainings counted",
        met=bool(whole) and spread <= _TOLERANCE,
    )
    return BenchTable(tuple(rows), (target,))


def _row(
    study: NoiseStudy, case: str, metric: str, value: float, n: int, unit_of_analysis: str
) -> BenchRow:
    return BenchRow(
        case=f"{_TITLE}, {case}",
        metric=metric,
        value=value,
        unit="s" if "seconds" in metric else "1",
        n=n,
        unit_of_analysis=unit_of_analysis,
        seed=study.seed,
    )
