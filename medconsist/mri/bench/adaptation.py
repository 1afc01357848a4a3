"""``medconsist bench mri-adapt``: whom adaptation to the single scan helps, and whom it harms.

The unit of analysis is the scan: one slice of one simulated head, drawn anew for each setting, so
that all scans are independent. The shipped CIRIM reconstructs it as it is, and adapted to it by
`ZeroShot.everyday`, what ``--adapt`` does. A scan is made worse where the NMSE against the
noise-free reference rises, or where the SSIM falls; *beyond 1 %* where the NMSE rises by more than
a hundredth of itself.

Baseline of each row: the same adaptation without the acceptance test, that is, the step of the
least error on the selecting samples is always taken. *Without the blend*: the test decides, and
the image of the adapted network is taken wherever a coil sees, in dark regions too (`SignalBlend`).
All are the same run of the optimiser, so that rows differ by the test or by the blend alone.

The targets were fixed before any scan of the role ``"test"`` was seen: with test and blend, at most
5 % of all scans of all settings are made worse in NMSE beyond 1 %, in NMSE by anything, and in
SSIM. Intervals are exact binomial ones. That a proportion lies below 5 % does not say that its
interval does; both stand in the table. Settings were chosen on scans of the role ``"validation"``;
the table takes those of the role ``"test"``.
"""

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

from medconsist.batch.worker_pool import worker_pool
from medconsist.errors import RefusedInputError
from medconsist.metrics.report import exact_binomial_interval, t_interval
from medconsist.mri.bench.adaptation_scans import SETTINGS, Adapted, Image, Scan, adapted_scan
from medconsist.results.bench import BenchReport, BenchRow, BenchTable, Target

__all__ = ["DRAWS", "MOST_WORSE", "TOLERANCE", "adaptation_table", "run_bench"]

logger = logging.getLogger(__name__)

DRAWS = 25
MOST_WORSE = 0.05
TOLERANCE = 0.01
ALL = "all settings"
UNIT = "simulated scan"


def run_bench(
    seed: int = 0, *, draws: int = DRAWS, size: int = 128, workers: int | None = None
) -> BenchReport:
    """Adapt to scans in distribution and under shifts, and count whom it harms.

    10 to 14 core-seconds a scan of 128 x 128 (one core of 2026, one thread): 5 settings of 25 scans
    take at most 1,750 core-seconds, 15 minutes of two cores. What was spent stands in the table.

    Parameters
    ----------
    seed
        Series of the scans, 0 to 2^14 - 1.
    draws
        Scans of each setting, 1 or more.
    size
        Rows and columns.
    workers
        Processes, of one thread each; None takes as many as this process may use cores.

    Raises
    ------
    RefusedInputError
        Fewer than one draw or worker.
    """
    workers = len(os.sched_getaffinity(0)) if workers is None else workers
    if min(draws, workers) < 1:
        msg = f"got {draws} draws and {workers} workers; allowed: 1 or more of each."
        raise RefusedInputError(msg)
    logger.info("%d scans in each of %d settings ...", draws, len(SETTINGS))
    scans = [
        Scan(setting, number=place * draws + number, series=seed, size=size)
        for place, setting in enumerate(SETTINGS)
        for number in range(draws)
    ]
    with worker_pool(workers) as run:
        table = adaptation_table(run("scans", adapted_scan, scans), seed=seed)
    return BenchReport(command="medconsist bench mri-adapt", rows=table.rows, targets=table.targets)


def adaptation_table(found: Sequence[Adapted], *, seed: int) -> BenchTable:
    """Return the rows of each setting and of all, and the targets."""
    rows = []
    for setting in dict.fromkeys(one.setting for one in found):
        rows += _rows(setting, [one for one in found if one.setting == setting], seed)
    rows += _rows(ALL, found, seed)
    spent = sum(one.core_seconds for one in found)
    for name, value in (("median", median(one.core_seconds for one in found)), ("sum", spent)):
        rows.append(_row("cost", f"adaptation, {name}, core-seconds", value, len(found), seed))
    targets = (
        _target("made worse in NMSE beyond 1 %", _worse(found, "given", TOLERANCE), len(found)),
        _target("made worse in NMSE by anything", _worse(found, "given", 0.0), len(found)),
        _target("made worse in SSIM", _fallen(found, "given"), len(found)),
    )
    return BenchTable(tuple(rows), targets)


