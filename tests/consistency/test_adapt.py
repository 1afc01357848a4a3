"""Adaptation: whatever happens inside, the model is the same bits before and after."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medconsist.consistency.adapt import Fall, Report, adapt_episode, improves_by
from medconsist.errors import ConvergenceError, RefusedInputError, ShapeError


class Net(nn.Sequential):
    """Has all that an episode could leave changed: batch statistics, dropout, a frozen part."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.5, generator=generator)
        self[3].weight.requires_grad = False
        first = next(self.parameters())
        first.grad = torch.full_like(first, 0.25)
        self.train()
        self[2].eval()


DATA = torch.randn(40, 4, generator=torch.Generator().manual_seed(1))
TRUTH = DATA.sum(1, keepdim=True)


def never_better(_before: Tensor, _after: Tensor) -> bool:
    return False


def state(model: nn.Module) -> dict[str, Any]:
    return {
        "values": copy.deepcopy(model.state_dict()),
        "grads": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "flags": [p.requires_grad for p in model.parameters()],
        "modes": [m.training for m in model.modules()],
        "random": torch.get_rng_state(),
    }


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    for name, value in before["values"].items():
        assert torch.equal(value, after["values"][name]), name
    for one, other in zip(before["grads"], after["grads"], strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)
    assert before["flags"] == after["flags"]
    assert before["modes"] == after["modes"]
    assert torch.equal(before["random"], after["random"])


def episode(
    model: nn.Module,
    *,
    steps: int = 20,
    loss: Callable[[int], Tensor] | None = None,
    errors: Callable[[], Tensor] | None = None,
    **changes: Any,
) -> Report[Tensor]:
    """Fit the first half, look at the second, in a model whose mode the loss flips."""

    def fit(step: int) -> Tensor:
        model.train()
        noise = 0.01 * torch.randn(20, 1)  # moves the global random state
        return (model(DATA[:20]) - TRUTH[:20] + noise).square().mean() + 0 * step

    def look() -> Tensor:
        model.eval()
        return (model(DATA[20:]) - TRUTH[20:]).square()[:, 0]

    return adapt_episode(
        model,
        changes.pop("params", model.parameters()),
        loss or fit,
        errors or look,
        lambda: model(DATA).clone(),
        steps=steps,
        patience=50,
        optimizer=lambda p: torch.optim.Adam(p, 0.05),
        **changes,
    )


def plain_output(model: nn.Module) -> Tensor:
    twin = copy.deepcopy(model)
    with torch.no_grad():
        return twin(DATA)


@pytest.mark.parametrize("accept", [None, never_better], ids=["accepted", "rejected"])
def test_the_model_is_the_same_bits_afterwards(accept: Any) -> None:
    model = Net()
    before = state(model)
    report = episode(model, accept=accept)
    assert_same(before, state(model))
    assert report.accepted == (accept is None)


def test_a_rejected_adaptation_returns_the_unadapted_output() -> None:
    model = Net()
    wanted = plain_output(model)
    report = episode(model, accept=never_better)
    assert report.output is report.unadapted
    assert torch.equal(report.output, wanted)
    assert report.kept_step > 0


def test_an_accepted_adaptation_is_better_on_what_it_never_saw() -> None:
    model = Net()
    report = episode(model, steps=60)
    assert report.accepted
    assert not torch.equal(report.output, report.unadapted)
    assert min(report.errors) == report.errors[report.kept_step] < 0.7 * report.errors[0]


def test_zero_steps_are_a_plain_forward_and_look_at_nothing() -> None:
    model = Net()
    before, wanted = state(model), plain_output(model)

    def never(*_: int) -> Tensor:
        raise AssertionError

    report = episode(model, steps=0, loss=never, errors=never)
    assert torch.equal(report.output, wanted)
    assert (report.steps, report.errors, report.accepted) == (0, (), False)
    assert_same(before, state(model))


def test_the_output_is_that_of_the_least_error_not_of_the_last_step() -> None:
    weight = nn.Linear(1, 1, bias=False)
    nn.init.constant_(weight.weight, 0.0)
    # each step moves the weight by 1; the withheld samples want 3
    report = adapt_episode(
        weight,
        weight.parameters(),
        lambda _: -weight.weight.sum(),
        lambda: (weight.weight[0] - 3).square() + torch.tensor([0.0, 0.01, 0.02]),
        lambda: weight.weight.item(),
        steps=50,
        patience=2,
        optimizer=lambda p: torch.optim.SGD(p, 1.0),
    )
    assert (report.output, report.unadapted) == (3.0, 0.0)
    assert (report.kept_step, report.steps) == (3, 5)
    assert weight.weight.item() == 0.0


def test_both_predictions_start_from_the_same_random_state() -> None:
    model = nn.Linear(1, 1)
    start = torch.get_rng_state()
    noise = torch.rand(3)
    torch.set_rng_state(start)
    report = adapt_episode(
        model,
        model.parameters(),
        lambda _: (model(torch.rand(4, 1)) - 9).square().mean(),
        lambda: (model(torch.ones(4, 1)) - 9).square()[:, 0] * torch.linspace(0.9, 1.1, 4),
        lambda: torch.rand(3),
        steps=5,
        patience=5,
        optimizer=lambda p: torch.optim.SGD(p, 0.1),
    )
    assert report.accepted
    assert torch.equal(report.output, noise)
    assert torch.equal(report.unadapted, noise)
    assert torch.equal(torch.get_rng_state(), start)


def test_a_generator_of_the_caller_is_put_back_too() -> None:
    model, own = Net(), torch.Generator().manual_seed(5)
    before = own.get_state()

    def fit(step: int) -> Tensor:
        rows = torch.randint(20, (8,), generator=own)
        return (model(DATA[rows]) - TRUTH[rows]).square().mean() + 0 * step

    episode(model, loss=fit, generators=[own])
    assert torch.equal(own.get_state(), before)


