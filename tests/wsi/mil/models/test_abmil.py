"""Attention-based pooling against equations 8 and 9 of its paper, written as loops."""

from typing import Any

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.networks.attention_pool import AttentionScore
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.abmil import Abmil
from medconsist.wsi.mil.models.base import MilSize

SIZE = MilSize(dim=6, classes=3, width=10)


@pytest.fixture
def bags(generator: torch.Generator) -> list[torch.Tensor]:
    return [torch.randn(n, 6, generator=generator, dtype=torch.float64) for n in (5, 1, 12)]


@torch.no_grad()
@pytest.mark.parametrize(
    "options",
    [{}, {"activation": "relu", "bias": False}, {"gated": True}, {"gated": True, "hidden": 7}],
)
def test_attention_feature_and_logits_are_the_formulas(
    options: dict[str, object], bags: list[torch.Tensor], generator: torch.Generator
) -> None:
    model = Abmil(SIZE, **options, generator=generator).double().eval()  # type: ignore[arg-type]
    output, first = model(BagBatch.of(bags)), 0
    for number, bag in enumerate(bags):
        h = model.trunk[0](bag).relu()
        inner = model.score.values(h)
        inner = inner.relu() if options.get("activation") == "relu" else inner.tanh()
        if options.get("gated"):
            assert model.score.gates is not None
            inner = inner * model.score.gates(h).sigmoid()
        share = model.score.weights(inner)[:, 0].softmax(0)
        feature = sum(a * row for a, row in zip(share, h, strict=True))
        torch.testing.assert_close(output.attention[first : first + len(bag), 0], share)
        torch.testing.assert_close(output.features[number], feature)
        torch.testing.assert_close(output.logits[number], model.classifier(feature))
        first += len(bag)


@torch.no_grad()
def test_bag_logits_are_the_attention_weighted_mean_of_instance_scores(
    bags: list[torch.Tensor], generator: torch.Generator
) -> None:
    batch = BagBatch.of(bags)
    output = Abmil(SIZE, generator=generator).double().eval()(batch)
    mean = batch.segments.sum(output.attention * output.instance_scores)
    torch.testing.assert_close(mean, output.logits)


def test_mhim_form_has_no_bias_and_no_gate(generator: torch.Generator) -> None:
    score = Abmil(SIZE, activation="relu", bias=False, generator=generator).score
    assert [score.values.bias, score.weights.bias, score.gates] == [None] * 3


def test_a_score_has_the_rows_it_was_asked_for() -> None:
    gates = AttentionScore(8, hidden=5, gated=True).gates
    assert gates is not None
    assert gates.weight.shape == (5, 8)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "options",
    [{"activation": "gelu"}, {"activation": "relu", "gated": True}, {"hidden": 0}],
)
def test_an_attention_that_is_not_there_is_refused(
    options: dict[str, Any], generator: torch.Generator
) -> None:
    with pytest.raises(RefusedInputError, match="1 row or more, tanh, or relu in the plain form"):
        Abmil(SIZE, **options, generator=generator)
