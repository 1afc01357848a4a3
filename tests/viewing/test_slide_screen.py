"""What the slide screen is given: maps with words, ranked tiles, microns, outlines."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medconsist.errors import CorruptInputError, CorruptResultError, RefusedInputError
from medconsist.results.store import StoredResult
from medconsist.review.access import Person
from medconsist.review.entries import Entry
from medconsist.review.records import Annotation, Comment, Pin, Subject
from medconsist.viewing.leaving.annotations import Canvas
from medconsist.viewing.overlay import colour_table
from medconsist.viewing.slide_maps import SLIDE_MAPS
from medconsist.viewing.slide_screen import (
    colours,
    model_tag,
    ranked_tiles,
    slide_maps_of,
    slide_mpp,
)
from medconsist.viewing.slide_shapes import drawn_filing, pins_of, shapes_of, withdrawal
from medconsist.viewing.web.server import subject_of
from tests.viewing.planted import BLOCK, CELL, COLUMNS, MPP, OFFSET, ROWS, plant
from tests.viewing.slides import damage, embed_small, predict_small

READER = Person(subject="u1", name="A. Reader", session="s1")
SQUARE = {"type": "Polygon", "coordinates": [[[1, 1], [9, 1], [9, 9], [1, 9], [1, 1]]]}
CANVAS = Canvas(width=100, height=80)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> StoredResult:
    return plant(tmp_path_factory.mktemp("planted") / "results")


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> StoredResult:
    root: Path = tmp_path_factory.mktemp("predicted") / "results"
    embed_small(root)
    return predict_small(root)


def subject(item: str = "planted", key: str = "0") -> Subject:
    return Subject(study="wsi", case="planted", key=key * 64, content_sha256=key * 64, item=item)


def entry(body: Annotation | Comment, name: str = "e1", author: str = "u1") -> Entry:
    return Entry(id=name, created="2026-11-23T10:00:00Z", author=author, supersedes=None, body=body)


def outline(**changes: Any) -> Annotation:
    return Annotation(**{"subject": subject(), "geometry": SQUARE, "label": "nest", **changes})


def test_a_map_comes_with_its_exact_box_and_the_ends_of_its_colours(
    planted: StoredResult,
) -> None:
    maps, problems = slide_maps_of(planted)
    assert problems == ()
    assert [one["role"] for one in maps] == ["instance_probability", "attention"]
    first = maps[0]
    assert first["title"] == "Tile probability: tumour"
    assert first["box"] == [OFFSET[1], OFFSET[0], COLUMNS * CELL, ROWS * CELL]
    assert (first["rows"], first["columns"], first["known"]) == (ROWS, COLUMNS, 9 * COLUMNS)
    assert (first["from"], first["to"], first["low"], first["high"]) == (0.0, 1.0, "0", "1")
    assert maps[1]["is_ratio"]
    assert maps[1]["caution"] == SLIDE_MAPS["attention"].caution


def test_a_damaged_map_is_named_and_the_others_stay(tmp_path: Path) -> None:
    root = tmp_path / "results"
    stored = plant(root)
    damage(root, stored, "attention")
    maps, problems = slide_maps_of(stored)
    assert [one["role"] for one in maps] == ["instance_probability"]
    assert len(problems) == 1
    assert problems[0].startswith("attention is not shown")


def test_ranked_tiles_are_those_whose_pictures_the_result_holds(predicted: StoredResult) -> None:
    ranked = ranked_tiles(predicted, count=3)
    assert ranked is not None
    assert ranked.title == "Tile probability: tumour"
    values = np.sort(predicted.array("instance_probability_by_tile").astype(np.float64))
    assert [one.value for one in ranked.top] == pytest.approx(values[::-1][:3].tolist(), abs=0)
    assert [one.value for one in ranked.bottom] == pytest.approx(values[:3].tolist(), abs=0)
    assert {(one.width, one.height) for one in ranked.top} == {(64.0, 64.0)}


def test_ranked_tiles_lie_where_they_were_planted(planted: StoredResult) -> None:
    ranked = ranked_tiles(planted, count=2)
    assert ranked is not None
    first = ranked.top[0]
    assert (first.x, first.y, first.width, first.height) == BLOCK
    assert [one.value for one in ranked.bottom] == [0.1, 0.2]


def test_a_result_without_outlines_ranks_no_tiles(tmp_path: Path) -> None:
    assert ranked_tiles(embed_small(tmp_path / "results")) is None


def test_damaged_outlines_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "results"
    embed_small(root)
    stored = predict_small(root)
    path = stored.folder.path / "regions.geojson"
    path.chmod(0o644)
    path.write_bytes(b"{}")
    with pytest.raises(CorruptResultError, match="regions"):
        ranked_tiles(stored)


def test_microns_are_those_that_the_result_was_made_with(planted: StoredResult) -> None:
    same = slide_mpp(planted.result, {"mpp": [MPP, MPP]})
    assert (same.as_json(), same.doubts) == ([MPP, MPP], ())
    other = slide_mpp(planted.result, {"mpp": [0.25, 0.25]})
    assert other.as_json() == [MPP, MPP]
    assert other.doubts == ("result made with 0.5 um/px, slide says 0.25",)


def test_unknown_microns_are_said_and_no_number_is_made_up(tmp_path: Path) -> None:
    stored = plant(tmp_path / "results", mpp=None)
    unknown = slide_mpp(stored.result, {"mpp": None})
    assert not unknown.known
    assert unknown.as_json() is None
    assert unknown.doubts == ("MPP unknown: no microns, no magnification",)
    found = slide_mpp(stored.result, {"mpp": [0.25, 0.5]})
    assert found.doubts == ("pixels are not square: 0.25 x 0.5 um",)


def test_a_picture_names_its_model(planted: StoredResult) -> None:
    assert model_tag(planted.result) == "planted bbbbbbbbbbbb"
    assert model_tag(planted.result.model_copy(update={"model": None})) == "no model"


def test_the_colours_are_those_of_the_still_pictures() -> None:
    assert colours() == colour_table().ravel().tolist()


def test_outlines_of_other_slides_and_of_volumes_are_not_drawn() -> None:
    entries = [
        entry(outline(), "a"),
        entry(outline(subject=subject("other")), "b"),
        entry(outline(plane=3), "c"),
        entry(outline(geometry=None), "d"),
        entry(outline(subject=subject(key="1")), "e", author="u2"),
    ]
    drawn = shapes_of(entries, person=READER, subject=subject())
    said = [(one["id"], one["mine"], one["here"]) for one in drawn]
    assert said == [("a", True, True), ("e", False, False)]


def test_pins_are_the_comments_with_a_place_on_this_slide() -> None:
    at = Pin(space="slide", at=(5.0, 6.0))
    entries = [
        entry(Comment(subject=subject(), text="mitosis", pin=at)),
        entry(Comment(subject=subject(), text="", pin=at)),
        entry(Comment(subject=subject(), text="whole")),
        entry(Comment(subject=subject("other"), text="there", pin=at)),
    ]
    found = pins_of(entries, subject())
    assert found == [{"at": [5.0, 6.0], "text": "mitosis", "author": "u1"}]


def test_what_a_reader_draws_is_filed_as_it_was_drawn() -> None:
    sent = {"geometry": SQUARE, "label": "  nest "}
    filing = drawn_filing(sent, entry="e9", subject=subject(), canvas=CANVAS)
    body = filing.body
    assert isinstance(body, Annotation)
    assert (body.label, filing.entry) == ("nest", "e9")
    drawn = shapes_of([entry(body)], person=READER, subject=subject())[0]["geometry"]
    assert np.asarray(drawn["coordinates"]).tolist() == SQUARE["coordinates"]


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        ([[0, 0], [9, 9], [9, 0], [0, 9], [0, 0]], "crosses or touches itself"),
        ([[0, 0], [900, 0], [900, 9], [0, 0]], "leaves the slide"),
        ([[0, 0], [9, 0], [0, 0]], "not closed"),
        ([["x", 0], [9, 0], [9, 9], ["x", 0]], "no number"),
    ],
)
def test_an_outline_that_cannot_be_is_refused(points: list[list[object]], sentence: str) -> None:
    sent = {"geometry": {"type": "Polygon", "coordinates": [points]}, "label": ""}
    with pytest.raises(CorruptInputError, match=sentence):
        drawn_filing(sent, entry="e9", subject=subject(), canvas=CANVAS)


@pytest.mark.parametrize(
    "sent",
    [
        {"geometry": SQUARE, "label": "x" * 201},
        {"geometry": SQUARE, "label": "a\0b"},
        {"geometry": SQUARE, "label": 3},
        {"geometry": None, "label": ""},
    ],
)
def test_what_is_no_outline_is_refused(sent: dict[str, object]) -> None:
    with pytest.raises(RefusedInputError, match="outline"):
        drawn_filing(sent, entry="e9", subject=subject(), canvas=CANVAS)


def test_only_an_own_outline_is_withdrawn() -> None:
    entries = [entry(outline(), "mine"), entry(outline(), "theirs", author="u2")]
    ours = withdrawal(entries, "mine", entry="e9", person=READER, subject=subject())
    assert isinstance(ours.body, Annotation)
    assert (ours.body.geometry, ours.supersedes) == (None, "mine")
    for of in ("theirs", "nobody's"):
        with pytest.raises(RefusedInputError, match="no such outline of yours"):
            withdrawal(entries, of, entry="e9", person=READER, subject=subject())


def test_the_planted_block_is_one_cell_of_the_map() -> None:
    assert BLOCK == (1817.0, 1531.0, 300.0, 300.0)


def test_a_subject_names_the_slide_of_its_result(planted: StoredResult) -> None:
    assert subject_of(planted.result).item == "planted"
