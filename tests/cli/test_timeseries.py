"""Signals from the command line: from a simulator to a prediction; what is refused, and how."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import medconsist
from medconsist.cli import main
from medconsist.timeseries.evaluation.rounds_file import read_rounds
from medconsist.timeseries.prepared import read_prepared, read_prepared_record
from medconsist.timeseries.pretrained import Pretraining
from medconsist.timeseries.published_splits import published_split
from medconsist.timeseries.readers.choice import open_recording
from medconsist.timeseries.readers.hdf5_file import write_hdf5
from medconsist.timeseries.recording import InMemoryRecording
from tests.cli.conftest import Answer, Program
from tests.timeseries.small_signals import changed, write_wfdb

Words = tuple[object, ...]
PATIENTS, RATE = 24, 64
FEW = ("--epochs", 1, "--batch", 16)
ONE = "simulated-000"


@dataclass(frozen=True)
class Study:
    """A tiny study, and the words of each verb that made it."""

    folder: Path

    @property
    def recordings(self) -> list[Path]:
        return sorted((self.folder / "rec").glob(f"{ONE}-*.h5"))

    @property
    def table(self) -> Words:
        """Words of a quick table of one method; without its folder."""
        few = ("--kind", "folds", "--folds", 3, "--permutations", 3, *FEW)
        return ("ts", "evaluate", self.folder / "prep", "--methods", "ts2vec", *few)

    def words(self, verb: str) -> Words:
        here = self.folder
        rounds = ("--rounds", here / "rounds.json")
        size = ("--patients", PATIENTS, "--trials", 2, "--seconds", 1, "--rate", RATE)
        how = ("--rate", RATE, "--seconds", 1, "--classes", "control", "case")
        pretrain = (here / "prep", *rounds, "--out", here / "pre", "--method", "ts2vec", *FEW)
        return {
            "simulate": ("ts", "simulate", "--out", here / "rec", *size),
            "prepare": (
                *("ts", "prepare", here / "rec/cohort.csv", "--out", here / "prep", *how),
                *("--normalise", "none"),
            ),
            "split": ("ts", "split", here / "prep", "--out", here / "rounds.json"),
            "pretrain": ("ts", "pretrain", *pretrain),
            "probe": (
                *("ts", "probe", here / "prep", *rounds, "--encoder", here / "pre"),
                *("--out", here / "model"),
            ),
            "predict": (
                *("ts", "predict", *self.recordings, "--model", here / "model"),
                *("--out", here / "results"),
            ),
        }[verb]


CHAIN = ("simulate", "prepare", "split", "pretrain", "probe", "predict")


def call(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two seconds of 24 patients of the simulator, from recordings to a prediction."""
    made = Study(tmp_path_factory.mktemp("signals"))
    for verb in CHAIN:
        assert call(*made.words(verb)) == 0, verb
    return made


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("verb", CHAIN)
def test_each_verb_run_again_prints_one_object_and_computes_nothing(
    study: Study, program: Program, verb: str
) -> None:
    before = times(study.folder)
    answer = program(*study.words(verb), "--json")
    assert answer.code == 0, answer.err
    assert answer.out.count("\n") == 1
    assert isinstance(json.loads(answer.out), dict)
    after = times(study.folder)
    assert after.keys() == before.keys()
    if verb != "simulate":  # which writes the same bytes again
        kept = {path for path in before if path.name != ".lock"}
        assert {path for path in kept if after[path] != before[path]} == set()


def test_people_read_a_few_lines_of_each_verb(study: Study, program: Program) -> None:
    said = {verb: program(*study.words(verb)).out for verb in CHAIN}
    assert said["simulate"].strip() == str(study.folder / "rec/cohort.csv")
    assert f"{2 * PATIENTS} windows of {PATIENTS} patients." in said["prepare"]
    assert "4 rounds; patients of the first: 14 train, 4 validation, 6 test" in said["split"]
    assert said["pretrain"].startswith(str(study.folder / "pre/weights.safetensors"))
    assert "val_rank" in said["pretrain"]
    assert said["probe"].splitlines()[:2] == [medconsist.RESEARCH_USE_ONLY, "pre, probe"]
    assert said["predict"].startswith(f"{medconsist.RESEARCH_USE_ONLY}\n{ONE}: probability of")
    assert "(done before)" in said["predict"]
    assert "Cannot assess: The model was calibrated on 4 patients" in said["predict"]


