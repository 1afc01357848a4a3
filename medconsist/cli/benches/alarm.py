"""``medconsist bench alarm``: cases until alarm after a planted change, in the three domains.

Before anything was counted these were fixed: the change of each domain that decides (noise of the
scanner, stain of a new site, electrodes in each other's place; the other one describes), the
combination of scores (`Standing`), the alarm (Shiryaev-Roberts, 1 in 1,000), and the rule that ends
the combined score: not better than the plain one in two of three domains. Changes were sized, and
the code tried, on other seeds. About 6 minutes on 2 cores.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from medconsist._atomic import atomic_write_bytes
from medconsist.batch.worker_pool import worker_pool
from medconsist.cli.benches.alarm_figure import figure
from medconsist.errors import RefusedInputError
from medconsist.metrics.alarm_contest import (
    AlarmContest,
    ContestSizes,
    FalseAlarms,
    Race,
    run_contest,
)
from medconsist.metrics.alarm_delay import AlarmPools, CasePool
from medconsist.metrics.alarm_singles import SingleScore, run_singles
from medconsist.metrics.report import Estimate, Proportion
from medconsist.mri.bench import alarm as mri
from medconsist.results.bench import BenchReport, BenchRow, BenchTable, Target
from medconsist.timeseries.bench.alarm import SignalStudy, signal_pools
from medconsist.wsi.bench.alarm import SlideStudy, slide_pools

__all__ = ["ENOUGH", "FALSE", "OUTSIDE", "UNTIL", "ScanSizes", "Sizes", "run_bench"]

UNTIL = "cases until alarm, median"
FALSE = "false alarms per 1,000 clean cases"
OUTSIDE = "share outside the history (p <= 0.05)"
AREA = "AUROC, changed against clean cases"
ENOUGH = 2  # of the three domains
_CHUNK = 50

_Job = TypeVar("_Job")
_Answer = TypeVar("_Answer")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ScanSizes:
    """How many scans, as `SlideStudy` and `SignalStudy` have it for their cases.

    Parameters
    ----------
    study
        What a scan is.
    calibration, clean, changed
        Scans of each pool; as many changed ones for each change.

    Examples
    --------
    >>> ScanSizes().clean
    1000
    """

    study: mri.ScanStudy = field(default_factory=mri.ScanStudy)
    calibration: int = 300
    clean: int = 1000
    changed: int = 200


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the bench is.

    Parameters
    ----------
    scans, slides, signals
        Cases of each domain.
    contest
        Streams and draws.
    workers
        Processes, each of one thread; with 1 none is started.

    Raises
    ------
    RefusedInputError
        Fewer than one worker.

    Examples
    --------
    >>> Sizes().workers
    2
    """

    scans: ScanSizes = field(default_factory=ScanSizes)
    slides: SlideStudy = field(default_factory=SlideStudy)
    signals: SignalStudy = field(default_factory=SignalStudy)
    contest: ContestSizes = field(default_factory=ContestSizes)
    workers: int = 2

    def __post_init__(self) -> None:
        if self.workers < 1:
            msg = f"workers got {self.workers}; allowed: 1 or more."
            raise RefusedInputError(msg)


def run_bench(
    *, seed: int, figure_path: Path | None = None, sizes: Sizes | None = None
) -> BenchReport:
    """Make the cases of three domains and race the two alarms on them.

    Parameters
    ----------
    seed
        Of everything.
    figure_path
        Where the figure (SVG) goes; None writes none.
    sizes
        None takes the defaults.

    Raises
    ------
    RefusedInputError
        Pools smaller than a stream.
    StorageError
        The figure cannot be written.
    """
    sizes = sizes or Sizes()
    pools = _pools(sizes, seed)
    logger.info("streams ...")
    race = partial(run_contest, sizes=sizes.contest, seed=seed)
    contests = dict(zip(pools, _mapped(race, pools.values(), sizes), strict=True))
    alone = partial(run_singles, sizes=sizes.contest, seed=seed)
    singles = dict(zip(pools, _mapped(alone, pools.values(), sizes), strict=True))
    if figure_path is not None:
        drawn = figure(contests, limit=sizes.contest.streams.limit)
        atomic_write_bytes(figure_path, drawn.encode())
    table = BenchTable()
    for name, contest in contests.items():
        table = table.joined(_table(name, pools[name], contest, sizes.contest, seed))
        rows = _single_rows(name, singles[name], sizes.contest.streams.limit, seed=seed)
        table = table.joined(BenchTable(tuple(rows)))
    return BenchReport(
        command="medconsist bench alarm",
        rows=table.rows,
        targets=(*table.targets, *_verdicts(contests)),
    )


