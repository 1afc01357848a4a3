"""Filters pass their band without delay, and refuse what cannot be filtered."""

import numpy as np
import numpy.typing as npt
import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.filters import PRESETS, Band, band_named, filtered

RATE = 500.0


def _sine(hz: float) -> npt.NDArray[np.float64]:
    return np.sin(2 * np.pi * hz * np.arange(10_000) / RATE)[:, None]


def _gain(hz: float, band: Band) -> float:
    middle = slice(4000, 6000)
    return float(np.abs(filtered(_sine(hz), rate=RATE, band=band)[middle]).max())


def test_a_sine_in_the_middle_of_the_band_keeps_amplitude_and_phase() -> None:
    new = filtered(_sine(10.0), rate=RATE, band=Band(above=0.5, below=100.0))
    # |H|^2 of order 2 is 1 - 1e-4 a decade inside a corner.
    np.testing.assert_allclose(new[2000:-2000], _sine(10.0)[2000:-2000], atol=5e-4)


@pytest.mark.parametrize(("hz", "band"), [(40.0, Band(below=40.0)), (5.0, Band(above=5.0))])
def test_a_corner_is_at_a_half_as_the_filter_runs_twice(hz: float, band: Band) -> None:
    assert _gain(hz, band) == pytest.approx(0.5, abs=0.01)


def test_outside_of_the_band_the_slope_is_that_of_twice_the_order() -> None:
    assert _gain(1.0, Band(above=10.0)) < 2e-4
    assert _gain(200.0, Band(below=20.0)) < 2e-4


def test_a_notch_cuts_its_frequency_and_little_else() -> None:
    notch = Band(notches=(50.0,))
    assert _gain(50.0, notch) < 0.01
    assert _gain(45.0, notch) > 0.95
    assert _gain(10.0, notch) > 0.99


def test_an_offset_is_gone_to_the_very_ends_even_under_the_slowest_corner() -> None:
    wave = _sine(10.0) + 300.0
    new = filtered(wave, rate=RATE, band=band_named("ecg-diagnostic"))
    assert np.abs(new.mean()) < 0.05


def test_a_symmetric_signal_stays_symmetric() -> None:
    pulse = np.zeros((2001, 1))
    pulse[1000] = 1.0
    new = filtered(pulse, rate=RATE, band=PRESETS["ecg-monitor"])
    # The run forwards and the run backwards settle at different ends.
    np.testing.assert_allclose(new, new[::-1], atol=1e-7)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_are_stable_at_their_lowest_useful_rate(name: str) -> None:
    band = PRESETS[name]
    rate = 2.2 * max(band.corners)
    noise = np.random.default_rng(1).normal(size=(4000, 2)).astype(np.float32)
    new = filtered(noise, rate=rate, band=band)
    assert new.dtype == np.float32
    assert np.isfinite(new).all()
    assert np.abs(new).max() < 10


def test_a_filter_beyond_nyquist_is_refused() -> None:
    with pytest.raises(
        RefusedInputError, match=r"needs more than 300 samples .* \(Nyquist frequency 125"
    ):
        filtered(np.zeros(100), rate=250.0, band=band_named("ecg-diagnostic"))


def test_gaps_and_single_samples_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="cannot be filtered"):
        filtered(np.array([0.0, np.nan, 0.0]), rate=RATE, band=Band(below=40.0))
    with pytest.raises(RefusedInputError, match="2 samples or more"):
        filtered(np.zeros(1), rate=RATE, band=Band(below=40.0))


@pytest.mark.parametrize(
    "corners", [{}, {"above": 40.0, "below": 0.5}, {"above": -1.0}, {"below": 9.0, "order": 9}]
)
def test_impossible_bands_are_refused(corners: dict[str, float]) -> None:
    with pytest.raises(RefusedInputError, match="is not possible"):
        Band(**corners)  # type: ignore[arg-type]  # wrong values on purpose


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(RefusedInputError, match="ecg-monitor"):
        band_named("ecg-monitr")


def test_a_band_says_what_it_is() -> None:
    assert str(Band(above=0.5)) == "above 0.5 Hz"
    assert str(Band(below=40.0, notches=(50.0, 100.0))) == "below 40 Hz, notch 50 Hz, notch 100 Hz"
