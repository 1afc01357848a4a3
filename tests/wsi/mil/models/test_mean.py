"""Mean pooling: both heads, by hand."""

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.models.mean import MeanPool

SIZE = MilSize(dim=6, classes=3, width=10)


@pytest.fixture
def bags(generator: torch.Generator) -> BagBatch:
    return BagBatch.of([torch.randn(n, 6, generator=generator) for n in (4, 1)])


@torch.no_grad()
def test_the_linear_head_is_one_layer_on_the_mean_feature(
    bags: BagBatch, generator: torch.Generator
) -> None:
    model = MeanPool(SIZE, generator=generator)
    means = torch.stack([bags.features[:4].mean(0), bags.features[4]])
    torch.testing.assert_close(model(bags).logits, model.classifier(means))
    assert sum(value.numel() for value in model.parameters()) == 6 * 3 + 3


@torch.no_grad()
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_bag_logits_are_the_mean_of_instance_scores(
    head: str, bags: BagBatch, generator: torch.Generator
) -> None:
    output = MeanPool(SIZE, head=head, generator=generator).eval()(bags)  # type: ignore[arg-type]
    torch.testing.assert_close(bags.segments.mean(output.instance_scores), output.logits)


@torch.no_grad()
def test_the_mlp_embeds_each_instance_before_the_mean(
    bags: BagBatch, generator: torch.Generator
) -> None:
    model = MeanPool(SIZE, head="mlp", generator=generator).eval()
    layer = dict(model.trunk.named_children())["0"]
    embedded = layer(bags.features).relu()
    torch.testing.assert_close(model(bags).features[0], embedded[:4].mean(0))


@pytest.mark.usefixtures("unchecked")
def test_another_head_is_refused(generator: torch.Generator) -> None:
    with pytest.raises(RefusedInputError, match="allowed: 'linear' and 'mlp'"):
        MeanPool(SIZE, head="both", generator=generator)  # type: ignore[arg-type]
