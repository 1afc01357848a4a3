"""A pre-training from windows to weights: resumed, loaded, and learned anew for each round."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.timeseries.pretext import Pretext
from medconsist.timeseries.pretrained import Pretrained, Pretraining, as_released, load_pretext
from medconsist.timeseries.pretraining import WindowSampling, encode_all
from medconsist.timeseries.window_set import WindowSet
from medconsist.training.draws import generator_for
from tests.timeseries.small_signals import small_cohort

HOW = Pretraining(
    options={"hidden": 4, "dim": 8, "depth": 2},
    epochs=3,
    lr=1e-2,
    sampling=WindowSampling(batch=8),
    evaluations=3,
)


class KilledError(Exception):
    """What ends a training from outside."""


@pytest.fixture(scope="module")
def windows() -> WindowSet:
    return small_cohort(patients=4, trials=2).windows


@pytest.mark.parametrize("method", ["comet", "comet-reference"])
def test_a_killed_training_that_goes_on_ends_with_the_same_weights(
    windows: WindowSet, tmp_path: Path, method: str
) -> None:
    order = WindowSampling(batch=8, order="trial-frozen" if method != "comet" else "trial")
    how = replace(HOW, method=method, sampling=order)
    whole = how.run(windows, tmp_path / "whole", progress=False, seed=3)
    seen = list[float]()

    def kill(network: Pretext, scores: Mapping[str, float]) -> None:
        seen.append(scores["rank"])
        if len(seen) == 2:
            raise KilledError

    with pytest.raises(KilledError):
        how.run(windows, tmp_path / "torn", progress=False, seed=3, on_evaluation=kill)
    assert not (tmp_path / "torn" / "weights.safetensors").exists()
    resumed = how.run(windows, tmp_path / "torn", resume=True, progress=False, seed=3)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_training_starts_at_the_weights_that_make_draws_and_leaves_them(
    windows: WindowSet, tmp_path: Path
) -> None:
    still = replace(HOW, lr=1e-30, weight_decay=0.0, average="last", evaluations=1)
    first = still.make(windows)(generator_for(3))
    kept = still.run(windows, tmp_path / "still", progress=False, seed=3)
    moved = HOW.run(windows, tmp_path / "moved", progress=False, seed=3)
    for name, tensor in first.state_dict().items():
        torch.testing.assert_close(tensor, kept.state_dict()[name], rtol=0, atol=1e-20)
    assert not np.allclose(encode_all(first.eval(), windows), encode_all(moved, windows))


def test_a_loaded_encoder_gives_the_features_of_the_trained_one(
    windows: WindowSet, tmp_path: Path
) -> None:
    network = HOW.run(windows, tmp_path / "run", progress=False)
    loaded = load_pretext(tmp_path / "run")
    assert not loaded.training
    assert loaded.size == network.size
    np.testing.assert_array_equal(encode_all(loaded, windows), encode_all(network, windows))


def test_a_folder_of_other_windows_is_refused(windows: WindowSet, tmp_path: Path) -> None:
    HOW.run(windows, tmp_path, progress=False)
    with pytest.raises(RefusedInputError, match="windows"):
        HOW.run(windows.take(np.arange(24)), tmp_path, resume=True, progress=False)


def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(RefusedInputError, match="safetensors"):
        load_pretext(tmp_path)


def test_a_round_sees_its_own_windows_and_no_labels(windows: WindowSet, tmp_path: Path) -> None:
    learner = Pretrained(replace(HOW, epochs=1, evaluations=1), folder=tmp_path)
    half = windows.of_patients([0, 1])
    flipped = half.with_patient_labels(1 - half.table.patient_labels)
    features = [
        learner.learn(one, generator=torch.Generator().manual_seed(1))(windows)
        for one in (half, flipped, windows.of_patients([2, 3]))
    ]
    np.testing.assert_array_equal(features[0], features[1])
    assert not np.array_equal(features[0], features[2])
    # the labels made no training of their own
    assert len(list(tmp_path.iterdir())) == 2


def test_a_choice_from_one_evaluation_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="best of 1 evaluations cannot be chosen"):
        Pretraining(choose=True)


def test_the_reference_alone_is_drawn_and_averaged_as_released() -> None:
    given = Pretraining(method="comet", average="last")
    assert as_released(given) is given
    reference = as_released(replace(given, method="comet-reference"))
    assert (reference.sampling.order, reference.average) == ("trial-frozen", 1.0)
