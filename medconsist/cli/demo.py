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
    """Simulate a head, slides and signals, reconstruct, embed, learn, predict, say how to look."""

    out: Path = Path("demo")
    """Folder for the scans, slides and results."""

    def run(self) -> int:
        """Run the demonstration of every domain."""
        self.set_up()
        require("lightning.pytorch", extra="train")  # before minutes of the other parts
        from medconsist.mri import demo as mri
        from medconsist.mri import report as mri_report
        from medconsist.timeseries import demo as ts
        from medconsist.wsi import demo as wsi
        from medconsist.wsi import report as wsi_report
        from medconsist.wsi.mil import demo as mil

        scan = mri.run_demo(self.out, device=self.device, seed=self.seed)
        slides = wsi.run_demo(self.out, device=self.device, seed=self.seed)
        model = mil.run_demo(self.out, device=self.device, seed=self.seed)
        signals = ts.run_demo(self.out, device=self.device, seed=self.seed)
        page = _ecg(self.out, seed=self.seed)
        if self.json:
            parts = {
                "mri": mri_report.as_json(scan),
                "wsi": wsi_report.as_json(slides),
                "mil": model.as_json(),
                "ts": {**signals.as_json(), "ecg": str(page)},
            }
            sys.stdout.write(json.dumps(parts) + "\n")
        else:
            view = shlex.join([_program(), "view", "--results", str(self.out / "results")])
            texts = [mri_report.as_text(scan), wsi_report.as_text(slides), model.text, signals.text]
            said = "\n\n".join(texts) + f"\nAn ECG of the simulator, 25 mm/s and 10 mm/mV: {page}"
            sys.stdout.write(f"{said}\n\nLook at it:\n  {view}\n")
        parts_done = slides.exit_code, model.predicted.exit_code, signals.predicted.exit_code
        return max(parts_done)


def _ecg(out: Path, *, seed: int) -> Path:
    """Write a page of 12 leads to true scale, and return its path."""
    from medconsist._atomic import atomic_write_bytes
    from medconsist.timeseries.simulated.ecg import EcgRecipe, simulate_ecg
    from medconsist.training.draws import generator_for
    from medconsist.viewing.ecg_paper import ecg_paper

    path = out / "signals" / "ecg.svg"
    recording = simulate_ecg(EcgRecipe(), generator=generator_for(seed))
    atomic_write_bytes(path, ecg_paper(recording, title="simulated ECG").encode())
    return path


def _program() -> str:
    """Return how a shell finds this program: by name, else (in a .venv of make) by its path."""
    if shutil.which("medconsist"):
        return "medconsist"
    beside = Path(sys.executable).with_name("medconsist")
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)
