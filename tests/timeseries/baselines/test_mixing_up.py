"""Mixing-up's loss is the cross-entropy with soft targets that its paper states."""

from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from medconsist.timeseries.baselines.mixing_up import MixingUp, MixingUpConfig, mixing_loss
from tests.timeseries.baselines.drawn import SIZE, drawn, seeded

TWINS: tuple[Literal["left out", "negatives"], ...] = ("left out", "negatives")
ORDER = torch.tensor([2, 0, 1, 3, 4])


def features(seed: int) -> Tensor:
    return torch.randn(5, 6, generator=seeded(seed), dtype=torch.float64)


def naive(mixed: Tensor, z: Tensor, share: float, tau: float, *, twins_left_out: bool) -> float:
    total = 0.0
    keys, owner = [*z, *z[ORDER]], [*range(5), *ORDER.tolist()]
    for i in range(5):
        logits = {}
        for place, key in enumerate(keys):
            twin = owner[place] in (i, int(ORDER[i])) and place not in (i, 5 + i)
            if not (twin and twins_left_out):
                logits[place] = functional.cosine_similarity(mixed[i], key, dim=0) / tau
        bound = torch.stack(list(logits.values())).logsumexp(0)
        first, second = bound - logits[i], bound - logits[5 + i]
        total += float(share * first + (1 - share) * second) / 5
    return total


@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("twins_left_out", [True, False])
def test_the_loss_follows_the_equation(share: float, twins_left_out: bool) -> None:
    mixed, z = features(0), features(1)
    wanted = naive(mixed, z, share, 0.5, twins_left_out=twins_left_out)
    found = mixing_loss(mixed, z, ORDER, share, tau=0.5, twins_left_out=twins_left_out)
    assert found.item() == pytest.approx(wanted, rel=1e-12)


def test_twins_as_negatives_make_the_loss_larger() -> None:
    losses = [
        MixingUp(SIZE, config=MixingUpConfig(twins=twins), generator=seeded())(drawn())["loss"]
        for twins in TWINS
    ]
    assert losses[0] < losses[1]


def test_the_mixed_window_is_the_weighted_sum_of_two() -> None:
    model = MixingUp(SIZE, generator=seeded()).eval()
    seen: list[Tensor] = []
    model.blocks.register_forward_pre_hook(lambda _, args: seen.append(args[0].mT))
    batch = drawn()
    model(batch)
    parts = torch.linalg.lstsq(
        batch.signals.flatten(1).T.double(), seen[1].flatten(1).T.double()
    ).solution.T
    torch.testing.assert_close(parts.sum(1), torch.ones(5, dtype=torch.float64))
    shares = parts.diagonal()
    moved = shares < 1 - 1e-5
    assert moved.any()
    torch.testing.assert_close(shares[moved], shares[moved][:1].expand_as(shares[moved]))


def test_any_length_is_encoded() -> None:
    assert MixingUp(SIZE).eval().encode(torch.zeros(3, 37, 2)).shape == (3, 128)
