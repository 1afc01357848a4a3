"""Rows and targets of the table: means, paired differences, what could have been detected."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Generator

from medconsist._extras import require
from medconsist.metrics.report import Estimate, interval, paired_difference
from medconsist.mri.bench.learned.scores import Scores
from medconsist.mri.quality import QUALITY_UNITS
from medconsist.results.bench import BenchRow, BenchTable, Target

__all__ = ["BASELINE", "CONTRASTS", "FIXED_BEFOREHAND", "TARGETS", "Compared"]
__all__ += ["Where", "mean_rows", "paired_rows", "smallest_detectable", "time_rows"]

BASELINE = "cs"
CONTRASTS = (("cirim", "rim"), ("cirim", "irim"), ("cirim", "cs"), ("cirim", "cirim-explicit"))
# The one contrast that was named before any network was trained: method, method, cell. It is of
# SSIM, which decides; everything else in the table describes.
FIXED_BEFOREHAND = ("cirim", "rim", "1-D 8x")
TARGETS = (("cirim", "rim"), ("cirim", "cs"))
DECIDES = "ssim"
POWER = 0.8
_LOWER_IS_BETTER = ("nmse",)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Which differences a table reports.

    Parameters
    ----------
    contrasts
        Pairs of methods, first less second.
    fixed
        The one that was named before any network was trained: method, method, cell.
    targets
        Pairs of which the first is asked to be above the second.

    Examples
    --------
    >>> Compared().fixed
    ('cirim', 'rim', '1-D 8x')
    """

    contrasts: Sequence[tuple[str, str]] = CONTRASTS
    fixed: tuple[str, str, str] = FIXED_BEFOREHAND
    targets: Sequence[tuple[str, str]] = TARGETS


@dataclass(frozen=True, eq=False, kw_only=True)
class Where:
    """What rows are about.

    Parameters
    ----------
    anatomy
        ``"simulated"``, and what else is to be said of it.
    unit
        Unit of analysis.
    seed, generator
        Of the scans; of the bootstrap.
    cell
        Name of the cell.
    settings
        Method to what its row adds to the name: the weight that was chosen.

    Examples
    --------
    >>> where = Where(anatomy="simulated", unit="scan", seed=0, generator=Generator())
    >>> where.inside("1-D 8x", {"cs": "lambda 0.01"}).case("cs")
    'simulated, 1-D 8x, cs'
    """

    anatomy: str
    unit: str
    seed: int
    generator: Generator
    cell: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)

    def inside(self, cell: str, settings: Mapping[str, str]) -> "Where":
        """Return the place of one cell."""
        return replace(self, cell=cell, settings=settings)

    def case(self, *words: str) -> str:
        """Return the words of a row, after those of the cell."""
        return ", ".join((self.anatomy, self.cell, *words))

    def row(self, case: str, metric: str, estimate: Estimate, baseline: float | None) -> BenchRow:
        """Return one row in the units of its metric."""
        return BenchRow(
            case=case,
            metric=metric,
            value=estimate.mean,
            unit=QUALITY_UNITS[metric],
            baseline=baseline,
            ratio=estimate.mean / baseline if baseline else None,
            n=estimate.n,
            unit_of_analysis=self.unit,
            ci_low=estimate.ci_low,
            ci_high=estimate.ci_high,
            seed=self.seed,
        )


def mean_rows(scores: Scores, where: Where) -> BenchTable:
    """Return the mean of every metric and method, beside that of compressed sensing."""
    rows = []
    for name in scores.methods:
        said = where.settings.get(name)
        case = where.case(*(word for word in (name, said) if word))
        for metric in QUALITY_UNITS:
            estimate = interval(scores.values[name, metric], unit="scan", generator=where.generator)
            others = scores.values.get((BASELINE, metric))
            baseline = math.fsum(others) / len(others) if others else None
            rows.append(where.row(case, metric, estimate, baseline))
    return BenchTable(tuple(rows))


