"""Which windows a step of a pre-training sees, and what is measured without labels."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.timeseries.pretext import DrawnWindows
from medconsist.timeseries.pretraining import Order, PretextObjective, WindowSampling, encode_all
from medconsist.timeseries.window_set import WindowSet
from medconsist.training.draws import Place, generator_for
from tests.timeseries.small_signals import small_cohort, small_comet

BATCH = 6


@pytest.fixture(scope="module")
def windows() -> WindowSet:
    return small_cohort(patients=4, trials=2).windows


def objective(windows: WindowSet, order: Order = "trial", *, seed: int = 0) -> PretextObjective:
    sampling = WindowSampling(batch=BATCH, order=order, seed=seed)
    return PretextObjective(lambda _: small_comet(), windows, sampling=sampling)


def epoch(task: PretextObjective, number: int) -> list[DrawnWindows]:
    steps = range(number * task.batches, (number + 1) * task.batches)
    return [task.draw_at(generator_for(0, step), Place(step=step)) for step in steps]


def sets(task: PretextObjective, number: int) -> set[frozenset[tuple[int, int]]]:
    """The windows of each batch of an epoch."""
    return {
        frozenset(zip(one.trial.tolist(), one.start.tolist(), strict=True))
        for one in epoch(task, number)
    }


@pytest.mark.parametrize("order", ["random", "trial", "trial-frozen"])
def test_no_window_is_twice_in_an_epoch(windows: WindowSet, order: Order) -> None:
    task = objective(windows, order)
    for number in (0, 1):
        batches = sets(task, number)
        assert len(batches) == len(windows) // BATCH
        assert len(frozenset.union(*batches)) == BATCH * len(batches)


def test_frozen_batches_change_places_alone(windows: WindowSet) -> None:
    frozen, drawn = objective(windows, "trial-frozen"), objective(windows, "trial")
    assert sets(frozen, 0) == sets(frozen, 1) == sets(frozen, 2)
    assert sets(drawn, 0) != sets(drawn, 1)
    first = [[one.trial.tolist() for one in epoch(frozen, number)] for number in range(6)]
    assert any(one != other for one, other in pairwise(first))


def test_windows_of_a_trial_stand_beside_each_other(windows: WindowSet) -> None:
    trials = torch.cat([one.trial for one in epoch(objective(windows), 0)])
    changes = int((trials.diff() != 0).sum())
    assert changes == len(set(trials.tolist())) - 1


def test_a_batch_is_that_of_its_step_whatever_was_drawn_before(windows: WindowSet) -> None:
    later = objective(windows).draw_at(generator_for(0, 7), Place(step=7))
    again = epoch(objective(windows), 7 // objective(windows).batches)
    same = again[7 % objective(windows).batches]
    assert torch.equal(later.signals, same.signals)
    assert later.seed == same.seed


def test_labels_change_nothing(windows: WindowSet) -> None:
    flipped = windows.with_patient_labels(1 - windows.table.patient_labels)
    one, other = objective(windows), objective(flipped)
    assert sets(one, 0) == sets(other, 0)
    assert (one.windows.table.label == -1).all()
    network = small_comet()
    assert one.evaluate(network) == other.evaluate(network)


def test_fewer_windows_than_a_batch_are_refused(windows: WindowSet) -> None:
    with pytest.raises(RefusedInputError, match="5 windows to learn from, and a batch of 6"):
        objective(windows.take(np.arange(5)))


def test_features_do_not_depend_on_the_batch_mates(windows: WindowSet) -> None:
    network = small_comet()
    alone = np.concatenate([encode_all(network, windows.take([row])) for row in range(3)])
    # sums of another batch size are added in another order
    np.testing.assert_allclose(encode_all(network, windows)[:3], alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "found"),
    [("channels", "1 channels of"), ("rate", "at 17 Hz"), ("samples", "of 10 samples")],
)
def test_windows_that_an_encoder_was_not_built_for_are_refused(
    windows: WindowSet, wrong: str, found: str
) -> None:
    signals, count, rate = windows.signals, len(windows.channels), windows.rate
    if wrong == "channels":
        signals, count = signals[..., :1], 1
    elif wrong == "samples":
        signals = signals[:, :10]
    else:
        rate = 17.0
    other = WindowSet(
        signals,
        replace(windows.table),
        rate=rate,
        channels=windows.channels[:count],
        units=windows.units[:count],
    )
    with pytest.raises(RefusedInputError, match=f"the encoder was built for .*{found}"):
        encode_all(small_comet(), other)
