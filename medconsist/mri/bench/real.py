"""Rows of the real 8-coil slice: error on withheld samples, and response to inserted lesions."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from medconsist.metrics.report import interval
from medconsist.mri.evidence.features import object_mask, reference_intensity
from medconsist.mri.evidence.refutability import feature_energy
from medconsist.mri.evidence.withheld import WithheldConfig, WithheldError, withheld_error, withhold
from medconsist.mri.forward import Measurement
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
from medconsist.results.bench import BenchRow, BenchTable

__all__ = ["CASE", "CLASSICAL", "REAL_SLICE", "SPEC_RESPONSE", "Drawn", "Families", "lesion_table"]
__all__ += ["lesions_of", "one_draw", "refutability_table", "withheld_rows", "withheld_table"]

REAL_SLICE = Path("mri") / "sigpy_cartesian_ksp.npy"
CASE = "real 8-coil slice"
LAMBDAS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)
Families = Mapping[str, tuple[Method, ...]]
CLASSICAL: Families = {
    "zerofilled": (Zerofilled(),),
    "cgsense": tuple(CgSense(lambda_=weight) for weight in LAMBDAS),
    "cs": tuple(CompressedSensing(lambda_=weight) for weight in LAMBDAS),
}
SPLITS = 5
# Measured with BART on this slice before anything here was written: percent of the peak of a 10 %
# lesion that came back, and d' of a 10 % feature, at `WIDTHS` [pixels]. Neither the sites nor the
# noise level and intensity behind them were recorded: they stand beside ours and bound nothing.
WIDTHS = (1.5, 2.5, 4.0, 8.0)
SPEC_RESPONSE = {"cs": (39.0, 68.0, 85.0, 98.0), "cgsense": (61.0, 82.0, 92.0, 97.0)}

SPEC_DETECTABILITY = (1.25, 2.6, 5.0, 12.0)
CONTRAST = 0.1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Drawn:
    """One method in one draw.

    Parameters
    ----------
    method
        As it was chosen and fixed, without the withheld samples.
    error
        On the withheld samples.
    cpu_s
        Processor time of all threads, for choosing, fixing and one reconstruction [s].

    Examples
    --------
    >>> Drawn.__dataclass_fields__["cpu_s"].type
    <class 'float'>
    """

    method: Method
    error: WithheldError
    cpu_s: float


def withheld_table(path: Path, *, seed: int) -> BenchTable:
    """Return the error on withheld samples of three methods, over five draws.

    In each draw a tenth of the samples outside the calibration region is withheld for the report.
    From the rest another tenth is withheld to choose lambda; then the method sees all of the rest.
    Unit of analysis: the draw. All draws are of one scan, so the interval says nothing about other
    scans.
    """
    prepared = prepare(read_kspace(path))
    draws = []
    for draw in range(SPLITS):
        logger.info("withheld samples: draw %d of %d", draw + 1, SPLITS)
        draws.append(one_draw(prepared, CLASSICAL, torch.Generator().manual_seed(seed + draw)))
    return BenchTable(tuple(withheld_rows(draws, seed=seed)))


def withheld_rows(draws: Sequence[Mapping[str, Drawn]], *, seed: int) -> list[BenchRow]:
    """Return relative error and chi-square of each method, the mean over draws.

    Parameters
    ----------
    draws
        Of `one_draw`, with ``"zerofilled"`` among the methods.
    seed
        Of the bootstrap.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = []
    baseline = sum(found["zerofilled"].error.nrmse for found in draws) / len(draws)
    for name in draws[0]:
        errors = [found[name].error for found in draws]
        for metric, values in {
            "withheld NRMSE": [error.nrmse for error in errors],
            "withheld chi-square": [error.chi_square for error in errors],
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
    return rows


def one_draw(
    prepared: Prepared, families: Families, generator: torch.Generator
) -> dict[str, Drawn]:
    """Withhold samples, choose and fix each method on the others, and measure its error.

    Parameters
    ----------
    prepared
        The slice.
    families
        Name to candidates; of several, the best on a tenth of the others is taken.
    generator
        Draws both tenths.
    """
    config = WithheldConfig(unit="point")
    measurement, region = prepared.measurement, prepared.calibration
    report = withhold(measurement.mask, keep_region=region, config=config, generator=generator)
    seen = measurement.visible(report.keep)
    tuning = withhold(seen.mask, keep_region=region, config=config, generator=generator)

    def tuning_error(method: Method) -> float:
        return withheld_error(method.fixed(seen).solve, seen, tuning).nrmse

    found = {}
    for name, candidates in families.items():
        begin = time.process_time()
        best = candidates[0] if len(candidates) == 1 else min(candidates, key=tuning_error)
        logger.info("  %s", best.name if best.learned else best)
        fixed = best.fixed(seen)
        error = withheld_error(fixed.solve, measurement, report)
        found[name] = Drawn(fixed, error, time.process_time() - begin)
    return found


def lesion_table(path: Path, *, seed: int) -> BenchTable:
    """Return the local response to 10 % lesions at 25 sites, in the middle and all over the object.

    Both placements stand beside the same earlier figures, whose sites are not known: the middle,
    where all coils see alike, comes nearer to them, and was looked at because of that. Unit of
    analysis: the site; all are of one scan.
    """
    measurement = prepare(read_kspace(path)).measurement
    methods: tuple[Method, ...] = (CompressedSensing(), CgSense())
    fixed = {method.name: method.fixed(measurement) for method in methods}
    return lesions_of(fixed, measurement, seed=seed)


def lesions_of(methods: Mapping[str, Method], measurement: Measurement, *, seed: int) -> BenchTable:
    """Return the rows of `lesion_table` for fixed methods; the sites depend on the seed alone."""
    anatomy = CompressedSensing()(measurement)
    study = LesionStudy(contrast=CONTRAST, fwhm_px=WIDTHS)
    generator = torch.Generator().manual_seed(seed)
    places = {
        "middle": central_sites(anatomy, study, generator=generator),
        "all over": scattered_sites(anatomy, study, generator=generator),
    }
    rows = []
    for name, method in methods.items():
        for place, sites in places.items():
            logger.info("lesions, %s: %s", place, name)
            responses = lesion_responses(method, measurement, anatomy, sites=sites, study=study)
            known = SPEC_RESPONSE.get(name, (None,) * len(WIDTHS))
            for row, wanted in zip(
                lesion_rows(name, responses, generator=generator), known, strict=True
            ):
                rows += _lesion_pair(row, place, wanted, seed)
    return BenchTable(tuple(rows))


def _lesion_pair(row: LesionRow, place: str, known: float | None, seed: int) -> list[BenchRow]:
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
