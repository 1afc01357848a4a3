"""DTFD against loops over pseudo-bags, and that no gradient goes from tier 2 to tier 1."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.models.dtfd import Dtfd
from medconsist.wsi.mil.output import BagOutput

SIZE = MilSize(dim=5, width=8, classes=3, dropout=0)
# float64, sums in another order
close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-10)
KINDS = ["AFS", "MaxS", "MaxMinS"]


def model_of(generator: Generator, **options: Any) -> Dtfd:
    return Dtfd(SIZE, generator=generator, **options).double().eval()


def bag_of(count: int, generator: Generator) -> Tensor:
    return torch.randn(count, 5, dtype=torch.float64, generator=generator)


def by_loops(model: Dtfd, bag: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of tier 2, and of tier 1 for every pseudo-bag, of the fixed split."""
    instances = model.trunk(bag)
    many = min(model.pseudo_bags, len(bag))
    distilled, logits = [], []
    for first in range(many):
        part = instances[first::many]
        share = model.first_score(part).softmax(0)
        mean = (share * part).sum(0, keepdim=True)
        logits.append(model.first(mean))
        activation = (share * part) @ model.first.weight.T
        order = activation.softmax(1)[:, -1].argsort(descending=True)
        best, worst = order[: model.each], order[-model.each :]
        both = list(dict.fromkeys([*best.tolist(), *worst.tolist()]))
        chosen = {"AFS": mean, "MaxS": part[best], "MaxMinS": part[both]}
        distilled.append(chosen[model.distillation])
    read = torch.cat(distilled)
    feature = (model.second_score(read).softmax(0) * read).sum(0, keepdim=True)
    return model.second(feature), torch.cat(logits)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("each", [1, 3])
def test_both_tiers_equal_loops_over_pseudo_bags(
    kind: str, each: int, generator: Generator
) -> None:
    model = model_of(generator, distillation=kind, each=each)
    bags = [bag_of(count, generator) for count in (1, 3, 4, 13, 40)]
    output = model(BagBatch.of(bags))
    tier2, tier1 = zip(*(by_loops(model, bag) for bag in bags), strict=True)
    close(output.logits, torch.cat(tier2))
    close(output.extra["tier1_logits"], torch.cat(tier1))
    assert output.extra["tier1_bag"].bincount().tolist() == [1, 3, 4, 4, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_attention_adds_up_to_the_bag_feature(kind: str, generator: Generator) -> None:
    model = model_of(generator, distillation=kind)
    embedded = model.embed(BagBatch.of([bag_of(2, generator), bag_of(17, generator)]))
    output = model.pool(embedded)
    parts, shares = model.contributions(embedded, output), output.attention
    assert shares is not None
    close(embedded.segments.sum(parts), output.features)
    ones = torch.ones(2, 1, dtype=torch.float64)
    close(embedded.segments.sum(shares), ones)


def test_instance_scores_are_class_activations_in_the_order_given(generator: Generator) -> None:
    model, bag = model_of(generator, pseudo_bags=2), bag_of(7, generator)
    scores = model(BagBatch.of([bag])).instance_scores
    odd = model.trunk(bag)[1::2]
    activation = model.first_score(odd).softmax(0) * odd @ model.first.weight.T
    close(scores[1::2], activation)


def gradients(model: Dtfd, output: BagOutput, tier: str) -> set[str]:
    loss = model.losses(output, torch.tensor([0, 2]))[tier]
    found = torch.autograd.grad(
        loss, list(model.parameters()), allow_unused=True, retain_graph=True
    )
    named = zip(model.named_parameters(), found, strict=True)
    return {name for (name, _), gradient in named if gradient is not None}


@pytest.mark.parametrize("kind", KINDS)
def test_tiers_share_no_gradient(kind: str, generator: Generator) -> None:
    model = model_of(generator, distillation=kind).train()
    output = model(BagBatch.of([bag_of(9, generator), bag_of(12, generator)]))
    first, second = (gradients(model, output, tier) for tier in ("tier1", "tier2"))
    assert not any("second" in name for name in first)
    assert first.isdisjoint(second)
    assert first | second == {name for name, _ in model.named_parameters()}


def test_loss_has_both_tiers_and_a_bag_of_few_instances_weighs_as_any(
    generator: Generator,
) -> None:
    model = model_of(generator)
    bags, labels = [bag_of(2, generator), bag_of(30, generator)], torch.tensor([1, 0])
    losses = model.losses(model(BagBatch.of(bags)), labels)
    tier2, tier1 = zip(*(by_loops(model, bag) for bag in bags), strict=True)
    each = [
        functional.cross_entropy(logits, label.expand(len(logits)))
        for logits, label in zip(tier1, labels, strict=True)
    ]
    close(losses["tier1"], torch.stack(each).mean())
    second = functional.cross_entropy(torch.cat(tier2), labels)
    close(losses["loss"], losses["tier1"] + second)


def test_split_is_fixed_in_eval_and_drawn_in_training(generator: Generator) -> None:
    model, bag = model_of(generator), BagBatch.of([bag_of(40, generator)])
    assert torch.equal(model(bag).logits, model(bag).logits)
    model.train()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        one, two = model(bag), model(bag)
        torch.manual_seed(1)
        again = model(bag)
    assert not torch.allclose(one.logits, two.logits)
    assert torch.equal(one.logits, again.logits)


def test_order_of_instances_changes_the_split(generator: Generator) -> None:
    model, bag = model_of(generator), bag_of(40, generator)
    turned = model(BagBatch.of([bag[torch.randperm(40, generator=generator)]])).logits
    assert not torch.allclose(model(BagBatch.of([bag])).logits, turned)
    assert not model.permutation_invariant


@pytest.mark.parametrize("wrong", [{"pseudo_bags": 0}, {"each": 0}])
def test_wrong_options_are_refused(wrong: dict[str, Any], generator: Generator) -> None:
    with pytest.raises(RefusedInputError, match="AFS, MaxS or MaxMinS"):
        Dtfd(SIZE, generator=generator, **wrong)
