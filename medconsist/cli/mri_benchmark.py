"""``medconsist mri benchmark``: the comparison of the CIRIM paper, in one command."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from medconsist.cli.options import Common

__all__ = ["Benchmark"]

_FIGURES = "figures"


@dataclass(frozen=True, kw_only=True)
class Benchmark(Common):
    """Train networks for the same time each, judge them in every shift, and write the table.

    Networks (cirim, rim, irim, varnet, unet, cascadenet, kikinet, lpdnet and forms of them) are
    trained on simulated T1w scans and stand beside zero-filled, CG-SENSE and compressed sensing: at
    accelerations of training and beyond, in other contrasts, coil numbers, noise, patterns and with
    wrong coil maps. Each network is trained once: what is said is said of these weights. An hour
    and a half on 2 cores; a run that was killed goes on in its --out.
    """

    out: Path
    """Folder of the table (0.6 GB): benchmark.json, figures/*.svg, trainings, what is finished."""
    data: Annotated[Path | None, arg(metavar="MANIFEST")] = None
    """Case manifest of fully sampled k-space files, split by patient, in place of the simulator."""
    minutes: float = 10.0
    """Training time of each network, in minutes of one core."""
    networks: tuple[str, ...] = ()
    """Names of networks; by default all."""
    size: int = 128
    """Rows and columns, a multiple of 32."""
    scans: int = 24
    """Test scans of each cell."""
    workers: int = 2
    """Processes, of one thread each."""

    def run(self) -> int:
        """Run the benchmark, or go on with it, and print its tables."""
        self.set_up()
        from medconsist._atomic import atomic_write_bytes, make_folder
        from medconsist.cli.benches.mri_benchmark_figure import figure
        from medconsist.mri.benchmark.design import Design
        from medconsist.mri.benchmark.entrants import ENTRANTS
        from medconsist.mri.benchmark.run import run_benchmark
        from medconsist.mri.benchmark.summary import summary_text
        from medconsist.results.tables import targets_text

        design = Design(
            minutes=self.minutes,
            networks=self.networks or tuple(ENTRANTS),
            size=self.size,
            scans=self.scans,
            seed=self.seed,
        )
        done = run_benchmark(self.out, design, data=self.data, workers=self.workers)
        report, figures = done.report, self.out / _FIGURES
        make_folder(figures)
        paths = [figures / f"{panel.file}.svg" for panel in done.panels]
        for path, panel in zip(paths, done.panels, strict=True):
            atomic_write_bytes(path, figure(panel).encode())
        if self.json:
            sys.stdout.write(report.to_json() + "\n")
        else:
            said = f"{summary_text(report.rows)}\n\n{targets_text(report.targets)}\n"
            sys.stdout.write(said.lstrip())
            sys.stdout.write("".join(f"{path}\n" for path in paths))
        return 0
