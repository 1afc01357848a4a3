"""Every method trains, is calibrated on validation alone, and comes back from its folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.card import SpaceRecord
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.methods import METHODS, MethodChoice
from medconsist.wsi.mil.training_run import MilTraining, Provenance, load_predictor

DIM = 6


def cohort(count: int, *, seed: int, prefix: str, tiles: int = 20) -> Cohort:
    """Bags of noise; a positive one has a fifth of its tiles shifted far."""
    generator = torch.Generator().manual_seed(seed)
    bags = []
    for number in range(count):
        bag = torch.randn(tiles + number % 3, DIM, generator=generator)
        if number % 2:
            bag[: tiles // 5, 0] += 6.0
        bags.append(bag)
    infos = [
        BagInfo(case=f"{prefix}{n}", patient=f"{prefix}{n // 2 * 2 + n % 2}", label=n % 2)
        for n in range(count)
    ]
    return Cohort.of(InMemoryBags(bags), infos, classes=("normal", "tumour"))


def training(out: Path, name: str = "abmil", **more: Any) -> MilTraining:
    made = MilTraining(
        out=out,
        choice=MethodChoice(
            name=name,
            width=16,
            prototypes=3,
            options={"landmarks": 8} if name == "transmil" else {},
            ins=InsConfig(batch=8, bank=64, projection=8, warmup=4, phi_steps=10),
        ),
        train=cohort(12, seed=0, prefix="t"),
        validation=cohort(10, seed=1, prefix="v"),
        provenance=Provenance(space=SpaceRecord(dim=DIM), study="bags of a test"),
        epochs=2,
        evaluations=2,
        lr=1e-2,
        progress=False,
    )
    return replace(made, **more)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_and_answers_from_its_folder_as_it_did(
    tmp_path: Path, name: str
) -> None:
    predictor = training(tmp_path, name).run()
    again = load_predictor(tmp_path)
    bag = torch.randn(9, DIM, generator=torch.Generator().manual_seed(5))
    first, second = (
        one.answer(bag, generator=torch.Generator().manual_seed(0)) for one in (predictor, again)
    )
    assert first.probabilities == second.probabilities
    assert sum(first.probabilities) == pytest.approx(1)
    assert (again.teacher is not None) == name.startswith("mhim")
    card = again.card
    assert (card.method, card.cases) == (name, {"train": 12, "validation": 10})
    assert len(card.nonconformity) == len(set(training(tmp_path).validation.patients))
    assert card.operating_point is not None
    assert card.operating_point.chosen_on == "validation"
    assert card.fewest_tiles == 20


def test_a_model_that_learns_calls_new_bags_rightly(tmp_path: Path) -> None:
    predictor = training(tmp_path, epochs=15).run()
    test = cohort(20, seed=2, prefix="x")
    with torch.no_grad():
        said = [
            int(predictor.network(BagBatch.of([test.rows(bag)])).logits.argmax())
            for bag in range(len(test))
        ]
    assert sum(one == label for one, label in zip(said, test.labels.tolist(), strict=True)) >= 17


def test_a_finished_training_is_returned_and_another_recipe_refused(tmp_path: Path) -> None:
    first = training(tmp_path).run()
    assert training(tmp_path).run().card == first.card
    with pytest.raises(RefusedInputError, match=r"differs"):
        training(tmp_path, lr=1e-3).run()


def test_a_folder_without_a_card_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no finished training"):
        load_predictor(tmp_path)


def test_weights_of_another_training_are_noticed(tmp_path: Path) -> None:
    training(tmp_path / "a").run()
    training(tmp_path / "b", seed=1).run()
    (tmp_path / "a/model.safetensors").write_bytes((tmp_path / "b/model.safetensors").read_bytes())
    with pytest.raises(RefusedInputError, match="do not belong together"):
        load_predictor(tmp_path / "a")


def test_validation_labels_decide_calibration_and_training_labels_do_not_see_them(
    tmp_path: Path,
) -> None:
    plain = training(tmp_path / "a", patience=None, evaluations=1).run()
    flipped = training(tmp_path / "b", patience=None, evaluations=1)
    infos = tuple(replace(info, label=1 - (info.label or 0)) for info in flipped.validation.infos)
    flipped = replace(flipped, validation=replace(flipped.validation, infos=infos))
    other = flipped.run()
    # one evaluation at the end: nothing to choose from, so that the weights cannot differ
    for name, value in plain.network.state_dict().items():
        assert torch.equal(value, other.network.state_dict()[name])
    assert plain.card.nonconformity != other.card.nonconformity