def _rows(case: str, found: Sequence[Adapted], seed: int) -> list[BenchRow]:
    accepted = [one for one in found if one.accepted]
    rows = [_share(case, "adaptation accepted", len(accepted), len(found), seed)]
    rows += _counts("given", case, found, seed) + _changes("given", case, found, seed)
    if accepted:
        rises = [one.rise("given") for one in accepted]
        words = "NMSE of accepted ones, median relative change"
        rows.append(_row(case, words, median(rises), len(accepted), seed))
    rows += _counts("unblended", f"{case}, without the blend", found, seed)
    if case == ALL:  # of a setting, the counts without the test are the baselines above
        rows += _changes("unblended", f"{case}, without the blend", found, seed)
        untested = f"{case}, without the acceptance test"
        rows += _counts("untested", untested, found, seed)
        rows += _changes("untested", untested, found, seed)
    return rows


def _counts(image: Image, case: str, found: Sequence[Adapted], seed: int) -> list[BenchRow]:
    rows, n = [], len(found)
    for words, count in _COUNTS.items():
        baseline = count(found, "untested") / n if image == "given" else None
        rows.append(_share(case, f"scans {words}", count(found, image), n, seed, baseline))
    return rows


def _changes(image: Image, case: str, found: Sequence[Adapted], seed: int) -> list[BenchRow]:
    rises = [one.rise(image) for one in found]
    rows = [_row(case, "NMSE, median relative change", median(rises), len(found), seed)]
    return rows + [_change(case, metric, found, seed, image) for metric in ("nmse", "ssim")]


def _worse(found: Sequence[Adapted], image: Image, tolerance: float) -> int:
    return sum(one.rise(image) > tolerance for one in found)


def _fallen(found: Sequence[Adapted], image: Image) -> int:
    return sum(one.fell(image) for one in found)


_COUNTS: dict[str, Callable[[Sequence[Adapted], Image], int]] = {
    "made worse beyond 1 %": partial(_worse, tolerance=TOLERANCE),
    "made worse": partial(_worse, tolerance=0.0),
    "whose SSIM fell": _fallen,
}


def _share(
    case: str, metric: str, k: int, n: int, seed: int, baseline: float | None = None
) -> BenchRow:
    share = exact_binomial_interval(k, n, unit=UNIT)
    return BenchRow(
        case=case,
        metric=metric,
        value=share.proportion,
        unit="1",
        baseline=baseline,
        ratio=None if not baseline else share.proportion / baseline,
        n=n,
        unit_of_analysis=UNIT,
        ci_low=share.ci_low,
        ci_high=share.ci_high,
        seed=seed,
    )


def _change(case: str, metric: str, found: Sequence[Adapted], seed: int, image: Image) -> BenchRow:
    """Return the mean of a metric beside that of the network as it is."""
    mean = t_interval([one.quality(image)[metric] for one in found], unit=UNIT)
    before = sum(one.plain[metric] for one in found) / len(found)
    return BenchRow(
        case=case,
        metric=f"{metric.upper()}, mean (baseline: not adapted)",
        value=mean.mean,
        unit="1",
        baseline=before,
        ratio=mean.mean / before,
        n=mean.n,
        unit_of_analysis=UNIT,
        ci_low=mean.ci_low,
        ci_high=mean.ci_high,
        seed=seed,
    )


def _row(case: str, metric: str, value: float, n: int, seed: int) -> BenchRow:
    unit = "s" if "seconds" in metric else "1"
    return BenchRow(
        case=case, metric=metric, value=value, unit=unit, n=n, unit_of_analysis=UNIT, seed=seed
    )


def _target(words: str, worse: int, n: int) -> Target:
    share = exact_binomial_interval(worse, n, unit=UNIT)
    return Target(
        name=f"scans {words}, {ALL}",
        wanted=f"at most {MOST_WORSE:.0%}",
        seen=f"{worse} of {n} (95 % CI {share.ci_low:.3f} to {share.ci_high:.3f})",
        met=worse <= MOST_WORSE * n,
    )
