"""A fixed model on fresh simulated recordings: its interval covers as often as it states."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor

from medconsist.metrics.classification import area_under_roc
from medconsist.timeseries.evaluation.answers import aggregated
from medconsist.timeseries.evaluation.band_power import BandPower
from medconsist.timeseries.evaluation.coverage import fixed_area_coverage
from medconsist.timeseries.evaluation.fixed_model import judge_model
from medconsist.timeseries.simulated.cohort import SimulatedCohort, simulate_cohort
from medconsist.timeseries.simulated.recipe import CohortRecipe
from medconsist.timeseries.simulated.truth import Effects
from medconsist.timeseries.window_set import WindowSet

REPEATS = 400
MANY = 20_000  # patients whose area stands for the true one: a standard error of .003
RECIPE = CohortRecipe(patients=16, trials=2, samples=64, rate=64.0, channels=("C3", "O1"))
THETA = BandPower(((4.0, 8.0),))


def drawn(recipe: CohortRecipe, seed: int) -> SimulatedCohort:
    return simulate_cohort(recipe, generator=torch.Generator().manual_seed(seed))


def told(windows: WindowSet) -> Tensor:
    """The more theta, the more likely a case; centred so that no probability is 0 or 1."""
    score = torch.from_numpy(THETA.features(windows).mean(1) - 9) / 2
    return torch.stack([torch.zeros_like(score), score], 1)


def area(cohort: SimulatedCohort) -> float:
    windows = cohort.windows
    patients = aggregated(
        told(windows), windows.table, cohort.truth.label, round_of=0, how="probability"
    )[2]
    return area_under_roc(patients.score, patients.label == 1)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_the_interval_of_a_fixed_model_covers_fresh_recordings_as_stated(shift: float) -> None:
    recipe = replace(RECIPE, effects=Effects(shift=shift))
    truth = area(drawn(replace(recipe, patients=MANY), seed=0))
    assert 0.55 < truth < 0.97  # neither chance nor a ceiling, where coverage would say little
    held = 0
    for repeat in range(REPEATS):
        fresh = drawn(recipe, seed=1 + repeat).windows
        found = judge_model(told, fresh, name="theta").rows[0].figures["AUC"]
        assert found.ci_low is not None
        assert found.ci_high is not None
        assert found.n == 16
        held += found.ci_low <= truth <= found.ci_high
    stated = fixed_area_coverage(8, 8).by_truth
    rate = float(np.interp(truth, list(stated), list(stated.values())))
    assert binomtest(held, REPEATS, rate).pvalue > 0.01, (held, rate, truth)
