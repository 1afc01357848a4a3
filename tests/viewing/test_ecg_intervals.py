"""RR and QT against the waves of the simulator, and when they are refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.timeseries.recording import InMemoryRecording
from medconsist.timeseries.simulated.ecg import EcgNoise, EcgRecipe, EcgShape, simulate_ecg
from medconsist.viewing.ecg_intervals import AUTOMATIC, bazett, ecg_intervals, fridericia


def simulated(beats: float, noise: EcgNoise | None = None) -> InMemoryRecording:
    recipe = EcgRecipe(
        heart_rate=beats, heart_rate_std=0.1, spread=0, seconds=12, noise=noise or EcgNoise()
    )
    return simulate_ecg(recipe, generator=torch.Generator().manual_seed(1))


def true_qt_ms(beats: float) -> float:
    """Of the simulator's heart: Q less 2.2 widths to T and two, where the tangents of a bell end.

    Where a bell begins is a matter of taste: with 2 to 2.5 widths it is 5 ms more or less.
    """
    shape = EcgShape.of(np.zeros((1, 8)), heart_rate=beats)
    begin = shape.centre[0, 1] - 2.2 * shape.width[0, 1]
    end = shape.centre[0, 4] + 2 * shape.width[0, 4]
    return float((end - begin) / (2 * np.pi) * 60_000 / beats)


@pytest.mark.parametrize("beats", [50.0, 60.0, 80.0, 100.0])
def test_qt_of_a_simulated_heart_is_found_with_noise(beats: float) -> None:
    found = ecg_intervals(simulated(beats))
    assert found.rr_ms == pytest.approx(60_000 / beats, rel=0.005)
    # 11 to 15 ms short at all four rates: T's end bends away from its tangent in the filter
    assert found.qt_ms == pytest.approx(true_qt_ms(beats), abs=20)
    assert found.qt_low_ms <= found.qt_ms <= found.qt_high_ms


def test_every_mark_begins_before_its_beat_and_is_as_long_as_said() -> None:
    recording = simulated(70.0)
    found = ecg_intervals(recording)
    assert len(found.marks) == found.beats
    lengths = np.diff(np.array(found.marks), axis=1)
    assert 1000 * lengths == pytest.approx(found.qt_ms, abs=60)
    assert 1000 * np.diff([begin for begin, _ in found.marks]) == pytest.approx(
        found.rr_ms, rel=0.05
    )


def test_the_words_say_that_nobody_checked_and_by_which_formula() -> None:
    words = ecg_intervals(simulated(70.0)).words
    for part in (AUTOMATIC.capitalize(), "Bazett", "Fridericia", "tangents", "neurokit2"):
        assert part in words


def test_corrections_are_those_of_the_papers() -> None:
    assert bazett(400, 1000) == fridericia(400, 1000) == 400
    assert bazett(400, 640) == pytest.approx(500)
    assert fridericia(400, 512) == pytest.approx(500)


def test_what_cannot_be_measured_is_refused_with_the_reason() -> None:
    whole = simulated(70.0)
    info, values = whole.info, whole.read()

    def of(signal: np.ndarray, **facts: object) -> InMemoryRecording:
        changed = replace(info, samples=len(signal), **facts)  # type: ignore[arg-type]
        return InMemoryRecording(changed, signal.astype(np.float32))

    noise = np.random.default_rng(0).normal(size=values.shape)
    refused = {
        "at 100 Hz": of(values, rate=100.0),
        "2 s at": of(values[:1000]),
        "none of I": of(values, channels=tuple(f"x{k}" for k in range(12))),
        "missing samples or is flat": of(np.zeros_like(values)),
        "QT is not measured|no lead": of(noise),
    }
    for reason, recording in refused.items():
        with pytest.raises(RefusedInputError, match=reason):
            ecg_intervals(recording)


def test_leads_that_disagree_are_not_averaged() -> None:
    whole = simulated(60.0, EcgNoise(wander=0, muscle=0, mains=0))
    values = whole.read().copy()
    time = np.arange(len(values)) / whole.info.rate
    # a bump after T in half of the leads, as of another wave, at all beats
    found = ecg_intervals(whole)
    for begin, end in found.marks:
        bump = 0.6 * np.exp(-(((time - end - 0.06) / 0.04) ** 2))
        values[:, ::2] += bump[:, None].astype(np.float32)
        assert begin < end
    with pytest.raises(RefusedInputError, match=r"not found reliably|leads; needed"):
        ecg_intervals(InMemoryRecording(whole.info, values))
