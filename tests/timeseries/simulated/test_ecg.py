"""Simulated hearts: the model's equation, Einthoven's law, what traits and noise change."""

import time

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.timeseries.readers.lead_checks import check_leads
from medconsist.timeseries.recording import Recording
from medconsist.timeseries.simulated.ecg import (
    TRAITS,
    EcgNoise,
    EcgRecipe,
    EcgShape,
    dipole,
    heart_phase,
    simulate_ecg,
)
from medconsist.timeseries.simulated.leads import ELECTRODES, LEADS, derivation, electrode_vectors
from medconsist.timeseries.simulated.noise import coloured, numpy_generators

SILENT = EcgNoise(wander=0.0, muscle=0.0, mains=0.0)
TYPICAL = np.zeros((1, len(TRAITS)))


def leads_of(recording: Recording) -> dict[str, np.ndarray]:
    signal = recording.read().astype(np.float64)
    return dict(zip(recording.info.channels, signal.T, strict=True))


@pytest.mark.parametrize("noise", [SILENT, EcgNoise()], ids=["silent", "noisy"])
def test_limb_leads_obey_einthoven_and_goldberger(
    noise: EcgNoise, generator: torch.Generator
) -> None:
    lead = leads_of(simulate_ecg(EcgRecipe(noise=noise), generator=generator))
    rounding = 1e-6  # of three float32 leads of a few mV
    assert np.abs(lead["I"] + lead["III"] - lead["II"]).max() < rounding
    assert np.abs(lead["aVR"] + (lead["I"] + lead["II"]) / 2).max() < rounding
    assert np.abs(lead["aVL"] - (lead["I"] - lead["III"]) / 2).max() < rounding
    assert np.abs(lead["aVF"] - (lead["II"] + lead["III"]) / 2).max() < rounding


def test_leads_are_those_of_the_published_matrix() -> None:
    projected = dict(zip(LEADS, derivation(LEADS) @ electrode_vectors(), strict=True))
    # rows of Dower's matrix that ours does not hold, so that they follow from the others
    assert projected["III"] == pytest.approx([-0.397, 1.301, -0.191])
    assert projected["aVF"] == pytest.approx([-0.081, 1.184, -0.162], abs=1e-3)
    assert projected["V6"] == pytest.approx([0.831, 0.076, 0.230])


def test_a_common_potential_of_all_electrodes_is_in_no_lead() -> None:
    assert np.abs(derivation(LEADS) @ np.ones(len(ELECTRODES))).max() < 1e-12


def test_closed_form_solves_the_equation_of_the_model() -> None:
    rate, samples = 4000, 8000
    shape = EcgShape.of(TYPICAL, heart_rate_std=5.0)
    phase = heart_phase(np.random.default_rng(0), shape, samples=samples, rate=rate)
    away = phase[0, :, None] - shape.centre[0]
    away = (away + np.pi) % (2 * np.pi) - np.pi
    speed = np.gradient(phase[0], 1 / rate)[:, None]
    slope = -speed / shape.width[0] ** 2 * away * np.exp(-(away**2) / (2 * shape.width[0] ** 2))
    derivative = slope @ shape.dipole[0]
    heart = dipole(phase, shape)[0]
    steps = (derivative[1:] + derivative[:-1]) / (2 * rate)
    integrated = heart[0] + np.concatenate([np.zeros((1, 3)), np.cumsum(steps, 0)])
    assert np.abs(integrated - heart).max() < 1e-3  # mV: the trapezoid rule over 2 s
    assert np.abs(heart).max() > 1


def test_hearts_beat_at_the_rate_that_was_asked_for() -> None:
    hearts = np.zeros((60, len(TRAITS)))
    shape = EcgShape.of(hearts, heart_rate=90.0, heart_rate_std=3.0)
    phase = heart_phase(np.random.default_rng(0), shape, samples=60 * 20, rate=20)
    beats = 60 * np.diff(phase) * 20 / (2 * np.pi)
    assert beats.mean() == pytest.approx(90, abs=0.5)
    assert beats.std() == pytest.approx(3, rel=0.1)  # over all; one minute of one heart differs


def test_an_even_heart_beats_evenly() -> None:
    shape = EcgShape.of(TYPICAL, heart_rate=60.0, heart_rate_std=0.0)
    phase = heart_phase(np.random.default_rng(0), shape, samples=500, rate=100)
    assert np.diff(phase[0]) == pytest.approx(2 * np.pi / 100)


