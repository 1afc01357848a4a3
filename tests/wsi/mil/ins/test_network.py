"""What INS says of bags: one contract with the other models, and its own poolings."""

import math
from typing import Any

import pytest
import torch
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.ins.bag_score import instance_probability, pooled_probability
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.ins.network import InsNetwork
from medconsist.wsi.mil.ins.noise import FeatureNoise
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.output import BagOutput

SIZE = MilSize(dim=6, width=8)


def network(config: InsConfig | None = None, seed: int = 0) -> InsNetwork:
    return InsNetwork(SIZE, config, generator=Generator().manual_seed(seed)).eval()


def bags(generator: Generator) -> BagBatch:
    return BagBatch.of([torch.randn(n, 6, generator=generator) for n in (1, 4, 9)])


def test_several_bags_get_what_each_gets_alone(generator: Generator) -> None:
    model, batch = network(), bags(generator)
    together = model(batch)
    alone = [model(batch.one(bag)) for bag in range(3)]
    assert torch.allclose(together.logits, torch.cat([a.logits for a in alone]), atol=1e-6)
    assert torch.allclose(
        together.instance_scores, torch.cat([a.instance_scores for a in alone]), atol=1e-6
    )


def test_the_order_of_instances_changes_nothing(generator: Generator) -> None:
    model, rows = network(), torch.randn(7, 6, generator=generator)
    order = torch.randperm(7, generator=generator)
    one, other = model(BagBatch.of([rows])), model(BagBatch.of([rows[order]]))
    assert torch.allclose(one.logits, other.logits, atol=1e-6)
    assert torch.allclose(one.instance_scores[order], other.instance_scores, atol=1e-6)


def test_contributions_add_up_to_the_feature_of_the_bag(generator: Generator) -> None:
    model, batch = network(), bags(generator)
    embedded = model.embed(batch)
    output = model.pool(embedded)
    parts = embedded.segments.sum(model.contributions(embedded, output))
    assert torch.allclose(parts, output.features, atol=1e-6)
    assert model.prototype_probabilities(embedded).tolist() == [[0.5, 0.5]] * 14  # none seen yet


def test_the_probability_of_a_bag_is_pooled_by_name(generator: Generator) -> None:
    batch = bags(generator)
    found = {}
    for by in ("head", "mean", "max", "logsumexp"):
        output = network(InsConfig(predict=by))(batch).detach()
        found[by] = output.probabilities[:, 1].tolist()
        assert torch.allclose(output.probabilities.sum(1), torch.ones(3))
    p = torch.split(instance_probability(output), [1, 4, 9])
    assert found["mean"] == pytest.approx([float(x.mean()) for x in p], rel=1e-5)
    assert found["max"] == pytest.approx([float(x.max()) for x in p], rel=1e-5)
    wanted = [math.log(sum(math.exp(v) for v in x.tolist()) / len(x)) for x in p]
    assert found["logsumexp"] == pytest.approx(wanted, rel=1e-5)
    assert found["head"] == pytest.approx(output.logits.softmax(1)[:, 1].tolist())
    with pytest.raises((RefusedInputError, TypeError), match="'median'"):
        pooled_probability(p[0], batch.one(0).segments, by="median")  # type: ignore[arg-type]  # refused


def test_three_classes_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="INS got 3 classes; allowed: 2"):
        InsNetwork(MilSize(dim=4, classes=3), generator=Generator())
    without = BagOutput(logits=torch.zeros(1, 2), features=torch.zeros(1, 2))
    with pytest.raises(RefusedInputError, match="instance scores got none"):
        instance_probability(without)


@pytest.mark.parametrize("kind", ["dropout", "additive"])
def test_the_two_views_differ_and_the_strong_one_more(kind: Any, generator: Generator) -> None:
    rows = 3 + torch.randn(50, 400, generator=generator)
    noise = FeatureNoise(kind=kind)
    weak, strong = noise(rows, generator)
    assert not torch.equal(weak, strong)
    assert 0 < (weak - rows).square().mean() < (strong - rows).square().mean()
    # 20,000 entries of unit spread times at most 4: four standard errors
    assert float((strong - rows).mean()) == pytest.approx(0, abs=0.1)
    if kind == "dropout":
        assert float((strong == 0).float().mean()) == pytest.approx(0.4, abs=0.02)


def test_views_are_those_of_the_generator_and_without_noise_they_are_the_features() -> None:
    rows = torch.ones(3, 4)
    first, again = (FeatureNoise()(rows, Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    weak, strong = FeatureNoise(kind="none")(rows, Generator())
    assert torch.equal(weak, rows)
    assert torch.equal(strong, rows)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"batch": 1}, "batch, projection"),
        ({"phi_steps": 0}, "phi_steps"),
        ({"momentum": 1.5}, "momentum got 1.5"),
        ({"least_positive": -0.1}, "least_positive got -0.1"),
        ({"temperature": 0}, "temperature got 0"),
        ({"bag_weight": -1}, "weights of contrast and bag"),
        ({"bag_loss": "never"}, "bag_loss"),
        ({"predict": "median"}, "predict"),
    ],
)
def test_a_setting_out_of_range_is_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises((RefusedInputError, TypeError), match=says):
        InsConfig(**wrong)  # type: ignore[arg-type]  # refused


def test_noise_out_of_range_is_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"strengths 0\.2 and 1"):
        FeatureNoise(strong=1)