def _pools(sizes: Sizes, seed: int) -> dict[str, AlarmPools]:
    """Return the cases of every domain."""
    logger.info("scans ...")
    scans = _scans(sizes, seed)
    logger.info("slides and signals ...")
    makers: list[Callable[[], AlarmPools]] = [
        partial(slide_pools, sizes.slides, seed=seed),
        partial(signal_pools, sizes.signals, seed=seed),
    ]
    slides, signals = _mapped(_call, makers, sizes)
    return {"MRI": scans, "slides": slides, "signals": signals}


def _scans(sizes: Sizes, seed: int) -> AlarmPools:
    """Return the scans, a chunk at a time; no number of a scan is used twice."""
    scans = sizes.scans
    kinds = [
        (None, scans.calibration),
        (None, scans.clean),
        *((change, scans.changed) for change in mri.CHANGES),
    ]
    ends = list(accumulate(count for _, count in kinds))
    chunks = [
        (place, change, start, min(_CHUNK, end - start))
        for place, ((change, count), end) in enumerate(zip(kinds, ends, strict=True))
        for start in range(end - count, end, _CHUNK)
    ]
    makers: list[Callable[[], CasePool]] = [
        partial(mri.scan_pool, scans.study, first=first, count=count, change=change, seed=seed)
        for _, change, first, count in chunks
    ]
    made = _mapped(_call, makers, sizes)
    calibration, clean, *changed = (
        CasePool.joined(
            [pool for pool, chunk in zip(made, chunks, strict=True) if chunk[0] == place]
        )
        for place in range(len(kinds))
    )
    return AlarmPools(
        names=mri.SCORES,
        plain=mri.PLAIN,
        unit="simulated scan",
        calibration=calibration,
        clean=clean,
        changed=dict(zip(mri.CHANGES, changed, strict=True)),
    )


def _call(make: Callable[[], _Answer]) -> _Answer:
    return make()


def _table(
    domain: str, pools: AlarmPools, contest: AlarmContest, sizes: ContestSizes, seed: int
) -> BenchTable:
    unit, limit = pools.unit, sizes.streams.limit
    rows: list[BenchRow] = []
    for place, (change, race) in enumerate(contest.races.items()):
        case = f"{domain}, {change}"
        rows += _race_rows(case, race, unit, limit=limit, seed=seed)
        if place == 0:
            rows += [
                _row((case, f"AUROC of {name} alone", "1"), area, n=race.area.n, unit=unit)
                for name, area in race.areas.items()
            ]
    both = {"combined": contest.false_combined, "plain": contest.false_plain}
    for which, found in both.items():
        rows += _false_rows(f"{domain}, nothing changed, {which}", found, seed=seed)
    rows += [
        _row((f"{domain}, nothing changed", name, "1"), value, n=len(pools.clean), unit=unit)
        for name, value in pools.facts.items()
    ]
    rate = 1000 * sizes.streams.settings.rate
    targets = tuple(
        Target(
            name=f"{domain}: {FALSE}, {which}",
            wanted=f"<= {rate:g}, upper end of the interval",
            seen=1000 * found.shuffled.ci_high,
            met=1000 * found.shuffled.ci_high <= rate,
        )
        for which, found in both.items()
    )
    return BenchTable(tuple(rows), targets)


def _race_rows(case: str, race: Race, unit: str, *, limit: int, seed: int) -> Iterator[BenchRow]:
    last = f"{UNTIL} ({limit + 1}: none in {limit})"
    combined, plain, less = race.combined, race.plain, race.difference
    yield _estimated((case, last, "1"), combined, seed=seed, baseline=plain.mean)
    yield _estimated((case, f"{last}, plain", "1"), plain, seed=seed)
    yield _estimated((case, f"{UNTIL}, combined less plain", "1"), less, seed=seed)
    late = [float((delays > limit).mean()) for delays in (race.combined_delays, race.plain_delays)]
    what = (case, f"streams without an alarm in {limit} cases", "1")
    yield _row(what, late[0], n=less.n, unit=unit, baseline=late[1])
    area = race.area
    yield _row((case, AREA, "1"), area.first, n=area.n, unit=unit, baseline=area.second)
    yield _estimated((case, f"{AREA}, combined less plain", "1"), area, seed=seed)


