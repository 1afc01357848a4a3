"""``medconsist bench mri-coverage``: do intervals cover scans of this simulator, and after shifts.

The unit of analysis is the scan: one slice of one simulated head, with a contrast, a noise level
and a mask of its own, drawn as the shipped CIRIM was trained. Each takes one forward pass, whose
steps give the heuristic (`spread_of_steps`). From the calibration scans comes one factor; a test
scan is covered where at least 90 % of the pixels of the object lie within the factor times the
heuristic, and 90 % of scans are promised to be.

The target was fixed beforehand: on scans like those of the calibration the number covered passes
the exact beta-binomial test, two-sided, at .01. Under each shift the promise does not hold; the
table says what it costs, on test scans whose heads, and where possible contrasts, masks and noise,
are those of the unshifted ones (paired). The contrast is shifted the other way: the factor comes
from T1w and FLAIR alone, and T2w is tested; the network was trained on all three.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean, median

import torch

from medconsist.batch.worker_pool import worker_pool
from medconsist.errors import RefusedInputError
from medconsist.metrics.conformal_bound import conformal_bound, coverage_test, risk_bound
from medconsist.metrics.report import exact_binomial_interval, t_interval
from medconsist.mri.bench.coverage_scans import BASE, SHIFTS, Kind, Scored, scored_scans
from medconsist.mri.uncertainty.scan_conformal import uncovered_share
from medconsist.results.bench import BenchReport, BenchRow, BenchTable, Target

__all__ = ["ALPHA", "LEAST_P", "Sizes", "run_bench"]

logger = logging.getLogger(__name__)

ALPHA = 0.1
LEAST_P = 0.01
LEFT_OUT = "T2w"
UNIT = "simulated scan"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the bench is; an estimated 12 minutes of two cores as it stands.

    Core-seconds on one busy core of 2026, single thread, from 80 scans: .41 as calibrated
    (simulation, maps, forward pass), 1.2 more under the five shifts: 500 * 1.61 + 1,500 * .41 =
    1,420. What was spent stands in the table.

    Parameters
    ----------
    scans
        Calibration scans, and as many test scans.
    shifted
        Of the test scans that are shifted too, at most all.
    kind
        What all scans have in common.
    workers
        Processes, of one thread each; by default as many as this process may use cores.

    Raises
    ------
    RefusedInputError
        Too few scans for alpha, or more shifted than there are.

    Examples
    --------
    >>> Sizes(scans=40, shifted=20).numbers
    range(0, 80)
    """

    scans: int = 1000
    shifted: int = 500
    kind: Kind = field(default_factory=Kind)
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))

    def __post_init__(self) -> None:
        least = round(2 / ALPHA)
        if self.scans < least or not 1 <= self.shifted <= self.scans or self.workers < 1:
            msg = (
                f"got {self.scans} scans, {self.shifted} of them shifted, {self.workers} workers; "
                f"allowed: {least} scans or more, 1 to all of them shifted, 1 worker or more."
            )
            raise RefusedInputError(msg)

    @property
    def numbers(self) -> range:
        """Scans of the role test: first those of the calibration, then the test."""
        return range(2 * self.scans)


@dataclass(frozen=True, kw_only=True)
class _Factors:
    """What calibration scans gave: a factor for each promise, and one without a heuristic."""

    scans: float
    pixels: float
    flat: float
    n: int

    @classmethod
    def of(cls, scored: Sequence[Scored], share: float) -> "_Factors":
        scores = torch.tensor([one.score(share) for one in scored], dtype=torch.float64)
        flat = torch.tensor([one.flat_score for one in scored], dtype=torch.float64)
        ratios = [torch.from_numpy(one.ratios) for one in scored]
        return cls(
            scans=conformal_bound(scores, alpha=ALPHA),
            pixels=risk_bound(ratios, alpha=ALPHA),
            flat=conformal_bound(flat, alpha=ALPHA),
            n=len(scored),
        )


def run_bench(*, seed: int = 0, sizes: Sizes | None = None) -> BenchReport:
    """Calibrate, test, shift.

    Parameters
    ----------
    seed
        Series of the scans, 0 to 2^14 - 1; not used where sizes are given.
    sizes
        None takes the defaults.
    """
    chosen = sizes or Sizes(kind=Kind(series=seed))
    logger.info("%d + %d scans ...", chosen.scans, chosen.scans)
    by_scan = _each_scan(chosen)
    first, last = by_scan[: chosen.scans], by_scan[chosen.scans :]
    calibration, test = [one[0] for one in first], [one[0] for one in last]
    share, series = chosen.kind.share, chosen.kind.series
    factors = _Factors.of(calibration, share)
    table = _Table(factors, share, series)
    done = table.base(test)
    for place, cell in enumerate(SHIFTS, start=1):
        pairs = [(one[0], one[place]) for one in last if len(one) > 1]
        done = done.joined(table.shift(cell, pairs))
    done = done.joined(_contrast_left_out(table, calibration, test))
    done = done.joined(_cost([one for found in by_scan for one in found], series))
    return BenchReport(
        command="medconsist bench mri-coverage", rows=done.rows, targets=done.targets
    )


def _each_scan(sizes: Sizes) -> list[list[Scored]]:
    tasks = [(n, sizes.scans <= n < sizes.scans + sizes.shifted) for n in sizes.numbers]
    work = partial(scored_scans, kind=sizes.kind)
    with worker_pool(sizes.workers) as run:
        return run("scans", work, tasks)


