"""The best possible score, against the formula in one world and naive sums in the others."""

import math

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.timeseries.simulated.cohort import simulate_cohort
from medconsist.timeseries.simulated.recipe import CohortRecipe, World
from medconsist.timeseries.simulated.truth import Effects, log_odds

EFFECTS = Effects(shift=1.5, component=0.8, session=0.4, window=0.3)


def normal(x: float, deviation: float) -> float:
    return math.exp(-0.5 * (x / deviation) ** 2) / deviation


def naive(component: np.ndarray, rate: float, *, by_trial: bool) -> float:
    """Return the likelihood of one patient by plain loops over a fixed grid."""
    grid = np.arange(-4, 4, 0.04).tolist()
    total = 0.0
    for patient in (p for p in grid if abs(p) < 5 * EFFECTS.component):
        product = 1.0
        for trial in component.tolist():
            over_sessions = 0.0
            for session in (s for s in grid if abs(s) < 5 * EFFECTS.session):
                away = [value - patient - session for value in trial]
                absent = [normal(one, EFFECTS.window) for one in away]
                present = [normal(one - EFFECTS.shift, EFFECTS.window) for one in away]
                if by_trial:
                    windows = rate * math.prod(present) + (1 - rate) * math.prod(absent)
                else:
                    pairs = zip(present, absent, strict=True)
                    windows = math.prod(rate * one + (1 - rate) * other for one, other in pairs)
                over_sessions += normal(session, EFFECTS.session) * windows
            product *= over_sessions
        total += normal(patient, EFFECTS.component) * product
    return total


@pytest.mark.parametrize("by_trial", [True, False])
def test_log_odds_are_those_of_naive_sums(by_trial: bool) -> None:
    component = np.random.default_rng(0).normal(0.7, 0.8, size=(2, 2, 2))
    quick = log_odds(component, EFFECTS, rates=(0.3, 0.6), by_trial=by_trial)
    slow = [
        math.log(naive(one, 0.6, by_trial=by_trial) / naive(one, 0.3, by_trial=by_trial))
        for one in component
    ]
    assert quick.tolist() == pytest.approx(slow, abs=1e-4)  # two grids, of other steps


def test_log_odds_of_a_trait_are_linear_in_the_mean() -> None:
    trials, windows = 3, 4
    component = np.random.default_rng(1).normal(0.5, 1.0, size=(6, 1, 1)) + np.zeros(
        (6, trials, windows)
    )
    variance = (
        EFFECTS.component**2 + EFFECTS.session**2 / trials + EFFECTS.window**2 / (trials * windows)
    )
    expected = EFFECTS.shift * (component[:, 0, 0] - EFFECTS.shift / 2) / variance
    odds = log_odds(component, EFFECTS, rates=(0, 1), by_trial=False)
    assert odds == pytest.approx(expected, abs=1e-6)


def test_log_odds_do_without_subject_and_session_effects() -> None:
    effects = Effects(shift=1.0, component=0.0, session=0.0, window=0.5)
    component = np.array([[[0.0, 0.0]], [[1.0, 1.0]], [[0.5, 0.5]]])
    odds = log_odds(component, effects, rates=(0, 1), by_trial=False)
    assert odds == pytest.approx([-4.0, 4.0, 0.0])


@pytest.mark.parametrize("world", ["shared", "by_trial", "by_window"])
def test_no_simple_score_beats_the_ceiling_on_average(world: World) -> None:
    best, mean = [], []
    for seed in range(12):
        recipe = CohortRecipe(world=world, samples=64)
        truth = simulate_cohort(recipe, generator=torch.Generator().manual_seed(seed)).truth
        best.append(truth.ceiling)
        simple = torch.from_numpy(truth.component.mean((1, 2)))
        mean.append(area_under_roc(simple, torch.from_numpy(truth.label == 1)))
    assert np.mean(best) >= np.mean(mean)
    assert 0.8 < np.mean(best) < 0.97


def test_no_class_effect_leaves_a_ceiling_of_a_half() -> None:
    recipe = CohortRecipe(effects=Effects(shift=0.0), samples=64)
    truth = simulate_cohort(recipe, generator=torch.Generator().manual_seed(0)).truth
    assert truth.ceiling == 0.5
    assert np.abs(truth.score).max() < 1e-9


def test_an_effect_out_of_range_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="that of the window above 0"):
        Effects(window=0.0)
