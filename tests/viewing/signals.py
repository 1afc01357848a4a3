"""A real result of simulated recordings for the page, made by the job itself."""

from pathlib import Path

from medconsist.results.store import StoredResult
from medconsist.timeseries.predict import SignalJob, predict_patient
from medconsist.timeseries.trained import fit_probe
from tests.timeseries.small_signals import (
    new_recording,
    small_cohort,
    small_comet,
    small_data,
    write_wfdb,
)


def predict_signals(folder: Path) -> StoredResult:
    """Predict a patient of the simulator under ``folder / "results"``.

    Few patients calibrate the model, so that it can assess nobody.
    """
    data = small_data(small_cohort(patients=8))
    model = fit_probe(small_comet(), data, folder / "model", name="comet")
    paths = [write_wfdb(new_recording(seed=s), folder / "in", f"r{s}") for s in (50, 51)]
    job = SignalJob(out=folder / "results", paths=tuple(paths), card=model.card, patient="p-3")
    return predict_patient(job, model).stored
