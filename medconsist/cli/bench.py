"""``medconsist bench``: figures beside a baseline, as one JSON object."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from medconsist.cli.options import Common
from medconsist.errors import RefusedInputError

if TYPE_CHECKING:
    from medconsist.results.bench import BenchReport

__all__ = ["Bench"]

Name = Literal[
    "mri",
    "cirim",
    "cirim-speed",
    "mri-coverage",
    "mri-adapt",
    "mri-noise",
    "zero-shot",
    "spiked",
    "consistency",
    "tiles",
    "tissue",
    "batch",
    "implants",
    "mil",
    "musk",
    "mil-step",
    "ts",
    "ts-worlds",
    "ts-smni",
    "alarm",
    "alarm-faults",
    "viewer",
]

_DRAWN = (
    "cirim",
    "mri-adapt",
    "mri-noise",
    "zero-shot",
    "mil",
    "musk",
    "ts-worlds",
    "alarm-faults",
)


@dataclass(frozen=True, kw_only=True)
class Bench(Common):
    """Compare with a baseline in one run and report ratios; progress goes to stderr."""

    name: Annotated[Positional[Name], arg(metavar="NAME")]
    """Which bench: mri (about 3 minutes on 2 cores), cirim (10), cirim-speed (5),
    mri-coverage (12), mri-adapt (15), mri-noise (6), zero-shot (6 a draw), spiked (12),
    consistency (1), tiles (2), tissue (4), batch (3), implants (6), mil (35), musk (9),
    mil-step (6), ts (2), ts-worlds (20), ts-smni (65), alarm (6), alarm-faults
    (4) or viewer (6)."""
    data: Path | None = None
    """For mri, cirim, zero-shot, tiles, implants, musk and ts-smni, folder of real data; by default
    MEDCONSIST_TEST_DATA. Without it, fewer rows; zero-shot, implants, musk and ts-smni have
    none."""
    draws: int | None = None
    """For cirim, test scans of each cell; 30 by default. For zero-shot, draws of withheld samples;
    1 by default. For mri-adapt, scans of each setting; 25 by default. For mri-noise, test heads; 24
    by default. For mil and ts-worlds, simulated datasets; 10 by default. For musk, repeats of its
    folds; 10 by default. For alarm-faults, cases of each kind; by default 8 to 100."""
    seeds: int | None = None
    """For mil, trainings of each method on each dataset in tables a and b; 3 by default."""
    folder: Path | None = None
    """For mri-noise and ts-smni, where trainings are kept, so that a table that was killed goes on;
    by default nowhere."""
    figure: Path | None = None
    """For alarm, where its figure goes (.svg); by default none is written."""

    def run(self) -> int:
        """Run the bench and print its report."""
        self.set_up()
        from medconsist.results.tables import rows_text, targets_text

        report = self._report()
        if self.json:
            sys.stdout.write(report.to_json() + "\n")
        else:
            sys.stdout.write(rows_text(report.rows) + "\n\n" + targets_text(report.targets) + "\n")
        return 0

    def _report(self) -> "BenchReport":
        if self.name not in _DRAWN:
            self._refuse("draws", self.draws)
        if self.name != "mil":
            self._refuse("seeds", self.seeds)
        if self.name != "alarm":
            self._refuse("figure", self.figure)
        if self.name not in ("mri-noise", "ts-smni"):
            self._refuse("folder", self.folder)
        if self.name not in ("mri", "cirim", "zero-shot", "tiles", "implants", "musk", "ts-smni"):
            self._refuse("data", self.data)
        draws = {} if self.draws is None else {"draws": self.draws}
        seeds = {} if self.seeds is None else {"seeds": self.seeds}
        match self.name:
            case "mri":
                from medconsist.mri.bench import run_bench as run_mri

                return run_mri(data=self.data, seed=self.seed)
            case "cirim":
                from medconsist.mri.bench.learned.run import run_bench as run_cirim

                return run_cirim(data=self.data, seed=self.seed, **draws)
            case "cirim-speed":
                from medconsist.mri.bench.speed import run_bench as run_speed

                return run_speed(seed=self.seed)
            case "mri-coverage":
                from medconsist.mri.bench.coverage import run_bench as run_coverage

                return run_coverage(seed=self.seed)
            case "mri-adapt":
                from medconsist.mri.bench.adaptation import run_bench as run_adaptation

                return run_adaptation(seed=self.seed, **draws)
            case "mri-noise":
                from medconsist.mri.bench.noise import run_bench as run_noise

                return run_noise(seed=self.seed, draws=self.draws, folder=self.folder)
            case "zero-shot":
                from medconsist.mri.bench.real_learned import run_bench as run_zero_shot

                return run_zero_shot(data=self.data, seed=self.seed, **draws)
            case "spiked":
                from medconsist.mri.bench.spiked import run_bench as run_spiked

                return run_spiked(seed=self.seed)
            case "consistency":
                from medconsist.cli.benches.consistency import run_bench as run_consistency

                return run_consistency(seed=self.seed)
            case "tiles":
                from medconsist.wsi.bench.tiles import run_bench as run_tiles

                return run_tiles(data=self.data, seed=self.seed)
            case "tissue":
                from medconsist.wsi.bench.tissue import run_bench as run_tissue

                return run_tissue()
            case "batch":
                from medconsist.cli.benches.batch import run_bench as run_batch

                return run_batch()
            case "mil":
                from medconsist.wsi.bench.mil import Sizes as MilSizes
                from medconsist.wsi.bench.mil import run_bench as run_mil

                return run_mil(sizes=MilSizes.of_seed(self.seed, **draws, **seeds))
            case "musk":
                from medconsist.wsi.bench.mil_musk import run_bench as run_musk

                return run_musk(data=self.data, seed=self.seed, draws=self.draws)
            case "mil-step":
                from medconsist.wsi.bench.mil_step import run_bench as run_mil_step

                return run_mil_step(seed=self.seed)
            case "ts":
                from medconsist.timeseries.bench.ts import run_bench as run_ts

                return run_ts(seed=self.seed)
            case "ts-worlds":
                from medconsist.timeseries.bench.worlds import Sizes as WorldSizes
                from medconsist.timeseries.bench.worlds import run_bench as run_worlds

                return run_worlds(sizes=WorldSizes.of_seed(self.seed, **draws))
            case "ts-smni":
                from medconsist.timeseries.bench.smni import run_bench as run_smni

                return run_smni(data=self.data, seed=self.seed, folder=self.folder)
            case "viewer":
                from medconsist.viewing.bench.viewer import run_bench as run_viewer

                return run_viewer(seed=self.seed)
            case "alarm-faults":
                from medconsist.viewing.bench.alarm_faults import run_bench as run_faults

                return run_faults(seed=self.seed, draws=self.draws)
            case "alarm":
                from medconsist.cli.benches.alarm import run_bench as run_alarm

                return run_alarm(seed=self.seed, figure_path=self.figure)
            case "implants":
                from medconsist.wsi.bench.implants import Sizes
                from medconsist.wsi.bench.implants import run_bench as run_implants

                return run_implants(data=self.data, sizes=Sizes(seed=self.seed))

    def _refuse(self, flag: str, value: object) -> None:
        if value is not None:
            msg = f"bench {self.name} takes no --{flag}, got {value}; leave it out."
            raise RefusedInputError(msg)