def test_a_simulation_run_again_writes_the_same_bytes(study: Study, tmp_path: Path) -> None:
    words = [tmp_path if word == study.folder / "rec" else word for word in study.words("simulate")]
    assert call(*words) == 0
    for path in sorted(tmp_path.iterdir()):
        assert path.read_bytes() == (study.folder / "rec" / path.name).read_bytes(), path.name


def test_a_model_learnt_end_to_end_predicts_with_a_table(
    study: Study, program: Program, tmp_path: Path
) -> None:
    given = (study.folder / "prep", "--rounds", study.folder / "rounds.json")
    how = ("--encoder", study.folder / "pre", *FEW, "--no-progress", "--json")
    done = program("ts", "finetune", *given, "--out", tmp_path / "m", *how)
    assert done.code == 0, done.err
    assert json.loads(done.out)["method"] == "finetuned"
    asked = ("--model", tmp_path / "m", "--out", tmp_path / "out", "--table", tmp_path / "t")
    answer = program("ts", "predict", *study.recordings, *asked, "--json")
    assert answer.code == 0, answer.err
    (one,) = json.loads(answer.out)["predicted"]
    assert (one["case"], one["fresh"]) == (ONE, True)
    assert (tmp_path / f"t/{ONE}.csv").read_text().count("\n") == 3


def torn(study: Study, path: Path) -> Path:
    """A table that puts the first trial of each patient into the test."""
    windows = read_prepared(study.folder / "prep").table
    names = read_prepared_record(study.folder / "prep").facts.trials
    pairs = sorted(set(zip(windows.patient.tolist(), windows.trial.tolist(), strict=True)))
    rows = [
        f"{windows.patients[patient]},{names[trial]},{('train', 'test')[place % 2]}"
        for place, (patient, trial) in enumerate(pairs)
    ]
    path.write_text("\n".join(["patient,trial,part", *rows]) + "\n")
    return path


def test_the_audit_ends_with_4_where_patients_are_torn_unless_that_is_known(
    study: Study, program: Program, tmp_path: Path
) -> None:
    sound = program("ts", "audit", study.folder / "prep", "--rounds", study.folder / "rounds.json")
    assert sound.code == 0, sound.err
    assert "No leak was found." in sound.out
    assert sound.err == ""
    words = ("ts", "audit", study.folder / "prep", "--parts", torn(study, tmp_path / "parts.csv"))
    found = program(*words, "--json")
    leaks = [
        one["name"]
        for one in json.loads(found.out)["findings"]
        if one["weight"] == "leak" and not one["passed"]
    ]
    assert (found.code, leaks) == (4, ["patients"])
    known = program(*words, "--allow-leak")
    assert known.code == 0
    assert f"{PATIENTS} of {PATIENTS} patients in 2 parts are in more than one" in known.out


