"""Rows over scans of the simulator: three methods beside the reference, with intervals."""

import logging
import math
from dataclasses import replace

import torch

from medconsist.metrics.report import interval, paired_difference
from medconsist.mri.acs import find_acs
from medconsist.mri.kspace import KSpace
from medconsist.mri.methods import CgSense, CompressedSensing, Method, Zerofilled
from medconsist.mri.noise_level import calibration_sigma
from medconsist.mri.prepare import prepare
from medconsist.mri.prewhitening import estimate_sigma, noise_covariance
from medconsist.mri.quality import QUALITY_UNITS, quality_metrics
from medconsist.mri.scan_series import Series, simulate_series
from medconsist.results.bench import BenchRow, BenchTable

__all__ = ["simulated_table"]

SERIES = Series(scans=12, slices=1, size=128, acceleration=6.0)
UNIT = "simulated scan"

logger = logging.getLogger(__name__)


def simulated_table(*, seed: int) -> BenchTable:
    """Return SSIM, PSNR and NMSE of three methods over 12 scans, and one paired contrast.

    The contrast that was fixed beforehand: NMSE of compressed sensing less NMSE of CG-SENSE, both
    with the default weight, paired by scan. All other rows describe.
    """
    methods: tuple[Method, ...] = (Zerofilled(), CgSense(), CompressedSensing())
    values: dict[tuple[str, str], list[float]] = {}
    noise: dict[str, list[float]] = {}
    series = replace(SERIES, seed=seed)
    for number, scan in enumerate(simulate_series(series)):
        logger.info("simulated scan %d of %d", number + 1, series.scans)
        for source, ratio in _noise_ratios(scan.kspace).items():
            noise.setdefault(source, []).append(ratio)
        prepared = prepare(scan.kspace)
        images = {m.name: m(prepared.measurement) * prepared.scale for m in methods}
        for found in quality_metrics(images, scan.reference.abs()):
            values.setdefault((str(found.role), found.name), []).append(found.value)
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for (method, metric), per_scan in values.items():
        estimate = interval(per_scan, unit="scan", generator=generator)
        baseline = sum(values["zerofilled", metric]) / len(per_scan)
        rows.append(
            BenchRow(
                case=f"simulated FLAIR, R 6, {method}",
                metric=metric,
                value=estimate.mean,
                unit=QUALITY_UNITS[metric],
                baseline=baseline,
                ratio=estimate.mean / baseline,
                n=estimate.n,
                unit_of_analysis=UNIT,
                ci_low=estimate.ci_low,
                ci_high=estimate.ci_high,
                seed=seed,
            )
        )
    contrast = paired_difference(
        values["cs", "nmse"], values["cgsense", "nmse"], unit="scan", generator=generator
    )
    rows.append(
        BenchRow(
            case="simulated FLAIR, R 6, cs less cgsense (paired, fixed beforehand)",
            metric="nmse",
            value=contrast.mean,
            unit="1",
            n=contrast.n,
            unit_of_analysis=UNIT,
            ci_low=contrast.ci_low,
            ci_high=contrast.ci_high,
            seed=seed,
        )
    )
    for source, ratios in noise.items():
        estimate = interval(ratios, unit="scan", generator=generator)
        rows.append(
            BenchRow(
                case=f"noise level without a noise scan, from the {source}",
                metric="over the truth",
                value=estimate.mean,
                unit="1",
                baseline=1.0,
                ratio=estimate.mean,
                n=estimate.n,
                unit_of_analysis=UNIT,
                ci_low=estimate.ci_low,
                ci_high=estimate.ci_high,
                seed=seed,
            )
        )
    return BenchTable(rows=tuple(rows))


def _noise_ratios(kspace: KSpace) -> dict[str, float]:
    """Return both estimates of the noise level over the one of the noise scan."""
    if kspace.noise is None:
        return {}
    true = math.sqrt(float(noise_covariance(kspace.noise).diagonal().real.mean()))
    block = find_acs(kspace.mask).limited(24).extract(kspace.data)
    inner = calibration_sigma(block)
    ratios = {"outermost samples": estimate_sigma(kspace) / true}
    return ratios if inner is None else {"calibration region": inner / true, **ratios}
