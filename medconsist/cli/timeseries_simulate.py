"""``medconsist ts simulate``: recordings of a simulator, of no patient, with a manifest."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medconsist.cli.options import Common
from medconsist.cli.timeseries_prepare import whole_samples

__all__ = ["Simulate"]


@dataclass(frozen=True, kw_only=True)
class Simulate(Common):
    """Write recordings of a simulator (HDF5) and their manifest, to try the program on.

    The class shows less than who it is, as with patients. In the world shared all windows of a
    patient carry it, in by_trial those of some recordings, in by_window some windows of each.
    """

    out: Path
    """Folder for the files."""
    modality: Literal["ecg", "eeg"] = "eeg"
    """What is recorded."""
    patients: int = 16
    """Half of them cases."""
    trials: int = 8
    """Recordings of each."""
    seconds: float = 4.0
    """Length of a recording."""
    rate: float = 128.0
    """Samples a second."""
    world: Literal["shared", "by_trial", "by_window"] = "shared"
    """Who shares the class effect."""

    def run(self) -> int:
        """Write, and print the manifest."""
        self.set_up()
        import torch

        from medconsist.timeseries.simulated.cohort import simulate_cohort
        from medconsist.timeseries.simulated.files import write_cohort
        from medconsist.timeseries.simulated.recipe import CohortRecipe

        recipe = CohortRecipe(
            modality=self.modality,
            patients=self.patients,
            trials=self.trials,
            samples=whole_samples(self.rate * self.seconds, what="--rate times --seconds", least=1),
            rate=self.rate,
            world=self.world,
        )
        cohort = simulate_cohort(recipe, generator=torch.Generator().manual_seed(self.seed))
        path = write_cohort(cohort, self.out)
        sys.stdout.write((json.dumps({"path": str(path)}) if self.json else str(path)) + "\n")
        return 0
