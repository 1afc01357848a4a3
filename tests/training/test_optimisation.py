"""Learning rates against their formulas; the optimiser against torch's own."""

import math
from typing import Literal

import pytest
import torch
from torch import nn

from medconsist.errors import RefusedInputError
from medconsist.training.optimisation import learning_rate, make_optimizer, trainable
from medconsist.training.settings import EarlyStop, OptimiserConfig, TrainConfig


def rates(config: OptimiserConfig) -> list[float]:
    rate = learning_rate(config)
    return [rate(step) for step in range(config.steps)]


def test_the_cosine_starts_at_lr_after_the_warmup_and_never_reaches_zero_within_the_run() -> None:
    config = OptimiserConfig(steps=10, lr=0.2, warmup=4)
    wanted = [0.05, 0.1, 0.15, 0.2]
    wanted += [0.1 * (1 + math.cos(math.pi * t / 6)) for t in range(6)]
    assert rates(config) == pytest.approx(wanted)
    assert rates(config)[-1] > 0


def test_the_inverse_root_falls_from_the_end_of_the_warmup() -> None:
    config = OptimiserConfig(steps=10, lr=1.0, warmup=4, schedule="inverse_sqrt")
    assert rates(config) == pytest.approx(
        [0.25, 0.5, 0.75, 1, 1, *(2 / t**0.5 for t in range(5, 10))]
    )


def test_without_warmup_the_first_step_has_the_full_rate() -> None:
    for schedule in ("cosine", "constant", "inverse_sqrt"):
        assert learning_rate(OptimiserConfig(steps=3, lr=0.5, schedule=schedule))(0) == 0.5


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_steps_equal_those_of_torch_with_the_rate_of_the_schedule(
    name: Literal["adam", "adamw"],
) -> None:
    config = OptimiserConfig(steps=5, lr=0.1, warmup=2, optimiser=name, weight_decay=0.1)
    ours, theirs = (nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizer, scheduler = make_optimizer([ours], config)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    plain = kind([theirs], lr=0.1, weight_decay=0.1)
    for rate in rates(config):
        plain.param_groups[0]["lr"] = rate
        for parameter, rule in ((ours, optimizer), (theirs, plain)):
            parameter.grad = parameter.detach() * torch.tensor([1.0, -2.0, 3.0])
            rule.step()
        scheduler.step()
    assert torch.equal(ours, theirs)


def test_only_what_carries_a_gradient_is_trained() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1).requires_grad_(requires_grad=False))
    assert len(trainable(network)) == 2
    with pytest.raises(RefusedInputError, match="Identity has no parameter that requires"):
        trainable(nn.Identity())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"steps": 0}, "steps got 0"),
        ({"lr": 0.0}, "lr got 0.0"),
        ({"lr": math.nan}, "lr got nan"),
        ({"warmup": 10}, "warmup got 10; allowed: 0 to 9"),
        ({"weight_decay": -1}, "weight_decay got -1"),
        ({"clip": 0}, "clip got 0"),
        ({"accumulate": 0}, "accumulate got 0"),
        ({"evaluate_every": 0}, "evaluate_every got 0"),
        ({"checkpoint_every": 0}, "checkpoint_every got 0"),
        ({"devices": 0}, "devices got 0"),
        ({"ema": 1.5}, "ema got 1.5"),
        ({"stop": EarlyStop(metric="val_a")}, "stop needs evaluations"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(RefusedInputError, match=said):
        TrainConfig(**{"steps": 10, **values})  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"metric": "loss"}, "written val_<name>"),
        ({"patience": 0}, "patience got 0"),
        ({"least_change": -1}, "least_change got -1"),
    ],
    ids=str,
)
def test_early_stops_that_cannot_work_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(RefusedInputError, match=said):
        EarlyStop(**{"metric": "val_a", **values})  # type: ignore[arg-type]  # wrong on purpose
