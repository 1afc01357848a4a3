"""TransMIL against its parts put together by hand, in both paddings, and its class token's row."""

import math
from functools import partial
from typing import Any, Literal

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.networks.nystrom import iterative_pinv
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.models.ppeg import Ppeg
from medconsist.wsi.mil.models.transmil import TransMil

SIZE = MilSize(dim=6, width=16)
# float64, sums in another order
close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-10)
COUNTS = [1, 2, 5, 9, 30, 50]  # below and above the landmarks, the square of 7, squares and not


def model_of(generator: Generator, **options: Any) -> TransMil:
    made = TransMil(SIZE, heads=4, landmarks=8, generator=generator, **options)
    return made.double().eval()


def bag_of(count: int, generator: Generator) -> Tensor:
    return torch.randn(count, 6, dtype=torch.float64, generator=generator)


def by_hand(model: TransMil, bag: Tensor) -> tuple[Tensor, Tensor]:
    """All tokens of both layers, three convolutions, and the row with copies added."""
    instances = model.trunk(bag)
    count = len(instances)
    side = math.ceil(math.sqrt(count))
    ends = [0] if model.pad == "mhim" else range(side * side - count + 1)
    tokens = [model.class_token[0], *instances]
    copied = range(len(ends) - 1)
    x = torch.stack([*tokens, *(instances[index] for index in copied)])
    said = model.first.attention(model.first.norm(x), row="first")
    x = x + said.tokens
    x = torch.cat([x[:1], ppeg_by_hand(model.positions, x[1:])])
    x = x + model.second.attention(model.second.norm(x)).tokens
    row = said.row[:, 1 : 1 + count].clone()
    for place, index in enumerate(copied):
        row[:, index] += said.row[:, 1 + count + place]
    return model.norm(x)[0], row.T


