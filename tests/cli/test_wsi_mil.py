"""Models of bags from the command line: train, probe, evaluate, audit, predict; what is refused."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import medconsist
from medconsist.metrics.resampling import Resampling
from medconsist.wsi.bags.bag import Bag, make_bag
from medconsist.wsi.bags.header import BagGrid
from medconsist.wsi.bags.simulate import simulated_bag
from medconsist.wsi.mil.sealed import openings_of
from tests.cli.conftest import Program
from tests.wsi.mil.small_study import DIM, SmallStudy, small_study, store_bag, write_manifest

QUICK = ("--width", 8, "--epochs", 2, "--lr", 0.01, "--no-tests")
SHARES = ("--test", 0.4, "--validation", 0.4)


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take 100 resamples: their number is tested elsewhere, and each takes its time."""
    plan = Resampling(resamples=100, method="percentile")
    monkeypatch.setattr("medconsist.wsi.mil.evaluate._PLAN", plan)


@pytest.fixture
def study(tmp_path: Path) -> SmallStudy:
    made = small_study(tmp_path / "study")
    made.freeze()
    return made


def stored_study(folder: Path, *, change: Callable[[int, Bag], Bag] = lambda _, bag: bag) -> Path:
    """Write a manifest of twelve cases and their bags; return the folder."""
    rows = list[tuple[str, ...]]()
    for number in range(12):
        folder.mkdir(exist_ok=True)
        (folder / f"s{number}.svs").touch()
        name = f"s{number}"
        rows.append((f"{name}.svs", f"p{number}", name, name, ("normal", "tumour")[number % 2], ""))
        bag = simulated_bag(tiles=8, dim=4, slide=name, seed=number)
        store_bag(folder / "out", name, change(number, bag), patient=f"p{number}")
    write_manifest(folder / "cases.csv", rows)
    SmallStudy(folder).freeze()
    return folder


def stored_words(folder: Path) -> tuple[object, ...]:
    bags = ("--bags", folder / "out", "--study", "study")
    words = (folder / "cases.csv", "--split", folder / "split.json")
    return (*words, "--classes", "normal", "tumour", *bags)


def test_a_manifest_is_split_by_patient_or_site_and_never_over_another(
    tmp_path: Path, program: Program
) -> None:
    made = small_study(tmp_path / "study", sites=5)
    answer = program("manifest", "split", made.manifest, "--out", made.split, *SHARES)
    assert answer.code == 0, answer.err
    assert "Split by patient" in answer.out
    assert answer.out.splitlines()[-1] == str(made.split)
    again = program("manifest", "split", made.manifest, "--out", made.split, *SHARES, "--json")
    assert sum(part["patients"] for part in json.loads(again.out)["rounds"][0].values()) == 30

    other = program("manifest", "split", made.manifest, "--out", made.split, "--seed", 1)
    assert (other.code, "is there and holds something else" in other.sentence) == (2, True)

    by_site = tmp_path / "site.json"
    done = program("manifest", "split", made.manifest, "--out", by_site, "--group", "site")
    assert done.code == 0, done.err
    words = [by_site if word == made.split else word for word in made.words()]
    assert "No site is in two parts" in program("wsi", "audit", *words).out


def test_a_model_is_trained_by_its_validation_and_evaluated_there(
    study: SmallStudy, program: Program
) -> None:
    model = study.folder / "model"
    words = (*study.words(), "--out", model, *QUICK[:-1], "--method", "panther")
    tested = program("wsi", "train", *words)
    assert tested.code == 0, tested.err
    lines = tested.out.splitlines()
    assert (lines[0], lines[-1]) == (medconsist.RESEARCH_USE_ONLY, str(model / "card.json"))
    assert "MIL assumption (Raff and Holt): panther was not tested." in lines

    answer = program("wsi", "evaluate", *study.words(), "--model", model)

    assert answer.code == 0, answer.err
    assert answer.out.startswith(f"{medconsist.RESEARCH_USE_ONLY}\npanther on validation")
    assert "chosen here: these flatter" in answer.out
    assert "sensitivity" not in answer.out  # its threshold was chosen here
    assert "panther was not tested" in answer.out
    assert not list(study.folder.glob("*.openings.jsonl"))