def features_file(path: Path) -> Path:
    draws = np.random.default_rng(0)
    patient = np.repeat(np.arange(16), 4)
    label = patient % 2
    features = draws.normal(size=(64, 3)) + 2 * label[:, None]
    np.savez(path, patient=patient, trial=np.arange(64) // 2, label=label, features=features)
    return path


def test_embeddings_of_any_model_are_judged_with_the_permuted_row(
    program: Program, tmp_path: Path
) -> None:
    given = ("--features", features_file(tmp_path / "ours.npz"), "--out", tmp_path / "table")
    pair = ("--contrast", "ours, logistic", "majority class")
    words = ("ts", "evaluate", *given, "--kind", "folds", "--permutations", 19, *pair)
    answer = program(*words)
    assert answer.code == 0, answer.err
    for name in ("majority class", "ours, logistic", "ours, naive Bayes", "ours, kNN"):
        assert f"\n{name}\n" in answer.out
    assert answer.out.count("  permuted labels     ") == 4
    assert "less that of majority class" in answer.out
    values = json.loads(program(*words, "--json").out)
    assert values == json.loads((tmp_path / "table/report.json").read_text())
    audited = program("ts", "audit", "--features", given[1])
    assert audited.code in (0, 4)
    assert audited.out.startswith(medconsist.RESEARCH_USE_ONLY)


def published_features(path: Path) -> Path:
    split = published_split("ad-apava", "medformer")
    numbers = sorted({*split.train, *split.validation, *split.test, *split.unused})
    patient = np.repeat(numbers, 4)
    label = np.isin(patient, split.positive).astype(int)
    features = np.random.default_rng(0).normal(size=(len(patient), 3)) + label[:, None]
    trial = np.arange(len(patient)) // 2
    np.savez(path, patient=patient, trial=trial, label=label, features=features)
    return path


def test_a_published_split_is_judged_and_audited_by_its_name(
    program: Program, tmp_path: Path
) -> None:
    given = ("--features", published_features(tmp_path / "ours.npz"))
    out = ("--out", tmp_path / "table", "--permutations", 19)
    words = ("ts", "evaluate", *given, *out, "--published", "ad-apava/medformer")
    answer = program(*words)
    assert answer.code == 0, answer.err
    assert "split medformer: patients" in answer.out
    assert "One split says nothing of other patients" in answer.out
    kept = read_rounds(tmp_path / "table/rounds.json").rounds[0]
    assert kept.test == published_split("ad-apava", "medformer").part("test")
    refused(program(*words[:-2], "--published", "ad-apava"), "holds other rounds")
    refused(program(*words, "--rounds", tmp_path / "r.json"), "give one of --rounds and --pub")
    refused(program(*words[:-2], "--published", "ad-apava/commet"), "Did you mean 'comet'")
    named = ("--published", "ad-apava/medformer")
    audited = program("ts", "audit", *given, *named)
    assert audited.code == 0, audited.err
    assert "No patient is in two parts (23 patients in 3 parts)" in audited.out
    refused(program("ts", "audit", *given, *named, "--parts", "p.csv"), "give one of --parts")


def test_a_table_that_was_killed_goes_on_with_what_it_has_trained(
    study: Study, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*study.table, "--out", tmp_path / "table", "--json")
    real, trained = Pretraining.run, list[Path]()

    def killed(self: Pretraining, *given: object, **more: object) -> object:
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(Path(str(given[1])))
        return real(self, *given, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Pretraining, "run", killed)
        assert program(*words).code == 130
    before = {folder: times(folder) for folder in trained}
    assert {folder.parent for folder in trained} == {tmp_path / "table/pretrained/ts2vec"}

    answer = program(*words)

    assert answer.code == 0, answer.err
    for folder, kept in before.items():
        assert {p: t for p, t in times(folder).items() if p.name != ".lock"} == {
            p: t for p, t in kept.items() if p.name != ".lock"
        }
    assert len(list(trained[0].parent.iterdir())) == 3
    whole = program(*study.table, "--out", tmp_path / "whole", "--json")
    assert json.loads(answer.out) == json.loads(whole.out)
    other = program(*words, "--folds", 2)
    assert other.code == 2
    assert "holds other rounds than these windows and flags make" in other.sentence


def refused(answer: Answer, says: str) -> None:
    assert answer.code == 2, answer
    assert says in answer.sentence


def prepared(study: Study, folder: Path, keep: Callable[[str], bool]) -> Path:
    """Prepare those rows of the manifest."""
    head, *rows = (study.folder / "rec/cohort.csv").read_text().splitlines()
    chosen = [row for row in rows if keep(row)]
    manifest = study.folder / f"rec/{folder.name}.csv"
    manifest.write_text("\n".join([head, *chosen]) + "\n")
    words = [
        {study.folder / "rec/cohort.csv": manifest, study.folder / "prep": folder}.get(word, word)  # type: ignore[call-overload]
        for word in study.words("prepare")
    ]
    assert call(*words) == 0
    manifest.unlink()
    return folder


def test_one_patient_alone_cannot_be_split_nor_judged(
    study: Study, program: Program, tmp_path: Path
) -> None:
    alone = prepared(study, tmp_path / "alone", lambda row: ONE in row)
    says = "1 patients with windows and a label"
    refused(program("ts", "split", alone, "--out", tmp_path / "r.json"), says)
    refused(program("ts", "evaluate", alone, "--out", tmp_path / "t"), says)
    refused(program("ts", "audit", alone), says)
    rounds = ("--rounds", study.folder / "rounds.json")
    for verb in ("pretrain", "audit"):
        out = () if verb == "audit" else ("--out", tmp_path / "o")
        refused(program("ts", verb, alone, *rounds, *out), "1 patients with windows and a label")


def test_a_class_that_no_test_fold_can_hold_is_named(
    study: Study, program: Program, tmp_path: Path
) -> None:
    words = ("ts", "split", study.folder / "prep", "--out", tmp_path / "r.json", "--folds", 13)
    refused(program(*words), "hold none of class")


def test_rounds_of_other_patients_are_refused_everywhere(
    study: Study, program: Program, tmp_path: Path
) -> None:
    fewer = prepared(study, tmp_path / "fewer", lambda row: "simulated-023" not in row)
    rounds, says = ("--rounds", study.folder / "rounds.json"), "were made of other patients"
    pre = ("--encoder", study.folder / "pre")
    for words in (
        ("audit", fewer),
        ("pretrain", fewer, "--out", tmp_path / "o"),
        ("probe", fewer, "--out", tmp_path / "o", *pre),
        ("evaluate", fewer, "--out", tmp_path / "o"),
    ):
        refused(program("ts", *words, *rounds), says)
    refused(
        program("ts", "pretrain", study.folder / "prep", *rounds, "--round", 4, "--out", tmp_path),
        "there is no round 4; allowed: 0 to 3",
    )


def test_a_model_without_validation_patients_is_refused(
    study: Study, program: Program, tmp_path: Path
) -> None:
    prep, rounds = study.folder / "prep", tmp_path / "r.json"
    words = ("ts", "split", prep, "--out", rounds, "--kind", "pairs")
    assert program(*words).code == 0
    given = ("--rounds", rounds, "--encoder", study.folder / "pre", "--out", tmp_path / "m")
    refused(program("ts", "probe", prep, *given), "keeps no validation patients")
    refused(program("ts", "finetune", prep, *given), "keeps no validation patients")
    refused(program("ts", "finetune", prep, *given[2:]), "--rounds is needed")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("evaluate", "P", "--methods", "commet"), "Did you mean 'comet'"),
        (("evaluate", "P", "--methods", "comet", "comet"), "comet is named twice"),
        (("evaluate", "P", "--contrast", "comet", "luck"), "contrasted but not there"),
        (("evaluate", "P", "--permutations", -1), "allowed: 0 or more"),
        (("evaluate", "P", "--epochs", 0), "got 0 epochs"),
        (("evaluate", "P", "--batch", 1), "batch"),
        (("evaluate", "P", "--kind", "pairs", "--blocks", 2), "blocks"),
        (("evaluate", "P", "--device", "cuda:9"), "--device"),
        (("evaluate",), "give either PREPARED or --features"),
        (("evaluate", "P", "--features", "f.npz"), "give either PREPARED or --features"),
        (("evaluate", "--features", "nowhere.npz"), "there are no features nowhere.npz"),
        (("evaluate", "nowhere"), "nowhere"),
        (("pretrain", "P", "--method", "simclear"), "Did you mean 'simclr'"),
        (("pretrain", "P", "--epochs", 0), "got 0 epochs"),
        (("pretrain", "P", "--batch", 49), "48 windows to learn from, and a batch of 49"),
        (("pretrain", "P", "--lr", "nan", "--batch", "32"), "lr"),
        (("pretrain", "P", "--average", "1.5", *FEW), "ema"),
        (("pretrain", "P", "--choose", *FEW), "two evaluations or more"),
        (("pretrain", "P", "--devices", 0, *FEW), "devices"),
    ],
)
def test_words_that_make_no_sense_are_one_sentence(
    study: Study, program: Program, tmp_path: Path, words: Words, says: str
) -> None:
    named = [study.folder / "prep" if word == "P" else word for word in words]
    refused(program("ts", *named, "--out", tmp_path / "out"), says)
    assert not list((tmp_path / "out").rglob("weights.safetensors"))


