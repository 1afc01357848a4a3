"""v2's merge: what stays, what it becomes, and how its queries move."""

import math

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.mhim.merge import GlobalMerge, MergeConfig

WIDTH = 6


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def merge(**changes: object) -> GlobalMerge:
    values = {"queries": 3, "heads": 2, "head_width": 4, "dropout": 0.0}
    return GlobalMerge(
        WIDTH,
        MergeConfig(**values | changes),  # type: ignore[arg-type]  # by name
        generator=seeded(),
    )


def numbered(sizes: list[int]) -> BagBatch:
    """Bags whose first feature is the place in the batch."""
    rows = torch.randn(sum(sizes), WIDTH, generator=seeded(1))
    rows[:, 0] = torch.arange(len(rows))
    return BagBatch.of(list(torch.split(rows, sizes)))


def naive_tokens(module: GlobalMerge, rest: Tensor) -> Tensor:
    """One bag, one head and one query at a time."""
    config = module.config
    shape = (config.heads, config.head_width)
    n = [functional.layer_norm(x, (WIDTH,), module.norm.weight, module.norm.bias) for x in rest]
    queries = [
        functional.layer_norm(x, (WIDTH,), module.norm.weight, module.norm.bias)
        for x in module.queries
    ]
    w_key, w_value = module.key_value.weight.chunk(2)
    tokens = []
    for query in queries:
        asked = (module.query.weight @ query).view(shape)
        heads = []
        for h in range(config.heads):
            keys = [(w_key @ x).view(shape)[h] for x in n]
            values = [(w_value @ x).view(shape)[h] for x in n]
            share = torch.stack([asked[h] @ k / math.sqrt(config.head_width) for k in keys])
            weights = share.softmax(0)
            heads.append(torch.stack([a * v for a, v in zip(weights, values, strict=True)]).sum(0))
        tokens.append(module.out.weight @ torch.cat(heads) + module.out.bias)
    return torch.stack(tokens)


def test_int_l_keep_instances_stay_in_order_and_tokens_follow_in_each_bag() -> None:
    module, sizes = merge(keep=0.8), [10, 1, 2, 33]
    bags = numbered(sizes)
    merged = module(bags, seeded(5))
    kept = [int(0.8 * n) for n in sizes]
    assert merged.bags.segments.sizes.tolist() == [k + 3 for k in kept]
    for number, count in enumerate(kept):
        one = merged.bags.one(number).features
        places = one[:count, 0]
        assert bool((places.diff() > 0).all())
        assert torch.equal(one[:count], bags.features[places.long()])
        assert torch.equal(one[count:], merged.tokens[number])
        rest = bags.one(number).features
        rest = rest[~torch.isin(rest[:, 0], places)]
        torch.testing.assert_close(merged.tokens[number], naive_tokens(module, rest))


def test_the_released_order_is_the_same_instances_shuffled() -> None:
    bags = numbered([50, 40])
    ascending, shuffled = (
        merge(order=order)(bags, seeded(5)).bags for order in ("ascending", "shuffled")
    )
    for number, count in enumerate((45, 36)):
        plain, mixed = (b.one(number).features[:, 0] for b in (ascending, shuffled))
        assert torch.equal(plain[:count], mixed[:count].sort().values)
        assert not torch.equal(plain[:count], mixed[:count])
        assert torch.equal(plain[count:], mixed[count:])


def test_what_stays_is_drawn_by_the_generator() -> None:
    bags, module = numbered([40]), merge()
    first, again, other = (module(bags, seeded(s)).bags.features for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_queries_average_their_tokens_in_training_and_have_no_gradient() -> None:
    module = merge(momentum=0.9)
    before = module.queries.clone()
    assert float(before.abs().max()) <= math.sqrt(6 / (768 + WIDTH))
    merged = module(numbered([20, 30]), seeded())
    module.remember(merged.tokens)
    wanted = 0.9 * before + 0.1 * merged.tokens.detach().mean(0)
    torch.testing.assert_close(module.queries, wanted)
    merged.bags.features.sum().backward()
    assert all(p.grad is not None for p in module.parameters())
    assert "queries" not in dict(module.named_parameters())
    module.eval().remember(merged.tokens)
    torch.testing.assert_close(module.queries, wanted)


def test_dropout_is_of_training_alone() -> None:
    module, bags = merge(dropout=0.5), numbered([60])
    noisy = [module(bags, seeded()).tokens for _ in range(2)]
    quiet = [module.eval()(bags, seeded()).tokens for _ in range(2)]
    assert not torch.equal(*noisy)
    assert torch.equal(*quiet)


@pytest.mark.parametrize("wrong", [{"keep": 1.0}, {"queries": 0}, {"momentum": 1.1}], ids=str)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RefusedInputError, match="order"):
        merge(**wrong)
