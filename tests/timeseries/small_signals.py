"""A small simulated cohort, a small untrained encoder, and files as a clinic has them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from medconsist.timeseries.preparation import Preparation
from medconsist.timeseries.prepare_config import PrepareConfig
from medconsist.timeseries.pretext import Pretext, PretextSize
from medconsist.timeseries.pretexts import make_pretext
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
from medconsist.timeseries.signal_model import SignalData
from medconsist.timeseries.simulated.cohort import SimulatedCohort, simulate_cohort
from medconsist.timeseries.simulated.recipe import CohortRecipe
from medconsist.timeseries.simulated.truth import Effects
from tests.timeseries.readers.writers import quiet, wfdb

RATE, SAMPLES = 100.0, 100
LEADS = ("I", "II", "V2")
SETTINGS = PrepareConfig(
    rate=RATE, samples=SAMPLES, classes=("control", "case"), channels=LEADS, normalise="none"
)


def small_cohort(*, seed: int = 0, patients: int = 36, trials: int = 3) -> SimulatedCohort:
    """Patients of this simulator, whose classes are far apart."""
    recipe = CohortRecipe(
        modality="ecg",
        patients=patients,
        trials=trials,
        windows=4,
        samples=SAMPLES,
        rate=RATE,
        channels=LEADS,
        effects=Effects(shift=4.0, subject=0.2, session=0.1, component=0.3, window=0.1),
    )
    return simulate_cohort(recipe, generator=torch.Generator().manual_seed(seed))


def small_data(cohort: SimulatedCohort, *, calibration: int = 0) -> SignalData:
    """Half of the patients train; the others validate, of which some calibrate."""
    windows, count = cohort.windows, cohort.recipe.patients
    preparation = Preparation.of_windows(windows, SETTINGS)
    last = np.arange(count - calibration, count)
    return SignalData(
        train=windows.of_patients(np.arange(count // 2)),
        validation=windows.of_patients(np.arange(count // 2, count - calibration)),
        calibration=windows.of_patients(last) if calibration else None,
        preparation=preparation,
        study="simulated ECG",
        notes=("Patients of a simulator.",),
    )


def small_comet(seed: int = 0) -> Pretext:
    """An untrained encoder: random features tell these classes apart."""
    size = PretextSize(channels=len(LEADS), samples=SAMPLES, rate=RATE)
    options = {"hidden": 8, "dim": 16, "depth": 3}
    generator = torch.Generator().manual_seed(seed)
    return make_pretext("comet", size, generator=generator, options=options).eval()


def new_recording(*, case: bool = True, seed: int = 50, patient: str = "new") -> InMemoryRecording:
    """A recording of a patient who is in no cohort of the tests."""
    cohort = small_cohort(seed=seed, patients=6, trials=1)
    label = cohort.windows.table.patient_labels
    number = int(np.flatnonzero(label == int(case))[0])
    found = cohort.recordings()[number]
    return InMemoryRecording(
        replace(found.info, patient=patient, trial="t", notes=(), diagnoses=()), found.read()
    )


def changed(recording: InMemoryRecording, signal: np.ndarray, **facts: object) -> InMemoryRecording:
    """The same recording with other samples, or other facts."""
    info: RecordingInfo = replace(recording.info, samples=len(signal), **facts)  # type: ignore[arg-type]
    return InMemoryRecording(info, signal.astype(np.float32))


def write_wfdb(recording: InMemoryRecording, folder: Path, name: str) -> Path:
    """Write header and samples in 16 bits, and return the path of the header."""
    info = recording.info
    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        wfdb.wrsamp(
            name,
            fs=info.rate,
            units=[str(unit) for unit in info.units],
            sig_name=list(info.channels),
            p_signal=recording.read().astype(np.float64),
            fmt=["16"] * len(info.channels),
            write_dir=str(folder),
        )
    return folder / f"{name}.hea"
