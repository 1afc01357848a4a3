"""Weights chosen by rank less identity, and what that costs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.timeseries.checkpoint_choice import Checkpoint, checkpoints, chosen, regret
from medconsist.timeseries.pretrained import Pretraining, digest_of_windows
from medconsist.timeseries.pretraining import WindowSampling, _identity, encode_all
from medconsist.timeseries.simulated.cohort import simulate_cohort
from medconsist.timeseries.simulated.recipe import CohortRecipe
from medconsist.timeseries.window_set import WindowSet

HOW = Pretraining(
    options={"hidden": 4, "dim": 4, "depth": 2},
    epochs=3,
    lr=1e-2,
    sampling=WindowSampling(batch=6),
    average="last",
    evaluations=3,
)


@pytest.fixture(scope="module")
def windows() -> WindowSet:
    recipe = CohortRecipe(patients=4, trials=3, samples=32, rate=128.0, channels=("C3", "O1"))
    return simulate_cohort(recipe, generator=torch.Generator().manual_seed(0)).windows


def of_choices(*choices: float) -> list[Checkpoint]:
    return [Checkpoint(scores={"choice": one}, features=np.zeros((0, 1))) for one in choices]


def test_checkpoints_are_those_that_a_training_which_chooses_keeps(
    windows: WindowSet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    taken = checkpoints(HOW, windows, windows, seed=5)
    assert len(taken) == 3
    assert not np.array_equal(taken[0].features, taken[2].features)
    for one in taken:
        assert one.scores["choice"] == one.scores["rank"] - one.scores["identity"]
    for choose, place in ((False, 2), (True, chosen(taken))):
        folder = tmp_path_factory.mktemp("run")
        how = replace(HOW, choose=choose)
        network = how.run(windows, folder, progress=False, seed=5)
        assert np.array_equal(encode_all(network, windows), taken[place].features)


def test_the_first_of_equal_choices_is_kept() -> None:
    assert chosen(of_choices(0.1, 0.4, 0.4)) == 1


def test_regret_is_against_the_best_and_the_gain_against_the_last() -> None:
    found = regret(of_choices(0.1, 0.4, 0.2), [0.9, 0.7, 0.6])
    assert found.against_best == pytest.approx(0.2)
    assert found.gain_on_last == pytest.approx(0.1)


def test_identity_is_told_where_a_patient_has_another_trial_alone(windows: WindowSet) -> None:
    first = np.unique(windows.table.patient, return_index=True)[1]
    lone = windows.take(first)
    assert _identity(torch.eye(len(first)), lone) == 1.0
    of_one = windows.of_patients([0])
    mixed = np.concatenate([np.flatnonzero(windows.table.patient == 0), first[1:]])
    features = torch.eye(2)[(torch.arange(len(mixed)) >= len(of_one)).long()]
    assert _identity(features, windows.take(mixed)) == 1.0


def test_a_training_is_that_of_its_windows_alone(windows: WindowSet) -> None:
    half = len(windows) // 2
    even, odd = (windows.take(np.arange(k, 2 * half, 2)) for k in (0, 1))
    assert digest_of_windows(even) != digest_of_windows(odd)
    assert digest_of_windows(even) == digest_of_windows(windows.take(np.arange(0, 2 * half, 2)))
    louder = WindowSet(
        2 * windows.signals,
        windows.table,
        rate=windows.rate,
        channels=windows.channels,
        units=windows.units,
    )
    assert digest_of_windows(windows.take(np.arange(half))) != digest_of_windows(
        louder.take(np.arange(half))
    )


def test_steps_are_shared_by_devices_and_evaluations_are_not_more_than_asked() -> None:
    config = replace(HOW, epochs=5, devices=2, evaluations=3)._config(4, 0)
    assert (config.steps, config.evaluate_every) == (10, 4)  # at 4, 8 and 10


def test_nothing_to_choose_from_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="no checkpoint to choose from"):
        chosen([])
    with pytest.raises(RefusedInputError, match="1 figures of 2 checkpoints"):
        regret(of_choices(0.1, 0.2), [0.5])
