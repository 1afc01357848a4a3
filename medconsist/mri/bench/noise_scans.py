"""One head of ``medconsist bench mri-noise`` at every noise level, seen by every method."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any

from torch import Tensor

from medconsist.metrics.image import image_quality
from medconsist.mri.bench.learned.cells import Cell
from medconsist.mri.bench.learned.scans import Measured, SliceKind, draw_scan, measured_in
from medconsist.mri.bench.learned.scores import Scores
from medconsist.mri.bench.learned.tuning import Tuned, best_of, candidates_of
from medconsist.mri.bench.noise_study import AWARE, MASKS, NoiseStudy
from medconsist.mri.draw_seeds import Role
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import load_model
from medconsist.mri.methods import Zerofilled
from medconsist.results.kept import KeptFolder

__all__ = ["CS", "METRICS", "TOLD", "ZEROFILLED", "cell_name", "judge_test", "judge_validation"]
__all__ += ["measured_at", "tuned"]

CS, ZEROFILLED = "cs", "zerofilled"
METRICS = ("ssim", "nmse")
TOLD = {"aware, told sigma x 2": 2.0, "aware, told sigma / 2": 0.5}
"""The network that is shown the noise level, shown a wrong one."""

_CELL = Cell("as in training", MASKS)

Reconstruct = Callable[[Measurement], Tensor]


def cell_name(snr: float) -> str:
    """Return what rows call a noise level."""
    return f"SNR {snr:g}"


def measured_at(study: NoiseStudy, role: Role, number: int, snr: float) -> Measured:
    """Return one slice of a head as it is measured at this SNR.

    Head, coils, mask and contrast do not depend on the SNR. Coil maps and noise level are those of
    the scan: ESPIRiT on its noisy calibration samples, and its noise scan, by which it was
    prewhitened. Masks are drawn as in training.
    """
    kind = SliceKind(size=study.size, snr=snr)
    scan = draw_scan(role, number, series=study.seed, kind=kind)
    return measured_in((_CELL,), scan)[0]


def judge_validation(study: NoiseStudy, kept: KeptFolder, number: int) -> dict[str, Any]:
    """Try every candidate of compressed sensing on one scan, at every SNR."""
    candidates = candidates_of(study.families)

    def qualities() -> dict[str, Any]:
        found = {}
        for snr in study.snr:
            seen = measured_at(study, "validation", number, snr)
            found[cell_name(snr)] = {name: _of(one, seen) for name, one in candidates.items()}
        return found

    return kept.part(f"validation/scan {number}", qualities)


def tuned(study: NoiseStudy, kept: KeptFolder) -> dict[str, Tuned]:
    """Return compressed sensing at its best, by SNR, once all validation scans are judged."""
    values = [judge_validation(study, kept, number) for number in range(study.validation_scans)]
    found = {}
    for cell in map(cell_name, study.snr):
        reached = Scores()
        for one in values:
            for name, quality in one[cell].items():
                reached.values[name, "ssim"].append(quality["ssim"])
        found[cell] = best_of(study.families, reached)[CS]
    return found


def judge_test(
    study: NoiseStudy,
    kept: KeptFolder,
    trained: Mapping[str, Sequence[Path]],
    number: int,
) -> dict[str, Any]:
    """Return what every method reaches on one head: SNR to method to metric to values.

    A network has one value for each of its trainings; ``seconds`` is the time of a core.

    Parameters
    ----------
    study, kept
        What is judged, and where it is kept.
    trained
        Arm to the weights of its trainings.
    number
        Of the head.
    """
    weights = {name: [_told(path) for path in paths] for name, paths in trained.items()}
    for name, factor in TOLD.items():
        weights[name] = [_told(path, factor) for path in trained[AWARE]]
    best = tuned(study, kept)

    def qualities() -> dict[str, Any]:
        start, found = process_time(), dict[str, Any]()
        for snr in study.snr:
            seen, cell = measured_at(study, "test", number, snr), cell_name(snr)
            methods: dict[str, Sequence[Reconstruct]] = {
                ZEROFILLED: [Zerofilled()],
                CS: [best[cell].method],
                **weights,
            }
            found[cell] = {name: _each(some, seen) for name, some in methods.items()}
        return {"cells": found, "seconds": process_time() - start}

    return kept.part(f"test/scan {number}", qualities)


@dataclass(frozen=True)
class _Told:
    """A network that is given ``factor`` times the noise level of the measurement."""

    network: LearnedMethod
    factor: float

    def __call__(self, seen: Measurement) -> Tensor:
        return self.network(replace(seen, sigma=self.factor * seen.sigma))


def _told(weights: Path, factor: float = 1.0) -> Reconstruct:
    return _Told(_loaded(weights), factor)


@cache
def _loaded(weights: Path) -> LearnedMethod:
    return LearnedMethod(load_model(weights))


def _each(methods: Sequence[Reconstruct], seen: Measured) -> dict[str, list[float]]:
    values = [_of(method, seen) for method in methods]
    return {metric: [one[metric] for one in values] for metric in METRICS}


def _of(method: Reconstruct, seen: Measured) -> dict[str, float]:
    quality = image_quality(method(seen.measurement).abs(), seen.reference)
    return {metric: quality[metric] for metric in METRICS}
