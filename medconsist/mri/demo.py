"""MRI's share of ``medconsist demo``: a generated head, four methods, the evidence."""

from pathlib import Path

from medconsist.mri.learned.choice import Choice
from medconsist.mri.scan_series import Series, write_series
from medconsist.mri.settings import Reconstruction
from medconsist.mri.task import Job, reconstruct_file
from medconsist.results.cases import Outcome

__all__ = ["run_demo"]

STUDY = "demo"


def run_demo(out: Path, *, device: str, seed: int, weights: str | None = None) -> Outcome:
    """Simulate one scan and reconstruct it by a network, beside the methods without one.

    The network is judged against compressed sensing on withheld samples; the better one of the
    two is shown first.

    Parameters
    ----------
    out
        Scans go to ``out/scans``, results to ``out/results``.
    device, seed
        As in every command.
    weights
        See `Choice`; None takes the shipped CIRIM.
    """
    (scan,) = write_series(Series(seed=seed), out / "scans")
    job = Job(
        input=scan,
        out=out / "results",
        reconstruction=Reconstruction(method=Choice(weights=weights).method(), seed=seed),
        study=STUDY,
        case="generated-head",
        device=device,
    )
    return reconstruct_file(job)
