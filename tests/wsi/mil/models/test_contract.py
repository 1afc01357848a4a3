"""One list for every model of bags: order, bags together, sizes, gradients, state, seeds."""

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilModel, MilSize
from medconsist.wsi.mil.models.choice import MODELS, make_model
from medconsist.wsi.mil.output import BagOutput

SIZE = MilSize(dim=12, classes=3, width=16)
# One instance, fewer than 8, squares and others; sorted by nothing.
SIZES = (1, 5, 9, 2, 16, 23, 3)
# What is said of an instance by its place among others; all others move with the instances.
ORDERED = {"transmil", "dtfd"}


def built(name: str, seed: int = 3, size: MilSize = SIZE) -> MilModel:
    options = {"landmarks": 8} if name == "transmil" else {}  # 256 take seconds on small bags
    generator = torch.Generator().manual_seed(seed)
    return make_model(name, size, generator=generator, **options).double().eval()


def require_close(got: torch.Tensor | None, expected: torch.Tensor | None) -> None:
    """Equal but for the order of additions, which the pseudo-inverse of TransMIL amplifies."""
    assert got is not None
    assert expected is not None
    rtol, atol = (1e-8, 1e-9) if got.dtype == torch.float64 else (1e-5, 1e-6)
    torch.testing.assert_close(got, expected, rtol=rtol, atol=atol)


def some_bags(generator: torch.Generator, sizes: tuple[int, ...] = SIZES) -> BagBatch:
    return BagBatch.of(
        [torch.randn(n, SIZE.dim, generator=generator, dtype=torch.float64) for n in sizes]
    )


def shuffled(bags: BagBatch, generator: torch.Generator) -> tuple[BagBatch, torch.Tensor]:
    order = bags.segments.ranking(torch.rand(len(bags.features), generator=generator))
    return BagBatch(bags.features[order], bags.segments), order


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def test_classes_say_themselves_whether_order_matters(name: str) -> None:
    assert built(name).permutation_invariant == (name not in ORDERED)


@torch.no_grad()
def test_order_of_instances_changes_nothing_unless_the_class_says_so(
    name: str, generator: torch.Generator
) -> None:
    model, bags = built(name), some_bags(generator)
    mixed, order = shuffled(bags, generator)
    before, after = model(bags), model(mixed)
    same = torch.allclose(before.logits, after.logits, rtol=1e-8, atol=1e-9)
    assert same == model.permutation_invariant
    if model.permutation_invariant:
        require_close(after.features, before.features)
        require_close(after.probabilities, before.probabilities)
        assert before.instance_scores is not None
        require_close(after.instance_scores, before.instance_scores[order])
        if before.attention is not None:
            require_close(after.attention, before.attention[order])


@torch.no_grad()
def test_bags_together_get_what_they_get_alone(name: str, generator: torch.Generator) -> None:
    model, bags = built(name), some_bags(generator)
    together = model(bags)
    alone = [model(bags.one(bag)) for bag in range(len(bags))]
    for part in ("logits", "features", "attention", "instance_scores"):
        whole = getattr(together, part)
        if whole is not None:
            one_by_one = torch.cat([getattr(output, part) for output in alone])
            require_close(whole, one_by_one)
    likely = torch.cat([output.probabilities for output in alone])
    require_close(together.probabilities, likely)


# Not DTFD: its first tier is a mean over pseudo-bags, of which small bags have fewer.
@pytest.mark.parametrize("name", [name for name in MODELS if name != "dtfd"])
def test_losses_of_bags_together_are_the_mean_of_their_losses_alone(
    name: str, generator: torch.Generator
) -> None:
    model, bags = built(name), some_bags(generator)
    labels = torch.arange(len(bags)) % SIZE.classes
    together = model.losses(model(bags), labels)["loss"]
    alone = [
        model.losses(model(bags.one(bag)), labels[bag, None])["loss"] for bag in range(len(bags))
    ]
    require_close(together, torch.stack(alone).mean())


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 2, 7, 8, 15, 16, 17, 37])
def test_every_size_of_bag_gives_finite_results(
    name: str, count: int, generator: torch.Generator
) -> None:
    output: BagOutput = built(name)(some_bags(generator, (count,)))
    assert output.logits.shape == (1, SIZE.classes)
    for value in (output.logits, output.features, output.probabilities):
        assert bool(value.isfinite().all())
    assert output.instance_scores is None or len(output.instance_scores) == count
    require_close(output.probabilities.sum(1).float(), torch.ones(1))


