"""Whether quality falls faster with wrong coil maps where data consistency is explicit.

Per scan and network the loss of SSIM beside exact maps, ``L(e) = SSIM(0) - SSIM(e)``, is fitted by
a line through 0, ``L(e) = b e``, ``b = sum_e e L(e) / sum_e e^2``, over the relative errors e of
the design; the same over shifts in pixels. b is given per 10 % of error, or per pixel. Networks
were trained on exact maps. Intervals are those of Student's t over scans.

Fixed before the first training: the slope of CIRIM with implicit data consistency less that with
explicit data consistency, over relative errors, expected below 0. The paper says that implicit
consistency suits CIRIM and explicit consistency VarNet (doi:10.1088/1361-6560/ac6cc2); that the
reason would be wrong maps is a guess of ours, which this contrast can contradict. All else
describes.

Who has less quality has less to lose: a flatter line can be that of the worse network. So beside it
stand the same lines of NMSE, ``NMSE(e) - NMSE(0)``, to which an error that is independent of the
others adds as much at every level; and the table of quality has SSIM itself in every cell. The
intervals are over scans, of one training a network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev

from medconsist.metrics.power import smallest_mean_difference
from medconsist.metrics.report import Estimate, t_interval
from medconsist.mri.bench.learned.rows import Where
from medconsist.mri.bench.learned.scores import Scores
from medconsist.mri.benchmark.cells import ShiftedCell
from medconsist.results.bench import BenchRow, BenchTable, Target

__all__ = ["FIXED", "PAIRS", "Dose", "dose_table", "doses_of", "slopes"]

FIXED = ("cirim", "cirim-explicit")
PAIRS = (
    FIXED,
    ("cirim-weighted", "cirim-explicit"),
    ("cirim", "cirim-weighted"),
    ("varnet-implicit", "varnet"),
    ("varnet-weighted", "varnet"),
    ("cirim", "varnet"),
)
_CHANGES = {"ssim": ("SSIM lost", -1), "nmse": ("NMSE gained", 1)}  # the first one decides
_PERCENT = 0.1  # a slope is said per 10 % of error


@dataclass(frozen=True, kw_only=True)
class Dose:
    """One axis of error, from the cell without it upwards.

    Parameters
    ----------
    words
        As rows say it.
    clean
        Name of the cell with exact maps.
    levels
        Size of the error, in units of the slope, to the name of its cell.

    Examples
    --------
    >>> Dose(words="per pixel", clean="a", levels={1.0: "b"}).levels
    {1.0: 'b'}
    """

    words: str
    clean: str
    levels: Mapping[float, str]


def doses_of(cells: Sequence[ShiftedCell]) -> tuple[Dose, ...]:
    """Return the axes of error that the cells hold, none without the cell of exact maps."""
    clean = {(cell.kind, cell.scans): cell.name for cell in cells if not cell.maps.said}
    wrong = [cell for cell in cells if cell.maps.said and (cell.kind, cell.scans) in clean]
    if not wrong:
        return ()
    smooth = {c.maps.relative / _PERCENT: c.name for c in wrong if c.maps.relative}
    moved = {float(c.maps.shift): c.name for c in wrong if c.maps.shift}
    name = clean[wrong[0].kind, wrong[0].scans]
    axes = {"per 10 % of smooth map error": smooth, "per pixel of map shift": moved}
    return tuple(
        Dose(words=words, clean=name, levels=levels) for words, levels in axes.items() if levels
    )


def slopes(
    dose: Dose, scores: Mapping[str, Scores], name: str, *, metric: str = "ssim"
) -> list[float] | None:
    """Return the slope of each scan, None where the method is not in all cells of the axis.

    Parameters
    ----------
    dose, scores
        The axis, and what was reached in its cells.
    name
        Of the method.
    metric
        ``"ssim"``, whose losses count, or ``"nmse"``, whose gains do.
    """
    columns = [scores[cell].values.get((name, metric)) for cell in dose.levels.values()]
    clean = scores[dose.clean].values.get((name, metric))
    if clean is None or not all(columns):
        return None
    sign = _CHANGES[metric][1]
    squares = sum(level**2 for level in dose.levels)
    found = []
    for number, best in enumerate(clean):
        worse = [sign * (column[number] - best) for column in columns if column]
        found.append(sum(e * one for e, one in zip(dose.levels, worse, strict=True)) / squares)
    return found


def dose_table(
    cells: Sequence[ShiftedCell], scores: Mapping[str, Scores], where: Where
) -> BenchTable:
    """Return slopes, their paired differences, and the contrast that was fixed beforehand."""
    done = BenchTable()
    for dose in doses_of(cells):
        words = f"{where.anatomy}, {dose.clean}, slope {dose.words}"
        for metric, (change, _) in _CHANGES.items():
            every = {
                name: slopes(dose, scores, name, metric=metric)
                for name in scores[dose.clean].methods
            }
            found = {name: values for name, values in every.items() if values is not None}
            said = _Said(words, change, where.unit, where.seed)
            done = done.joined(said.table(found, fixed="smooth" in dose.words and metric == "ssim"))
    return done


@dataclass(frozen=True)
class _Said:
    """The rows of one axis and metric."""

    words: str
    change: str
    unit: str
    seed: int

    def table(self, found: Mapping[str, Sequence[float]], *, fixed: bool) -> BenchTable:
        rows = [
            self.row(name, t_interval(values, unit=self.unit)) for name, values in found.items()
        ]
        done = BenchTable(tuple(rows))
        for pair in PAIRS:
            if set(pair) <= found.keys():
                differences = [a - b for a, b in zip(*(found[one] for one in pair), strict=True)]
                done = done.joined(self.contrast(pair, differences, fixed=fixed and pair == FIXED))
        return done

    def row(self, name: str, estimate: Estimate) -> BenchRow:
        return BenchRow(
            case=f"{self.words}, {name}",
            metric=self.change,
            value=estimate.mean,
            unit="1",
            n=estimate.n,
            unit_of_analysis=self.unit,
            ci_low=estimate.ci_low,
            ci_high=estimate.ci_high,
            seed=self.seed,
        )

    def contrast(
        self, pair: tuple[str, str], differences: Sequence[float], *, fixed: bool
    ) -> BenchTable:
        what = f"{pair[0]} less {pair[1]} (paired{', fixed beforehand' if fixed else ''})"
        found = t_interval(differences, unit=self.unit)
        rows = [self.row(what, found)]
        if not fixed:
            return BenchTable(tuple(rows))
        if len(set(differences)) > 1:
            rows.append(self._detectable(what, differences))
        bounds = "" if found.ci_low is None else f" ({found.ci_low:.4f} to {found.ci_high:.4f})"
        target = Target(
            name=f"{self.words}, {what}",
            wanted="95 % interval of the paired difference of slopes below 0",
            seen=f"{found.mean:.4f}{bounds}",
            met=found.ci_high is not None and found.ci_high < 0,
        )
        return BenchTable(tuple(rows), (target,))

    def _detectable(self, what: str, differences: Sequence[float]) -> BenchRow:
        least = smallest_mean_difference(n=len(differences), sd=stdev(differences), unit=self.unit)
        metric = (
            f"{self.change}, smallest difference that n would show with {least.power:.0%} power"
        )
        return BenchRow(
            case=f"{self.words}, {what}",
            metric=metric,
            value=least.difference,
            unit="1",
            n=least.n,
            unit_of_analysis=self.unit,
            seed=self.seed,
        )
