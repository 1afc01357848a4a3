"""CLAM: its hinge against the formula, its instance loss against a loop over bags and classes."""

import math

import pytest
import torch

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.networks.ragged import Segments
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.models.clam import ClamSb, InstanceTask, smooth_top1_svm

SIZE = MilSize(dim=6, classes=3, width=10)


def naive_hinge(scores: list[float], right: int, tau: float, alpha: float) -> float:
    risen = [s + alpha * (j != right) - scores[right] for j, s in enumerate(scores)]
    second, first = sorted(scores)[-2:]
    if first - second >= tau * math.log(1000):
        return max(risen)
    return tau * math.log(sum(math.exp(value / tau) for value in risen))


@pytest.mark.parametrize(("tau", "alpha"), [(1.0, 1.0), (0.5, 2.0), (2, 0)])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_hinge_is_the_formula_on_both_sides_of_its_switch(
    classes: int, tau: float, alpha: float, generator: torch.Generator
) -> None:
    scores = 5 * torch.randn(200, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (200,), generator=generator)
    rows = zip(scores.tolist(), labels.tolist(), strict=True)
    expected = [naive_hinge(row, right, tau, alpha) for row, right in rows]
    torch.testing.assert_close(
        smooth_top1_svm(scores, labels, tau=tau, alpha=alpha),
        torch.tensor(expected, dtype=torch.float64),
    )
    gaps = scores.topk(2, dim=1).values.diff(dim=1).abs()
    assert bool((gaps >= tau * math.log(1000)).any())


def test_of_two_classes_it_is_the_shifted_logistic_loss_below_the_switch() -> None:
    gap = torch.linspace(-6.9, 6.9, 50, dtype=torch.float64)
    scores = torch.stack([torch.zeros_like(gap), gap], 1)
    for right, sign in ((0, 1), (1, -1)):
        labels = torch.full((50,), right)
        expected = torch.log1p((1 + sign * gap).exp())
        torch.testing.assert_close(smooth_top1_svm(scores, labels), expected)


def test_beyond_the_switch_a_right_answer_costs_nothing_at_all() -> None:
    scores = torch.tensor([[7.0, 0.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(smooth_top1_svm(scores, torch.tensor([0])).sum(), scores)
    assert slope.tolist() == [[0.0, 0.0]]


def test_a_hinge_of_one_class_or_a_negative_margin_is_refused() -> None:
    with pytest.raises(ShapeError, match="2 classes or more"):
        smooth_top1_svm(torch.zeros(1, 1), torch.tensor([0]))
    with pytest.raises(RefusedInputError, match="tau > 0 and alpha >= 0"):
        smooth_top1_svm(torch.zeros(1, 2), torch.tensor([0]), alpha=-1.0)


def naive_instance_loss(model: ClamSb, bag: torch.Tensor, label: int) -> torch.Tensor:
    """One bag in eval mode, as the paper's two procedures tell it."""
    embedded = model.trunk(bag)
    order = model.score(embedded)[:, 0].argsort(descending=True, stable=True).tolist()
    count, n = model.task.count, len(bag)
    if model.task.small_bags == "disjoint":
        high, low = order[: min(count, (n + 1) // 2)], order[::-1][: min(count, n // 2)]
    else:
        high, low = order[: min(count, n)], order[::-1][: min(count, n)]
    total = torch.zeros((), dtype=bag.dtype)
    for number, judge in enumerate(model.judges):
        if number == label:
            targets = torch.tensor([1] * len(high) + [0] * len(low))
            total = total + smooth_top1_svm(judge(embedded[high + low]), targets).mean()
        elif model.task.subtyping:
            total = (
                total + smooth_top1_svm(judge(embedded[high]), torch.tensor([0] * len(high))).mean()
            )
    return total / len(model.judges) if model.task.subtyping else total


@torch.no_grad()
@pytest.mark.parametrize("subtyping", [False, True])
@pytest.mark.parametrize("small_bags", ["disjoint", "overlap"])
def test_the_instance_loss_is_the_loop_over_bags_and_classes(
    subtyping: bool, small_bags: str, generator: torch.Generator
) -> None:
    model = ClamSb(SIZE, subtyping=subtyping, small_bags=small_bags, generator=generator)  # type: ignore[arg-type]
    model = model.double().eval()
    bags = [
        torch.randn(n, 6, generator=generator, dtype=torch.float64)
        for n in (1, 2, 3, 7, 8, 15, 16, 40)
    ]
    labels = torch.arange(len(bags)) % 3
    expected = torch.stack(
        [
            naive_instance_loss(model, bag, int(label))
            for bag, label in zip(bags, labels, strict=True)
        ]
    )
    losses = model.losses(model(BagBatch.of(bags)), labels)
    torch.testing.assert_close(losses["instance"], expected.mean())
    torch.testing.assert_close(losses["loss"], 0.7 * losses["bag"] + 0.3 * losses["instance"])


def test_no_instance_of_a_small_bag_is_asked_to_be_both() -> None:
    segments = Segments.of_sizes([1, 2, 9, 16])
    rows, used = InstanceTask().extremes(segments, torch.rand(28))
    for bag, size in enumerate([1, 2, 9, 16]):
        asked = rows[bag][used[bag]].tolist()
        assert len(asked) == len(set(asked)) == size


def test_bags_of_sixteen_or_more_are_asked_for_eight_and_eight(generator: torch.Generator) -> None:
    attention = torch.rand(50, generator=generator)
    rows, used = InstanceTask().extremes(Segments.of_sizes([50]), attention)
    assert bool(used.all())
    assert set(rows[0, :8].tolist()) == set(attention.topk(8).indices.tolist())
    assert set(rows[0, 8:].tolist()) == set((-attention).topk(8).indices.tolist())


def test_attention_learns_from_the_bag_alone_and_embeddings_from_both(
    generator: torch.Generator,
) -> None:
    model = ClamSb(SIZE, generator=generator).eval()
    output = model(BagBatch.of([torch.randn(20, 6, generator=generator)]))
    torch.autograd.backward(model.losses(output, torch.tensor([1]))["instance"])
    grads = {key: value.grad for key, value in model.named_parameters()}
    moved = {key for key, grad in grads.items() if grad is not None and bool(grad.any())}
    assert moved == {"trunk.0.weight", "trunk.0.bias", "judges.1.weight", "judges.1.bias"}


@pytest.mark.parametrize("wrong", [{"count": 0}, {"weight": 1.5}])
def test_a_task_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RefusedInputError, match="allowed: a count of 1 or more"):
        InstanceTask(**wrong)  # type: ignore[arg-type]