def ppeg_by_hand(positions: Ppeg, tokens: Tensor) -> Tensor:
    count, width = tokens.shape
    side = math.ceil(math.sqrt(count))
    filled = [*tokens, *(tokens[index] for index in range(side * side - count))]
    if side < positions.least_side:
        side = positions.least_side
        filled += [torch.zeros_like(tokens[0])] * (side * side - len(filled))
    image = torch.stack(filled).T.reshape(1, width, side, side)
    out = image + positions.bias[:, None, None]
    for kernel in positions.kernels:
        out = out + functional.conv2d(image, kernel, padding=kernel.shape[-1] // 2, groups=width)
    return out.reshape(width, -1).T[:count]


@pytest.mark.parametrize("pad", ["repeat", "mhim"])
@pytest.mark.parametrize("count", COUNTS)
def test_bag_equals_the_parts_put_together(pad: str, count: int, generator: Generator) -> None:
    model, bag = model_of(generator, pad=pad), bag_of(count, generator)
    output = model(BagBatch.of([bag]))
    feature, row = by_hand(model, bag)
    close(output.features[0], feature)
    close(output.logits[0], model.classifier(feature))
    close(output.extra["class_row"], row)


@pytest.mark.parametrize("pad", ["repeat", "mhim"])
def test_bags_of_a_batch_are_what_they_are_alone(pad: str, generator: Generator) -> None:
    model = model_of(generator, pad=pad)
    bags = [bag_of(count, generator) for count in COUNTS]
    together = model(BagBatch.of(bags))
    alone = [model(BagBatch.of([bag])) for bag in bags]
    close(together.logits, torch.cat([each.logits for each in alone]))
    for name in ("attention", "instance_scores"):
        whole = torch.cat([getattr(each, name) for each in alone])
        close(getattr(together, name), whole)


def test_order_of_instances_changes_the_bag(generator: Generator) -> None:
    model, bag = model_of(generator), bag_of(30, generator)
    turned = model(BagBatch.of([bag.flip(0)])).logits
    assert not torch.allclose(model(BagBatch.of([bag])).logits, turned)
    assert not model.permutation_invariant


@pytest.mark.parametrize("count", COUNTS)
def test_attention_is_a_share_of_the_bag(count: int, generator: Generator) -> None:
    output = model_of(generator)(BagBatch.of([bag_of(count, generator), bag_of(7, generator)]))
    assert output.attention.shape == (count + 7, 4)
    assert bool((output.attention >= 0).all())
    totals = torch.stack([part.sum(0) for part in output.attention.split([count, 7])])
    close(totals, torch.ones(2, 4, dtype=torch.float64))


def test_hardness_is_the_row_before_it_became_a_share(generator: Generator) -> None:
    model = model_of(generator)
    embedded = model.embed(BagBatch.of([bag_of(30, generator)]))
    output = model.pool(embedded)
    hardness = model.hardness(embedded, output)
    assert torch.equal(hardness, output.extra["class_row"])
    share = hardness.clamp(min=0) / hardness.clamp(min=0).sum(0)
    close(output.attention, share)


def test_released_row_weighs_all_landmarks_alike(generator: Generator) -> None:
    model = model_of(generator, row="released", pad="mhim")
    tokens = torch.cat([model.class_token, model.trunk(bag_of(28, generator))])
    attention = model.first.attention
    filled = functional.pad(model.first.norm(tokens), (0, 0, 3, 0))  # 29 tokens, 8 landmarks
    q, k, _ = attention.to_qkv(filled).unflatten(1, (3, 4, -1)).permute(1, 2, 0, 3)
    some_q, some_k = q.unflatten(1, (8, 4)).mean(2) / 2, k.unflatten(1, (8, 4)).mean(2)
    core = iterative_pinv((some_q @ some_k.mT).softmax(-1))
    expected = (core.mean(1, keepdim=True) @ (some_q @ k.mT).softmax(-1))[:, 0, 4:]
    embedded = BagBatch.of([tokens[1:]])
    hardness = model.hardness(embedded, model.pool(embedded))
    close(hardness.T, expected)


def test_instance_scores_are_the_class_aware_ones(generator: Generator) -> None:
    model = model_of(generator, pad="mhim")
    embedded = model.embed(BagBatch.of([bag_of(12, generator)]))
    output = model.pool(embedded)
    attention = model.first.attention
    values = model.first.norm(embedded.features) @ attention.to_qkv.weight[32:].T
    merged = torch.stack(
        [
            torch.cat(
                [
                    output.extra["class_row"][i, head] * values[i, 4 * head : 4 * head + 4]
                    for head in range(4)
                ]
            )
            for i in range(12)
        ]
    )
    expected = attention.to_out(merged)
    close(model.contributions(embedded, output), expected)
    close(output.instance_scores, model.classifier(expected))


@pytest.mark.parametrize("pad", ["repeat", "mhim"])
def test_every_weight_learns(pad: Literal["repeat", "mhim"], generator: Generator) -> None:
    model = TransMil(SIZE, heads=4, landmarks=8, pad=pad, generator=generator).train()
    bags = BagBatch.of([bag_of(50, generator).float(), bag_of(20, generator).float()])
    torch.autograd.backward(model.losses(model(bags), torch.tensor([0, 1]))["loss"])
    for name, each in model.named_parameters():
        assert each.grad is not None, name
        assert bool(each.grad.any()), name


def test_loss_falls_on_a_shift_of_a_few_instances(generator: Generator) -> None:
    model = TransMil(MilSize(dim=6, width=16, dropout=0), heads=4, landmarks=8, generator=generator)
    bags = [torch.randn(20, 6, generator=generator) for _ in range(4)]
    labels = torch.arange(4) % 2
    for bag in bags[1::2]:
        bag[:4] += 4
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):  # in eval mode: no dropout, whose numbers are torch's own
        loss = model.losses(model(BagBatch.of(bags)), labels)["loss"]
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 < losses[0]


def test_width_that_heads_do_not_divide_is_refused(generator: Generator) -> None:
    with pytest.raises(RefusedInputError, match="heads that divide dim"):
        TransMil(MilSize(dim=6, width=20), generator=generator)
