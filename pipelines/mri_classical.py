"""Classical reconstruction of scans of the simulator: zero-filled, CG-SENSE, compressed sensing.

::

    python pipelines/mri_classical.py                                   # 12 scans, about 2 minutes
    python pipelines/mri_classical.py --series.scans 3 --method.lambda- 0.01

Every scan becomes a result folder (a rerun computes only what is missing); the table at the end is
that of ``medconsist mri evaluate``.
"""

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from medconsist.mri.evaluation import evaluate_study
from medconsist.mri.methods import CompressedSensing
from medconsist.mri.scan_series import Series, write_series
from medconsist.mri.settings import Reconstruction
from medconsist.mri.task import Job, reconstruct_file
from medconsist.results.tables import rows_text


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is run.

    Parameters
    ----------
    series
        Scans to simulate.
    method
        Shown as the reconstruction, beside zero-filled and CG-SENSE with their defaults.
    out
        Scans go to ``out/scans``, results to ``out/results``.
    """

    series: Series = field(default_factory=lambda: Series(scans=12, slices=1, size=128))
    method: CompressedSensing = field(default_factory=CompressedSensing)
    out: Path = Path("out/mri_classical")


recipe = Recipe()


def run(recipe: Recipe) -> str:
    """Simulate, reconstruct and evaluate; return the table."""
    settings = Reconstruction(method=recipe.method, seed=recipe.series.seed)
    for scan in write_series(recipe.series, recipe.out / "scans"):
        job = Job(input=scan, out=recipe.out / "results", reconstruction=settings, case=scan.stem)
        reconstruct_file(job)
    return rows_text(evaluate_study(recipe.out / "results", "mri", seed=recipe.series.seed))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    sys.stdout.write(run(tyro.cli(Recipe, default=recipe)) + "\n")
