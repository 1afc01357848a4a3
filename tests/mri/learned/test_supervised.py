"""Supervised training: it learns, sees what its settings say, and is scored alike each time."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.metrics.image import image_quality
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.forward import sense_operator
from medconsist.mri.learned.draws import MaskDraw
from medconsist.mri.learned.model import build_network
from medconsist.mri.learned.supervised import Supervised, SupervisedConfig
from medconsist.mri.scan_pool import PoolConfig, ScanPool
from medconsist.training.weights import StoredWeights

SIZE = 32
NETWORK = CirimConfig(cascades=2, steps=2, features=8, noise_input=True)
MASKS = MaskDraw(acceleration=(3, 4))
CONFIG = SupervisedConfig(network=NETWORK, masks=MASKS, distance="mse", batch=4)


@pytest.fixture(scope="module")
def pool() -> ScanPool:
    return ScanPool.simulate(PoolConfig(scans=4, slices=2, size=SIZE, coils=4))


@pytest.fixture(scope="module")
def unseen() -> ScanPool:
    return ScanPool.simulate(PoolConfig(scans=4, slices=1, size=SIZE, coils=4, role="validation"))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trained(task: Supervised, steps: int) -> nn.Module:
    network = task.build(seeded(0))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for step in range(steps):
        optimiser.zero_grad()
        task.losses(network, task.draw(seeded(step), step))["loss"].backward()  # type: ignore[no-untyped-call]  # torch
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    return network.requires_grad_(requires_grad=False)


class Zerofilled(torch.nn.Module):
    """What the network starts from, in the place of a network."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(()))

    def forward(self, samples: Tensor, mask: Tensor, maps: Tensor, _: Tensor) -> Tensor:
        return sense_operator(mask, maps).H(samples)[None, None]


def test_unseen_scans_are_nearer_after_training(pool: ScanPool, unseen: ScanPool) -> None:
    task = Supervised(CONFIG, pool, unseen)
    start = task.evaluate(Zerofilled())
    # zero-filled .081, .073 after 40 steps
    assert task.evaluate(trained(task, 40))["nmse"] < 0.95 * start["nmse"]


def test_scores_are_those_of_the_same_masks_in_each_call(pool: ScanPool, unseen: ScanPool) -> None:
    task = Supervised(CONFIG, pool, unseen)
    network = trained(task, 0)
    scores = task.evaluate(network)
    torch.manual_seed(99)
    assert task.evaluate(network) == scores
    assert Supervised(CONFIG, pool, unseen).evaluate(network) == scores
    assert scores.keys() == image_quality(unseen.reference, unseen.reference).keys()


def test_nothing_is_scored_without_scans_for_it(pool: ScanPool) -> None:
    assert Supervised(CONFIG, pool).evaluate(Zerofilled()) == {}


def test_the_first_steps_are_of_low_resolution(pool: ScanPool) -> None:
    task = Supervised(SupervisedConfig(masks=MASKS, small=16, small_steps=2, batch=3), pool)
    shapes = [tuple(task.draw(seeded(0), step).reference.shape) for step in range(3)]
    assert shapes == [(3, 16, 16), (3, 16, 16), (3, SIZE, SIZE)]


def test_a_step_is_the_same_in_low_memory(pool: ScanPool) -> None:
    losses = []
    for low_memory in (False, True):
        task = Supervised(SupervisedConfig(network=NETWORK, low_memory=low_memory), pool)
        losses.append(task.losses(task.build(seeded(0)), task.draw(seeded(1), 0))["loss"])
    assert float(losses[0].detach()) == pytest.approx(float(losses[1].detach()), rel=1e-5)


def test_weights_say_what_they_have_seen_and_are_built_again(pool: ScanPool) -> None:
    task = Supervised(CONFIG, pool, about={"card": "a.md"})
    assert task.about()["trained_on"] == "simulation"
    assert task.about()["card"] == "a.md"
    state = task.build(seeded(0)).state_dict()
    stored = StoredWeights(state, task.architecture(), task.about(), "0" * 64)
    assert build_network(stored, "a.safetensors").config == NETWORK


@pytest.mark.parametrize("changes", [{"batch": 0}, {"small": 0}, {"small_steps": -1}])
def test_impossible_settings_are_refused(changes: dict[str, Any]) -> None:
    (name, value) = next(iter(changes.items()))
    with pytest.raises(RefusedInputError, match=f"{name} {value}.*; allowed: at least 1, 1 and 0"):
        SupervisedConfig(**changes)


@pytest.mark.parametrize("noise", [(0.5, 1.0), (2.0, 1.0), (1.0, float("inf"))])
def test_noise_is_never_taken_away(noise: tuple[float, float]) -> None:
    with pytest.raises(RefusedInputError, match=r"noise got .*; allowed: 1 <= least <= largest"):
        SupervisedConfig(noise=noise)


def test_noise_of_a_draw_is_as_it_was_asked_for(pool: ScanPool) -> None:
    """Level over the brightest pixel does not depend on the scale of the draw."""
    pool = pool.at([0])
    found = []
    for factor in (1.0, 3.0):
        config = SupervisedConfig(network=NETWORK, masks=MASKS, noise=(factor, factor))
        drawn = Supervised(config, pool).draw(seeded(4), 0)
        found.append(float(drawn.sigma[0] / drawn.reference.max()))
    level = float(pool.sigma[0] / pool.reference.max())
    assert found == pytest.approx([level, 3 * level], rel=1e-5)


def test_a_low_resolution_that_does_not_divide_is_refused_before_training(pool: ScanPool) -> None:
    with pytest.raises(RefusedInputError, match="small got 7 beside scans of 32 x 32; allowed"):
        Supervised(SupervisedConfig(small=7, small_steps=1), pool)