@torch.no_grad()
def test_attention_is_a_share_of_each_bag(name: str, generator: torch.Generator) -> None:
    bags = some_bags(generator)
    attention = built(name)(bags).attention
    if name in {"mean", "mean-mlp", "max"}:
        assert attention is None
        return
    assert attention is not None
    assert bool((attention >= 0).all())
    total = bags.segments.sum(attention)
    require_close(total, torch.ones_like(total))


def test_training_reaches_every_parameter(name: str, generator: torch.Generator) -> None:
    model = built(name).train()
    bags = some_bags(generator, (20, 30, 25, 40, 18, 33))
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        loss = model.losses(model(bags), labels)["loss"]
    torch.autograd.backward(loss)
    untouched = [key for key, value in model.named_parameters() if value.grad is None]
    still = [
        key
        for key, value in model.named_parameters()
        if value.grad is not None and not bool(value.grad.any())
    ]
    # The bias of the last layer before a softmax over instances moves all scores alike.
    assert untouched == []
    assert [key for key in still if not key.endswith("weights.bias")] == []
    assert bool(loss.isfinite())


@torch.no_grad()
def test_state_goes_round(name: str, generator: torch.Generator) -> None:
    first, second, bags = built(name, 3), built(name, 4), some_bags(generator)
    assert not torch.equal(first(bags).logits, second(bags).logits)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(bags).logits, second(bags).logits)


@torch.no_grad()
def test_a_seed_gives_the_same_weights_whatever_torch_has_drawn(name: str) -> None:
    first = built(name, 5)
    torch.rand(7)
    second = built(name, 5)
    for (key, one), (_, other) in zip(
        first.named_parameters(), second.named_parameters(), strict=True
    ):
        assert torch.equal(one, other), key


def test_features_of_another_encoder_are_refused(name: str) -> None:
    bags = BagBatch.of([torch.zeros(3, SIZE.dim + 1)])
    with pytest.raises(RefusedInputError, match=r"length 13; this model was built for 12"):
        built(name)(bags)


@torch.no_grad()
def test_weights_of_float32_give_float32(name: str, generator: torch.Generator) -> None:
    output = built(name).float()(some_bags(generator).to("cpu", torch.float32))
    assert output.logits.dtype == output.features.dtype == torch.float32


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near(
    name: str, dtype: torch.dtype, generator: torch.Generator
) -> None:
    bags = some_bags(generator)
    exact = built(name)(bags).probabilities
    with torch.autocast("cpu", dtype):
        half = built(name).float()(bags.to("cpu", torch.float32)).probabilities
    # 8 or 11 bits a product, a handful of layers deep.
    torch.testing.assert_close(half.float(), exact.float(), rtol=0.1, atol=0.05)


@torch.no_grad()
def test_contributions_have_a_row_for_each_instance_or_are_refused(
    name: str, generator: torch.Generator
) -> None:
    model, bags = built(name), some_bags(generator)
    embedded = model.embed(bags)
    output = model.pool(embedded)
    if name == "max":
        with pytest.raises(RefusedInputError, match="does not add up its instances"):
            model.contributions(embedded, output)
        return
    parts = model.contributions(embedded, output)
    assert len(parts) == len(bags.features)
    if name not in ORDERED:
        require_close(bags.segments.sum(parts), output.features)


@torch.no_grad()
def test_hardness_has_a_row_for_each_instance_or_is_refused(
    name: str, generator: torch.Generator
) -> None:
    model, bags = built(name), some_bags(generator)
    embedded = model.embed(bags)
    output = model.pool(embedded)
    if name.startswith("mean"):
        with pytest.raises(RefusedInputError, match="no attention to rank instances by"):
            model.hardness(embedded, output)
        return
    assert len(model.hardness(embedded, output)) == len(bags.features)


@pytest.mark.gpu
@torch.no_grad()
def test_a_gpu_gives_what_the_cpu_gives(name: str, generator: torch.Generator) -> None:
    model, bags = built(name), some_bags(generator)
    here = model(bags)
    there = model.cuda()(bags.to("cuda"))
    require_close(there.logits.cpu(), here.logits)
