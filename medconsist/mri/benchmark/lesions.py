"""The table of inserted lesions: how much of them comes back, and whether an observer finds them.

Two questions with two answers. *Response*: the share of the peak that the image shows, at equal
noise (metric ``response``; beside the lesions, where nothing was inserted, ``sham
response``). *Observer*: the area under the ROC curve and d' of a channelised Hotelling observer
that is shown magnitude patches with a lesion in one draw of the noise and without in another
(`insertion`), fitted to half of the scans and judged on the other half, crosswise: once as it is,
where the anatomy of a site, which it does not know, hides more than noise does, and once with the
*anatomy known*, the noise-free reference taken off, where noise, aliasing and blur are what hides a
lesion. A method can return little and be seen well, or the reverse. Two classes with no lesion in
either are the sham of the observer: its area should lie about 0.5.

Intervals are Student's t over scans, of one training a network. Those of the observer are too
narrow where it hardly finds the lesion (see `crossed_observer`), and are left out where d' is below
1, of either method in a difference, and where there is no lesion. Differences of methods are paired
by scan, and describe: none of them was named before a network was trained.

Costs 6 reconstructions a method, scan and cell, and 0.7 s of simulation a scan: 520 core-seconds
for the 8 networks of equal training time, zero-filled, CG-SENSE and compressed sensing at 128 x
128, 20 scans and 2 cells (2.1 s for one slice by all of them, measured with untrained weights).
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

import torch
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.metrics.observer import Observed, Trials, crossed_observer, half_of
from medconsist.metrics.report import Estimate, t_interval
from medconsist.mri.bench.learned.scans import draw_scan
from medconsist.mri.bench.learned.scores import Draws
from medconsist.mri.benchmark.cells import ShiftedCell, kinds_of
from medconsist.mri.benchmark.evaluation import measured_with_error
from medconsist.mri.benchmark.insertion import (
    LesionFigures,
    Reconstruct,
    another_noise,
    drawn_sites,
    figures_of,
    full_image,
    insert,
)
from medconsist.mri.benchmark.insertion_plan import InsertionPlan
from medconsist.results.bench import BenchRow, BenchTable, Target

__all__ = ["PAIRS", "Methods", "lesion_rows", "lesions_of_scan"]

logger = logging.getLogger(__name__)

Methods = Mapping[str, Mapping[str, Reconstruct]]
"""Name of a cell to name of a method to the method."""

PAIRS = (("cirim", "cs"), ("cirim", "varnet"))
BASELINE = "cs"
ANATOMY, UNIT = "simulated", "simulated scan"
NO_LESION = "no lesion"
LEAST_SCANS = 4  # two in each half
KNOWN = ", anatomy known"
UNITS = {
    "response": "%",
    "sham response": "%",
    "observer AUC": "1",
    "observer d'": "standard deviations",
    f"observer AUC{KNOWN}": "1",
    f"observer d'{KNOWN}": "standard deviations",
}
_LEAST_FOUND = 1.0  # d' of which an interval is given
_SNR = 1e5  # noise of 3e-4 of that of the usual scan: none beside a draw of our own

Scan = Mapping[str, Mapping[str, Mapping[str, Any] | None]]
Outputs = Sequence[list[list[float]]]
Key = tuple[str, str]


def lesions_of_scan(
    methods: Methods,
    cells: Sequence[ShiftedCell],
    number: int,
    *,
    draws: Draws,
    plan: InsertionPlan,
) -> dict[str, dict[str, dict[str, Any] | None]]:
    """Return what each method showed in one scan, by cell and method, as JSON takes it.

    Sites and noise are the same in all cells of a kind of scan; None stands for images that are not
    finite.

    Parameters
    ----------
    methods
        The methods of each cell; a `medconsist.mri.methods.Method` is fixed to the samples without
        lesions, any other must have a fixed scale and give the same image for the same samples.
    cells
        What is sampled of which kind of scan.
    number
        Which scan.
    draws
        Role, series and anatomy.
    plan
        Lesions, distances and channels.
    """
    found = dict[str, dict[str, dict[str, Any] | None]]()
    for kind, ours in kinds_of(cells).items():
        scan, noiseless = (
            draw_scan(draws.role, number, series=draws.series, phantom=draws.phantom, kind=one)
            for one in (kind, replace(kind, snr=_SNR))
        )
        generator = _apart(scan.mask_seed)
        another = another_noise(scan, noiseless.samples, generator=generator)
        sites = drawn_sites(full_image(scan), plan, generator=generator)
        for cell in ours:
            made = insert(measured_with_error(cell, scan), scan, another, sites, plan=plan)
            figures = {name: figures_of(one, made) for name, one in methods[cell.name].items()}
            found[cell.name] = {
                name: None if one is None else asdict(one) for name, one in figures.items()
            }
    return {cell.name: found[cell.name] for cell in cells}


def lesion_rows(found: Sequence[Scan], plan: InsertionPlan, *, seed: int) -> BenchTable:
    """Return the table from what each scan gave, in order; see `lesions_of_scan`.

    Parameters
    ----------
    found
        One item a scan, all of the same cells and methods; fewer than 4, or too few sites, leave
        the observer out.
    plan
        As it was when they were made.
    seed
        For the rows, and for the halves of the observer, which are the same for all methods.
    """
    half = half_of(range(len(found)), generator=Generator().manual_seed(seed))
    done = BenchTable()
    for cell in found[0]:
        named = {name: [scan[cell][name] for scan in found] for name in found[0][cell]}
        whole, targets = dict[str, list[LesionFigures]](), list[Target]()
        for name, scans in named.items():
            finite = [LesionFigures(**one) for one in scans if one is not None]
            if len(finite) == len(scans):
                whole[name] = finite
            else:
                targets.append(_not_finite(cell, name, len(scans) - len(finite)))
        rows = _Cell(cell, plan, half, seed).rows(whole)
        done = done.joined(BenchTable(tuple(rows), tuple(targets)))
    return done


def _apart(mask_seed: int) -> Generator:
    """Return a generator of the scan that is not the one of its masks.

    Its seed is drawn, since torch looks at the lower 32 bits of a seed alone: 2^32 beyond another
    one is the same stream, and the noise then knows which samples the mask takes.
    """
    drawn = torch.randint(2**32, (), generator=Generator().manual_seed(mask_seed))
    return Generator().manual_seed(int(drawn))


def _not_finite(cell: str, name: str, scans: int) -> Target:
    return Target(
        name=f"{ANATOMY}, {cell}, {name} has finite images of inserted lesions",
        wanted="images without NaN",
        seen=f"{scans} scans with images that are not finite; the method has no rows",
        met=False,
    )


@dataclass(frozen=True)
class _Cell:
    """The rows of one cell."""

    name: str
    plan: InsertionPlan
    half: tuple[int, ...]
    seed: int

    def rows(self, found: Mapping[str, Sequence[LesionFigures]]) -> list[BenchRow]:
        """Return the figures of each kind and metric, those of all methods together."""
        done = list[BenchRow]()
        with_observer = all(self._can_observe(scans) for scans in list(found.values())[:1])
        values = {
            name: self._values(name, scans, with_observer=with_observer)
            for name, scans in found.items()
        }
        words = [kind.words for kind in self.plan.kinds]
        for word in (*words, NO_LESION):
            for metric in UNITS:
                one = {
                    name: by[word, metric] for name, by in values.items() if (word, metric) in by
                }
                done += self._compared(one, word, metric, _faint(values, word, metric))
        return done

    def _can_observe(self, scans: Sequence[LesionFigures]) -> bool:
        """Return whether scans and sites are enough, which are the same for all methods."""
        first = sum(len(scans[number].absent) for number in self.half)
        fewest = min(first, sum(len(one.absent) for one in scans) - first)
        if len(scans) >= LEAST_SCANS and fewest > self.plan.channels:
            return True
        logger.warning(
            "%s: no observer, half of %d scans has %d sites; it needs 2 scans and more sites than "
            "its %d channels",
            self.name,
            len(scans),
            fewest,
            self.plan.channels,
        )
        return False

    def _values(
        self, name: str, scans: Sequence[LesionFigures], *, with_observer: bool
    ) -> dict[Key, list[float]]:
        """Return one value a scan of each kind and metric."""
        values = dict[Key, list[float]]()
        for kind in self.plan.kinds:
            values[kind.words, "response"] = [
                100 * fmean(one.response[kind.words]) for one in scans
            ]
            values[kind.words, "sham response"] = [
                100 * fmean(one.sham[kind.words]) for one in scans
            ]
        if not with_observer:
            return values
        present = {
            kind.words: [one.present[kind.words] for one in scans] for kind in self.plan.kinds
        }
        absent, anatomy = [one.absent for one in scans], [one.anatomy for one in scans]
        for word, outputs in (present | {NO_LESION: [one.without for one in scans]}).items():
            for known in ("", KNOWN):
                try:
                    observed = self._observed(outputs, absent, anatomy if known else None)
                except RefusedInputError as error:  # a collapsed network: the others go on
                    logger.warning("%s, %s: no observer of it: %s", self.name, name, error)
                    return values
                values[word, f"observer AUC{known}"] = observed.area.tolist()
                values[word, f"observer d'{known}"] = observed.detectability.tolist()
        return values

    def _observed(self, present: Outputs, absent: Outputs, anatomy: Outputs | None) -> Observed:
        of_site = torch.tensor([number for number, one in enumerate(absent) for _ in one])
        shown, sham = _stacked(present), _stacked(absent)
        background = torch.zeros_like(sham) if anatomy is None else _stacked(anatomy)
        trials = Trials(
            present=shown - background,
            absent=sham - background,
            of_present=of_site,
            of_absent=of_site,
        )
        return crossed_observer(trials, first_half=self.half)

    def _compared(
        self, values: Mapping[str, list[float]], word: str, metric: str, faint: Collection[str]
    ) -> list[BenchRow]:
        baseline = fmean(values[BASELINE]) if BASELINE in values and word != NO_LESION else None
        done = []
        for name, of_scans in values.items():
            estimate = _estimate(of_scans, is_faint=name in faint)
            beside = None if metric == "sham response" else baseline
            done.append(self._row(f"{name}, {word}", metric, estimate, beside))
        for first, second in PAIRS if word != NO_LESION and metric != "sham response" else ():
            if {first, second} <= values.keys():
                pairs = zip(values[first], values[second], strict=True)
                difference = _estimate(
                    [a - b for a, b in pairs], is_faint=first in faint or second in faint
                )
                case = f"{first} less {second} (paired), {word}"
                done.append(self._row(case, metric, difference, None))
        return done

    def _row(self, case: str, metric: str, estimate: Estimate, baseline: float | None) -> BenchRow:
        return BenchRow(
            case=f"{ANATOMY}, {self.name}, {case}",
            metric=metric,
            value=estimate.mean,
            unit=UNITS[metric],
            baseline=baseline,
            ratio=estimate.mean / baseline if baseline and metric == "response" else None,
            n=estimate.n,
            unit_of_analysis=estimate.unit_of_analysis,
            ci_low=estimate.ci_low,
            ci_high=estimate.ci_high,
            seed=self.seed,
        )


def _faint(values: Mapping[str, Mapping[Key, list[float]]], word: str, metric: str) -> set[str]:
    """Return the methods whose observer finds too little for an interval."""
    if "observer" not in metric:
        return set()
    of_noise = metric.replace("AUC", "d'")
    found = {name: by[word, of_noise] for name, by in values.items() if (word, of_noise) in by}
    return {name for name, one in found.items() if word == NO_LESION or fmean(one) < _LEAST_FOUND}


def _estimate(values: Sequence[float], *, is_faint: bool) -> Estimate:
    found = t_interval(values, unit=UNIT)
    return replace(found, ci_low=None, ci_high=None) if is_faint else found


def _stacked(outputs: Outputs) -> Tensor:
    return torch.tensor([row for one in outputs for row in one], dtype=torch.float64)
