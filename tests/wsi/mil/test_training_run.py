"""Every method trains, is calibrated on validation alone, and comes back from its folder."""

import errno
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from medconsist.errors import MissingInputError, RefusedInputError, StorageError
from medconsist.training.draws import Place
from medconsist.training.metrics_log import read_rows
from medconsist.training.settings import TrainConfig
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.card import SpaceRecord
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.methods import METHODS, MethodChoice
from medconsist.wsi.mil.mhim.objective import MhimObjective
from medconsist.wsi.mil.objective import MilObjective, Sampling
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
    with pytest.raises(RefusedInputError, match=r"another recipe: settings.lr differ"):
        training(tmp_path, lr=1e-3).run()
    # the probe has no run folder that could refuse it
    with pytest.raises(RefusedInputError, match=r"another recipe: choice.name"):
        training(tmp_path, "probe").run()
    assert load_predictor(tmp_path).card == first.card


def test_the_card_tells_the_scores_of_the_weights_that_were_kept(tmp_path: Path) -> None:
    made = training(tmp_path, epochs=6, evaluations=72, patience=2, lr=0.3)
    card = (predictor := made.run()).card
    rows = [row["val_log_loss"] for row in read_rows(tmp_path / "run/metrics.jsonl")]
    assert rows[-1] > min(rows)  # it was stopped, and the best is not the last
    judge = MilObjective(lambda _: predictor.network, made.train, made.validation)
    assert card.validation == pytest.approx(judge.evaluate(predictor.network))
    assert card.validation["log_loss"] == pytest.approx(min(rows))


def test_ins_is_not_stopped_by_the_log_loss_of_its_bags(tmp_path: Path) -> None:
    made = training(tmp_path, "mhim-ins", epochs=4, evaluations=48, patience=1, lr=0.3)
    made.run()
    steps = {
        stage: json.loads((tmp_path / stage / "run.json").read_text())["steps"]
        for stage in ("ins", "baseline", "run")
    }
    assert steps["ins"] == 48
    assert steps["baseline"] < 48


def test_the_soft_labels_of_ins_have_their_last_course_at_the_end_of_the_run() -> None:
    ins = MethodChoice(name="ins").ins_over(100)
    assert ins.phi(10) == ins.phi_first
    assert ins.phi(99) > ins.phi(100) == ins.phi_last


class KilledError(Exception):
    """Stands for a kill."""


class Often(MilTraining):
    """Keeps a checkpoint every fourth step."""

    def _config(self) -> TrainConfig:
        return replace(super()._config(), checkpoint_every=4)


def often(out: Path, name: str, **more: Any) -> Often:
    made = training(
        out, name, sampling=Sampling(instances=9), epochs=3, evaluations=9, patience=3, **more
    )
    return Often(**{item.name: getattr(made, item.name) for item in fields(made)})


@pytest.mark.parametrize("name", ["mhim", "mhim-ins"])
def test_a_training_killed_in_its_last_stage_goes_on_to_the_very_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    often(tmp_path / "straight", name).run()

    def draw_at(self: MhimObjective, generator: torch.Generator, place: Place) -> Any:
        if place.step == 5:
            raise KilledError
        return draw(self, generator, place)

    draw = MhimObjective.draw_at
    with monkeypatch.context() as patch:
        patch.setattr(MhimObjective, "draw_at", draw_at)
        with pytest.raises(KilledError):
            often(tmp_path / "twice", name).run()
    assert (tmp_path / "twice/run/checkpoints/last.ckpt").is_file()
    with pytest.raises(MissingInputError, match="no finished training"):
        load_predictor(tmp_path / "twice")
    often(tmp_path / "twice", name, resume=True).run()

    for file in ("model.safetensors", "centres.safetensors"):
        first, second = (tmp_path / run / file for run in ("straight", "twice"))
        assert first.read_bytes() == second.read_bytes(), file
    straight, twice = (load_predictor(tmp_path / run).card for run in ("straight", "twice"))
    assert straight == twice


def test_a_disk_that_is_full_before_the_card_leaves_nothing_that_is_taken_for_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("medconsist._atomic.write_new", full_at("card.json"))
        with pytest.raises(StorageError, match="Free space"):
            training(tmp_path).run()
    assert (tmp_path / "model.safetensors").is_file()
    assert not list(tmp_path.glob(".*.tmp"))
    with pytest.raises(MissingInputError, match="no finished training"):
        load_predictor(tmp_path)
    assert training(tmp_path).run().card.method == "abmil"


def full_at(name: str) -> Callable[[Path, bytes], None]:
    def write(path: Path, data: bytes) -> None:
        path.write_bytes(data[:10])
        if name in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_bytes(data)

    return write


def test_centres_of_another_training_are_noticed(tmp_path: Path) -> None:
    training(tmp_path / "a").run()
    training(tmp_path / "b", seed=1).run()
    name = "centres.safetensors"
    (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())
    with pytest.raises(RefusedInputError, match="of another training"):
        load_predictor(tmp_path / "a")


@pytest.mark.parametrize("name", ["ins", "mhim-ins"])
def test_ins_says_at_once_that_it_knows_two_classes_only(tmp_path: Path, name: str) -> None:
    made = training(tmp_path, name)
    three = [replace(part, classes=("a", "b", "c")) for part in (made.train, made.validation)]
    with pytest.raises(RefusedInputError, match="INS got 3 classes; allowed: 2"):
        replace(made, train=three[0], validation=three[1]).run()
    assert not list(tmp_path.iterdir())


def test_the_probe_refuses_a_patient_on_both_sides(tmp_path: Path) -> None:
    made = training(tmp_path, "probe")
    with pytest.raises(RefusedInputError, match="in training and validation"):
        replace(made, validation=made.train).run()


def test_two_devices_take_half_the_steps_for_as_many_epochs(tmp_path: Path) -> None:
    steps = [training(tmp_path, devices=devices)._config().steps for devices in (1, 2)]
    assert steps == [24, 12]


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
