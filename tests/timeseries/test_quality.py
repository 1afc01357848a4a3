"""A channel is usable, doubtful or unusable, for reasons that are said."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.quality import (
    ECG_LIMITS,
    EEG_LIMITS,
    Limits,
    QualityState,
    detector_agreement,
    signal_quality,
)
from tests.timeseries.ecg_signals import simulated_ecg, wfdb_recording

RATE = 250.0
SLOW = Limits(band=(0.5, 10.0), kurtosis=(0.0, 9.0))


def _ecg() -> npt.NDArray[np.float32]:
    return simulated_ecg(RATE)[0][None, :2500]


def test_a_clean_ecg_is_usable_without_a_reason() -> None:
    quality = signal_quality(_ecg(), rate=RATE, limits=ECG_LIMITS)
    assert (quality.state == QualityState.USABLE).all()
    assert quality.reasons(0, 0) == ()


def test_each_fault_is_found_in_its_channel_alone() -> None:
    windows = np.repeat(_ecg(), 4, axis=0)
    time = np.arange(2500) / RATE
    windows[0, :, 1] = 0.0
    windows[1, 100:500, 1] = np.nan
    windows[2, :, 1] = np.clip(6 * windows[2, :, 1], None, 0.5)
    windows[3, :, 1] = np.sin(2 * np.pi * 60 * time)
    quality = signal_quality(windows, rate=RATE, limits=ECG_LIMITS)
    assert (quality.state[:, [0, 2]] == QualityState.USABLE).all()
    reasons = [quality.reasons(window, 1) for window in range(4)]
    assert reasons[0] == ("flat 100 %",)
    assert reasons[1] == ("missing 16 %",)
    assert any(reason.startswith("clipped") for reason in reasons[2])
    assert reasons[3][0] == "out of band 100 %"
    assert quality.state[[0, 1, 3], 1].tolist() == [QualityState.UNUSABLE] * 3
    assert quality.state[2, 1] > QualityState.USABLE


def test_quality_of_a_window_does_not_depend_on_the_others() -> None:
    windows = np.random.default_rng(1).normal(size=(3, 500, 2))
    alone = signal_quality(windows[1:2], rate=RATE, limits=EEG_LIMITS)
    among = signal_quality(windows, rate=RATE, limits=EEG_LIMITS)
    np.testing.assert_allclose(alone.out_of_band[0], among.out_of_band[1], rtol=1e-12)
    np.testing.assert_allclose(alone.kurtosis[0], among.kurtosis[1], rtol=1e-12)


def test_gain_and_offset_change_nothing() -> None:
    first = signal_quality(_ecg().astype(np.float64), rate=RATE, limits=ECG_LIMITS)
    second = signal_quality(7.0 * _ecg() - 2.0, rate=RATE, limits=ECG_LIMITS)
    np.testing.assert_allclose(first.kurtosis, second.kurtosis, rtol=1e-4)  # float32 samples
    np.testing.assert_allclose(first.out_of_band, second.out_of_band, atol=1e-4)


def test_kurtosis_of_a_gaussian_is_three() -> None:
    noise = np.random.default_rng(2).normal(size=(1, 100_000, 1))
    quality = signal_quality(noise, rate=RATE, limits=EEG_LIMITS)
    assert quality.kurtosis[0, 0] == pytest.approx(3.0, abs=0.08)  # five standard errors


def test_detectors_agree_on_an_ecg_and_not_on_noise() -> None:
    windows = _ecg()[:, :, :2].copy()
    windows[0, :, 1] = np.random.default_rng(3).normal(size=2500)
    agreement = detector_agreement(windows, rate=RATE)
    assert agreement[0, 0] >= 0.9
    quality = signal_quality(windows, rate=RATE, limits=ECG_LIMITS, agreement=agreement)
    assert quality.state[0].tolist() == [QualityState.USABLE, QualityState.UNUSABLE]
    assert any(reason.startswith("agreement") for reason in quality.reasons(0, 1))


def test_agreement_is_unknown_where_nothing_can_be_detected() -> None:
    windows = np.zeros((1, 1000, 2))
    windows[0, 5, 1] = np.nan
    assert np.isnan(detector_agreement(windows, rate=RATE)).all()


def test_a_band_beyond_nyquist_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="needs 80 samples a second"):
        signal_quality(np.zeros((1, 100, 1)), rate=50.0, limits=ECG_LIMITS)
    with pytest.raises(RefusedInputError, match="more than 25 samples"):
        signal_quality(np.zeros((1, 3, 1)), rate=RATE, limits=ECG_LIMITS)


@pytest.mark.data
def test_the_flat_leads_of_cinc_are_the_unusable_ones(data_dir: Path) -> None:
    folder = data_dir / "timeseries" / "cinc2021_sample" / "cinc2021"
    for name in ("JS20004", "JS20008"):
        recording = wfdb_recording(folder / name)
        quality = signal_quality(
            recording.read()[None, :5000], rate=recording.info.rate, limits=ECG_LIMITS
        )
        bad = np.flatnonzero(quality.state[0] == QualityState.UNUSABLE)
        assert [recording.info.channels[k] for k in bad] == ["V2", "V4", "V6"]


@pytest.mark.parametrize("run", [3, 5, 25])
def test_the_share_of_flat_samples_is_that_of_a_naive_loop(run: int) -> None:
    steps = np.random.default_rng(run).integers(1, 2 * run, size=40)
    signal = np.repeat(np.arange(40.0), steps)
    quality = signal_quality(signal[None, :, None], rate=10.0 * run, limits=SLOW)
    assert quality.flat[0, 0] == pytest.approx(steps[steps >= run].sum() / len(signal))