def paired_rows(scores: Scores, where: Where, *, compared: Compared | None = None) -> BenchTable:
    """Return differences paired by scan, each with its verdict, and the targets among them.

    ``ahead`` is said of a method where the 95 % interval of the difference leaves 0 out, in any
    metric: also where compressed sensing is ahead of a network. The intervals are not widened for
    their number: of many verdicts on methods that do not differ, one in twenty says ``ahead``. The
    weights of the classical methods were chosen for `DECIDES`, not for the other metrics.
    """
    compared = compared or Compared()
    table = BenchTable()
    for names in compared.contrasts:
        if set(names) <= set(scores.methods):
            for metric in QUALITY_UNITS:
                table = table.joined(_contrast(names, metric, scores, where, compared))
    return table


def _contrast(
    names: tuple[str, str], metric: str, scores: Scores, where: Where, compared: Compared
) -> BenchTable:
    first, second = names
    pair = scores.values[first, metric], scores.values[second, metric]
    found = paired_difference(*pair, unit="scan", generator=where.generator)
    is_fixed = (*names, where.cell) == compared.fixed and metric == DECIDES
    what = f"{first} less {second} (paired{', fixed beforehand' if is_fixed else ''})"
    case = where.case(f"{what}: {_verdict(found, metric, names)}")
    rows = [where.row(case, metric, found, None)]
    if is_fixed:
        differences = [a - b for a, b in zip(*pair, strict=True)]
        rows.append(_detectable_row(where.case(what), differences, where))
    targets: tuple[Target, ...] = ()
    if metric == DECIDES and names in compared.targets:
        targets = (_target(found, where.case(f"{first} above {second} in {metric}")),)
    return BenchTable(tuple(rows), targets)


def time_rows(scores: Sequence[Scores], seed: int) -> BenchTable:
    """Return the median time of one slice per method, over all cells and scans."""
    rows = []
    for name in dict.fromkeys(name for reached in scores for name in reached.methods):
        times = [seconds for reached in scores for seconds in reached.seconds.get(name, [])]
        rows.append(
            BenchRow(
                case=f"simulated, {name}",
                metric="time of one slice, median",
                value=statistics.median(times),
                unit="s",
                n=len(times),
                unit_of_analysis="reconstruction",
                seed=seed,
            )
        )
    return BenchTable(tuple(rows))


def smallest_detectable(differences: Sequence[float], *, power: float = POWER) -> float:
    """Return the smallest mean difference that a paired test would find with this power.

    ``(t_0.975 + t_power) SD / sqrt(n)`` with quantiles of Student's t at n - 1 degrees of freedom:
    two-sided, 5 %, for the standard deviation seen. At least two differences.

    References
    ----------
    J. Cohen, "Statistical power analysis for the behavioral sciences", 2nd ed. 1988, chapter 2,
    doi:10.4324/9780203771587.
    """
    student = require("scipy.stats", extra="mri").t(len(differences) - 1)
    quantiles = float(student.ppf(0.975)) + float(student.ppf(power))
    return quantiles * statistics.stdev(differences) / math.sqrt(len(differences))


def _verdict(found: Estimate, metric: str, names: tuple[str, str]) -> str:
    if found.ci_low is None or found.ci_high is None:
        return "no interval"
    if found.ci_low <= 0 <= found.ci_high:
        return "no difference shown"
    is_first = (found.mean > 0) != (metric in _LOWER_IS_BETTER)
    return f"{names[not is_first]} ahead"


def _target(found: Estimate, name: str) -> Target:
    bounds = "" if found.ci_low is None else f" ({found.ci_low:.4f} to {found.ci_high:.4f})"
    return Target(
        name=name,
        wanted="95 % interval of the paired difference above 0",
        seen=f"{found.mean:.4f}{bounds}",
        met=found.ci_low is not None and found.ci_low > 0,
    )


def _detectable_row(case: str, differences: Sequence[float], where: Where) -> BenchRow:
    return BenchRow(
        case=case,
        metric=f"{DECIDES}, smallest difference that n would show with {POWER:.0%} power",
        value=smallest_detectable(differences),
        unit=QUALITY_UNITS[DECIDES],
        n=len(differences),
        unit_of_analysis=where.unit,
        seed=where.seed,
    )
