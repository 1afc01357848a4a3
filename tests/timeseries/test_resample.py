"""A new sampling rate keeps what it can hold, and nothing else."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.resample import exact_ratio, resample, resampled_length


def _sine(hz: float, rate: float, seconds: float = 10.0) -> npt.NDArray[np.float64]:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate + 0.3)[:, None]


@pytest.mark.parametrize(("rate", "to"), [(1000.0, 250.0), (500.0, 256.0), (360.0, 250.0)])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_sine_below_the_new_nyquist_keeps_amplitude_and_phase(
    rate: float, to: float, share: float
) -> None:
    hz = share * to / 2
    new = resample(_sine(hz, rate), rate=rate, to=to)
    inside = slice(60, -60)  # beyond the half filter length of 50 samples
    # 80 dB of stop band leave a ripple of 1e-4 in the pass band too.
    np.testing.assert_allclose(new[inside], _sine(hz, to)[: len(new)][inside], atol=3e-4)


@pytest.mark.parametrize(("rate", "to"), [(1000.0, 250.0), (500.0, 256.0), (360.0, 250.0)])
@pytest.mark.parametrize("share", [1.001, 1.2, 1.39])
def test_a_sine_above_the_new_nyquist_vanishes(rate: float, to: float, share: float) -> None:
    new = resample(_sine(share * to / 2, rate), rate=rate, to=to)
    assert np.abs(new[60:-60]).max() < 2e-4  # -80 dB, and a factor of two for its ripple


def test_constants_and_trends_pass_unchanged_to_the_very_ends() -> None:
    line = np.linspace(5.0, 7.0, 1001)[:, None]
    new = resample(line, rate=500.0, to=125.0)
    np.testing.assert_allclose(new[:, 0], np.linspace(5.0, 7.0, 251), atol=1e-3)


def test_the_length_counts_the_samples_before_the_old_end() -> None:
    assert resampled_length(1001, Fraction(1, 4)) == 251
    assert len(resample(np.zeros(1001), rate=1000.0, to=250.0)) == 251


def test_dtype_and_channels_follow_the_input() -> None:
    new = resample(np.zeros((100, 3), np.float32), rate=100.0, to=50.0)
    assert new.dtype == np.float32
    assert new.shape == (50, 3)


def test_an_equal_rate_returns_the_signal_itself() -> None:
    signal = np.zeros((100, 3), np.float32)
    assert resample(signal, rate=100.0, to=100.0) is signal


def test_more_samples_are_refused_unless_asked_for_by_name() -> None:
    signal = _sine(5.0, 100.0)
    with pytest.raises(RefusedInputError, match=r"Ask for at most 100\.0 Hz"):
        resample(signal, rate=100.0, to=250.0)
    new = resample(signal, rate=100.0, to=250.0, upsampling="allow")
    np.testing.assert_allclose(new[130:-130], _sine(5.0, 250.0)[130:-130], atol=3e-4)


def test_missing_samples_are_refused() -> None:
    signal = np.zeros((100, 2))
    signal[7:9, 1] = np.nan
    with pytest.raises(RefusedInputError, match=r"2 of 100 samples .* first is sample 7"):
        resample(signal, rate=100.0, to=50.0)


def test_ratios_are_of_the_decimal_numbers_that_were_given() -> None:
    assert exact_ratio(0.3, 0.1) == Fraction(1, 3)
    with pytest.raises(RefusedInputError, match=r"nearest simple rate is 250 Hz"):
        exact_ratio(500.0, 250.0001)
    with pytest.raises(RefusedInputError, match="positive and finite"):
        exact_ratio(0.0, 10.0)