def test_the_test_is_opened_once_written_down_and_a_second_model_flagged(
    study: SmallStudy, program: Program
) -> None:
    for name, method in (("one", "probe"), ("two", "mean")):
        words = (*study.words(), "--out", study.folder / name)
        more = () if method == "probe" else (*QUICK, "--method", method)
        done = program("wsi", "probe" if method == "probe" else "train", *words, *more)
        assert done.code == 0, done.err
    log = study.folder / "split.openings.jsonl"
    final = ("wsi", "evaluate", *study.words(), "--final", "--who", "an", "--json")

    first = json.loads(program(*final, "--model", study.folder / "one").out)
    both = ("--model", study.folder / "one", "--against", study.folder / "two")
    second = json.loads(program(*final, *both).out)

    assert first["said"] == medconsist.RESEARCH_USE_ONLY
    assert (first["part"], first["patients"]) == ("test", first["area"]["n"])
    assert first["operating"]["point"]["chosen_on"] == "validation"
    assert "these are its first numbers" in first["sentences"][0]
    assert "opened 3 times, for 2 different weights" in second["sentences"][0]
    assert second["against"]["first"] == "one"
    assert second["area"] == first["area"]
    # the other model of a comparison saw the test too
    used = [json.loads((study.folder / n / "card.json").read_text()) for n in ("one", "one", "two")]
    lines = openings_of(log)
    assert [line.model_sha256 for line in lines] == [card["weights_sha256"] for card in used]
    assert {line.who for line in lines} == {"an"}


def test_what_a_model_of_another_training_would_say_is_refused_before_the_test_is_opened(
    study: SmallStudy, program: Program, tmp_path: Path
) -> None:
    assert program("wsi", "probe", *study.words(), "--out", tmp_path / "model").code == 0
    model = ("--model", tmp_path / "model")
    study.split.rename(tmp_path / "first.json")
    study.freeze(repeats=2, seed=1)
    assert program("wsi", "probe", *study.words(), "--out", tmp_path / "other").code == 0
    wider = {name: torch.cat([bag, bag], 1) for name, bag in load_file(study.features).items()}
    save_file(wider, tmp_path / "wider.safetensors")
    first = [tmp_path / "first.json" if word == study.split else word for word in study.words()]
    wide = [tmp_path / "wider.safetensors" if word == study.features else word for word in first]
    turned = ("tumour", "normal")
    wrong: dict[str, tuple[object, ...]] = {
        "with split": (*study.words(), *model),
        "with round 0, and here it is 1": (
            *(*study.words(), "--round", 1),
            *("--model", tmp_path / "other"),
        ),
        "other was trained with split": (*first, *model, "--against", tmp_path / "other"),
        f"with dim {DIM}, and here it is {2 * DIM}": (*wide, *model),
        "with classes normal, tumour, and here it is tumour, normal": (
            *(
                tmp_path / "first.json" if w == study.split else w
                for w in study.words(classes=turned)
            ),
            *model,
        ),
    }
    for sentence, words in wrong.items():
        for final in ((), ("--final", "--who", "an")):
            answer = program("wsi", "evaluate", *words, *final)
            assert answer.code == 2, answer
            assert sentence in answer.sentence
    assert not list(tmp_path.rglob("*.openings.jsonl"))


def test_features_of_another_file_are_said(study: SmallStudy, program: Program) -> None:
    model = ("--model", study.folder / "model")
    assert program("wsi", "probe", *study.words(), "--out", model[1]).code == 0
    other = study.features.rename(study.folder / "other.safetensors")
    words = [other if word == study.features else word for word in study.words()]
    said = program("wsi", "evaluate", *words, *model).out
    assert "features of: file tiles.safetensors, file other.safetensors" in said


def test_a_comparison_that_cannot_be_made_does_not_hide_the_opened_test(
    tmp_path: Path, program: Program
) -> None:
    made = small_study(tmp_path / "study", label=lambda n: "tumour" if n % 5 == 1 else "normal")
    with made.manifest.open(newline="") as file:
        header, *cells = csv.reader(file)
    positive = 0
    with made.manifest.open("w", newline="") as file:
        csv.writer(file).writerow([*header, "split"])
        for row in cells:
            positive += row[4] == "tumour"
            is_test = (row[4] == "tumour" and positive == 1) or row[1] in ("p2", "p3", "p4")
            csv.writer(file).writerow([*row, "test" if is_test else ""])
    made.freeze(given="test")
    assert program("wsi", "probe", *made.words(), "--out", tmp_path / "m").code == 0
    both = ("--model", tmp_path / "m", "--against", tmp_path / "m", "--final")
    answer = program("wsi", "evaluate", *made.words(), *both)
    assert answer.code == 0, answer.err
    assert "AUC (DeLong)" in answer.out
    assert "m and m cannot be compared: got 1 positive and 3 negative" in answer.out


