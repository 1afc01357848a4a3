"""Rows of self-supervised training with spiked scans: which losses survive."""

import math
from dataclasses import dataclass, field

from torch import Generator

from medconsist.metrics.image import nmse, ssim
from medconsist.metrics.report import interval
from medconsist.mri.bench.spiked_training import (
    SUPERVISED,
    ReferencedScans,
    SpikeStudy,
    simulated_scans,
    trained_images,
)
from medconsist.mri.methods import Zerofilled
from medconsist.mri.quality import QUALITY_UNITS
from medconsist.results.bench import BenchReport, BenchRow, BenchTable
from medconsist.shapes import RealImages

__all__ = ["SURVIVES", "run_bench", "spiked_table"]

SURVIVES = 1.25
"""How many times the NMSE without spikes a loss may have with them, at most, in every run."""

_METRICS = {"nmse": nmse, "ssim": ssim}

Scores = dict[str, list[float]]  # metric to one value a test scan


def run_bench(*, seed: int) -> BenchReport:
    """Run the study as it comes; about 12 minutes on 2 cores."""
    return BenchReport(command="medconsist bench spiked", rows=spiked_table(seed=seed).rows)


def spiked_table(*, seed: int, study: SpikeStudy | None = None) -> BenchTable:
    """Train every loss with and without spikes, and return its errors on clean test scans.

    For each loss and share: the mean over test scans of every training run; and the mean over
    runs, with an interval over test scans that knows nothing of other runs. Then per loss the
    worst ratio of NMSE with spikes to NMSE without among the runs, which are paired by their
    weights and scans: a loss ``survives`` where that is at most `SURVIVES`, a bound that was set
    before the first run. The supervised row learns from clean references.

    Parameters
    ----------
    seed
        Of the first training run, those after it count on, and of the bootstrap.
    study
        See `SpikeStudy`. The default takes about 12 minutes on 2 cores.
    """
    study = study or SpikeStudy()
    rows = _Rows(seed, Generator().manual_seed(seed))
    test = simulated_scans(study, "test", 0)
    rows.add_mean(
        "zero-filled", [_scores([Zerofilled()(m).abs() for m in test.measurements], test)]
    )
    for name in (SUPERVISED, *study.losses):
        runs = {share: _runs(name, share, study, seed, test) for share in study.shares}
        for share, found in runs.items():
            rows.add_runs(f"{name}, {share:.0%} spiked", found)
            rows.add_mean(f"{name}, {share:.0%} spiked", found)
        clean, *others = runs.items()
        for share, found in others:
            rows.add_ratio(f"{name}, {share:.0%} spiked", found, clean[1])
    return BenchTable(tuple(rows.rows))


def _runs(
    name: str, share: float, study: SpikeStudy, seed: int, test: ReferencedScans
) -> list[Scores]:
    return [
        _scores(
            trained_images(name, share, study, seed=seed + number, test=test.measurements), test
        )
        for number in range(study.seeds)
    ]


def _scores(images: list[RealImages], test: ReferencedScans) -> Scores:
    pairs = list(zip(images, test.references, strict=True))
    return {
        name: [float(metric(image, reference)) for image, reference in pairs]
        for name, metric in _METRICS.items()
    }


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


@dataclass(frozen=True)
class _Rows:
    """The rows so far."""

    seed: int
    generator: Generator
    rows: list[BenchRow] = field(default_factory=list)

    def add_runs(self, case: str, runs: list[Scores]) -> None:
        """Add the mean of every run."""
        for number, scores in enumerate(runs):
            for metric, values in scores.items():
                self.rows.append(
                    BenchRow(
                        case=f"simulated, {case}, training run {number + 1}",
                        metric=metric,
                        value=_mean(values),
                        unit=QUALITY_UNITS[metric],
                        n=len(values),
                        unit_of_analysis="simulated scan",
                        seed=self.seed + number,
                    )
                )

    def add_mean(self, case: str, runs: list[Scores]) -> None:
        """Add the mean of all runs: each scan's values are averaged over runs first."""
        for metric in _METRICS:
            per_scan = [_mean(list(of)) for of in zip(*(r[metric] for r in runs), strict=True)]
            estimate = interval(per_scan, unit="scan", generator=self.generator)
            self.rows.append(
                BenchRow(
                    case=f"simulated, {case}",
                    metric=metric,
                    value=estimate.mean,
                    unit=QUALITY_UNITS[metric],
                    n=estimate.n,
                    unit_of_analysis="simulated scan",
                    ci_low=estimate.ci_low,
                    ci_high=estimate.ci_high,
                    seed=self.seed,
                )
            )

    def add_ratio(self, case: str, runs: list[Scores], clean: list[Scores]) -> None:
        """Add the worst ratio of NMSE to that of the same run without spikes, and the verdict."""
        pairs = [(_mean(a["nmse"]), _mean(b["nmse"])) for a, b in zip(runs, clean, strict=True)]
        worst, least = max(pairs, key=lambda pair: pair[0] / pair[1])
        verdict = "survives" if worst / least <= SURVIVES else "does not survive"
        self.rows.append(
            BenchRow(
                case=f"simulated, {case}: {verdict}",
                metric="nmse, that of the worst training run beside its own without spikes",
                value=worst,
                unit="1",
                baseline=least,
                ratio=worst / least,
                n=len(pairs),
                unit_of_analysis="training run",
                seed=self.seed,
            )
        )
