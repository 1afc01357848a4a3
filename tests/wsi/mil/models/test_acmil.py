"""ACMIL against loops over branches; its cosines, and which instances are hidden in training."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.acmil import Acmil
from medconsist.wsi.mil.models.base import MilSize

SIZE = MilSize(dim=5, width=8, dropout=0)
# float64, sums in another order
close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-10)


def model_of(generator: Generator, **options: Any) -> Acmil:
    return Acmil(SIZE, generator=generator, **options).double().eval()


def bag_of(count: int, generator: Generator) -> Tensor:
    return torch.randn(count, 5, dtype=torch.float64, generator=generator)


def test_loss_equals_loops_over_branches(generator: Generator) -> None:
    model = model_of(generator, branches=3)
    bags = [bag_of(count, generator) for count in (1, 4, 30)]
    labels = torch.tensor([0, 1, 1])
    output = model(BagBatch.of(bags))
    totals = []
    for bag, label in zip(bags, labels, strict=True):
        instances = model.trunk(bag)
        shares = model.score(instances).softmax(0).T
        branch = [
            functional.cross_entropy(head(share @ instances), label)
            for head, share in zip(model.branches, shares, strict=True)
        ]
        cosines = [
            functional.cosine_similarity(shares[i], shares[j], dim=0)
            for i in range(3)
            for j in range(i + 1, 3)
        ]
        own = functional.cross_entropy(model.classifier(shares.mean(0) @ instances), label)
        totals.append(own + sum(branch) / 3 + sum(cosines) / 3)
    losses = model.losses(output, labels)
    close(losses["loss"], torch.stack(totals).mean())
    parts = losses["bag"] + losses["branches"] + losses["likeness"]
    close(losses["loss"], parts)


def test_one_branch_has_the_loss_of_the_bag_alone(generator: Generator) -> None:
    model = model_of(generator, branches=1)
    output = model(BagBatch.of([bag_of(6, generator)]))
    expected = functional.cross_entropy(output.logits, torch.tensor([1]))
    close(model.losses(output, torch.tensor([1])), {"loss": expected})


def test_bag_is_the_mean_of_its_instances_under_the_mean_attention(generator: Generator) -> None:
    model = model_of(generator)
    embedded = model.embed(BagBatch.of([bag_of(3, generator), bag_of(12, generator)]))
    output = model.pool(embedded)
    assert output.attention is not None
    mean = output.attention.mean(1, keepdim=True)
    assert output.instance_scores is not None
    bags = embedded.segments.sum(mean * output.instance_scores)
    torch.testing.assert_close(bags, output.logits)
    parts = embedded.segments.sum(model.contributions(embedded, output))
    close(parts, output.features)


def hidden_in(model: Acmil, bags: BagBatch, seed: int) -> Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        hidden: Tensor = model.train()(bags).attention == 0
        return hidden


def test_nothing_is_hidden_in_eval_mode(generator: Generator) -> None:
    model = model_of(generator)
    assert bool((model(BagBatch.of([bag_of(20, generator)])).attention > 0).all())


@pytest.mark.parametrize("masking", ["paper", "released"])
def test_only_the_most_attended_are_hidden_and_the_others_share(
    masking: str, generator: Generator
) -> None:
    model = model_of(generator, branches=4, top=5, masking=masking)
    bags = BagBatch.of([bag_of(3, generator), bag_of(30, generator)])
    seen = model(bags).attention
    hidden = hidden_in(model, bags, 0)
    leading = torch.zeros_like(hidden)
    leading[:3] = True
    leading[3:].scatter_(0, seen[3:].topk(5, 0).indices, value=True)
    assert not bool((hidden & ~leading).any())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        attention = model(bags).attention
    kept = torch.where(hidden, 0, seen)
    shared = torch.cat([part / part.sum(0) for part in torch.split(kept, [3, 30])])
    close(attention, shared)


def test_paper_hides_each_with_its_probability(generator: Generator) -> None:
    model = model_of(generator, branches=5, top=10, share=0.3)
    bags = BagBatch.of([bag_of(40, generator) for _ in range(20)])
    counts = torch.stack([part.sum(0) for part in torch.split(hidden_in(model, bags, 1), 40)])
    # 1000 draws: 0.3 within four standard deviations of 0.0145.
    assert abs(float(counts.double().mean()) / 10 - 0.3) < 0.058
    assert len(set(counts.flatten().tolist())) > 2


def test_released_hides_a_fixed_number(generator: Generator) -> None:
    model = model_of(generator, top=10, masking="released")
    bags = BagBatch.of([bag_of(count, generator) for count in (1, 4, 40)])
    hidden = hidden_in(model, bags, 1)
    counts = [sorted(set(part.sum(0).tolist())) for part in torch.split(hidden, [1, 4, 40])]
    assert counts == [[0], [2], [6]]  # int(0.6), int(4 * 0.6), int(10 * 0.6)
    assert not torch.equal(hidden, hidden_in(model, bags, 2))


@pytest.mark.parametrize("masking", ["paper", "released"])
def test_small_bags_never_lose_all_instances(masking: str, generator: Generator) -> None:
    model = model_of(generator, share=0.95, masking=masking)
    bags = BagBatch.of([bag_of(count, generator) for count in (1, 1, 2, 2, 3)])
    for seed in range(5):
        hidden = hidden_in(model, bags, seed)
        assert not any(bool(part.all(0).any()) for part in torch.split(hidden, [1, 1, 2, 2, 3]))


def test_gradients_stay_finite_where_instances_are_hidden(generator: Generator) -> None:
    model = model_of(generator, top=4).train()
    bags = BagBatch.of([bag_of(2, generator), bag_of(9, generator)])
    torch.autograd.backward(model.losses(model(bags), torch.tensor([0, 1]))["loss"])
    grads = [each.grad for each in model.parameters()]
    assert all(grad is not None and bool(grad.isfinite().all()) for grad in grads)


def test_diversity_pulls_branches_apart(generator: Generator) -> None:
    model, bag = model_of(generator, branches=2), BagBatch.of([bag_of(30, generator)])
    before = float(model(bag).extra["likeness"].detach())
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(10):
        optimiser.zero_grad()
        model(bag).extra["likeness"].sum().backward()
        optimiser.step()
    assert float(model(bag).extra["likeness"].detach()) < before


@pytest.mark.parametrize("wrong", [{"branches": 0}, {"top": -1}, {"share": 1}])
def test_wrong_options_are_refused(wrong: dict[str, Any], generator: Generator) -> None:
    with pytest.raises(RefusedInputError, match="1 branch or more"):
        Acmil(SIZE, generator=generator, **wrong)


def test_one_branch_has_no_parameter_that_training_does_not_reach(generator: Generator) -> None:
    model = model_of(generator, branches=1).train()
    output = model(BagBatch.of([bag_of(9, generator)]))
    torch.autograd.backward(model.losses(output, torch.tensor([1]))["loss"])
    assert [name for name, value in model.named_parameters() if value.grad is None] == []
    assert output.attention.shape == (9, 1)