def test_a_name_that_is_no_choice_is_a_usage_error(study: Study, program: Program) -> None:
    answer = program(*study.table, "--out", "o", "--probe", "logistics")
    assert answer.code == 2
    assert "logistics" in answer.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--seconds", "nan"), "--rate times --seconds is nan samples"),
        (("--rate", "64", "--seconds", "0.99"), "is 63.36 samples"),
        (("--patients", "0"), "patients"),
        (("--trials", "0"), "trials"),
        (("--rate", "-64", "--seconds", "-1"), "rate"),
    ],
)
def test_a_cohort_that_cannot_be_is_not_simulated(
    program: Program, tmp_path: Path, words: Words, says: str
) -> None:
    refused(program("ts", "simulate", "--out", tmp_path / "rec", *words), says)
    assert not (tmp_path / "rec").exists()


def recording(study: Study) -> InMemoryRecording:
    found = open_recording(study.recordings[0])
    return InMemoryRecording(found.info, found.read())


def slower(one: InMemoryRecording) -> InMemoryRecording:
    return changed(one, one.read()[::2], rate=RATE / 2)


def without_a_lead(one: InMemoryRecording) -> InMemoryRecording:
    kept = one.read()[:, 1:]
    return changed(one, kept, channels=one.info.channels[1:], units=one.info.units[1:])


