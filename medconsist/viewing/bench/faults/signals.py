"""Simulated hearts in files, read and predicted as recordings of patients are."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from medconsist.results.schema import Result
from medconsist.timeseries.normalise import z_scores
from medconsist.timeseries.predict import SignalJob, predict_patient
from medconsist.timeseries.preparation import Preparation
from medconsist.timeseries.prepare_config import PrepareConfig
from medconsist.timeseries.pretext import PretextSize
from medconsist.timeseries.pretexts import make_pretext
from medconsist.timeseries.readers.choice import open_recording
from medconsist.timeseries.readers.hdf5_file import write_hdf5
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.recording import InMemoryRecording
from medconsist.timeseries.signal_model import SignalData, SignalModel, load_signal_model
from medconsist.timeseries.simulated.cohort import SimulatedCohort, simulate_cohort
from medconsist.timeseries.simulated.ecg import EcgRecipe, simulate_ecg
from medconsist.timeseries.simulated.faults import device_noise, swap_electrodes
from medconsist.timeseries.simulated.leads import LEADS
from medconsist.timeseries.simulated.recipe import CLASSES, CohortRecipe
from medconsist.timeseries.simulated.truth import Effects
from medconsist.timeseries.trained import fit_probe
from medconsist.timeseries.window_set import WindowSet
from medconsist.viewing.bench.faults.entry import Entry, Spot, raised_by

__all__ = ["SIGNALS"]

_RATE, _SAMPLES, _WINDOWS = 128.0, 128, 4
_MODEL_LEADS = ("I", "II", "V1", "V2", "V5", "V6")
_TRAIN, _VALIDATION, _CALIBRATION = 50, 30, 80
_DEVICE_MV = 0.1
_SWAP_WORDS = "arm may be swapped"
_SETTINGS = PrepareConfig(rate=_RATE, samples=_SAMPLES, classes=CLASSES, channels=_MODEL_LEADS)
Fault = Literal["none", "swap", "device"]


def _recipe(patients: int, channels: tuple[str, ...]) -> CohortRecipe:
    # classes far apart and hearts alike: what cannot be assessed is then the fault's doing
    effects = Effects(shift=4.0, subject=0.5, session=0.2, component=0.3, window=0.1)
    return CohortRecipe(
        modality="ecg",
        patients=patients,
        trials=2,
        windows=_WINDOWS,
        samples=_SAMPLES,
        rate=_RATE,
        channels=channels,
        effects=effects,
    )


@cache
def _cohort() -> SimulatedCohort:
    """Return all patients of the model; the first of them train it."""
    recipe = _recipe(_TRAIN + _VALIDATION + _CALIBRATION, _MODEL_LEADS)
    return simulate_cohort(recipe, generator=torch.Generator().manual_seed(0))


def _write_model(folder: Path) -> None:
    """Fit a probe to an encoder of random weights, on z-scores of simulated patients."""
    cohort, numbers = _cohort(), np.cumsum([0, _TRAIN, _VALIDATION, _CALIBRATION])
    windows = _scaled(cohort.windows)
    parts = [windows.of_patients(np.arange(a, b)) for a, b in pairwise(numbers)]
    size = PretextSize(channels=len(_MODEL_LEADS), samples=_SAMPLES, rate=_RATE)
    encoder = make_pretext(
        "comet",
        size,
        generator=torch.Generator().manual_seed(0),
        options={"hidden": 8, "dim": 16, "depth": 3},
    )
    data = SignalData(
        train=parts[0],
        validation=parts[1],
        calibration=parts[2],
        preparation=Preparation.of_windows(windows, _SETTINGS),
        study="hearts of this simulator",
    )
    fit_probe(encoder.eval(), data, folder / "model", name="comet")


def _scaled(windows: WindowSet) -> WindowSet:
    """Return windows as their preparation scales them: each lead of a recording by itself."""
    shape = windows.signals.shape
    whole = windows.signals.reshape(-1, _WINDOWS * _SAMPLES, shape[-1])
    scaled = z_scores(whole).signals.reshape(shape)
    units = (None,) * shape[-1]
    return WindowSet(
        scaled, windows.table, rate=windows.rate, channels=windows.channels, units=units
    )


@cache
def _model(folder: Path) -> SignalModel:
    return load_signal_model(folder / "_write_model" / "model")


def _recordings(spot: Spot, fault: Fault = "none") -> list[InMemoryRecording]:
    """Return the two recordings of a patient, of all twelve leads."""
    cohort = simulate_cohort(_recipe(2, LEADS), generator=spot.generator)
    found = []
    for number, one in enumerate(cohort.recordings()[: cohort.recipe.trials]):
        signal = one.read()
        if fault == "swap":
            signal = swap_electrodes(signal, channels=LEADS, first="RA", second="LA")
        if fault == "device":
            generator = torch.Generator().manual_seed(spot.seed + number)
            signal = device_noise(signal, deviation=_DEVICE_MV, generator=generator)
        found.append(InMemoryRecording(one.info, signal.astype(np.float32)))
    return found


def _predicted(spot: Spot, paths: list[Path], patient: str, rate: float | None = None) -> Result:
    model = _model(spot.shared)
    job = SignalJob(
        out=spot.room / "results",
        paths=tuple(paths),
        card=model.card,
        patient=patient,
        options=ReadOptions(rate=rate),
    )
    return predict_patient(job, model).stored.result


def _written(spot: Spot, recordings: list[InMemoryRecording]) -> list[Path]:
    paths = []
    for number, one in enumerate(recordings):
        paths.append(spot.room / f"recording-{number}.h5")
        write_hdf5(one, paths[-1])
    return paths


def _of_patient(spot: Spot, *, fault: Fault = "none") -> Result:
    paths = _written(spot, _recordings(spot, fault))
    return _predicted(spot, paths, f"new-{spot.seed}")


def _of_training(spot: Spot, *, is_renamed: bool) -> Result:
    """Return a result of the very recordings of a patient of the training."""
    cohort = _cohort()
    number = int(spot.rng.integers(_TRAIN))
    name = cohort.windows.table.patients[number]
    trials = cohort.recipe.trials
    mine = list(cohort.recordings()[number * trials : (number + 1) * trials])
    return _predicted(spot, _written(spot, mine), f"new-{spot.seed}" if is_renamed else name)


@dataclass(frozen=True)
class _Read:
    """What a reader notes of a recording."""

    notes: tuple[str, ...]


def _heart(spot: Spot, *, spread: float, is_swapped: bool) -> _Read:
    """Return what the reader says of ten seconds of twelve leads."""
    one = simulate_ecg(EcgRecipe(spread=spread), generator=spot.generator)
    signal = one.read()
    if is_swapped:
        signal = swap_electrodes(signal, channels=LEADS, first="RA", second="LA")
    path = spot.room / "recording.h5"
    write_hdf5(InMemoryRecording(one.info, signal.astype(np.float32)), path)
    return _Read(open_recording(path).info.notes)


def _says_swapped(read: _Read) -> bool:
    return any(_SWAP_WORDS in note for note in read.notes)


def _of_units(
    spot: Spot, *, layout: Literal["hdf5", "csv"], units: tuple[str | None, ...], scale: float = 1.0
) -> Result:
    """Return a result of recordings that say these units of their leads."""
    changed = [
        InMemoryRecording(replace(one.info, units=units), scale * one.read())
        for one in _recordings(spot)
    ]
    if layout == "hdf5":
        return _predicted(spot, _written(spot, changed), f"new-{spot.seed}")
    paths = []
    for number, one in enumerate(changed):
        paths.append(spot.room / f"recording-{number}.csv")
        heads = [
            name if unit is None else f"{name} [{unit}]"
            for name, unit in zip(LEADS, units, strict=True)
        ]
        np.savetxt(paths[-1], one.read(), delimiter=",", header=",".join(heads), comments="")
    return _predicted(spot, paths, f"new-{spot.seed}", rate=_RATE)


_MV: tuple[str | None, ...] = ("mV",) * len(LEADS)
_NONE: tuple[str | None, ...] = (None,) * len(LEADS)


def _entry(alarm: str, n: int, **make: Any) -> Entry:  # noqa: ANN401  functions of a spot
    return Entry(
        unit="simulated patient", n=n, make=make, raised=raised_by(alarm), needs=(_write_model,)
    )


SIGNALS: Mapping[str, Entry] = {
    "cannot_assess": _entry(
        "cannot_assess",
        20,
        alike=_of_patient,
        swap=partial(_of_patient, fault="swap"),
        device=partial(_of_patient, fault="device"),
    ),
    "own_patient": _entry(
        "own_patient",
        12,
        new=_of_patient,
        trained=partial(_of_training, is_renamed=False),
        renamed=partial(_of_training, is_renamed=True),
    ),
    "swapped_arms": Entry(
        unit="simulated recording",
        n=100,
        make={
            "hearts": partial(_heart, spread=1.0, is_swapped=False),
            "unlike": partial(_heart, spread=2.0, is_swapped=False),
            "swap": partial(_heart, spread=1.0, is_swapped=True),
        },
        raised=_says_swapped,
    ),
    "voltage_unknown": _entry(
        "voltage_unknown",
        10,
        hdf5=partial(_of_units, layout="hdf5", units=_MV),
        csv=partial(_of_units, layout="csv", units=_MV),
        hdf5_without=partial(_of_units, layout="hdf5", units=_NONE),
        csv_without=partial(_of_units, layout="csv", units=_NONE),
        several=partial(_of_units, layout="hdf5", units=("uV", *_MV[1:])),
        wrong=partial(_of_units, layout="hdf5", units=_MV, scale=1000.0),
    ),
}
"""Alarms of recordings."""