def test_the_audit_ends_with_4_where_a_slide_was_copied_or_the_split_altered(
    study: SmallStudy, program: Program
) -> None:
    sound = program("wsi", "audit", *study.words())
    assert sound.code == 0, sound.err
    assert sound.out.splitlines()[0].startswith("ok      split: The split is as it was frozen")
    assert "warning shortcut: Whether the site is a shortcut" in sound.out  # of one site

    split = json.loads(study.split.read_text())["rounds"][0]
    bags = load_file(study.features)
    copied, original = (f"c{split[part][-1][1:]}" for part in ("test", "train"))
    save_file(bags | {copied: bags[original].flip(0).contiguous()}, study.features)
    found = program("wsi", "audit", *study.words(), "--json")
    (leak,) = [
        one for one in json.loads(found.out) if not one["passed"] and one["weight"] == "leak"
    ]
    assert (found.code, leak["name"]) == (4, "copies")
    assert copied in leak["sentence"]
    assert original in leak["sentence"]

    text = study.split.read_text()
    study.split.write_text(text.replace('"seed": 0', '"seed": 7'))
    altered = program("wsi", "audit", *study.words())
    assert (altered.code, altered.out.count("\n")) == (4, 1)
    assert altered.out.startswith("leak    split:")
    study.split.unlink()
    assert program("wsi", "audit", *study.words()).code == 2


def test_predictions_of_a_study_have_a_table_a_slide(tmp_path: Path, program: Program) -> None:
    folder = stored_study(tmp_path / "study")
    model = folder / "model"
    done = program("wsi", "probe", *stored_words(folder), "--out", model)
    assert done.code == 0, done.err
    words = (folder / "out", "--study", "study", "--model", model, "--case", "s3", "--json")

    answer = program("wsi", "predict", *words, "--table", tmp_path / "tables")

    assert answer.code == 0, answer.err
    (one,) = json.loads(answer.out)["predicted"]
    assert (one["case"], one["fresh"]) == ("s3", True)
    (table,) = (tmp_path / "tables").rglob("*.csv")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    assert len(rows) == 8
    assert "instance_probability" in rows[0]


def of_another_encoder(bag: Bag) -> Bag:
    encoder = bag.header.encoder.model_copy(update={"sha256": "a" * 64})
    return make_bag(
        bag.features, bag.index, header=bag.header.model_copy(update={"encoder": encoder})
    )


def of_another_grid(bag: Bag) -> Bag:
    grid = BagGrid.model_validate(
        bag.header.grid.model_dump() | {"step_px": 128, "columns": 102, "rows": 3}
    )
    return make_bag(bag.features, bag.index, header=bag.header.model_copy(update={"grid": grid}))


def without_tissue(bag: Bag) -> Bag:
    return simulated_bag(tiles=0, dim=4, slide=bag.header.slide)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (of_another_encoder, "s2 were embedded by two encoders"),
        (of_another_grid, "s2 were tiled in two ways"),
        (without_tissue, "case s2 has no tile with tissue"),
    ],
)
def test_bags_that_do_not_go_together_are_refused_before_training(
    tmp_path: Path, program: Program, change: Callable[[Bag], Bag], sentence: str
) -> None:
    folder = stored_study(tmp_path / "s", change=lambda n, bag: change(bag) if n == 2 else bag)
    answer = program("wsi", "train", *stored_words(folder), "--out", tmp_path / "model", *QUICK)
    assert answer.code == 2
    assert sentence in answer.sentence
    assert not (tmp_path / "model").exists()


def test_weights_of_another_encoder_are_refused(tmp_path: Path, program: Program) -> None:
    ours = stored_study(tmp_path / "ours")
    theirs = stored_study(tmp_path / "theirs", change=lambda _, bag: of_another_encoder(bag))
    model = tmp_path / "model"
    assert program("wsi", "probe", *stored_words(ours), "--out", model).code == 0
    answer = program("wsi", "evaluate", *stored_words(theirs), "--model", model)
    assert answer.code == 2
    assert "with encoder random (eeeeeeeeeeee" in answer.sentence
    predicted = program("wsi", "predict", theirs / "out", "--study", "study", "--model", model)
    assert predicted.code in (2, 3)


