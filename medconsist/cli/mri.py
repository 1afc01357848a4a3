"""``medconsist mri``: simulate, reconstruct, evaluate, calibrate, train."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg, subcommand

from medconsist.cli.mri_benchmark import Benchmark
from medconsist.cli.mri_calibrate import Calibrate
from medconsist.cli.mri_export import ExportImage
from medconsist.cli.mri_reconstruct import Reconstruct
from medconsist.cli.mri_train import ImportWeights, Train
from medconsist.cli.options import Common

__all__ = ["Evaluate", "Mri", "Simulate"]


@dataclass(frozen=True, kw_only=True)
class Simulate(Common):
    """Make scans of the simulator: a generated head (no file needed), coils, noise, lesions."""

    out: Path
    """Folder for the files scan-000.h5, scan-001.h5, ..."""
    scans: int = 1
    """How many scans; anatomy, coils and noise differ."""
    contrast: Literal["T1w", "T2w", "FLAIR"] = "FLAIR"
    """Contrast to simulate."""
    slices: int = 3
    """Slices per scan."""
    size: int = 192
    """Rows and columns of the reconstruction grid; the object lives on a grid twice as fine."""
    coils: int = 8
    """Receive coils."""
    acceleration: float = 6.0
    """Asked acceleration; 1 is fully sampled."""
    lesions: int = 4
    """MS-like lesions per scan."""
    tissue: Path | None = None
    """Tissue maps in JEMRIS layout (.h5) instead of the generated head."""

    def run(self) -> int:
        """Simulate and print one path a line."""
        self.set_up()
        from medconsist.mri.scan_series import Series, write_series

        series = Series(
            scans=self.scans,
            contrast=self.contrast,
            slices=self.slices,
            size=self.size,
            coils=self.coils,
            lesions=self.lesions,
            acceleration=self.acceleration,
            tissue=self.tissue,
            seed=self.seed,
        )
        paths = [str(path) for path in write_series(series, self.out)]
        sys.stdout.write((json.dumps(paths) if self.json else "\n".join(paths)) + "\n")
        return 0


@dataclass(frozen=True, kw_only=True)
class Evaluate(Common):
    """Compare the current result of each case with its reference: SSIM, PSNR, NMSE as in fastMRI.

    Cases without a reference are left out. The unit of analysis is the scan; intervals are 95 %
    bootstrap intervals over scans.
    """

    results: Annotated[Positional[Path], arg(metavar="RESULTS")]
    """Folder of results, as given to --out of reconstruct."""
    study: str = "mri"
    """Study to evaluate."""

    def run(self) -> int:
        """Print the table."""
        self.set_up()
        from medconsist.mri.evaluation import evaluate_study
        from medconsist.results.tables import rows_text

        rows = evaluate_study(self.results, self.study, seed=self.seed)
        text = json.dumps([row.model_dump() for row in rows]) if self.json else rows_text(rows)
        sys.stdout.write(f"{text}\n")
        return 0


@dataclass(frozen=True)
class Mri:
    """MRI: simulate, reconstruct, evaluate, calibrate, train."""

    verb: (
        Annotated[Reconstruct, subcommand("reconstruct", prefix_name=False)]
        | Annotated[Simulate, subcommand("simulate", prefix_name=False)]
        | Annotated[Evaluate, subcommand("evaluate", prefix_name=False)]
        | Annotated[Calibrate, subcommand("calibrate", prefix_name=False)]
        | Annotated[ExportImage, subcommand("export", prefix_name=False)]
        | Annotated[Train, subcommand("train", prefix_name=False)]
        | Annotated[Benchmark, subcommand("benchmark", prefix_name=False)]
        | Annotated[ImportWeights, subcommand("import-weights", prefix_name=False)]
    )

    def run(self) -> int:
        """Run the verb."""
        return self.verb.run()