def _false_rows(case: str, found: FalseAlarms, *, seed: int) -> Iterator[BenchRow]:
    kinds: Mapping[str, Proportion] = {
        f"{FALSE}, random orders": found.shuffled,
        f"{FALSE}, as made": found.in_order,
    }
    for metric, share in kinds.items():
        yield _share_row(case, metric, share, seed=seed, times=1000)


def _single_rows(
    domain: str, singles: Mapping[str, SingleScore], limit: int, *, seed: int
) -> Iterator[BenchRow]:
    """Yield the two alarms of a site for each score alone."""
    for name, one in singles.items():
        clean = f"{domain}, nothing changed"
        yield _share_row(clean, f"{OUTSIDE}, {name}", one.outside, seed=seed)
        yield _share_row(
            clean, f"{FALSE}, random orders, {name}", one.false_alarms, seed=seed, times=1000
        )
        for change, found in one.outside_changed.items():
            case = f"{domain}, {change}"
            yield _share_row(case, f"{OUTSIDE}, {name}", found, seed=seed)
            what = (case, f"streams without an alarm in {limit} cases, {name}", "1")
            yield _row(what, one.missed[change], n=found.n, unit=found.unit_of_analysis)


def _share_row(case: str, metric: str, share: Proportion, *, seed: int, times: int = 1) -> BenchRow:
    step = "step of a " if times > 1 else ""
    return BenchRow(
        case=case,
        metric=metric,
        value=times * share.proportion,
        unit="1",
        n=share.n,
        unit_of_analysis=f"{step}{share.unit_of_analysis}",
        ci_low=times * share.ci_low,
        ci_high=times * share.ci_high,
        seed=seed,
    )


def _estimated(
    what: tuple[str, str, str], estimate: Estimate, *, seed: int, baseline: float | None = None
) -> BenchRow:
    case, metric, measure = what
    return BenchRow(
        case=case,
        metric=metric,
        value=estimate.mean,
        unit=measure,
        baseline=baseline,
        ratio=estimate.mean / baseline if baseline else None,
        n=estimate.n,
        unit_of_analysis=estimate.unit_of_analysis,
        ci_low=estimate.ci_low,
        ci_high=estimate.ci_high,
        seed=seed,
    )


def _row(
    what: tuple[str, str, str], value: float, *, n: int, unit: str, baseline: float | None = None
) -> BenchRow:
    case, metric, measure = what
    ratio = value / baseline if baseline else None
    return BenchRow(
        case=case,
        metric=metric,
        value=value,
        unit=measure,
        baseline=baseline,
        ratio=ratio,
        n=n,
        unit_of_analysis=unit,
    )


def _verdicts(contests: Mapping[str, AlarmContest]) -> Iterator[Target]:
    """Yield the rule that was fixed beforehand, by both measures, on the first change of each."""
    races = {name: next(iter(contest.races.values())) for name, contest in contests.items()}
    delays = {name: _sign(race.difference, low_is_good=True) for name, race in races.items()}
    areas = {name: _sign(race.area, low_is_good=False) for name, race in races.items()}
    for measure, said in ((UNTIL, delays), (AREA, areas)):
        met = sum(word == "better" for word in said.values()) >= ENOUGH
        end = "" if met else "; rule: ship the plain score alone"
        yield Target(
            name=f"combined score beside the plain one, {measure}",
            wanted=f"better (95 % interval) in {ENOUGH} of {len(said)} domains, or it goes",
            seen=", ".join(f"{name}: {word}" for name, word in said.items()) + end,
            met=met,
        )


def _sign(estimate: Estimate, *, low_is_good: bool) -> str:
    low, high = estimate.ci_low, estimate.ci_high
    if low is None or high is None or low <= 0 <= high:
        return "tie"
    return "better" if (high < 0) == low_is_good else "worse"


def _mapped(of_job: Callable[[_Job], _Answer], jobs: Iterable[_Job], sizes: Sizes) -> list[_Answer]:
    """Return the answers in order, from several processes where asked for."""
    with worker_pool(sizes.workers) as run:
        return run("jobs", of_job, list(jobs))
