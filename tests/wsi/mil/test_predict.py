"""A case in, one result a slide out: maps lie where the tiles lie, and a rerun computes nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.results.store import ResultStore
from medconsist.wsi.bags.bag_store import BagEntry, bags_of, case_bag, current_bags
from medconsist.wsi.bags.header import EncoderRecord
from medconsist.wsi.heatmap import HeatMap
from medconsist.wsi.jobs import embed_all, slide_jobs
from medconsist.wsi.mil.card import (
    MilCard,
    OperatingPointRecord,
    SpaceRecord,
    read_card,
    write_card,
)
from medconsist.wsi.mil.models.abmil import Abmil
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.predict import CaseJob, predict_case
from medconsist.wsi.mil.predictor import Predictor
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
    assert "Threshold 0.400 (Youden): sensitivity 0.90 of 10" in text
    assert "stays possible" in text or "Cannot assess" in text
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