@dataclass(frozen=True)
class _Table:
    """Rows about scans by one calibration."""

    factors: _Factors
    share: float
    seed: int

    def covers(self, one: Scored) -> bool:
        return one.score(self.share) <= self.factors.scans

    def base(self, test: Sequence[Scored]) -> BenchTable:
        covered, n = sum(map(self.covers, test)), self.factors.n
        exact = coverage_test(covered, len(test), n=n, alpha=ALPHA)
        flat = sum(one.flat_score <= self.factors.flat for one in test)
        widths = [self.factors.scans * one.width for one in test]
        done = self.about(BASE, test).rows
        rows = (
            *done,
            self.number(BASE, "p, exact beta-binomial, two-sided", exact.p_two_sided, len(test)),
            self.number(
                BASE,
                "mean half-width, share of the reference intensity",
                fmean(widths),
                len(test),
                baseline=self.factors.flat,
            ),
            self.share_of("no heuristic: the same half-width everywhere", flat, len(test)),
        )
        target = Target(
            name=f"coverage of {n} + {len(test)} scans",
            wanted=f"exact beta-binomial p >= {LEAST_P}, two-sided",
            seen=f"{covered} of {len(test)}, p = {exact.p_two_sided:.3g}",
            met=exact.p_two_sided >= LEAST_P,
        )
        return BenchTable(rows, (target,))

    def about(self, case: str, scored: Sequence[Scored]) -> BenchTable:
        """Return the rows of both promises."""
        covered = sum(map(self.covers, scored))
        left = [uncovered_share(torch.from_numpy(s.ratios), self.factors.pixels) for s in scored]
        mean = t_interval(left, unit=UNIT)
        risk = BenchRow(
            case=case,
            metric="mean share of uncovered pixels, by risk control",
            value=mean.mean,
            unit="1",
            baseline=ALPHA,
            n=mean.n,
            unit_of_analysis=UNIT,
            ci_low=mean.ci_low,
            ci_high=mean.ci_high,
            seed=self.seed,
        )
        return BenchTable((self.share_of(case, covered, len(scored)), risk))

    def shift(self, cell: str, pairs: Sequence[tuple[Scored, Scored]]) -> BenchTable:
        """Return the rows of a shift; coverage lost is paired by head."""
        before = [float(self.covers(one)) for one, _ in pairs]
        after = [float(self.covers(one)) for _, one in pairs]
        return self.about(cell, [one for _, one in pairs]).joined(self.lost(cell, before, after))

    def lost(self, case: str, before: Sequence[float], after: Sequence[float]) -> BenchTable:
        found = t_interval([a - b for a, b in zip(before, after, strict=True)], unit=UNIT)
        row = BenchRow(
            case=case,
            metric="coverage lost (paired)",
            value=found.mean,
            unit="1",
            n=found.n,
            unit_of_analysis=UNIT,
            ci_low=found.ci_low,
            ci_high=found.ci_high,
            seed=self.seed,
        )
        return BenchTable((row,))

    def share_of(self, case: str, covered: int, n: int) -> BenchRow:
        share = exact_binomial_interval(covered, n, unit=UNIT)
        return BenchRow(
            case=case,
            metric=f"scans with {1 - self.share:.0%} of the pixels covered",
            value=share.proportion,
            unit="1",
            baseline=1 - ALPHA,
            n=n,
            unit_of_analysis=UNIT,
            ci_low=share.ci_low,
            ci_high=share.ci_high,
            seed=self.seed,
        )

    def number(
        self, case: str, metric: str, value: float, n: int, *, baseline: float | None = None
    ) -> BenchRow:
        return BenchRow(
            case=case,
            metric=metric,
            value=value,
            unit="1",
            baseline=baseline,
            ratio=None if not baseline else value / baseline,
            n=n,
            unit_of_analysis=UNIT,
            seed=self.seed,
        )


def _contrast_left_out(
    whole: _Table, calibration: Sequence[Scored], test: Sequence[Scored]
) -> BenchTable:
    """Return the rows of T2w by a calibration without it; empty where the draw has too few."""
    seen = [one for one in calibration if one.contrast != LEFT_OUT]
    asked = [one for one in test if one.contrast == LEFT_OUT]
    if not asked or len(seen) < 1 / ALPHA:
        return BenchTable()
    without = _Table(_Factors.of(seen, whole.share), whole.share, whole.seed)
    case = f"{LEFT_OUT}, calibrated without it"
    before, after = ([float(t.covers(one)) for one in asked] for t in (whole, without))
    return without.about(case, asked).joined(without.lost(case, before, after))


def _cost(scored: Sequence[Scored], seed: int) -> BenchTable:
    base = [one.core_seconds for one in scored if one.cell == BASE]
    figures = {"simulation, maps and forward pass, median": (median(base), len(base))}
    figures["spent in all"] = (sum(one.core_seconds for one in scored), len(scored))
    rows = tuple(
        BenchRow(
            case="cost",
            metric=f"{name}, core-seconds",
            value=value,
            unit="s",
            n=n,
            unit_of_analysis=UNIT,
            seed=seed,
        )
        for name, (value, n) in figures.items()
    )
    return BenchTable(rows)
