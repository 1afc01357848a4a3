"""Planted faults: each changes what its name says, on leads as electrodes would, and no more."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.timeseries.readers.choice import open_recording
from medconsist.timeseries.readers.lead_checks import check_leads
from medconsist.timeseries.recording import InMemoryRecording
from medconsist.timeseries.simulated.cohort import simulate_cohort
from medconsist.timeseries.simulated.ecg import EcgRecipe, simulate_ecg
from medconsist.timeseries.simulated.faults import (
    FAULTS,
    electrode_pop,
    flat_lead,
    gain_change,
    mains,
    plant,
    pop_course,
    swap_electrodes,
)
from medconsist.timeseries.simulated.leads import LEADS
from medconsist.timeseries.simulated.recipe import CohortRecipe, Modality

LEAD = {name: number for number, name in enumerate(LEADS)}
ROUNDING = 1e-5  # float32 of a few mV through a matrix


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    made = simulate_ecg(EcgRecipe(seconds=2.0), generator=torch.Generator().manual_seed(2))
    return made.read()


def test_swapped_arms_turn_lead_one_round(signal: np.ndarray) -> None:
    swapped = swap_electrodes(signal, channels=LEADS, first="RA", second="LA")
    assert swapped[:, LEAD["I"]] == pytest.approx(-signal[:, LEAD["I"]], abs=ROUNDING)
    for new, old in (("II", "III"), ("aVR", "aVL"), ("aVF", "aVF"), ("V3", "V3")):
        assert swapped[:, LEAD[new]] == pytest.approx(signal[:, LEAD[old]], abs=ROUNDING)


def test_swapping_twice_changes_nothing(signal: np.ndarray) -> None:
    once = swap_electrodes(signal, channels=LEADS, first="LA", second="V1")
    again = swap_electrodes(once, channels=LEADS, first="LA", second="V1")
    assert not np.allclose(once, signal, atol=0.01)
    assert again == pytest.approx(signal, abs=ROUNDING)


def test_swapped_arms_are_seen_by_the_readers() -> None:
    made = simulate_ecg(EcgRecipe(), generator=torch.Generator().manual_seed(2))
    swapped = swap_electrodes(made.read(), channels=LEADS, first="RA", second="LA")
    assert not check_leads(made).suspects_swapped_arms
    assert check_leads(InMemoryRecording(made.info, swapped)).suspects_swapped_arms


@pytest.mark.data
def test_swapped_arms_of_a_real_recording_are_seen(data_dir: Path) -> None:
    real = open_recording(data_dir / "timeseries/cinc2021_sample/cinc2021/E07500.hea")
    swapped = swap_electrodes(real.read(), channels=real.info.channels, first="RA", second="LA")
    assert not check_leads(real).suspects_swapped_arms
    assert check_leads(InMemoryRecording(real.info, swapped)).suspects_swapped_arms


def test_a_swap_that_the_leads_do_not_tell_is_refused(signal: np.ndarray) -> None:
    with pytest.raises(RefusedInputError, match="do not say what they would become"):
        swap_electrodes(signal[:, :1], channels=("I",), first="LA", second="LL")


def test_electrodes_of_an_eeg_are_its_channels() -> None:
    eeg = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    swapped = swap_electrodes(eeg, channels=("Fp1", "Cz", "O1"), first="Fp1", second="O1")
    assert np.array_equal(swapped, eeg[:, [2, 1, 0]])


def test_a_pop_of_an_arm_is_in_its_leads_alone(signal: np.ndarray) -> None:
    course = pop_course(1000, rate=500, at=1.0)
    popped = electrode_pop(signal, channels=LEADS, electrode="LA", height=2.0, course=course)
    change = popped - signal
    assert np.abs(change[:500]).max() == 0
    at_start = dict(zip(LEADS, change[500], strict=True))
    expected = {"I": 2, "II": 0, "III": -2, "aVR": -1, "aVL": 2, "aVF": -1, "V1": -2 / 3}
    assert {name: at_start[name] for name in expected} == pytest.approx(expected, abs=ROUNDING)
    assert np.abs(change[-1]).max() < 0.5 * 2  # 0.5 s later, at a decay of 0.3 s


def test_flat_and_gain_do_what_they_say(signal: np.ndarray) -> None:
    flat = flat_lead(signal, channels=LEADS, lead="V2")
    assert not flat[:, LEAD["V2"]].any()
    assert np.array_equal(np.delete(flat, LEAD["V2"], 1), np.delete(signal, LEAD["V2"], 1))
    assert gain_change(signal, factor=2.0) == pytest.approx(2 * signal)


def test_mains_is_a_line_of_the_spectrum(signal: np.ndarray) -> None:
    hum = mains(signal, amplitude=0.3, rate=500, hz=60, generator=torch.Generator()) - signal
    power = np.abs(np.fft.rfft(hum, axis=0)) ** 2
    assert set(np.fft.rfftfreq(1000, 1 / 500)[power.argmax(0)]) == {60.0}
    assert hum.std(0) == pytest.approx(0.3 / np.sqrt(2), rel=1e-3)


@pytest.mark.parametrize("modality", ["ecg", "eeg"])
@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_changes_windows_and_nothing_of_the_table(
    modality: Modality, name: str
) -> None:
    recipe = CohortRecipe(modality=modality, patients=4, trials=2)
    windows = simulate_cohort(recipe, generator=torch.Generator()).windows
    before = windows.batch()
    bad, again = (plant(windows, name, generator=torch.Generator()) for _ in range(2))
    assert torch.equal(windows.batch(), before)
    assert torch.equal(bad.batch(), again.batch())
    assert bad.table is windows.table
    assert bool((bad.batch() != before).flatten(1).any(1).all())
    assert bool(bad.batch().isfinite().all())


def test_an_unknown_name_is_refused(signal: np.ndarray) -> None:
    windows = simulate_cohort(
        CohortRecipe(patients=2, trials=1), generator=torch.Generator()
    ).windows
    with pytest.raises(RefusedInputError, match="fault got 'rain'; allowed: swap, pop"):
        plant(windows, "rain", generator=torch.Generator())
    with pytest.raises(RefusedInputError, match="'RL' is not there"):
        swap_electrodes(signal, channels=LEADS, first="RL", second="RA")
