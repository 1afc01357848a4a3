"""A case in, one result a slide out: maps lie where the tiles lie, and a rerun computes nothing."""

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medconsist._records import make_record
from medconsist.batch.inline import InlineEngine
from medconsist.batch.local import LocalEngine
from medconsist.batch.run import run_batch
from medconsist.batch.states import batch_folder
from medconsist.cli import main
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.results.digests import result_key
from medconsist.results.schema import ResultFields
from medconsist.results.store import ResultStore
from medconsist.wsi.bags.bag_file import write_bag
from medconsist.wsi.bags.bag_store import BagEntry, bags_of, case_bag, current_bags
from medconsist.wsi.bags.header import BagHeader, EncoderRecord
from medconsist.wsi.heatmap import HeatMap
from medconsist.wsi.jobs import embed_all, slide_jobs
from medconsist.wsi.mil.batch import PredictWork, prediction_cases
from medconsist.wsi.mil.card import (
    MilCard,
    OperatingPointRecord,
    SpaceRecord,
    read_card,
    write_card,
)
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags
from medconsist.wsi.mil.methods import MethodChoice
from medconsist.wsi.mil.models.abmil import Abmil
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.predict import CaseJob, predict_case
from medconsist.wsi.mil.predict_study import predict_all, study_jobs
from medconsist.wsi.mil.predictor import Predictor
from medconsist.wsi.mil.training_run import MilTraining, Provenance, load_predictor
from medconsist.wsi.settings import Embedding
from tests.wsi.small_slide import QuarterMeans, write_small_slide


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two slides of one case and one of another, embedded."""
    folder: Path = tmp_path_factory.mktemp("predict")
    paths = [write_small_slide(folder / f"{name}.svs", seed=n) for n, name in enumerate("abc")]
    common = {"out": folder / "out", "encoder": QuarterMeans(), "settings": Embedding()}
    for group, case in ((paths[:2], "case-1"), (paths[2:], "case-2")):
        assert embed_all(slide_jobs(group, case=case, patient=f"of-{case}", **common)).refused == ()
    shutil.copytree(folder / "out", folder / "embedded")
    return folder


def of_case(study: Path, case: str) -> list[BagEntry]:
    return [entry for entry in bags_of(study / "out", "wsi") if entry.case == case]


def predictor(study: Path, *, teacher: bool = False) -> Predictor:
    bag = of_case(study, "case-1")[0].open()
    generator = torch.Generator().manual_seed(0)
    size = MilSize(dim=bag.dim, width=8)
    card = MilCard(
        method="abmil",
        weights_sha256="a" * 64,
        classes=("normal", "tumour"),
        space=SpaceRecord.of(bag.header, bag.dim),
        study="study wsi",
        temperature=1.5,
        nonconformity=tuple(np.linspace(0, 0.6, 30).tolist()),
        operating_point=OperatingPointRecord(
            threshold=0.4,
            rule="Youden",
            sensitivity=0.9,
            specificity=0.8,
            n_positive=10,
            n_negative=12,
        ),
    )
    return Predictor(
        Abmil(size, generator=generator).eval(),
        card,
        prototypes=torch.rand(4, bag.dim, generator=generator),
        teacher=Abmil(size, generator=generator).eval() if teacher else None,
    )


def job(study: Path, case: str = "case-1", **more: Any) -> CaseJob:
    made = CaseJob(
        out=study / "out", study="wsi", entries=of_case(study, case), predictor=predictor(study)
    )
    return replace(made, **more)


def test_each_slide_of_a_case_gets_the_maps_of_its_own_tiles(study: Path) -> None:
    asked = job(study, predictor=predictor(study, teacher=True))
    outcomes = predict_case(asked)

    assert [one.stored.result.item for one in outcomes] == ["a", "b"]
    probabilities = {
        tuple(metric.value for metric in one.stored.result.metrics) for one in outcomes
    }
    assert len(probabilities) == 1
    whole = case_bag(asked.entries)
    rows = whole.rows(torch.arange(len(whole)))
    said = asked.predictor.answer(rows, generator=torch.Generator().manual_seed(1))
    for number, one in enumerate(outcomes):
        first, end = whole.offsets[number : number + 2].tolist()
        for name in ("attention", "instance_probability", "novelty", "disagreement"):
            record = one.stored.record(name)
            assert record.place is not None
            heat = HeatMap.from_place(one.stored.array(name), record.place)
            bag = whole.bags[number]
            inside = bag.exact_coords().numpy() + 8.0
            np.testing.assert_array_equal(heat.sample(inside), said.tiles[name][first:end].numpy())


def test_a_second_run_computes_nothing_and_another_card_does(study: Path) -> None:
    asked = job(study, "case-2")
    assert [one.fresh for one in predict_case(asked)] == [True]
    assert [one.fresh for one in predict_case(asked)] == [False]
    card = asked.predictor.card.model_copy(update={"temperature": 2.0})
    other = replace(asked, predictor=Predictor(asked.predictor.network, card))
    assert [one.fresh for one in predict_case(other)] == [True]


def test_what_is_shown_is_said_and_verified(study: Path) -> None:
    (one,) = predict_case(job(study, "case-2"))
    result = one.stored.result
    assert ResultStore(study / "out", "wsi").verify("case-2", result.key) == []
    assert {"overview", "tissue", "attention", "regions"} <= set(one.stored.roles())
    text = " ".join(result.notes)
    assert "trained on 0 cases of study wsi" in text
    assert "Threshold of tumour 0.400 (Youden): sensitivity 0.90 of 10" in text
    assert "only normal remains possible" in text
    assert [score.name for score in result.trust.scores] == ["hidden_spread", "novelty"]


def test_highest_and_lowest_tiles_are_shown_where_the_slide_is_there(study: Path) -> None:
    (entry,) = of_case(study, "case-2")
    digest = entry.stored.result.inputs["slide"]
    (one,) = predict_case(job(study, "case-2", slides={digest: study / "c.svs"}, tiles_shown=3))
    top = one.stored.array("top_tiles")
    assert top.shape == (3, 64, 64, 3)
    # the encoder is the mean colour of quarters: the pictures are those of the tiles
    features = QuarterMeans()(torch.from_numpy(top)).double()
    bag = entry.open()
    values = one.stored.array("instance_probability")
    record = one.stored.record("instance_probability")
    assert record.place is not None
    heat = HeatMap.from_place(values, record.place)
    best = int(np.argmax(heat.sample(bag.exact_coords().numpy() + 8.0)))
    torch.testing.assert_close(features[0].half(), bag.features[best], atol=2e-3, rtol=2e-3)


def test_geojson_counts_from_the_corner_of_the_slide(study: Path) -> None:
    (one,) = predict_case(job(study, "case-2"))
    document = json.loads(one.stored.file("regions").read_text())
    boxes = [
        feature for feature in document["features"] if feature["properties"]["objectType"] == "tile"
    ]
    bag = of_case(study, "case-2")[0].open()
    assert len(boxes) == len(bag)
    corners = [np.min(feature["geometry"]["coordinates"][0], axis=0).tolist() for feature in boxes]
    np.testing.assert_allclose(sorted(corners), sorted(bag.exact_coords().tolist()), atol=1e-6)


def test_weights_of_another_encoder_or_grid_are_refused_with_what_differs(study: Path) -> None:
    asked = predictor(study)
    space = asked.card.space
    assert space.encoder is not None
    other = EncoderRecord(**space.encoder.model_dump() | {"name": "uni"})
    changes: dict[str, dict[str, Any]] = {
        "encoder uni": {"encoder": other},
        "target_mpp": {"target_mpp": 0.25},
    }
    for change in changes.values():
        card = asked.card.model_copy(update={"space": space.model_copy(update=change)})
        with pytest.raises(RefusedInputError, match=r"slide a has (encoder|target_mpp)"):
            predict_case(job(study, predictor=Predictor(asked.network, card)))


def test_a_card_comes_back_as_it_was_written(study: Path, tmp_path: Path) -> None:
    card = predictor(study).card
    write_card(tmp_path, card)
    assert read_card(tmp_path) == card


def test_a_slide_can_be_embedded_again_beside_its_predictions(study: Path) -> None:
    predict_case(job(study, "case-2"))
    common = {"out": study / "out", "encoder": QuarterMeans(), "case": "case-2"}
    again = slide_jobs([study / "c.svs"], settings=Embedding(overlap_px=32), **common)
    assert embed_all(again).refused == ()
    bags = current_bags(study / "out", "wsi")
    assert [entry.slide for entry in bags] == ["a", "b", "c"]
    assert bags[2].open().header.grid.step_px == 32
    with pytest.raises(RefusedInputError, match="slide c has step_px 32"):
        predict_case(job(study, entries=bags[2:]))


def test_a_prediction_that_is_shown_stands_for_the_bags_it_was_made_of(study: Path) -> None:
    first = of_case(study, "case-1")
    common = {"out": study / "out", "encoder": QuarterMeans(), "case": "case-1"}
    assert embed_all(slide_jobs([study / "a.svs"], settings=Embedding(overlap_px=16), **common))
    predict_case(job(study, entries=first))
    keys = {entry.key for entry in current_bags(study / "out", "wsi") if entry.case == "case-1"}
    assert keys == {entry.key for entry in first}


def trained(study: Path, folder: Path, **changes: Any) -> Path:
    """Train on two cases of noise in the space of the study, and return the folder."""
    bag = of_case(study, "case-1")[0].open()
    generator = torch.Generator().manual_seed(3)
    rows = [torch.rand(5, bag.dim, generator=generator) + n for n in range(2)]

    def cohort(part: str) -> Cohort:
        infos = [BagInfo(case=f"{part}{n}", patient=f"{part}{n}", label=n) for n in range(2)]
        return Cohort.of(InMemoryBags(rows), infos, classes=("normal", "tumour"))

    space = SpaceRecord.of(bag.header, bag.dim)
    MilTraining(
        out=folder,
        choice=MethodChoice(name="abmil", width=8),
        train=cohort("t"),
        validation=cohort("v"),
        provenance=Provenance(space=space.model_copy(update=changes), study="noise"),
        epochs=1,
        progress=False,
    ).run()
    return folder


@pytest.fixture
def copied(study: Path, tmp_path: Path) -> Path:
    """The study as it was embedded, to be changed."""
    shutil.copytree(study / "embedded", tmp_path / "out")
    for name in "abc":
        shutil.copyfile(study / f"{name}.svs", tmp_path / f"{name}.svs")
    return tmp_path


def test_of_several_ways_to_embed_a_slide_that_of_the_model_is_taken(copied: Path) -> None:
    common = {"out": copied / "out", "case": "case-2"}
    for encoder, overlap in ((QuarterMeans(sha256="1" * 64), 0), (QuarterMeans(), 8)):
        again = slide_jobs(
            [copied / "c.svs"], encoder=encoder, settings=Embedding(overlap_px=overlap), **common
        )
        assert embed_all(again).refused == ()
    jobs = study_jobs(copied / "out", "wsi", predictor=predictor(copied), cases=("case-2",))
    (entry,) = jobs[0].entries
    assert entry.open().header.encoder == predictor(copied).card.space.encoder
    assert entry.open().header.grid.step_px == 64
    assert predict_all(jobs).exit_code == 0


def test_the_summary_tells_of_an_alarm_of_the_history(copied: Path) -> None:
    jobs = study_jobs(copied / "out", "wsi", predictor=predictor(copied), cases=("case-2",))
    done = predict_all(jobs)
    assert (done.alarms, "History" in done.text) == ((), False)
    result = done.outcomes[0].stored.result
    name = next(one.name for one in result.trust.scores if one.direction == "high_is_bad")
    history = ResultStore(copied / "out", "wsi").history
    line = next(one for one in history.read().lines if one.key == result.key)
    for number in range(60):
        value = line.scores[name] + number / 1000 * (-1) ** number + 9.0 * (number >= 40)
        scores = {**line.scores, name: value}
        history.append(line.model_copy(update={"case": f"other-{number}", "scores": scores}))
    assert f"History: {name}: alarm at other-4" in predict_all(jobs).text


def test_a_case_or_encoder_that_is_not_there_is_named(study: Path) -> None:
    asked = predictor(study)
    with pytest.raises(MissingInputError, match="no features of the encoder quarters for case x"):
        study_jobs(study / "out", "wsi", predictor=asked, cases=("case-1", "x"))
    assert asked.card.space.encoder is not None
    other = EncoderRecord(**asked.card.space.encoder.model_dump() | {"name": "uni"})
    space = asked.card.space.model_copy(update={"encoder": other})
    unknown = replace(asked, card=asked.card.model_copy(update={"space": space}))
    with pytest.raises(MissingInputError, match="no features of the encoder uni for any case"):
        study_jobs(study / "out", "wsi", predictor=unknown)
    space = SpaceRecord(dim=asked.card.space.dim + 1)
    longer = replace(asked, card=asked.card.model_copy(update={"space": space}))
    with pytest.raises(MissingInputError, match=f"no features of length {space.dim} for any case"):
        study_jobs(study / "out", "wsi", predictor=longer)


def test_a_damaged_bag_keeps_no_other_case_from_its_prediction(copied: Path) -> None:
    (entry,) = of_case(copied, "case-2")
    os.truncate(entry.path, 100)
    store = ResultStore(copied / "out", "wsi")
    assert store.verify("case-2", entry.key)
    done = predict_all(study_jobs(copied / "out", "wsi", predictor=predictor(copied)))
    assert {one.stored.result.case for one in done.outcomes} == {"case-1"}
    assert [one.case for one in done.refused] == ["case-2"]
    assert str(entry.stored.folder.path) in done.refused[0].sentence
    assert done.exit_code == 3


def test_pictures_come_when_the_file_is_given_later(copied: Path) -> None:
    def roles(*names: str) -> tuple[str, ...]:
        slides = [copied / name for name in names]
        jobs = study_jobs(
            copied / "out", "wsi", predictor=predictor(copied), cases=("case-2",), slides=slides
        )
        return predict_all(jobs).outcomes[0].stored.roles()

    assert "top_tiles" not in roles("a.svs")
    assert {"top_tiles", "bottom_tiles"} <= set(roles("a.svs", "c.svs"))


def test_a_slide_file_of_no_embedded_slide_is_refused_before_anything_is_computed(
    copied: Path,
) -> None:
    def ask(name: str) -> None:
        slides = [copied / "c.svs", copied / name]
        study_jobs(copied / "out", "wsi", predictor=predictor(copied), slides=slides)

    with pytest.raises(MissingInputError, match=r"the slide .*d\.svs is not there"):
        ask("d.svs")
    (copied / "d.svs").write_bytes(b"another scan")
    with pytest.raises(RefusedInputError, match=r"d\.svs is none .* \(1 of 2 files\)"):
        ask("d.svs")
    (copied / "linked.svs").symlink_to(copied / "a.svs")
    ask("linked.svs")


def test_every_tile_has_its_row_in_the_table_of_its_slide(copied: Path) -> None:
    jobs = study_jobs(copied / "out", "wsi", predictor=predictor(copied))
    predict_all(jobs, table=copied / "table")
    names = sorted(str(path.relative_to(copied)) for path in copied.glob("table/*/*"))
    assert names == ["table/case-1/a.csv", "table/case-1/b.csv", "table/case-2/c.csv"]
    rows = list(csv.DictReader((copied / "table/case-1/b.csv").read_text().splitlines()))
    bag = jobs[0].entries[1].open()
    corners = [[float(row["x"]), float(row["y"])] for row in rows]
    assert corners == bag.exact_coords().tolist()
    assert {row["width"] for row in rows} == {"64.0"}


def test_a_bag_without_microns_gives_its_probability_without_maps(copied: Path) -> None:
    (entry,) = of_case(copied, "case-2")
    bag, result = entry.open(), entry.stored.result
    values = bag.header.model_dump() | {"mpp_x": None, "mpp_y": None, "mpp_source": "unknown"}
    values["grid"]["target_mpp"] = None
    foreign = replace(bag, header=BagHeader(**values))
    fields = make_record(
        ResultFields,
        kind="wsi.import",
        patient="p",
        item="c",
        inputs={"bag_file": "c" * 64},
        config={},
        result_version=1,
        times=result.times,
    )
    key = result_key(
        inputs=fields.inputs, config=fields.config, model_sha256=None, result_version=1
    )
    with ResultStore(copied / "out", "foreign").draft("case-9", key) as draft:
        draft.add_file(
            "bag",
            "bag.safetensors",
            lambda path: write_bag(path, foreign),
            axes=("tiles", "features"),
            shape=bag.features.shape,
            dtype="float16",
        )
        draft.finish(fields)
    asked = predictor(copied)
    space = asked.card.space.model_copy(update={"target_mpp": None})
    asked = replace(asked, card=asked.card.model_copy(update={"space": space}))

    jobs = study_jobs(copied / "out", "foreign", predictor=asked)
    done = predict_all(jobs, table=copied / "table")

    (one,) = done.outcomes
    assert done.refused == ()
    assert one.stored.result.metrics[0].name == "probability of normal"
    assert "attention_by_tile" in one.stored.roles()
    assert not {"attention", "regions"} & set(one.stored.roles())
    assert "No maps: The bag of c does not say the microns per pixel" in done.text
    rows = list(csv.DictReader((copied / "table/case-9/c.csv").read_text().splitlines()))
    assert [[float(row["x"]), float(row["y"])] for row in rows] == bag.exact_coords().tolist()


def test_a_batch_makes_what_one_process_makes_and_shows_what_was_not_shown(copied: Path) -> None:
    model = trained(copied, copied / "model")
    jobs = study_jobs(copied / "out", "wsi", predictor=load_predictor(model))
    work, cases = PredictWork.of(jobs[0], model=model), prediction_cases(jobs)
    folder = batch_folder(copied / "out", "wsi")
    report = run_batch(work, cases, engine=LocalEngine(workers=2), folder=folder)
    assert (report.exit_code, report.counts["done"]) == (0, 2)

    alone = predict_all(study_jobs(copied / "out", "wsi", predictor=load_predictor(model)))
    assert not any(one.fresh for one in alone.outcomes)
    last = {one.stored.result.case: one.stored.result.key for one in alone.outcomes}
    assert {one.case: one.key for one in report.results} == last

    store = ResultStore(copied / "out", "wsi")
    (store.case_path("case-1") / "current").unlink()
    again = run_batch(work, cases, engine=InlineEngine(), folder=folder)
    assert [one.fresh for one in again.results] == [False, False]
    assert store.current("case-1") == last["case-1"]


def test_the_model_of_a_batch_that_was_changed_is_noticed(copied: Path) -> None:
    model = trained(copied, copied / "model")
    jobs = study_jobs(copied / "out", "wsi", predictor=load_predictor(model))
    work = PredictWork.of(jobs[0], model=model)
    write_card(model, work.card.model_copy(update={"temperature": 3.0}))
    with pytest.raises(RefusedInputError, match="is not the model that the batch began with"):
        work.open("cpu")


def test_wsi_predict_runs_alone_and_as_a_batch(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = trained(copied, copied / "model")
    words = ["wsi", "predict", str(copied / "out"), "--model", str(model), "--json"]
    assert main([*words, "--engine", "local", "--workers", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["done"] == 2
    assert main([*words, "--table", str(copied / "table")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [(one["case"], one["slide"], one["fresh"]) for one in said["predicted"]] == [
        ("case-1", "a", False),
        ("case-1", "b", False),
        ("case-2", "c", False),
    ]
    assert "Cannot assess: The model can be judged by 2 validation patients alone" in " ".join(
        said["predicted"][0]["notes"]
    )
    assert main([*words, "--engine", "local", "--table", str(copied)]) == 2
    assert "--table goes without --engine" in capsys.readouterr().err
