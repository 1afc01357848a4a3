"""Recordings become the model's windows, or one sentence says why they cannot."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.case_windows import case_windows, open_recordings
from medconsist.timeseries.harmonise import common_leads
from medconsist.timeseries.preparation import Preparation
from medconsist.timeseries.processing import pieces_of
from medconsist.timeseries.recording import InMemoryRecording
from tests.timeseries.small_signals import (
    LEADS,
    RATE,
    SETTINGS,
    changed,
    new_recording,
    write_wfdb,
)

PREPARATION = Preparation(
    settings=SETTINGS, leads=LEADS, channels=LEADS, units=("mV",) * 3, modality="ecg"
)
Z_SCORED = Preparation(
    settings=replace(SETTINGS, normalise="trial"),
    leads=LEADS,
    channels=LEADS,
    units=(None,) * 3,
    modality="ecg",
)


def test_windows_are_those_of_preparing_the_same_recording() -> None:
    recording = new_recording()
    common = common_leads([recording.info], rate=RATE, channels=LEADS)
    expected = pieces_of(recording, common, SETTINGS).cut
    found = case_windows([recording], PREPARATION)
    np.testing.assert_array_equal(found.windows.signals, expected.signals)
    assert found.start_s.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert found.unusable == (0.0,)


def test_recordings_are_trials_one_after_the_other() -> None:
    found = case_windows([new_recording(), new_recording(seed=51)], PREPARATION)
    assert found.recording.tolist() == [0] * 4 + [1] * 4
    assert found.windows.table.trial.tolist() == [0] * 4 + [1] * 4
    assert found.windows.table.patients == ("new",)


def test_units_order_and_further_leads_are_brought_to_the_model() -> None:
    recording = new_recording()
    signal = 1000 * recording.read()[:, [2, 0, 1]]
    other = changed(
        recording,
        np.hstack([signal, signal[:, :1]]),
        channels=("V2", "I", "II", "V6"),
        units=("uV",) * 4,
    )
    found = case_windows([other], PREPARATION).windows
    np.testing.assert_allclose(
        found.signals, case_windows([recording], PREPARATION).windows.signals, rtol=1e-5, atol=1e-6
    )


def test_a_model_without_units_takes_any_unit() -> None:
    recording = new_recording()
    unknown = changed(recording, 7 * recording.read(), units=(None,) * 3)
    np.testing.assert_allclose(
        case_windows([unknown], Z_SCORED).windows.signals,
        case_windows([recording], Z_SCORED).windows.signals,
        atol=1e-5,
    )


def with_gap(recording: InMemoryRecording) -> InMemoryRecording:
    signal = recording.read().copy()
    signal[120:150, 1] = np.nan
    return changed(recording, signal)


def flat(recording: InMemoryRecording) -> InMemoryRecording:
    signal = recording.read().copy()
    signal[:, 2] = 0.25
    return changed(recording, signal)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (lambda r: changed(r, r.read(), rate=90.0), "90 Hz are below the 100 Hz of the model"),
        (lambda r: changed(r, r.read(), channels=("I", "II", "V3")), r"has no lead \['V2'\]"),
        (lambda r: changed(r, r.read(), units=("mV", None, "mV")), "the unit of II is not known"),
        (lambda r: changed(r, r.read(), units=("mV", "mV", "mmHg")), "mmHg"),
        (lambda r: changed(r, r.read()[:99]), "0.99 s are shorter than a window of the model, 1 s"),
        (with_gap, r"0.3 s of II are missing \(NaN\).*2 stretches are whole"),
        (flat, r"the leads \['V2'\] are flat throughout"),
    ],
    ids=["rate", "lead", "unknown unit", "no voltage", "short", "gap", "flat"],
)
def test_what_the_model_cannot_be_asked_about_is_refused(fault: Any, sentence: str) -> None:
    with pytest.raises(RefusedInputError, match=sentence) as caught:
        case_windows([fault(new_recording())], PREPARATION)
    assert "\n" not in str(caught.value)


def test_without_a_beat_there_is_no_window() -> None:
    beats = replace(SETTINGS, cut="beats")
    wanted = PREPARATION.model_copy(update={"settings": beats})
    noise = np.random.default_rng(0).normal(size=(150, 3))
    with pytest.raises(RefusedInputError, match=r"gives no window: .+ Give a longer or a better"):
        case_windows([changed(new_recording(), noise)], wanted)


def test_clipped_signals_are_counted_as_unusable() -> None:
    recording = new_recording()
    clipped = np.clip(recording.read(), -0.02, 0.02)
    assert case_windows([changed(recording, clipped)], PREPARATION).unusable[0] > 0.5


def test_files_of_one_patient_are_opened_with_one_id(tmp_path: Path) -> None:
    paths = [write_wfdb(new_recording(seed=s), tmp_path, f"r{s}") for s in (50, 51)]
    found = open_recordings(paths, patient="p7")
    assert [one.info.patient for one in found] == ["p7", "p7"]
    with pytest.raises(RefusedInputError, match=r"of the patients \['r50', 'r51'\]"):
        open_recordings(paths)
    with pytest.raises(RefusedInputError, match="2 recordings, or one of them twice"):
        open_recordings([paths[0], paths[0]])
    with pytest.raises(RefusedInputError, match="0 recordings"):
        open_recordings([])