def without_units(one: InMemoryRecording) -> InMemoryRecording:
    return changed(one, one.read(), units=(None,) * len(one.info.units))


def with_a_gap(one: InMemoryRecording) -> InMemoryRecording:
    signal = one.read().copy()
    signal[10:20, 2] = np.nan
    return changed(one, signal)


def with_a_flat_lead(one: InMemoryRecording) -> InMemoryRecording:
    signal = one.read().copy()
    signal[:, 1] = 3.0
    return changed(one, signal)


def too_short(one: InMemoryRecording) -> InMemoryRecording:
    return changed(one, one.read()[:40])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (slower, "32 Hz are below the 64 Hz of the model"),
        (without_a_lead, "has no lead ['Fp1'], which the model needs"),
        (without_units, "the unit of Fp1 is not known, and the model takes uV"),
        (with_a_gap, "0.156 s of C3 are missing (NaN)"),
        (with_a_flat_lead, "the leads ['Fp2'] are flat throughout"),
        (too_short, "are shorter than a window of the model"),
    ],
)
def test_a_recording_that_does_not_fit_the_model_is_one_sentence_and_no_number(
    study: Study,
    program: Program,
    tmp_path: Path,
    spoil: Callable[[InMemoryRecording], InMemoryRecording],
    says: str,
) -> None:
    write_hdf5(spoil(recording(study)), tmp_path / "bad.h5")
    asked = ("--model", study.folder / "model", "--out", tmp_path / "out")
    answer = program("ts", "predict", tmp_path / "bad.h5", *asked)
    assert answer.code == 3
    lines = answer.out.splitlines()
    assert (len(lines), lines[0]) == (2, medconsist.RESEARCH_USE_ONLY)
    assert lines[1].startswith(f"{ONE}: ")
    assert says in lines[1]
    assert "probability" not in answer.out
    assert answer.err == ""


def test_a_header_that_lies_about_its_length_is_refused(
    study: Study, program: Program, tmp_path: Path
) -> None:
    header = write_wfdb(recording(study), tmp_path, "lie")
    asked = ("--model", study.folder / "model", "--out", tmp_path / "out", "--patient", "p")
    assert program("ts", "predict", header, *asked).code == 0
    first, *rest = header.read_text().splitlines()
    words = first.split()
    words[3] = str(100 * RATE)
    header.write_text("\n".join([" ".join(words), *rest]) + "\n")
    answer = program("ts", "predict", header, *asked)
    told = (answer.out + answer.err).splitlines()[-1]
    assert answer.code in (2, 3)
    assert "lie" in told
    assert "its header claims" in told


def test_a_patient_who_does_not_fit_keeps_none_of_the_others(
    study: Study, program: Program, tmp_path: Path
) -> None:
    other = recording(study)
    spoilt = changed(slower(other), slower(other).read(), patient="other")
    write_hdf5(spoilt, tmp_path / "bad.h5")
    asked = ("--model", study.folder / "model", "--out", tmp_path / "out", "--json")
    answer = program("ts", "predict", tmp_path / "bad.h5", *study.recordings, *asked)
    said = json.loads(answer.out)
    assert answer.code == 3
    assert [one["case"] for one in said["predicted"]] == [ONE]
    assert [one["case"] for one in said["refused"]] == ["other"]


def test_a_folder_that_holds_no_model_is_said(
    study: Study, program: Program, tmp_path: Path
) -> None:
    asked = ("--model", tmp_path, "--out", tmp_path / "out")
    refused(program("ts", "predict", *study.recordings, *asked), "no finished model of signals")
    prep, rounds = study.folder / "prep", study.folder / "rounds.json"
    words = ("ts", "probe", prep, "--rounds", rounds, "--encoder", tmp_path, "--out", tmp_path)
    refused(program(*words), "weights.safetensors does not exist")
