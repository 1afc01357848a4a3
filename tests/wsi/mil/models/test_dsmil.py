"""DSMIL against its formulas, written as loops; its options by name."""

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.models.dsmil import Dsmil

SIZE = MilSize(dim=6, classes=3, width=10)


@pytest.fixture
def bags(generator: torch.Generator) -> list[torch.Tensor]:
    return [torch.randn(n, 6, generator=generator, dtype=torch.float64) for n in (5, 1, 12)]


@torch.no_grad()
@pytest.mark.parametrize("values", ["relu", "identity"])
def test_both_streams_are_the_formulas(
    values: str, bags: list[torch.Tensor], generator: torch.Generator
) -> None:
    model = Dsmil(SIZE, values=values, generator=generator).double().eval()  # type: ignore[arg-type]
    output, first = model(BagBatch.of(bags)), 0
    for number, bag in enumerate(bags):
        h = model.trunk(bag)
        c, q = model.instances(h), model.query(h)
        v = h if values == "identity" else model.values(h)
        rows = []
        for each in range(3):
            likeness = torch.stack([row @ q[c[:, each].argmax()] for row in q]) / 128**0.5
            share = likeness.softmax(0)
            torch.testing.assert_close(output.attention[first : first + len(bag), each], share)
            rows.append(sum(a * row for a, row in zip(share, v, strict=True)))
        torch.testing.assert_close(output.extra["branches"][number], torch.stack(rows))
        torch.testing.assert_close(output.logits[number], model.classifier(torch.cat(rows)))
        torch.testing.assert_close(output.extra["largest"][number], c.amax(0))
        first += len(bag)


@torch.no_grad()
def test_the_bag_layer_is_the_convolution_of_the_released_code(
    bags: list[torch.Tensor], generator: torch.Generator
) -> None:
    model = Dsmil(SIZE, generator=generator).double().eval()
    output = model(BagBatch.of(bags))
    released = torch.nn.Conv1d(3, 3, kernel_size=10).double()
    released.weight.copy_(model.classifier.weight.view(3, 3, 10))
    assert released.bias is not None
    released.bias.copy_(model.classifier.bias)
    torch.testing.assert_close(released(output.extra["branches"])[:, :, 0], output.logits)


@torch.no_grad()
def test_probabilities_average_both_streams_as_named(
    bags: list[torch.Tensor], generator: torch.Generator
) -> None:
    for averaged in ("probabilities", "logits"):
        model = Dsmil(SIZE, averaged=averaged, generator=generator).eval()
        output = model(BagBatch.of([bag.float() for bag in bags]))
        largest = output.extra["largest"]
        expected = (
            (output.logits.softmax(1) + largest.softmax(1)) / 2
            if averaged == "probabilities"
            else ((output.logits + largest) / 2).softmax(1)
        )
        torch.testing.assert_close(output.probabilities, expected)


def test_the_loss_is_half_bag_and_half_instance(
    bags: list[torch.Tensor], generator: torch.Generator
) -> None:
    model = Dsmil(SIZE, generator=generator).double().eval()
    output, labels = model(BagBatch.of(bags)), torch.tensor([0, 1, 2])
    losses = model.losses(output, labels)
    entropy = torch.nn.functional.cross_entropy
    torch.testing.assert_close(losses["bag"], entropy(output.logits, labels))
    torch.testing.assert_close(losses["instance"], entropy(output.extra["largest"], labels))
    torch.testing.assert_close(losses["loss"], (losses["bag"] + losses["instance"]) / 2)


@torch.no_grad()
def test_hardness_is_the_largest_instance_logit(
    bags: list[torch.Tensor], generator: torch.Generator
) -> None:
    model = Dsmil(SIZE, generator=generator).double().eval()
    embedded = model.embed(BagBatch.of(bags))
    hardness = model.hardness(embedded, model.pool(embedded))
    assert torch.equal(hardness[:, 0], model.instances(embedded.features).amax(1))


def test_features_are_the_branches_one_after_the_other(
    bags: list[torch.Tensor], generator: torch.Generator
) -> None:
    output = Dsmil(SIZE, generator=generator).double()(BagBatch.of(bags))
    assert torch.equal(output.features.view(3, 3, 10), output.extra["branches"])


def test_orthogonal_weights_are_orthogonal(generator: torch.Generator) -> None:
    weight = Dsmil(SIZE, start="orthogonal", generator=generator).instances.weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(3), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_option_is_refused(generator: torch.Generator) -> None:
    with pytest.raises(RefusedInputError, match="values got 'conv'; allowed: 'relu' and"):
        Dsmil(SIZE, values="conv", generator=generator)  # type: ignore[arg-type]
