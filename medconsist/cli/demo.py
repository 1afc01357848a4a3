"""``medconsist demo``: the main job on embedded data."""

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from medconsist._extras import require
from medconsist.cli.options import Computing

__all__ = ["Demo"]


@dataclass(frozen=True, kw_only=True)
class Demo(Computing):
    """Simulate a head and slides, reconstruct, embed, learn and predict, and say how to look."""

    out: Path = Path("demo")
    """Folder for the scans, slides and results."""

    def run(self) -> int:
        """Run the demonstration of every domain."""
        self.set_up()
        require("lightning.pytorch", extra="train")  # before minutes of the other parts
        from medconsist.mri import demo as mri
        from medconsist.mri import report as mri_report
        from medconsist.wsi import demo as wsi
        from medconsist.wsi import report as wsi_report
        from medconsist.wsi.mil import demo as mil

        scan = mri.run_demo(self.out, device=self.device, seed=self.seed)
        slides = wsi.run_demo(self.out, device=self.device, seed=self.seed)
        model = mil.run_demo(self.out, device=self.device, seed=self.seed)
        if self.json:
            parts = {
                "mri": mri_report.as_json(scan),
                "wsi": wsi_report.as_json(slides),
                "mil": model.as_json(),
            }
            sys.stdout.write(json.dumps(parts) + "\n")
        else:
            view = shlex.join([_program(), "view", "--results", str(self.out / "results")])
            texts = [mri_report.as_text(scan), wsi_report.as_text(slides), model.text]
            said = "\n\n".join(texts)
            sys.stdout.write(f"{said}\n\nLook at it:\n  {view}\n")
        return max(slides.exit_code, model.predicted.exit_code)


def _program() -> str:
    """Return how a shell finds this program: by name, else (in a .venv of make) by its path."""
    if shutil.which("medconsist"):
        return "medconsist"
    beside = Path(sys.executable).with_name("medconsist")
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)
