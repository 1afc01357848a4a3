"""Rows of the real 8-coil slice: error on withheld samples, and response to inserted lesions."""

import logging
import math
from pathlib import Path

import torch

from medconsist.metrics.report import interval
from medconsist.mri.bench.table import BenchTable
from medconsist.mri.evidence.features import object_mask, reference_intensity
from medconsist.mri.evidence.refutability import feature_energy
from medconsist.mri.evidence.withheld import WithheldConfig, WithheldError, withheld_error, withhold
from medconsist.mri.lesions import (
    LesionRow,
    LesionStudy,
    central_sites,
    lesion_responses,
    lesion_rows,
    scattered_sites,
)
from medconsist.mri.methods import CgSense, CompressedSensing, Method, Zerofilled
from medconsist.mri.prepare import Prepared, prepare
from medconsist.mri.readers import read_kspace
from medconsist.results.bench import BenchRow

__all__ = ["REAL_SLICE", "SPEC_RESPONSE", "lesion_table", "refutability_table", "withheld_table"]

REAL_SLICE = Path("mri") / "sigpy_cartesian_ksp.npy"
CASE = "real 8-coil slice"
LAMBDAS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)
SPLITS = 5
# Measured with BART on this slice before anything here was written: percent of the peak of a 10 %
# lesion that came back, and d' of a 10 % feature, at `WIDTHS` [pixels]. Neither the sites nor the
# noise level and intensity behind them were recorded: they stand beside ours and bound nothing.
WIDTHS = (1.5, 2.5, 4.0, 8.0)
SPEC_RESPONSE = {"cs": (39.0, 68.0, 85.0, 98.0), "cgsense": (61.0, 82.0, 92.0, 97.0)}

SPEC_DETECTABILITY = (1.25, 2.6, 5.0, 12.0)
CONTRAST = 0.1

logger = logging.getLogger(__name__)


def withheld_table(path: Path, *, seed: int) -> BenchTable:
    """Return the error on withheld samples of three methods, over five draws.

    In each draw a tenth of the samples outside the calibration region is withheld for the report.
    From the rest another tenth is withheld to choose lambda; then the method sees all of the rest.
    Unit of analysis: the draw. All draws are of one scan, so the interval says nothing about other
    scans.
    """
    prepared = prepare(read_kspace(path))
    families: dict[str, tuple[Method, ...]] = {
        "zerofilled": (Zerofilled(),),
        "cgsense": tuple(CgSense(lambda_=weight) for weight in LAMBDAS),
        "cs": tuple(CompressedSensing(lambda_=weight) for weight in LAMBDAS),
    }
    errors: dict[str, list[WithheldError]] = {name: [] for name in families}
    for draw in range(SPLITS):
        logger.info("withheld samples: draw %d of %d", draw + 1, SPLITS)
        generator = torch.Generator().manual_seed(seed + draw)
        for name, error in _one_draw(prepared, families, generator).items():
            errors[name].append(error)
    generator = torch.Generator().manual_seed(seed)
    rows = []
    baseline = sum(error.nrmse for error in errors["zerofilled"]) / SPLITS
    for name, found in errors.items():
        for metric, values in {
            "withheld NRMSE": [error.nrmse for error in found],
            "withheld chi-square": [error.chi_square for error in found],
        }.items():
            estimate = interval(values, unit="draw", generator=generator)
            is_share = metric == "withheld NRMSE"
            rows.append(
                BenchRow(
                    case=f"{CASE}, {name}",
                    metric=metric,
                    value=estimate.mean,
                    unit="1" if is_share else "sigma^2",
                    baseline=baseline if is_share else None,
                    ratio=estimate.mean / baseline if is_share else None,
                    n=estimate.n,
                    unit_of_analysis="draw",
                    ci_low=estimate.ci_low,
                    ci_high=estimate.ci_high,
                    seed=seed,
                )
            )
    return BenchTable(rows=tuple(rows))


