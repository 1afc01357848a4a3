"""MRI's share of ``medconsist demo``: a generated head, three methods, the evidence."""

from pathlib import Path

from medconsist.mri.methods import CompressedSensing
from medconsist.mri.scan_series import Series, write_series
from medconsist.mri.settings import Reconstruction
from medconsist.mri.task import Job, Outcome, reconstruct_file

__all__ = ["run_demo"]

STUDY = "demo"


def run_demo(out: Path, *, device: str, seed: int) -> Outcome:
    """Simulate one scan and reconstruct it.

    Parameters
    ----------
    out
        Scans go to ``out/scans``, results to ``out/results``.
    device, seed
        As in every command.
    """
    (scan,) = write_series(Series(seed=seed), out / "scans")
    job = Job(
        input=scan,
        out=out / "results",
        reconstruction=Reconstruction(method=CompressedSensing(), seed=seed),
        study=STUDY,
        case="generated-head",
        device=device,
    )
    return reconstruct_file(job)
