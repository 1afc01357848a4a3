"""Which bags a step sees, and what validation says of them."""

from typing import Any

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.training.draws import Place
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags
from medconsist.wsi.mil.models.abmil import Abmil
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.objective import MilObjective, Sampling, all_bags


def cohort(count: int, *, prefix: str = "t", tiles: int = 6) -> Cohort:
    """Bags whose rows all hold the number of their bag."""
    bags = [torch.full((tiles, 2), float(n)) for n in range(count)]
    infos = [
        BagInfo(case=f"{prefix}{n}", patient=f"{prefix}{n}", label=n % 2) for n in range(count)
    ]
    return Cohort.of(InMemoryBags(bags), infos)


def made(generator: torch.Generator) -> Abmil:
    return Abmil(MilSize(dim=2, width=4), generator=generator)


def objective(count: int = 5, **more: Any) -> MilObjective:
    return MilObjective(made, cohort(count), cohort(4, prefix="v"), **more)


def drawn(task: MilObjective, place: Place) -> list[int]:
    batch = task.draw_at(torch.Generator(), place)
    return [int(batch.bags.one(bag).features[0, 0]) for bag in range(len(batch.bags))]


def test_an_epoch_sees_every_bag_once_also_over_micro_batches_and_processes() -> None:
    task = objective(6, sampling=Sampling(bags=1))
    places = [
        Place(step=step, micro=micro, micros=2, rank=rank, ranks=3)
        for step in range(1)
        for micro in range(2)
        for rank in range(3)
    ]
    assert sorted(bag for place in places for bag in drawn(task, place)) == list(range(6))


def test_epochs_differ_in_their_order_and_a_batch_may_reach_into_the_next() -> None:
    task = objective(5, sampling=Sampling(bags=2))
    seen = [bag for step in range(25) for bag in drawn(task, Place(step=step))]
    epochs = [seen[first : first + 5] for first in range(0, 50, 5)]
    assert all(sorted(epoch) == list(range(5)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 5


def test_some_instances_are_drawn_anew_each_time_and_stay_in_their_order() -> None:
    source = InMemoryBags([torch.arange(50.0)[:, None], torch.arange(3.0)[:, None]])
    infos = [BagInfo(case=f"c{n}", patient=f"p{n}", label=n) for n in range(2)]
    task = MilObjective(
        lambda generator: Abmil(MilSize(dim=1, width=4), generator=generator),
        Cohort.of(source, infos),
        sampling=Sampling(bags=2, instances=8),
    )
    batches = [task.draw_at(torch.Generator().manual_seed(n), Place(step=0)) for n in range(2)]
    for batch in batches:
        assert sorted(batch.bags.segments.sizes.tolist()) == [3, 8]
        long = int(batch.bags.segments.sizes.argmax())
        rows = batch.bags.one(long).features[:, 0]
        assert bool((rows.diff() > 0).all())
    assert not torch.equal(batches[0].bags.features, batches[1].bags.features)


def test_a_seed_of_its_own_orders_the_bags() -> None:
    tasks = [objective(20, sampling=Sampling(seed=seed)) for seed in (0, 0, 1)]
    first, again, other = ([drawn(task, Place(step=n)) for n in range(20)] for task in tasks)
    assert first == again
    assert first != other


def test_validation_is_scored_by_case() -> None:
    task = objective()
    network = task.build(torch.Generator().manual_seed(1)).eval()
    likely = torch.cat(
        [output.probabilities for _, output in all_bags(network, cohort(4, prefix="v"))]
    )
    scores, labels = task.evaluate(network), torch.tensor([0, 1, 0, 1])
    pairs = likely[labels == 1, 1][:, None] - likely[labels == 0, 1]
    assert scores == {
        "log_loss": pytest.approx(float(-likely[range(4), labels].log().mean()), rel=1e-6),
        "accuracy": float((likely.argmax(1) == labels).float().mean()),
        "auc": float(((pairs > 0) + 0.5 * (pairs == 0)).mean()),
    }
    assert scores["auc"] != 0.5


def test_a_patient_on_both_sides_and_a_missing_label_are_refused_before_training() -> None:
    with pytest.raises(RefusedInputError, match="1 patients are in training and validation"):
        MilObjective(made, cohort(2), cohort(1))
    unknown = Cohort.of(InMemoryBags([torch.zeros(1, 2)]), [BagInfo(case="v", patient="v")])
    with pytest.raises(RefusedInputError, match="have no label here"):
        MilObjective(made, cohort(2), unknown)


def test_classes_that_differ_or_do_not_vary_are_refused_before_training() -> None:
    source = cohort(4).source
    infos = cohort(4, prefix="w").infos
    swapped = Cohort.of(source, infos, classes=("positive", "negative"))
    with pytest.raises(RefusedInputError, match=r"validation \['positive', 'negative'\]"):
        MilObjective(made, cohort(4), swapped)
    three = Cohort.of(source, infos, classes=("a", "b", "c"))
    with pytest.raises(RefusedInputError, match=r"has 2 classes .* the cases have 3 and 2"):
        MilObjective(made, three).build(torch.Generator())
    with pytest.raises(RefusedInputError, match=r"all 2 training cases are 'negative'"):
        MilObjective(made, cohort(4).part([0, 2])).build(torch.Generator())


def test_weights_say_which_cases_trained_them_and_keep_what_the_caller_says() -> None:
    said = objective(4, about={"trained_on": "a study", "cases_sha256": "forged"}).about()
    assert said["trained_on"] == "a study"
    assert objective(4).about()["trained_on"] == "4 cases, their labels alone"
    turned = MilObjective(made, cohort(4).part([3, 1, 2, 0])).about()
    assert said["cases_sha256"] == turned["cases_sha256"]
    assert len(said["cases_sha256"]) == 64
    assert objective(5).about()["cases_sha256"] != said["cases_sha256"]