def test_only_what_is_named_is_trained_also_when_it_was_frozen() -> None:
    model = Net()
    seen: list[Tensor] = []

    def errors() -> Tensor:
        seen.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        return torch.linspace(1, 2, 5) / len(seen)

    before = state(model)
    episode(model, params=[model[3].weight], steps=2, errors=errors)
    moved = (seen[1] != seen[0]).nonzero().flatten().tolist()
    n_before = 4 * 8 + 8 + 8 + 8
    assert moved == list(range(n_before, n_before + 8))
    assert_same(before, state(model))


@pytest.mark.parametrize("at", ["loss", "errors"])
def test_an_exception_leaves_the_model_as_it_was(at: str) -> None:
    model = Net()
    before, calls = state(model), 0

    def errors(*_: int) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > 2:
            msg = "out of reach"
            raise RuntimeError(msg)
        model.eval()
        return (model(DATA[:20]) - TRUTH[:20]).square()[:, 0]

    def loss(step: int) -> Tensor:
        return errors(step).mean()

    with pytest.raises(RuntimeError, match="out of reach"):
        episode(
            model,
            loss=loss if at == "loss" else None,
            errors=errors if at == "errors" else None,
        )
    assert_same(before, state(model))


def test_a_loss_that_is_not_finite_stops_the_episode_and_restores() -> None:
    model = Net()
    before = state(model)
    with pytest.raises(ConvergenceError, match="the loss is not finite; the model has been put"):
        episode(model, loss=lambda _: model(DATA).sum() * float("nan"))
    assert_same(before, state(model))


def test_a_gain_within_its_sampling_noise_is_not_accepted() -> None:
    before = torch.tensor([1.0, 2.0, 3.0, 4.0])
    accept = improves_by(se=2)
    assert accept(before, before - 0.1)
    assert not accept(before, before)
    assert not accept(before, before - torch.tensor([1.0, -0.9, 0.8, -0.7]))
    assert improves_by(se=0)(before, before - torch.tensor([1.0, -0.9, 0.8, -0.7]))


def test_noise_alone_is_rarely_accepted() -> None:
    """Errors that an adaptation only redraws: two standard errors let 2 to 3 of 100 pass."""
    generator = torch.Generator().manual_seed(0)
    before, after = torch.rand(2, 2000, 50, generator=generator)
    accept = improves_by(se=2)
    passed = sum(accept(b, a) for b, a in zip(before, after, strict=True))
    assert 20 <= passed <= 90


def test_unfit_budgets_and_errors_are_refused() -> None:
    model = Net()
    with pytest.raises(RefusedInputError, match="got -1 steps, patience 50 and 6 parameters"):
        episode(model, steps=-1)
    with pytest.raises(RefusedInputError, match="and 0 parameters"):
        episode(model, params=[])
    with pytest.raises(ShapeError, match=r"shape \(\); allowed: one error for"):
        episode(model, errors=lambda: torch.zeros(()))
    with pytest.raises(RefusedInputError, match="se must be 0 or more and finite; got -1"):
        improves_by(se=-1)
    with pytest.raises(RefusedInputError, match="1 withheld sample has no standard error"):
        improves_by()(torch.ones(1), torch.zeros(1))


def test_one_group_of_dependent_errors_counts_as_one_voice() -> None:
    """The same gain a hundred times over is no more evidence than once."""
    before = torch.ones(4).repeat_interleave(100)
    after = before - torch.tensor([0.3, -0.1, 0.2, 0.1]).repeat_interleave(100)
    groups = torch.arange(4).repeat_interleave(100)
    plain = Fall.of(before, after)
    grouped = Fall.of(before, after, groups=groups)
    once = Fall.of(before[::100], after[::100])
    assert grouped.mean == pytest.approx(plain.mean)
    assert grouped.groups == 4
    assert grouped.se == pytest.approx(once.se)
    assert plain.se < once.se / 9
    assert improves_by(se=2)(before, after)
    assert not improves_by(se=2, groups=groups)(before, after)
    with pytest.raises(RefusedInputError, match="1 group of withheld samples has no standard"):
        Fall.of(before, after, groups=torch.zeros(400).long())


def test_judges_are_asked_at_the_start_and_at_the_kept_step_alone() -> None:
    model = Net()
    asked: list[Tensor] = []

    def judge() -> Tensor:
        asked.append(model.get_parameter("0.weight").detach().clone())
        return torch.tensor([2.0, 2.1, 2.2]) - len(asked)

    before = state(model)
    report = episode(model, judge_fn=judge)
    assert report.accepted
    assert report.judged is not None
    assert [one.tolist() for one in report.judged] == [
        pytest.approx([1.0, 1.1, 1.2]),
        pytest.approx([0.0, 0.1, 0.2]),
    ]
    assert len(asked) == 2
    assert torch.equal(asked[0], before["values"]["0.weight"])
    assert not torch.equal(asked[0], asked[1])
    assert_same(before, state(model))


def test_judges_refuse_what_the_selecting_samples_liked() -> None:
    model = Net()
    report = episode(model, judge_fn=lambda: torch.ones(5))
    assert min(report.errors) < report.errors[0]
    assert not report.accepted
    assert report.output is report.unadapted


def test_looks_are_taken_every_few_steps_and_after_the_last() -> None:
    seen: list[int] = []
    model = Net()

    def errors() -> Tensor:
        seen.append(1)
        return torch.linspace(1, 2, 5) / len(seen)

    report = episode(model, steps=7, every=3, errors=errors)
    assert len(seen) == len(report.errors) == 4
    assert (report.steps, report.kept_step) == (7, 7)
