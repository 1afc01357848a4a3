"""z-scores are those of a trial and channel, and a flat channel is 0 and counted."""

import numpy as np
import pytest

from medconsist._extras import require
from medconsist.timeseries.normalise import z_scores


def test_it_is_scikit_learns_standard_scaler_for_each_trial() -> None:
    trials = np.random.default_rng(1).normal(3.0, 7.0, size=(4, 50, 3))
    scaler = require("sklearn.preprocessing", extra="timeseries").StandardScaler
    naive = np.stack([scaler().fit_transform(trial) for trial in trials])
    np.testing.assert_allclose(z_scores(trials).signals, naive, atol=1e-12)


def test_a_trial_does_not_depend_on_the_others() -> None:
    trials = np.random.default_rng(2).normal(size=(5, 40, 2)).astype(np.float32)
    alone = z_scores(trials[2]).signals
    np.testing.assert_array_equal(z_scores(trials).signals[2], alone)


def test_gain_and_offset_of_a_channel_do_not_matter() -> None:
    trial = np.random.default_rng(3).normal(size=(100, 2))
    # float64 sums of 100 values
    np.testing.assert_allclose(
        z_scores(trial * [2.0, 9.0] + [5.0, -3.0]).signals, z_scores(trial).signals, atol=1e-12
    )


@pytest.mark.parametrize("level", [0.0, 0.1, -5000.3])
def test_a_flat_channel_is_zero_and_counted(level: float) -> None:
    trial = np.full((100, 2), level, np.float32)
    trial[:, 1] = np.arange(100)
    result = z_scores(trial)
    assert result.flat.tolist() == [True, False]
    assert not result.signals[:, 0].any()


def test_rounding_noise_of_a_channel_known_to_be_flat_is_not_blown_up() -> None:
    noise = 1e-17 * np.random.default_rng(4).normal(size=(100, 1))
    assert np.abs(z_scores(noise).signals).max() > 1
    assert not z_scores(noise, flat=np.array([True])).signals.any()


def test_missing_samples_stay_missing_and_have_no_part() -> None:
    trial = np.array([[1.0], [np.nan], [3.0]])
    new = z_scores(trial).signals
    np.testing.assert_array_equal(new, [[-1.0], [np.nan], [1.0]])