def _one_draw(
    prepared: Prepared, families: dict[str, tuple[Method, ...]], generator: torch.Generator
) -> dict[str, WithheldError]:
    config = WithheldConfig(unit="point")
    measurement, region = prepared.measurement, prepared.calibration
    report = withhold(measurement.mask, keep_region=region, config=config, generator=generator)
    seen = measurement.visible(report.keep)
    tuning = withhold(seen.mask, keep_region=region, config=config, generator=generator)

    def tuning_error(method: Method) -> float:
        return withheld_error(method.fixed(seen).solve, seen, tuning).nrmse

    errors = {}
    for name, candidates in families.items():
        best = candidates[0] if len(candidates) == 1 else min(candidates, key=tuning_error)
        logger.info("  %s", best)
        errors[name] = withheld_error(best.fixed(seen).solve, measurement, report)
    return errors


def lesion_table(path: Path, *, seed: int) -> BenchTable:
    """Return the local response to 10 % lesions at 25 sites, in the middle and all over the object.

    Both placements stand beside the same earlier figures, whose sites are not known: the middle,
    where all coils see alike, comes nearer to them, and was looked at because of that. Unit of
    analysis: the site; all are of one scan.
    """
    prepared = prepare(read_kspace(path))
    measurement = prepared.measurement
    anatomy = CompressedSensing()(measurement)
    study = LesionStudy(contrast=CONTRAST, fwhm_px=WIDTHS)
    generator = torch.Generator().manual_seed(seed)
    places = {
        "middle": central_sites(anatomy, study, generator=generator),
        "all over": scattered_sites(anatomy, study, generator=generator),
    }
    rows = []
    methods: tuple[Method, ...] = (CompressedSensing(), CgSense())
    for method in methods:
        for place, sites in places.items():
            logger.info("lesions, %s: %s", place, method)
            responses = lesion_responses(
                method.fixed(measurement), measurement, anatomy, sites=sites, study=study
            )
            known = SPEC_RESPONSE[method.name]
            for row, wanted in zip(
                lesion_rows(method.name, responses, generator=generator), known, strict=True
            ):
                rows += _lesion_pair(row, place, wanted, seed)
    return BenchTable(tuple(rows))


def _lesion_pair(row: LesionRow, place: str, known: float, seed: int) -> list[BenchRow]:
    """Return the row of the lesions and the row of the shams beside them."""
    return [
        BenchRow(
            case=f"{CASE}, {row.method}, 10 % lesions, FWHM {row.fwhm_px:g} px, {place}",
            metric=metric,
            value=estimate.mean,
            unit="%",
            baseline=baseline,
            ratio=None if baseline is None else estimate.mean / baseline,
            n=estimate.n,
            unit_of_analysis="site",
            ci_low=estimate.ci_low,
            ci_high=estimate.ci_high,
            seed=seed,
        )
        for metric, estimate, baseline in (
            ("response", row.lesion, known),
            ("sham", row.sham, None),
        )
    ]


def refutability_table(path: Path) -> BenchTable:
    """Return d' of a 10 % feature, ``sqrt(2) ||A delta|| / sigma``, the median over the object."""
    prepared = prepare(read_kspace(path))
    measurement = prepared.measurement
    image = CompressedSensing()(measurement)
    inside = object_mask(image)
    peak = CONTRAST * reference_intensity(image)
    rows = []
    for fwhm, known in zip(WIDTHS, SPEC_DETECTABILITY, strict=True):
        energy = feature_energy(measurement, fwhm)[inside].median()
        seen = math.sqrt(2 * float(energy)) * peak / measurement.sigma
        rows.append(
            BenchRow(
                case=f"{CASE}, 10 % feature, FWHM {fwhm:g} px",
                metric="d', median over the object",
                value=seen,
                unit="standard deviations",
                baseline=known,
                ratio=seen / known,
                n=1,
                unit_of_analysis="scan",
            )
        )
    return BenchTable(tuple(rows))
