"""Hand-made and untrained features against naive loops and closed forms."""

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.timeseries.evaluation.band_power import EEG_BANDS, BandPower
from medconsist.timeseries.evaluation.fixed import FixedRepresentation, GivenFeatures, RandomEncoder
from medconsist.timeseries.evaluation.rr_features import RR_NAMES, RrFeatures, rr_statistics
from medconsist.timeseries.pretext import DrawnWindows, Pretext
from medconsist.timeseries.window_set import WindowSet, WindowTable
from tests.timeseries.evaluation.patients import of


def recorded(count: int = 5, *, samples: int = 256, channels: int = 3) -> WindowSet:
    number = np.arange(count)
    table = WindowTable(
        patient=number,
        trial=number,
        start=0 * number,
        label=number % 2,
        patients=tuple(map(str, number)),
        classes=("control", "case"),
        sites=(None,) * count,
    )
    signals = np.random.default_rng(0).standard_normal((count, samples, channels)) + 3
    return of(signals, table)


class Mean(Pretext):
    dim = 4

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4, generator=generator))

    def forward(self, batch: DrawnWindows) -> dict[str, Tensor]:
        return {"loss": self.encode(batch.signals).square().mean()}

    def encode(self, signals: Tensor) -> Tensor:
        return signals.mean(1) @ self.weight


FIXED: list[FixedRepresentation] = [
    BandPower(),
    GivenFeatures("values"),
    RandomEncoder(Mean),
    RrFeatures(lambda signal, rate: np.flatnonzero(signal[:, 0] > 3) / rate),
]


@pytest.mark.parametrize("one", FIXED, ids=lambda one: one.name)
def test_features_of_a_window_depend_on_it_alone(one: FixedRepresentation) -> None:
    windows = recorded()
    whole = one.features(windows)
    assert whole.dtype == np.float64
    assert np.isfinite(whole).all()
    # float32 sums of an encoder in other batches
    assert np.allclose(one.features(windows.take([3, 1])), whole[[3, 1]], atol=1e-5)


def test_band_power_is_that_of_a_naive_transform() -> None:
    windows = recorded(2, samples=128)
    found = BandPower().features(windows)
    for row in range(2):
        signal = windows.batch([row])[0].double().numpy()
        signal = signal - signal.mean(0)
        time, at = np.arange(128), 0
        for low, high in EEG_BANDS:
            bins = [k for k in range(65) if low <= k * 2 < high]
            for channel in range(3):
                power = [
                    abs((signal[:, channel] * np.exp(-2j * np.pi * k * time / 128)).sum()) ** 2
                    for k in bins
                ]
                # two ways of the same transform in float64
                assert found[row, at] == pytest.approx(np.log(np.mean(power) + 1e-6), abs=1e-9)
                at += 1


def test_band_power_refuses_windows_without_a_frequency_of_a_band() -> None:
    with pytest.raises(RefusedInputError, match="no frequency from 1 to 4 Hz"):
        BandPower().features(recorded(samples=32))


def test_rr_statistics_of_a_steady_and_of_an_alternating_heart() -> None:
    steady = dict(zip(RR_NAMES, rr_statistics(np.arange(10, dtype=np.float64) * 0.8), strict=True))
    assert steady["mean"] == pytest.approx(0.8)
    assert steady["rmssd"] == pytest.approx(0, abs=1e-12)  # rounding of times
    alternating = np.asarray(np.cumsum(np.tile([0.7, 0.9], 5)), np.float64)
    found = dict(zip(RR_NAMES, rr_statistics(alternating), strict=True))
    assert found["rmssd"] == pytest.approx(0.2)
    assert found["pnn50"] == 1
    assert (found["least"], found["most"]) == pytest.approx((0.7, 0.9))


def test_rr_statistics_of_too_few_beats_are_zero_and_counted() -> None:
    assert rr_statistics(np.zeros(0)).tolist() == [0] * 9
    assert rr_statistics(np.array([0.4])).tolist() == [1] + [0] * 8
    assert rr_statistics(np.array([0.0, 1.0]))[:3].tolist() == [2, 1, 0]


def test_a_random_encoder_is_the_same_for_a_seed_and_another_for_another() -> None:
    windows = recorded()
    one = RandomEncoder(Mean).features(windows)
    assert np.array_equal(one, RandomEncoder(Mean).features(windows))
    assert not np.allclose(one, RandomEncoder(Mean, seed=1).features(windows))
