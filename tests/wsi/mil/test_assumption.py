"""The three tests of Raff and Holt: what the bags hold, and that they tell models apart."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import torch
from jaxtyping import config

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.assumption import (
    ASSUMPTION_TESTS,
    AssumptionBudget,
    AssumptionResult,
    AssumptionTest,
    assumption_bags,
    assumption_tests,
)
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilModel, MilSize
from medconsist.wsi.mil.models.choice import make_model
from medconsist.wsi.mil.output import BagOutput

PART: tuple[Literal["train"], Literal["test"]] = ("train", "test")


def drawn(
    test: AssumptionTest, part: Literal["train", "test"], bags: int = 400
) -> tuple[BagBatch, torch.Tensor]:
    return assumption_bags(test, bags, part=part, generator=torch.Generator().manual_seed(1))


def count(bags: BagBatch, mean: float) -> torch.Tensor:
    """How many instances of a bag lie around a mean; 0.15 is six deviations of 16 numbers."""
    found = (bags.features.mean(1) - mean).abs() < 0.15
    return bags.segments.sum(found.float())


@pytest.mark.parametrize("test", ["single-concept", "threshold"])
def test_poison_is_in_negative_bags_of_training_and_positive_ones_of_test(
    test: AssumptionTest,
) -> None:
    for part, poisoned in (("train", 0), ("test", 1)):
        bags, labels = drawn(test, part)  # type: ignore[arg-type]
        assert torch.equal(count(bags, -10.0), (labels == poisoned).float())


@pytest.mark.parametrize("part", PART)
def test_the_single_concept_adds_one_to_four_instances_to_ten(
    part: Literal["train", "test"],
) -> None:
    bags, labels = drawn("single-concept", part)
    poison = count(bags, -10.0).long()
    added = bags.segments.sizes - 10 - poison
    assert not bool(added[labels == 0].any())
    assert set(added[labels == 1].tolist()) == {1, 2, 3, 4}


@pytest.mark.parametrize("part", PART)
def test_only_positive_bags_pass_the_threshold_of_two_concepts(
    part: Literal["train", "test"],
) -> None:
    bags, labels = drawn("threshold", part)
    first, second = count(bags, 2.0), count(bags, 3.0)
    assert torch.equal(first[labels == 1], second[labels == 1])
    assert set(first[labels == 1].tolist()) == {1, 2, 3, 4}
    assert torch.equal(first[labels == 0] + second[labels == 0], torch.ones(200))
    assert 60 < first[labels == 0].sum() < 140


def test_the_frequency_of_a_concept_is_false_only_in_negative_test_bags() -> None:
    for part, most in (("train", {1, 2}), ("test", set(range(35, 46)))):
        bags, labels = drawn("false-frequency", part)  # type: ignore[arg-type]
        first, second = count(bags, 2.0), count(bags, 3.0)
        assert set(first[labels == 1].tolist()) == set(second[labels == 1].tolist()) == {1, 2}
        assert not bool((first * second)[labels == 0].any())
        assert set((first + second)[labels == 0].tolist()) == most
        assert not bool(count(bags, -10.0).any())


@pytest.mark.parametrize("test", ASSUMPTION_TESTS)
@pytest.mark.parametrize("part", PART)
def test_a_place_in_the_bag_tells_nothing(
    test: AssumptionTest, part: Literal["train", "test"]
) -> None:
    bags, labels = drawn(test, part, 2000)
    sizes = bags.segments.sizes
    place = (torch.arange(len(bags.features)) - bags.segments.offsets[bags.segments.owner]).float()
    place = place / (sizes - 1).clamp(min=1)[bags.segments.owner]
    special = bags.features.mean(1).abs() > 1.2
    many = special & (labels[bags.segments.owner] == 1)
    # Mean place 1/2 with a deviation of 0.3 over some thousand instances.
    assert abs(float(place[many].mean()) - 0.5) < 0.03


def test_labels_alternate_and_every_bag_has_its_rows() -> None:
    bags, labels = drawn("threshold", "train", 5)
    assert labels.tolist() == [0, 1, 0, 1, 0]
    assert len(bags) == 5


class Knowing(MilModel):
    """Says how near a bag comes to the second concept, or nothing; there is nothing to learn."""

    def __init__(self, size: MilSize, *, says: float) -> None:
        super().__init__(size)
        self.says = says
        self.idle = torch.nn.Parameter(torch.zeros(()))

    def embed(self, bags: BagBatch) -> BagBatch:
        return bags

    def pool(self, embedded: BagBatch) -> BagOutput:
        near = -(embedded.features.mean(1) - 3.0).abs()
        best = embedded.segments.max(near)[:, None] * self.says + 0 * self.idle
        return BagOutput(logits=torch.cat([torch.zeros_like(best), best], 1), features=best)


@pytest.mark.parametrize(("says", "respects"), [(1.0, True), (0.0, None), (-1.0, None)])
def test_a_verdict_is_of_what_was_learned(says: float, respects: bool | None) -> None:
    def make(size: MilSize, generator: torch.Generator) -> MilModel:
        return Knowing(size, says=says)

    budget = AssumptionBudget(train_bags=200, test_bags=200, steps=1)
    (result,) = assumption_tests(make, seed=0, budget=budget, tests=("threshold",))
    assert result.respects is respects
    assert ("cannot tell" in result.line()) == (respects is None)
    # It has one of two concepts to go by, which half of the negative bags hold as well; the several
    # of it in a positive bag come a little nearer than the one in a negative.
    assert abs(result.train_auc - (0.5 + says / 4)) < 0.08


def test_max_pooling_passes_the_standard_test_and_mean_pooling_fails_it() -> None:
    budget = AssumptionBudget(width=32, steps=250, train_bags=2000, test_bags=600, lr=3e-3)

    def result(name: str) -> AssumptionResult:
        (found,) = assumption_tests(
            lambda size, g: make_model(name, size, generator=g),
            seed=0,
            budget=budget,
            tests=("single-concept",),
        )
        return found

    passed, failed = result("max"), result("mean")
    assert passed.respects is True
    assert passed.test_auc > 0.8
    assert failed.respects is False
    assert failed.test_auc < 0.2 < 0.9 < failed.train_auc


def test_a_seed_gives_the_same_figures_and_leaves_torch_as_it_was() -> None:
    budget = AssumptionBudget(train_bags=40, test_bags=40, steps=3, width=8, dropout=0.5)

    def run() -> tuple[AssumptionResult, ...]:
        return assumption_tests(
            lambda size, g: make_model("abmil", size, generator=g), seed=7, budget=budget
        )

    before = torch.get_rng_state()
    first = run()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert first == run()
    assert [each.test for each in first] == list(ASSUMPTION_TESTS)


def test_a_result_is_plain_json_and_one_line() -> None:
    result = AssumptionResult(
        test="single-concept",
        train_auc=0.95,
        test_auc=0.9,
        respects=True,
        seed=3,
        budget=AssumptionBudget(),
    )
    again: dict[str, Any] = json.loads(json.dumps(result.as_json()))
    assert AssumptionResult(**{**again, "budget": AssumptionBudget(**again["budget"])}) == result
    assert result.line() == (
        "single-concept: respects the assumption (AUC 0.950 train, 0.900 test, seed 3)"
    )


@pytest.mark.parametrize("wrong", [{"train_bags": 1}, {"steps": 0}, {"lr": 0}, {"dropout": 1}])
def test_a_budget_out_of_range_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(RefusedInputError, match="allowed: "):
        AssumptionBudget(**wrong)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Switch off the annotations that pytest executes, to see what the library says by itself."""
    old = bool(config.jaxtyping_disable)
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", old)


@pytest.mark.usefixtures("unchecked")
def test_another_test_is_refused(generator: torch.Generator) -> None:
    with pytest.raises(RefusedInputError, match="allowed: single-concept, threshold"):
        assumption_bags("poison", 4, part="train", generator=generator)  # type: ignore[arg-type]
