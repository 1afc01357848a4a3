"""INS on bags: what it may see, that it learns, and that a run can be killed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.training.draws import Place
from medconsist.training.fit import Fitted, fit
from medconsist.training.settings import TrainConfig
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags
from medconsist.wsi.mil.ins.bag_score import instance_probability
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.ins.objective import DrawnForIns, InsLearner, InsObjective
from medconsist.wsi.mil.ins.order import InstanceOrder
from medconsist.wsi.mil.ins.released_labels import ReleasedLabelsInsObjective
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.objective import all_bags
from tests.wsi.mil.ins.toy import DIM, bags, cohort

SIZE = MilSize(dim=DIM, width=32, dropout=0)
CONFIG = InsConfig(
    batch=64,
    projection=16,
    bank=256,
    momentum=0.9,
    warmup=10,
    phi_steps=60,
    least_positive=0.2,
)
SHORT = TrainConfig(steps=6, lr=1e-3, checkpoint_every=1)
SMALL = replace(CONFIG, batch=16, bank=40, warmup=2, phi_steps=3)


def run(objective: InsObjective, folder: Path, settings: TrainConfig, **more: Any) -> Fitted:
    return fit(objective, settings, folder, recipe={"toy": 1}, progress=False, **more)


def state(fitted: Fitted) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in fitted.network.state_dict().items()}


def differs(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    return [name for name in one if not torch.equal(one[name], other[name])]


def auc_of_instances(config: InsConfig, seed: int) -> tuple[float, dict[str, float]]:
    """Train for 100 steps in a plain loop; score the instances of other bags."""
    features, _ = bags(40, seed=1 + 10 * seed)
    others, truth = bags(20, seed=2 + 10 * seed)
    objective = InsObjective(SIZE, cohort(features), cohort(others, "val"), config=config)
    learner = objective.build(Generator().manual_seed(seed))
    optimiser = torch.optim.Adam(learner.model.parameters(), lr=0.01)
    for step in range(100):
        optimiser.zero_grad()
        drawn = objective.draw(Generator().manual_seed(step), step)
        objective.losses(learner, drawn)["loss"].backward()  # type: ignore[no-untyped-call]  # untyped in torch
        torch.nn.utils.clip_grad_norm_(learner.model.parameters(), 1.0)
        optimiser.step()
    assert objective.validation is not None
    with torch.no_grad():
        outputs = [output for _, output in all_bags(learner.eval(), objective.validation)]
        found = torch.cat([instance_probability(output) for output in outputs])
        return area_under_roc(found, torch.cat(truth)), objective.evaluate(learner)


@pytest.mark.parametrize("seed", [0, 2])
def test_bag_labels_alone_teach_which_instances_are_positive(seed: int) -> None:
    auc, scores = auc_of_instances(CONFIG, seed)
    assert auc > 0.85  # chance is 0.5; four seeds gave 0.94 to 0.96
    assert scores["auc_mean"] > 0.9
    assert {"auc", "auc_max", "auc_logsumexp", "log_loss", "accuracy"} <= set(scores)


def test_instance_truth_cannot_reach_the_training_and_the_named_leak_is_found(
    tmp_path: Path,
) -> None:
    features, truth = bags(8)
    permuted = [t[torch.randperm(len(t), generator=Generator().manual_seed(5))] for t in truth]
    honest, leaked = [], []
    for number, given in enumerate((truth, permuted)):
        objective = InsObjective(SIZE, cohort(features), config=SMALL)
        honest.append(state(run(objective, tmp_path / f"honest-{number}", SHORT)))
        leak = ReleasedLabelsInsObjective(
            SIZE, cohort(features), config=SMALL, instance_truth=given
        )
        leaked.append(state(run(leak, tmp_path / f"leak-{number}", SHORT)))
    assert differs(*honest) == []
    assert "model.instances.classifier.weight" in differs(*leaked)
    with pytest.raises(TypeError, match="instance_truth"):
        InsObjective(SIZE, cohort(features), config=SMALL, instance_truth=truth)  # type: ignore[call-arg]  # there is no such argument
    assert objective.about()["labels_from"] == "slide"
    assert leak.about()["labels_from"] == "released"
    assert "TRUTH" in leak.about()["trained_on"]


def test_the_leak_knows_the_true_negatives_of_positive_bags() -> None:
    features, truth = bags(6)
    leak = ReleasedLabelsInsObjective(SIZE, cohort(features), instance_truth=truth)
    honest = InsObjective(SIZE, cohort(features))
    assert torch.equal(leak.may_be_positive(), torch.cat(truth))
    of_positive = torch.cat([torch.full((len(t),), n % 2 == 1) for n, t in enumerate(truth)])
    assert torch.equal(honest.may_be_positive(), of_positive)
    with pytest.raises(RefusedInputError, match="instance_truth got 5 bags"):
        ReleasedLabelsInsObjective(SIZE, cohort(features), instance_truth=truth[:5])


def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(tmp_path: Path) -> None:
    class Killed(InsObjective):
        def draw_at(self, generator: Generator, place: Place) -> DrawnForIns:
            if place.step == 4:
                msg = "pulled the plug"
                raise RuntimeError(msg)
            return super().draw_at(generator, place)

    features, _ = bags(8)
    other = cohort(bags(4, seed=1)[0], "val")
    settings = replace(SHORT, evaluate_every=2)
    make: dict[str, Any] = {"config": SMALL}
    run(InsObjective(SIZE, cohort(features), other, **make), tmp_path / "straight", settings)
    with pytest.raises(RuntimeError, match="pulled the plug"):
        run(Killed(SIZE, cohort(features), other, **make), tmp_path / "killed", settings)
    objective = InsObjective(SIZE, cohort(features), other, **make)
    resumed = run(objective, tmp_path / "killed", settings, resume=True)
    for name in ("weights.safetensors", "metrics.jsonl"):
        straight = (tmp_path / "straight" / name).read_bytes()
        assert straight == (tmp_path / "killed" / name).read_bytes()
    assert isinstance(resumed.network, InsLearner)
    soft = resumed.network.memory.soft_labels.positive
    assert set(soft[~objective.may_be_positive()].tolist()) == {0}
    assert len(set(soft[objective.may_be_positive()].tolist())) > 1


def test_instances_are_read_from_where_their_numbers_say() -> None:
    features, _ = bags(6)
    objective = InsObjective(SIZE, cohort(features), config=replace(SMALL, noise=_NONE))
    everything = torch.cat(features)
    for step in range(12):
        drawn = objective.draw(Generator(), step)
        views = drawn.instances
        assert torch.equal(views.weak, everything[views.number])
        assert len(set(views.number.tolist())) == len(views.number) == 16
        of_positive = objective.may_be_positive()[views.number]
        assert bool(of_positive.all()) == (step < 2)


_NONE = replace(InsConfig().noise, kind="none")


def test_an_epoch_sees_an_instance_at_most_once_on_all_processes_together() -> None:
    of_positive = torch.arange(50) % 2 == 0
    order = InstanceOrder(of_positive, batch=6, warmup=2, seed=0)
    places = [Place(step=s, rank=r, ranks=2) for s in range(2, 6) for r in range(2)]
    seen = torch.cat([order.at(place) for place in places])
    assert len(set(seen.tolist())) == len(seen) == 48
    warm = torch.cat([order.at(Place(step=s, rank=r, ranks=2)) for s in range(2) for r in range(2)])
    assert len(set(warm.tolist())) == len(warm) == 24
    assert bool(of_positive[warm].all())
    small = InstanceOrder(torch.tensor([True, False, True]), batch=6, warmup=0, seed=0)
    assert sorted(small.at(Place(step=3)).tolist()) == [0, 1, 2]


@pytest.mark.parametrize("bag_loss", ["always", "warmup"])
def test_the_loss_is_the_weighted_sum_of_its_parts(bag_loss: Any) -> None:
    features, _ = bags(6)
    config = replace(SMALL, contrast_weight=0.25, bag_weight=2, bag_loss=bag_loss)
    objective = InsObjective(SIZE, cohort(features), config=config)
    network = objective.build(Generator().manual_seed(0))
    for step in (0, 5):
        with torch.no_grad():
            parts = objective.losses(network, objective.draw(Generator(), step))
        wanted = parts["instance"] + 0.25 * parts["contrast"] + 2 * parts["bag"]
        assert float(parts["loss"]) == pytest.approx(float(wanted), rel=1e-6)
        assert (float(parts["bag"]) > 0) == (bag_loss == "always" or step == 0)


def test_the_model_alone_answers_as_the_learner_does() -> None:
    features, _ = bags(6)
    objective = InsObjective(SIZE, cohort(features), config=SMALL)
    learner = objective.build(Generator()).eval()
    assert isinstance(learner, InsLearner)
    assert objective.model_of(learner) is learner.model
    for (_, one), (_, other) in zip(
        all_bags(learner, objective.train), all_bags(learner.model, objective.train), strict=True
    ):
        assert torch.equal(one.logits, other.logits)
    assert not any("soft" in name for name in learner.model.state_dict())


def test_training_bags_of_one_class_or_of_three_are_refused() -> None:
    features, _ = bags(4)
    infos = [BagInfo(case=f"c{n}", patient=f"p{n}", label=0) for n in range(4)]
    with pytest.raises(RefusedInputError, match="needs slides of both classes"):
        InsObjective(SIZE, Cohort.of(InMemoryBags(features), infos))
    with pytest.raises(RefusedInputError, match="INS got 3 classes"):
        InsObjective(MilSize(dim=DIM, classes=3), cohort(features))


def test_unlike_the_released_views_ours_are_noise_that_is_really_there() -> None:
    features, _ = bags(4)
    views = InsObjective(SIZE, cohort(features)).draw(Generator(), 0).instances
    assert not torch.equal(views.weak, views.strong)
    released = replace(InsConfig(), noise=_NONE)
    views = InsObjective(SIZE, cohort(features), config=released).draw(Generator(), 0).instances
    assert torch.equal(views.weak, views.strong)
