"""Zero-shot CIRIM on single scans: withheld errors beside compressed sensing and CG-SENSE.

::

    python pipelines/mri_cirim_zeroshot.py                              # 3 simulated scans
    python pipelines/mri_cirim_zeroshot.py --scan my.npy                # a real one
    python pipelines/mri_cirim_zeroshot.py --weights my.safetensors --zero-shot.steps 300

Each scan is reconstructed by the weights as they are, by the weights adapted to the scan, and by a
network that was trained on this scan from scratch. The samples on which the error is measured have
made no image and no choice; they are the same for all methods. A rerun computes what is missing.
"""

import logging
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
import tyro

from medconsist.metrics.report import interval
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import load_model
from medconsist.mri.learned.zero_shot import ZeroShot, ZeroShotMethod
from medconsist.mri.methods import CgSense, CompressedSensing, Method
from medconsist.mri.scan_series import Series, write_series
from medconsist.mri.settings import Reconstruction
from medconsist.mri.shown_first import LEARNED_ROLE
from medconsist.mri.task import Job, reconstruct_file
from medconsist.results.bench import BenchRow
from medconsist.results.schema import Result
from medconsist.results.tables import rows_text


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is run.

    Parameters
    ----------
    scan
        A k-space file of any known kind; None simulates ``series``.
    series
        Scans to simulate, undersampled as they are: nothing is learnt from their references.
    weights
        A shipped name or a weights file.
    zero_shot
        How the network adapts.
    seed
        Of the withheld samples and of every draw of the adaptation.
    out
        Scans go to ``out/scans``, results to ``out/results``, one case for each scan and method.
    """

    scan: Path | None = None
    series: Series = field(default_factory=lambda: Series(scans=3, slices=1, size=128))
    weights: str = "cirim"
    zero_shot: ZeroShot = field(default_factory=ZeroShot)
    seed: int = 0
    out: Path = Path("out/mri_cirim_zeroshot")


recipe = Recipe()


def methods(recipe: Recipe) -> Iterator[Method]:
    """Return the methods in the order of the table."""
    model = load_model(recipe.weights)
    yield CgSense()
    yield CompressedSensing()
    yield LearnedMethod(model)
    yield ZeroShotMethod(model, recipe.zero_shot, seed=recipe.seed)
    yield ZeroShotMethod(model.network.config, recipe.zero_shot, seed=recipe.seed)


def run(recipe: Recipe) -> str:
    """Reconstruct every scan by every method; return the table of withheld errors."""
    scans = [recipe.scan] if recipe.scan else write_series(recipe.series, recipe.out / "scans")
    errors: dict[tuple[str, str], list[float]] = defaultdict(list)
    for scan in scans:
        for method in methods(recipe):
            job = Job(
                input=scan,
                out=recipe.out / "results",
                reconstruction=Reconstruction(method=method, comparators=(), seed=recipe.seed),
                study="zero-shot",
                case=f"{scan.stem}-{method.name}",
            )
            result = reconstruct_file(job).stored.result
            for name in ("withheld_error", "withheld_nrmse"):
                errors[method.name, name].append(error_of(result, method, name))
    generator = torch.Generator().manual_seed(recipe.seed)
    rows = []
    for (method_name, name), values in errors.items():
        found = interval(values, unit="scan", generator=generator)
        rows.append(
            BenchRow(
                case=method_name,
                metric=name,
                value=found.mean,
                unit="sigma^2" if name == "withheld_error" else "1",
                n=found.n,
                unit_of_analysis="scan",
                ci_low=found.ci_low,
                ci_high=found.ci_high,
                seed=recipe.seed,
            )
        )
    return rows_text(rows)


def error_of(result: Result, method: Method, name: str) -> float:
    """Return the withheld error of a method, whether it is shown first or second."""
    shown = result.trust.settings.get("shown_first", method.name)
    key = name if shown == method.name else f"{name}_{LEARNED_ROLE}"
    return next(score.value for score in result.trust.scores if score.name == key)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    sys.stdout.write(run(tyro.cli(Recipe, default=recipe)) + "\n")