def nan_in(study: SmallStudy) -> None:
    bags = load_file(study.features)
    bags["c3"][2, 1] = torch.nan
    save_file(bags, study.features)


def no_tile_in(study: SmallStudy) -> None:
    save_file(load_file(study.features) | {"c3": torch.zeros(0, DIM)}, study.features)


def two_lengths(study: SmallStudy) -> None:
    save_file(load_file(study.features) | {"c3": torch.ones(3, DIM + 1)}, study.features)


def no_features(study: SmallStudy) -> None:
    bags = load_file(study.features)
    del bags["c3"]
    save_file(bags, study.features)


def in_the_manifest(before: str, after: str) -> Callable[[SmallStudy], None]:
    def change(study: SmallStudy) -> None:
        text = study.manifest.read_text()
        assert before in text
        study.manifest.write_text(text.replace(before, after))
        study.split.unlink()
        study.freeze()

    return change


def patient_in_two_parts(study: SmallStudy) -> None:
    values = json.loads(study.split.read_text())
    part = values["rounds"][0]
    part["test"].append(part["train"][0])
    study.split.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            nan_in,
            "of c3 hold NaN or infinity (1 values, the first in row 2, feature 1",
        ),
        (no_tile_in, "case c3 has no row of features"),
        (two_lengths, "features have 2 lengths"),
        (no_features, "case c3 has no features"),
        (in_the_manifest(",tumour,", ",,"), "has no label"),
        (in_the_manifest(",tumour,", ",tumor,"), "Did you mean 'tumour'?"),
        (patient_in_two_parts, "is in train and in test"),
    ],
)
def test_a_fault_of_the_input_is_one_sentence_before_training(
    study: SmallStudy, program: Program, spoil: Callable[[SmallStudy], None], sentence: str
) -> None:
    spoil(study)
    answer = program("wsi", "train", *study.words(), "--out", study.folder / "m", *QUICK)
    assert answer.code == 2
    assert sentence in answer.sentence
    assert not (study.folder / "m").exists()


def test_bags_of_one_instance_train_and_evaluate(study: SmallStudy, program: Program) -> None:
    bags = {name: bag[:1].clone() for name, bag in load_file(study.features).items()}
    save_file(bags, study.features)
    model = study.folder / "model"
    done = program("wsi", "train", *study.words(), "--out", model, *QUICK, "--method", "mean")
    assert done.code == 0, done.err
    assert program("wsi", "evaluate", *study.words(), "--model", model).code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--method", "abmill"), "There is no method 'abmill'. Did you mean 'abmil'"),
        (("--round", 3), "there is no round 3"),
        (("--epochs", 0), "got 0 epochs"),
        (("--tiles-a-bag", 0), "1 or more of each"),
        (("--device", "cuda:9"), "--device"),
        (("--label", "site"), "the split balanced the column 'label'"),
        (("--bags", "nowhere"), "one of the two"),
        (("--preset", "v2"), "--preset are of mhim and mhim-ins, got --method abmil"),
        (("--base", "dsmil"), "--preset are of mhim and mhim-ins, got --method abmil"),
    ],
)
def test_words_that_make_no_sense_are_refused_before_training(
    study: SmallStudy, program: Program, words: tuple[object, ...], sentence: str
) -> None:
    out = study.folder / "m"
    answer = program("wsi", "train", *study.words(), "--out", out, *QUICK, *words)
    assert (answer.code, sentence in answer.sentence) == (2, True), answer.err
    assert not out.exists()


def test_three_classes_and_validation_of_one_class_are_judged_with_what_there_is(
    tmp_path: Path, program: Program
) -> None:
    kinds = ("normal", "low", "high")
    made = small_study(tmp_path / "study", label=lambda n: kinds[n % 3])
    made.freeze()
    words = made.words(classes=kinds)
    assert program("wsi", "probe", *words, "--out", tmp_path / "m").code == 0
    found = json.loads(program("wsi", "evaluate", *words, "--model", tmp_path / "m", "--json").out)
    assert found["area"] is None
    assert found["figures"]["AUC, one against rest"]["unit_of_analysis"] == "patient"
    both = ("--model", tmp_path / "m", "--against", tmp_path / "m", "--final")
    refused = program("wsi", "evaluate", *words, *both)
    assert (refused.code, "two classes, and there are 3" in refused.sentence) == (2, True)
    assert not list(tmp_path.rglob("*.openings.jsonl"))
