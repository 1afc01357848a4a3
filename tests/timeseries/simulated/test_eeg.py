"""Simulated heads: rhythms where they belong, smooth topographies, blinks at the forehead."""

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.timeseries.simulated.eeg import (
    TEN_TWENTY,
    TRAITS,
    EegNoise,
    EegRecipe,
    EegShape,
    eeg_channels,
    electrode_positions,
    simulate_eeg,
)

QUIET = EegNoise(sensor=0.0, blinks=0.0)


def band(signal: np.ndarray, low: float, high: float, *, rate: float = 256.0) -> np.ndarray:
    """Return the power of each channel between two frequencies."""
    power = np.abs(np.fft.rfft(signal * np.hanning(len(signal))[:, None], axis=0)) ** 2
    frequency = np.fft.rfftfreq(len(signal), 1 / rate)
    chosen: np.ndarray = power[(frequency >= low) & (frequency <= high)].sum(0)
    return chosen


def test_alpha_is_behind_and_theta_in_front(generator: torch.Generator) -> None:
    signal = simulate_eeg(EegRecipe(spread=0.0, noise=QUIET), generator=generator).read()
    place = {name: number for number, name in enumerate(TEN_TWENTY)}
    alpha, theta = band(signal, 9, 11), band(signal, 5, 7)
    assert alpha[place["O1"]] > 10 * alpha[place["Fp1"]]
    assert theta[place["Fz"]] > 10 * theta[place["O2"]]


def test_positions_are_mirrored_and_on_the_sphere() -> None:
    places = electrode_positions(TEN_TWENTY)
    assert np.linalg.norm(places, axis=1) == pytest.approx(1.0)
    left, right = electrode_positions(["C3", "O1", "T3"]), electrode_positions(["C4", "O2", "T4"])
    assert left * [-1, 1, 1] == pytest.approx(right)
    assert electrode_positions(["T7", "P8", "FP1"]) == pytest.approx(
        electrode_positions(["T3", "T6", "Fp1"])
    )


def test_a_rhythm_is_of_one_topography() -> None:
    shape = EegShape.of(np.zeros((1, len(TRAITS))))
    without = EegShape(
        direction=shape.direction,
        breadth=shape.breadth,
        size=shape.size * [0, 1, 0, 0, 0, 0],
        alpha_hz=shape.alpha_hz,
        slope=shape.slope,
    )
    rng = np.random.default_rng(0)
    theta = np.ones((1, 512))
    signal = eeg_channels(rng, without, theta, channels=TEN_TWENTY, rate=256, noise=QUIET)[0]
    values = np.linalg.svd(signal, compute_uv=False)
    assert values[1] < 1e-9 * values[0]
    assert (signal[:, :3] / signal[:, :1]).std(0).max() < 1e-9


def test_theta_follows_its_factor() -> None:
    shape = EegShape.of(np.zeros((1, len(TRAITS))))
    half = np.repeat([[1.0, 2.0]], 512, axis=1)
    signal = eeg_channels(
        np.random.default_rng(0), shape, half, channels=["Fz"], rate=256, noise=QUIET
    )[0]
    early, late = band(signal[:512], 5, 7), band(signal[512:], 5, 7)
    assert late[0] / early[0] == pytest.approx(4, rel=0.5)  # beside pink noise of that band


def test_blinks_are_large_at_the_forehead_alone(generator: torch.Generator) -> None:
    recipe = EegRecipe(seconds=60.0, noise=EegNoise(blinks=0.5))
    signal = simulate_eeg(recipe, generator=generator).read()
    place = {name: number for number, name in enumerate(TEN_TWENTY)}
    assert signal[:, place["Fp1"]].max() > 80
    assert signal[:, place["O1"]].max() < 80
    blinked = signal[:, place["Fp1"]] > 80
    assert 0.2 * 60 < np.diff(blinked.astype(int)).clip(0).sum() < 60


def test_every_trait_changes_the_spectrum_of_the_head() -> None:
    def look(traits: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(3)
        signal = eeg_channels(
            rng,
            EegShape.of(traits),
            np.ones((1, 2048)),
            channels=TEN_TWENTY,
            rate=256,
            noise=EegNoise(blinks=0.0),
        )
        return signal[0]

    still = look(np.zeros((1, len(TRAITS))))
    for trait in np.eye(len(TRAITS)):
        assert np.abs(look(trait[None]) - still).max() > 0.5  # uV, with the same draws


def test_bad_recipes_are_refused(generator: torch.Generator) -> None:
    with pytest.raises(RefusedInputError, match="'Pq1' is none of Fp1"):
        simulate_eeg(EegRecipe(channels=("Pq1",)), generator=generator)
    with pytest.raises(RefusedInputError, match="finite, 0 or more"):
        EegNoise(blinks=float("nan"))
