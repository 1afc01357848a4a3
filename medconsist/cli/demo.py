"""``medconsist demo``: the main job on embedded data."""

import sys
from dataclasses import dataclass
from pathlib import Path

from medconsist.cli.options import Common

__all__ = ["Demo"]


@dataclass(frozen=True, kw_only=True)
class Demo(Common):
    """Simulate a head, reconstruct it by three methods, judge it, and say how to look at it."""

    out: Path = Path("demo")
    """Folder for the scans and results."""

    def run(self) -> int:
        """Run the demonstration of every domain that is installed."""
        self.set_up()
        from medconsist.mri.demo import run_demo

        sys.stdout.write(run_demo(self.out, device=self.device, seed=self.seed) + "\n")
        sys.stdout.write(f"\nLook at it:\n  medconsist view --results {self.out / 'results'}\n")
        return 0
