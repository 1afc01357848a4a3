"""A model folder: card last, calibration on patients, refusals of what does not belong together."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.metrics.calibration import fit_temperature
from medconsist.timeseries.eegnet import EegNetConfig
from medconsist.timeseries.evaluation.probes import LogisticProbe
from medconsist.timeseries.finetuning import HeadConfig
from medconsist.timeseries.label_budget import LabelBudget
from medconsist.timeseries.patient_model import evidence_of
from medconsist.timeseries.pooling import AttentionConfig
from medconsist.timeseries.pretraining import encode_all
from medconsist.timeseries.signal_card import CARD_NAME, read_signal_card
from medconsist.timeseries.signal_model import SignalModel, load_signal_model
from medconsist.timeseries.starts import EegNetStart, GivenStart, RandomStart
from medconsist.timeseries.supervised import Finetuning
from medconsist.timeseries.trained import finetune, fit_probe
from tests.timeseries.small_signals import small_cohort, small_comet, small_data

SHORT = Finetuning(epochs=3, batch=64, evaluations=3, head=HeadConfig(width=8), lr=1e-2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("models") / "probe"
    fit_probe(small_comet(), small_data(small_cohort()), out, name="comet")
    return out


@pytest.fixture(scope="module")
def model(folder: Path) -> SignalModel:
    return load_signal_model(folder)


def test_the_card_says_what_the_model_is_and_what_speaks_against_it(folder: Path) -> None:
    card = read_signal_card(folder)
    assert (card.method, card.encoder, card.study) == ("probe", "comet", "simulated ECG")
    assert card.patients == {"train": 18, "validation": 18}
    assert card.preparation.units == ("mV",) * 3
    assert card.preparation.modality == "ecg"
    assert card.labels.unit == "all"
    assert len(card.labels.patients) == 18
    assert len(card.patients_sha256) == 64
    notes = " ".join(card.notes)
    assert "Calibrated on 18 patients, fewer than 20" in notes
    assert "all of these flatter" in notes
    assert "Patients of a simulator." in notes


def test_the_probe_in_the_model_is_the_probe_of_the_evaluator(model: SignalModel) -> None:
    data, comet = small_data(small_cohort()), small_comet()
    features = encode_all(comet, data.train)
    apply = LogisticProbe().fit(features, data.train.table.label, 2)
    expected = apply(encode_all(comet, data.validation))
    found = model.network.evidence(data.validation)
    torch.testing.assert_close(found.logits, expected, rtol=1e-5, atol=1e-5)  # float32 features


def test_classes_of_new_patients_are_told_apart(model: SignalModel) -> None:
    fresh = small_cohort(seed=9, patients=20).windows
    evidence = model.network.evidence(fresh)
    called = model.probabilities(evidence).argmax(1)
    assert float((called == evidence.labels).double().mean()) > 0.8


def test_temperature_and_threshold_are_those_of_validation_patients(model: SignalModel) -> None:
    evidence = model.network.evidence(small_data(small_cohort()).validation)
    logits = evidence.pooled(model.network.pool).detach()
    assert model.card.temperature == fit_temperature(
        logits, evidence.labels, fitted_on="validation"
    )
    assert model.card.operating_point is not None
    assert model.card.operating_point.unit_of_analysis == "patient"
    assert sum(model.card.sets.n) == 18


def test_calibration_patients_of_their_own_are_used_for_the_sets(tmp_path: Path) -> None:
    data = small_data(small_cohort(), calibration=10)
    card = fit_probe(small_comet(), data, tmp_path / "m").card
    assert card.sets.calibrated_on == "calibration"
    assert sum(card.sets.n) == 10
    assert card.temperature.fitted_on == "validation"
    assert card.temperature.n == 8
    assert not any("all of these flatter" in note for note in card.notes)


def test_a_budget_of_patients_is_frozen_in_the_card(tmp_path: Path) -> None:
    data = small_data(small_cohort())
    budget = LabelBudget(patients_per_class=2)
    card = fit_probe(small_comet(), data, tmp_path / "a", budget=budget, seed=1).card
    again = fit_probe(small_comet(), data, tmp_path / "b", budget=budget, seed=1).card
    assert len(card.labels.patients) == 4
    assert card.labels == again.labels
    assert card.weights_sha256 == again.weights_sha256
    assert "the labels of 18 validation patients chose" in " ".join(card.notes)
    assert card.patients["train"] == 18  # the reference knows them all, without their labels


def test_a_finished_folder_is_returned_and_another_recipe_is_refused(folder: Path) -> None:
    data = small_data(small_cohort())
    before = (folder / CARD_NAME).stat().st_mtime_ns
    fit_probe(small_comet(), data, folder, name="comet")
    assert (folder / CARD_NAME).stat().st_mtime_ns == before
    with pytest.raises(RefusedInputError, match="another recipe: alpha differ"):
        fit_probe(small_comet(), data, folder, name="comet", alpha=0.2)
    with pytest.raises(RefusedInputError, match=r"another recipe: settings\.encoder_sha256"):
        fit_probe(small_comet(seed=1), data, folder, name="comet")


@pytest.mark.parametrize("name", ["model.safetensors", "reference.safetensors"])
def test_files_that_are_not_those_of_the_card_are_refused(
    folder: Path, tmp_path: Path, name: str
) -> None:
    shutil.copytree(folder, tmp_path / "m")
    path = tmp_path / "m" / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(RefusedInputError, match=r"do not belong together|not finite"):
        load_signal_model(tmp_path / "m")


def test_without_a_card_there_is_no_model(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "m")
    (tmp_path / "m" / CARD_NAME).unlink()
    with pytest.raises(MissingInputError, match="holds no finished model of signals"):
        load_signal_model(tmp_path / "m")
    (tmp_path / "m" / CARD_NAME).write_text(json.dumps({"kind": "another"}))
    with pytest.raises(RefusedInputError, match=r"card\.json"):
        load_signal_model(tmp_path / "m")


def test_an_encoder_of_other_windows_is_refused(tmp_path: Path) -> None:
    data = small_data(small_cohort())
    encoder = small_comet()
    assert encoder.size is not None
    encoder.size = replace(encoder.size, rate=250.0)
    with pytest.raises(RefusedInputError, match="3 channels of 100 samples at 250 Hz, the windows"):
        fit_probe(encoder, data, tmp_path / "m")


def test_a_patient_in_two_parts_and_hidden_labels_are_refused() -> None:
    data = small_data(small_cohort())
    with pytest.raises(RefusedInputError, match="is in train and in validation; split by patient"):
        replace(data, validation=data.train)
    with pytest.raises(RefusedInputError, match="216 without a label; label them all"):
        replace(data, train=data.train.without_labels())


def test_fine_tuning_learns_and_is_loaded_as_it_was(tmp_path: Path) -> None:
    data = small_data(small_cohort())
    start = GivenStart(small_comet(), "comet, fine-tuned")
    made = finetune(start, data, tmp_path / "m", how=SHORT, progress=False)
    again = load_signal_model(tmp_path / "m")
    first, second = made.network.evidence(data.validation), again.network.evidence(data.validation)
    assert torch.equal(first.logits, second.logits)
    assert made.card.method == "finetuned"
    assert made.card.validation["auc"] > 0.8
    assert any("look farther" in note for note in made.card.notes)
    assert (tmp_path / "m" / "run" / "run.json").is_file()


@pytest.mark.parametrize(
    "start",
    [
        EegNetStart(config=EegNetConfig(temporal=2, depth=1)),
        RandomStart(options={"hidden": 4, "dim": 8, "depth": 2}),
    ],
)
def test_models_from_scratch_are_folders_like_any_other(
    start: EegNetStart | RandomStart, tmp_path: Path
) -> None:
    data = small_data(small_cohort(patients=8))
    how = replace(SHORT, epochs=1, evaluations=1)
    attention = AttentionConfig(steps=2)
    made = finetune(start, data, tmp_path / "m", how=how, attention=attention, progress=False)
    assert made.card.method == start.kind
    assert load_signal_model(tmp_path / "m").card == made.card


def test_evidence_does_not_depend_on_batch_mates(model: SignalModel) -> None:
    windows = small_data(small_cohort()).validation
    whole = evidence_of(model.network.classifier, windows)
    part = evidence_of(model.network.classifier, windows.take(np.array([70, 3])))
    torch.testing.assert_close(part.features, whole.features[[70, 3]])
