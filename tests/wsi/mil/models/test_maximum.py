"""Max pooling: which instance is taken, and what adding one can do."""

from typing import Literal

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.models.maximum import MaxPool
from medconsist.wsi.mil.output import BagOutput


def said_of(*bags: list[list[float]], ranked_by: Literal["odds", "logit"] = "odds") -> BagOutput:
    """What is said of bags whose instances have these logits."""
    logits = [torch.tensor(bag) for bag in bags]
    classes = logits[0].shape[1]
    size = MilSize(dim=classes, classes=classes, width=classes)
    model = MaxPool(size, ranked_by=ranked_by, generator=torch.Generator())
    model.classifier.weight.data = torch.eye(classes)
    return model.pool(BagBatch.of(logits)).detach()


def of_logits(
    rows: list[list[float]], *, ranked_by: Literal["odds", "logit"] = "odds"
) -> torch.Tensor:
    return said_of(rows, ranked_by=ranked_by).logits[0]


def test_the_bag_is_its_most_positive_instance() -> None:
    assert of_logits([[0.0, 1.0], [0.0, 3.0], [5.0, 3.5]]).tolist() == [0.0, 3.0]


def test_of_more_classes_the_strongest_finding_against_class_0_counts() -> None:
    assert of_logits([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [9.0, 3.0, 0.0]]).tolist() == [0, 0, 2]


def test_the_largest_positive_logit_itself_is_reachable() -> None:
    taken = of_logits([[0.0, 3.0], [5.0, 3.5]], ranked_by="logit")
    assert taken.tolist() == [5.0, 3.5]


@torch.no_grad()
def test_a_further_instance_never_lowers_the_odds(generator: torch.Generator) -> None:
    model = MaxPool(MilSize(dim=5, width=8), generator=generator).double().eval()
    rows = 3 * torch.randn(60, 5, generator=generator, dtype=torch.float64)
    outputs = [model(BagBatch.of([rows[:count]])) for count in range(1, 61)]
    odds = torch.cat([output.logits for output in outputs]).diff(dim=1)[:, 0]
    # A row is embedded with others of another number each time, which moves its last bits.
    assert bool((odds.diff() >= -1e-12).all())
    assert odds[-1] > odds[0]


@torch.no_grad()
def test_ranking_by_the_logit_can_let_an_instance_turn_a_bag_negative() -> None:
    before = of_logits([[0.0, 3.0]], ranked_by="logit").diff()
    after = of_logits([[0.0, 3.0], [5.0, 3.5]], ranked_by="logit").diff()
    assert before > 0 > after


def test_among_equal_instances_the_first_is_critical() -> None:
    output = said_of([[0.0, 1.0]] * 4, [[0.0, -1.0], [1.0, 0.5], [2.0, 1.5]])
    assert output.extra["critical"].tolist() == [0, 5]


def test_hardness_is_what_the_maximum_is_taken_of(generator: torch.Generator) -> None:
    model = MaxPool(MilSize(dim=5, width=8), generator=generator).eval()
    embedded = model.embed(BagBatch.of([torch.randn(7, 5, generator=generator)]))
    output = model.pool(embedded)
    assert model.hardness(embedded, output).argmax() == output.extra["critical"][0]


@pytest.mark.usefixtures("unchecked")
def test_another_order_is_refused(generator: torch.Generator) -> None:
    with pytest.raises(RefusedInputError, match="allowed: 'odds' and 'logit'"):
        MaxPool(MilSize(dim=5), ranked_by="mean", generator=generator)  # type: ignore[arg-type]
