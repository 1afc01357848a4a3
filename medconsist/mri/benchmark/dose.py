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

__all__ = ["FIXED", "Dose", "dose_table", "doses_of", "slopes"]

FIXED = ("cirim", "cirim-explicit")
_PAIRS = (
    FIXED,
    ("cirim-weighted", "cirim-explicit"),
    ("cirim", "cirim-weighted"),
    ("varnet-implicit", "varnet"),
    ("varnet-weighted", "varnet"),
    ("cirim", "varnet"),
)
_METRIC = "SSIM lost"
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


def slopes(dose: Dose, scores: Mapping[str, Scores], name: str) -> list[float] | None:
    """Return the slope of each scan, None where the method is not in all cells of the axis."""
    columns = [scores[cell].values.get((name, "ssim")) for cell in dose.levels.values()]
    clean = scores[dose.clean].values.get((name, "ssim"))
    if clean is None or not all(columns):
        return None
    squares = sum(level**2 for level in dose.levels)
    found = []
    for number, best in enumerate(clean):
        lost = [best - column[number] for column in columns if column]
        found.append(sum(e * one for e, one in zip(dose.levels, lost, strict=True)) / squares)
    return found


def dose_table(
    cells: Sequence[ShiftedCell], scores: Mapping[str, Scores], where: Where
) -> BenchTable:
    """Return slopes, their paired differences, and the contrast that was fixed beforehand."""
    done = BenchTable()
    for dose in doses_of(cells):
        words = f"{where.anatomy}, {dose.clean}, slope {dose.words}"
        every = {name: slopes(dose, scores, name) for name in scores[dose.clean].methods}
        found = {name: values for name, values in every.items() if values is not None}
        said = _Said(words, where.unit, where.seed)
        rows = [
            said.row(name, t_interval(values, unit=where.unit)) for name, values in found.items()
        ]
        done = done.joined(BenchTable(tuple(rows)))
        is_first_axis = "smooth" in dose.words
        for pair in _PAIRS:
            if set(pair) <= found.keys():
                differences = [a - b for a, b in zip(*(found[one] for one in pair), strict=True)]
                done = done.joined(said.contrast(pair, differences, fixed=is_first_axis))
    return done


@dataclass(frozen=True)
class _Said:
    words: str
    unit: str
    seed: int

    def row(self, name: str, estimate: Estimate, metric: str = _METRIC) -> BenchRow:
        return BenchRow(
            case=f"{self.words}, {name}",
            metric=metric,
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
        is_fixed = fixed and pair == FIXED
        what = f"{pair[0]} less {pair[1]} (paired{', fixed beforehand' if is_fixed else ''})"
        found = t_interval(differences, unit=self.unit)
        rows = [self.row(what, found)]
        if not is_fixed:
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
        metric = f"{_METRIC}, smallest difference that n would show with {least.power:.0%} power"
        return BenchRow(
            case=f"{self.words}, {what}",
            metric=metric,
            value=least.difference,
            unit="1",
            n=least.n,
            unit_of_analysis=self.unit,
            seed=self.seed,
        )
