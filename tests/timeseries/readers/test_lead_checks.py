"""What is seen of leads."""

import numpy as np
import numpy.typing as npt
import pytest

from medconsist.timeseries.readers import lead_checks
from medconsist.timeseries.readers.channel_names import TWELVE_LEADS
from medconsist.timeseries.readers.lead_checks import check_leads, with_lead_notes
from tests.timeseries.readers.writers import RATE, in_memory, twelve_leads


def columns(*names: str) -> npt.NDArray[np.float32]:
    return twelve_leads()[:, [TWELVE_LEADS.index(name) for name in names]]


def test_a_sound_recording_has_nothing_to_note() -> None:
    report = check_leads(in_memory(twelve_leads()))
    assert report.notes == ()
    assert report.einthoven == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, -3.5, np.nan])
def test_one_value_throughout_is_flat(value: float) -> None:
    signal = twelve_leads()
    signal[:, 6] = value
    assert check_leads(in_memory(signal)).flat == ("V1",)


@pytest.mark.parametrize("seconds", [0.01, 0.07, 1.0, 60.0])
def test_blocks_change_nothing(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    signal = twelve_leads()
    signal[95:117, 2] = np.nan
    signal[:9, 5] = np.nan
    signal[250:, 5] = np.nan
    whole = check_leads(in_memory(signal))
    monkeypatch.setattr(lead_checks, "_BLOCK_SECONDS", seconds)
    parts = check_leads(in_memory(signal))
    assert parts.gaps == whole.gaps == {"III": 22 / RATE, "aVF": 50 / RATE}
    assert parts.flat == whole.flat
    assert parts.einthoven == pytest.approx(whole.einthoven, abs=1e-6)


def test_absent_leads_are_named_where_most_are_there() -> None:
    there = [name for name in TWELVE_LEADS if name not in ("aVR", "V3")]
    report = check_leads(in_memory(columns(*there), channels=tuple(there)))
    assert report.absent == ("aVR", "V3")
    two = in_memory(columns("II", "V5"), channels=("MLII", "V5"))
    assert check_leads(two).absent == ()


def test_einthoven_needs_three_leads_of_one_unit() -> None:
    signal = columns("I", "II", "III")
    names = {"channels": ("I", "II", "III")}
    assert check_leads(in_memory(signal, **names)).einthoven is not None
    mixed = in_memory(signal, **names, units=("mV", "mV", "uV"))
    assert check_leads(mixed).einthoven is None
    assert check_leads(in_memory(signal[:, :2], channels=("I", "II"))).einthoven is None


def test_einthoven_is_the_ratio_of_standard_deviations() -> None:
    signal = columns("I", "II", "III").astype(np.float64)
    signal[:, 2] *= 1.5
    report = check_leads(in_memory(signal.astype(np.float32), channels=("I", "II", "III")))
    by_hand = (signal[:, 0] + signal[:, 2] - signal[:, 1]).std() / signal[:, 1].std()
    assert report.einthoven == pytest.approx(by_hand, rel=1e-5)
    assert any("allowed: 0.05" in note for note in report.notes)


def test_lead_one_upside_down_is_suspected() -> None:
    signal = twelve_leads()
    signal[:, 0] *= -1
    report = check_leads(in_memory(signal))
    assert report.suspects_swapped_arms
    assert any("right and left arm may be swapped" in note for note in report.notes)


def test_v5_stands_in_for_a_flat_v6() -> None:
    signal = twelve_leads()
    signal[:, 11] = 0
    with_v5 = check_leads(in_memory(signal)).lateral_correlation
    assert with_v5 is not None
    assert with_v5 > 0
    signal[:, 10] = 0
    assert check_leads(in_memory(signal)).lateral_correlation is None


def test_what_was_seen_is_added_to_the_notes() -> None:
    signal = twelve_leads()
    signal[:, 3] = 0
    recording = in_memory(signal, notes=("Before.",))
    with_lead_notes(recording)
    assert recording.info.notes == ("Before.", "Flat throughout: aVR.")
