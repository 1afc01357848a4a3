"""What a model takes, and that windows of any other making are named for what differs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.case_windows import case_windows
from medconsist.timeseries.labelled import LabelledRecording
from medconsist.timeseries.preparation import Preparation
from medconsist.timeseries.prepare import prepare
from medconsist.timeseries.prepare_config import PrepareConfig
from medconsist.timeseries.prepared import read_prepared
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
from tests.timeseries.small_signals import SETTINGS, small_cohort

SCALP = ("Cz", "Pz", "Oz")


def eeg(*, seed: int = 0, unit: str = "uV", gain: float = 1.0) -> InMemoryRecording:
    info = RecordingInfo(
        rate=128.0, channels=SCALP, units=(unit,) * 3, samples=512, patient=f"p{seed}", trial="t"
    )
    signal = gain * np.random.default_rng(seed).normal(size=(512, 3))
    return InMemoryRecording(info, signal.astype(np.float32))


def labelled(seed: int) -> LabelledRecording:
    return LabelledRecording(patient=f"p{seed}", trial="t", label="case", recording=eeg(seed=seed))


def test_a_prepared_folder_says_what_its_model_takes_montage_and_units_included(
    tmp_path: Path,
) -> None:
    config = PrepareConfig(
        rate=128.0,
        samples=128,
        classes=("control", "case"),
        channels=SCALP,
        montage="cz",
        normalise="none",
    )
    preparation = Preparation.of(prepare([labelled(0), labelled(1)], tmp_path, config=config).facts)
    assert (preparation.leads, preparation.channels) == (SCALP, ("Pz", "Oz"))
    assert (preparation.units, preparation.modality) == (("uV", "uV"), "eeg")
    whole = read_prepared(tmp_path)
    preparation.require(whole)
    in_volts = eeg(unit="mV", gain=1e-3)
    found = case_windows([in_volts], preparation).windows
    np.testing.assert_allclose(found.signals, whole.signals[:4], rtol=1e-4, atol=1e-5)


def test_a_montage_of_leads_that_nobody_named_is_refused(tmp_path: Path) -> None:
    config = PrepareConfig(rate=128.0, samples=128, classes=("control", "case"), montage="cz")
    facts = prepare([labelled(0)], tmp_path, config=config).facts
    with pytest.raises(RefusedInputError, match="prepare them again with channels"):
        Preparation.of(facts)


def test_simulated_windows_have_a_preparation_that_fits_them() -> None:
    windows = small_cohort(patients=2).windows
    preparation = Preparation.of_windows(windows, SETTINGS)
    assert preparation.modality == "ecg"
    assert preparation.has_units
    with pytest.raises(RefusedInputError, match=r"rate \[Hz\] is 100\.0, the model's 250\.0"):
        Preparation.of_windows(windows, replace(SETTINGS, rate=250.0))
    with pytest.raises(RefusedInputError, match="samples a window is 100, the model's 50"):
        Preparation.of_windows(windows, replace(SETTINGS, samples=50))


def test_a_filter_alone_makes_another_preparation() -> None:
    windows = small_cohort(patients=2).windows
    first = Preparation.of_windows(windows, SETTINGS)
    first.require_same(Preparation.of_windows(windows, SETTINGS))
    other = Preparation.of_windows(windows, replace(SETTINGS, resampling="linear"))
    with pytest.raises(RefusedInputError, match="the windows were prepared otherwise"):
        first.require_same(other)