def test_typical_heart_looks_like_an_adult() -> None:
    recipe = EcgRecipe(spread=0.0, noise=SILENT, heart_rate=60.0)
    lead = leads_of(simulate_ecg(recipe, generator=torch.Generator().manual_seed(0)))
    upright = {name for name in LEADS if lead[name].max() > -lead[name].min()}
    assert {"I", "II", "aVF", "V4", "V5", "V6"} <= upright
    assert not {"aVR", "V1", "V2"} & upright
    assert all(0.1 < np.ptp(values) < 3 for values in lead.values())  # mV


def test_every_trait_changes_the_heart_and_no_two_alike() -> None:
    hearts = EcgShape.of(np.concatenate([TYPICAL, np.eye(len(TRAITS))]))
    phase = np.tile(np.linspace(0, 2 * np.pi, 200), (len(TRAITS) + 1, 1))
    flat = dipole(phase, hearts).reshape(len(TRAITS) + 1, -1)
    flat = np.concatenate([flat, hearts.heart_rate[:, None]], 1)
    change = flat[1:] - flat[0]
    assert np.linalg.matrix_rank(change, tol=1e-3) == len(TRAITS)


def test_each_kind_of_noise_lies_in_its_band() -> None:
    quiet = EcgRecipe(spread=0.0, noise=SILENT, heart_rate_std=0.0)
    for kind, low, high in (("wander", 0, 1), ("muscle", 19, 121), ("mains", 49, 51)):
        noise = EcgNoise(**({"wander": 0.0, "muscle": 0.0, "mains": 0.0} | {kind: 0.1}))
        pair = [
            simulate_ecg(
                EcgRecipe(spread=0.0, heart_rate_std=0.0, noise=one),
                generator=torch.Generator().manual_seed(4),
            ).read()[:, 1]
            for one in (noise, quiet.noise)
        ]
        power = np.abs(np.fft.rfft((pair[0] - pair[1]) * np.hanning(5000))) ** 2
        frequency = np.fft.rfftfreq(5000, 1 / 500)
        inside = (frequency >= low) & (frequency <= high)
        assert power[inside].sum() > 0.99 * power.sum()


def test_coloured_noise_has_variance_one_and_falls_as_asked() -> None:
    row = coloured(np.random.default_rng(0), (400, 1024), rate=256, band=(1, 100), exponent=1.0)
    assert row.var() == pytest.approx(1, rel=0.02)
    power = (np.abs(np.fft.rfft(row)) ** 2).mean(0)
    frequency = np.fft.rfftfreq(1024, 1 / 256)
    low, high = (
        power[(frequency > 9) & (frequency < 11)],
        power[(frequency > 89) & (frequency < 91)],
    )
    assert low.mean() / high.mean() == pytest.approx(9, rel=0.15)


def test_coloured_noise_without_a_frequency_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="hold no frequency between 20 and 120 Hz"):
        coloured(np.random.default_rng(0), (1, 8), rate=10, band=(20, 120))


def test_generators_differ_from_each_other_and_repeat() -> None:
    first = [rng.random() for rng in numpy_generators(torch.Generator().manual_seed(1), 3)]
    again = [rng.random() for rng in numpy_generators(torch.Generator().manual_seed(1), 3)]
    assert first == again
    assert len(set(first)) == 3


def test_same_generator_gives_the_same_recording_and_the_next_another() -> None:
    generator = torch.Generator().manual_seed(1)
    one, next_ = (simulate_ecg(EcgRecipe(), generator=generator).read() for _ in range(2))
    again = simulate_ecg(EcgRecipe(), generator=torch.Generator().manual_seed(1)).read()
    assert np.array_equal(one, again)
    assert not np.array_equal(one, next_)


def test_readers_checks_find_nothing_wrong_with_it(generator: torch.Generator) -> None:
    report = check_leads(simulate_ecg(EcgRecipe(), generator=generator))
    assert not report.flat
    assert not report.suspects_swapped_arms
    assert report.einthoven == pytest.approx(0, abs=1e-6)


def test_twelve_leads_of_ten_seconds_take_well_under_a_second() -> None:
    start = time.process_time()
    simulate_ecg(EcgRecipe(), generator=torch.Generator())
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EcgNoise(mains=-1.0), "must be finite, 0 or more"),
        (lambda: derivation(["MLII"]), "'MLII' is none of I, II"),
        (lambda: simulate_ecg(EcgRecipe(seconds=0.0), generator=torch.Generator()), "0 samples"),
    ],
)
def test_bad_recipes_are_refused(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(RefusedInputError, match=words):
        make()
