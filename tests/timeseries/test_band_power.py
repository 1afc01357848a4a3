"""Planted waves are found in their band with their power, and no power is lost or counted twice."""

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.band_power import BANDS, band_power

RATE = 250.0
TIME = np.arange(round(20 * RATE)) / RATE


def wave(hertz: float, height: float) -> np.ndarray:
    return height * np.sin(2 * np.pi * hertz * TIME + 0.3)


@pytest.mark.parametrize(
    ("hertz", "band"), [(2, "delta"), (6, "theta"), (10, "alpha"), (20, "beta")]
)
def test_a_planted_sine_is_half_its_height_squared_in_its_band_alone(
    hertz: float, band: str
) -> None:
    (found,) = band_power(wave(hertz, 30)[:, None] + 500, rate=RATE)
    want = [450.0 if name == band else 0.0 for name in BANDS]
    assert found == pytest.approx(want, abs=450e-4)  # what a Hann window lets through


def test_bands_together_hold_the_variance_as_parseval_says() -> None:
    signal = wave(2, 40) + wave(6, 20) + wave(10, 30) + wave(20, 10)
    assert band_power(signal[:, None], rate=RATE).sum() == pytest.approx(signal.var(), rel=1e-3)


def test_noise_has_the_share_of_its_variance_that_a_band_is_wide() -> None:
    noise = np.random.default_rng(7).normal(0, 5, (200_000, 2))
    found = band_power(noise, rate=RATE)
    wide = np.array([high - low for low, high in BANDS.values()])
    # 3200 windows, the half of them new: the narrowest band has 14 frequencies, 1 % of spread
    assert found == pytest.approx(np.broadcast_to(25 * wide / (RATE / 2), (2, 4)), rel=0.05)


@pytest.mark.parametrize("rate", [100.0, 128.0, 250.0, 173.61])
def test_a_wave_just_above_an_edge_is_of_the_band_above_at_every_rate(rate: float) -> None:
    time = np.arange(round(40 * rate)) / rate
    for low, high in zip([4, 8, 13], ["theta", "alpha", "beta"], strict=True):
        (found,) = band_power(np.sin(2 * np.pi * (low + 0.5) * time)[:, None], rate=rate)
        assert list(BANDS)[int(found.argmax())] == high
        assert found.sum() == pytest.approx(0.5, rel=0.02)


def test_a_missing_sample_leaves_its_channel_unknown_and_no_other() -> None:
    signal = np.stack([wave(10, 1), wave(10, 1)], axis=1)
    signal[7, 0] = np.nan
    found = band_power(signal, rate=RATE)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


def test_what_is_too_short_or_sampled_too_seldom_is_refused() -> None:
    for seconds, rate in ((1.9, 250.0), (10.0, 60.0)):
        with pytest.raises(RefusedInputError, match="allowed: 2 s or more, and more than 60 Hz"):
            band_power(np.zeros((round(seconds * rate), 1)), rate=rate)
