"""``medconsist demo``: the main job on embedded data."""

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from medconsist.cli.options import Computing

__all__ = ["Demo"]


@dataclass(frozen=True, kw_only=True)
class Demo(Computing):
    """Simulate a head, reconstruct it with and without a network, judge it, and say how to look."""

    out: Path = Path("demo")
    """Folder for the scans and results."""

    def run(self) -> int:
        """Run the demonstration of every domain that is installed."""
        self.set_up()
        from medconsist.mri.demo import run_demo
        from medconsist.mri.report import as_json, as_text

        outcome = run_demo(self.out, device=self.device, seed=self.seed)
        if self.json:
            sys.stdout.write(json.dumps(as_json(outcome)) + "\n")
        else:
            view = shlex.join([_program(), "view", "--results", str(self.out / "results")])
            sys.stdout.write(f"{as_text(outcome)}\n\nLook at it:\n  {view}\n")
        return 0


def _program() -> str:
    """Return how a shell finds this program: by name, else (in a .venv of make) by its path."""
    if shutil.which("medconsist"):
        return "medconsist"
    beside = Path(sys.executable).with_name("medconsist")
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)
