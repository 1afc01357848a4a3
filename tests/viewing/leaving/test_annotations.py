"""Shapes out and in again, and every file that must not come in."""

import json
from typing import Any

import pytest
import shapely

from medconsist import RESEARCH_USE_ONLY
from medconsist.errors import BudgetError, MedconsistError, RefusedInputError
from medconsist.viewing.leaving import annotations
from medconsist.viewing.leaving.annotations import Canvas, annotations_geojson, read_annotations
from medconsist.wsi.slide import Bounds
from tests.viewing.leaving.filed import WHEN, comment, entry, plain_subject, shape

SUBJECT = plain_subject()
SLIDE = Canvas(width=1000, height=800)
RING = [[10.5, 20.25], [110.0, 20.25], [110.0, 220.0], [10.5, 20.25]]
SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
BOW_TIE = [[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]


def feature(ring: Any = SQUARE, **properties: Any) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def read(document: object, canvas: Canvas = SLIDE) -> list[Any]:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_annotations(data, name="mine.geojson", subject=SUBJECT, canvas=canvas)


@pytest.mark.parametrize(
    "canvas",
    [
        SLIDE,
        Canvas(width=1000, height=800, origin="bounds", bounds=Bounds(x=7, y=9, width=5, height=5)),
    ],
)
def test_what_goes_out_comes_in_as_it_was(canvas: Canvas) -> None:
    drawn = shape(SUBJECT, RING, label="Tumor: grade <3>")
    left = annotations_geojson("slide-1", [entry(drawn, "a1")], canvas=canvas)
    back = read(left.data, canvas)
    assert [one.label for one in back] == ["Tumor: grade <3>"]
    first, second = (shapely.geometry.shape(one.geometry) for one in (drawn, back[0]))
    assert first.equals_exact(second, tolerance=1e-9)  # one shift there, one back
    assert back[0].subject == SUBJECT


def test_the_file_names_its_author_its_pixels_and_its_use() -> None:
    left = annotations_geojson("slide-1", [entry(shape(SUBJECT, RING), "a1")], canvas=SLIDE)
    document = json.loads(left.data)
    assert left.name == "slide-1-annotations.geojson"
    assert document["medconsist"]["notice"] == RESEARCH_USE_ONLY
    assert document["medconsist"]["unit"] == "level-0 px"
    properties = document["features"][0]["properties"]
    assert properties["objectType"] == "annotation"
    assert properties["classification"] == {"name": "Tumor"}
    assert properties["metadata"] == {"author": "anna", "created_utc": WHEN, "entry": "a1"}
    assert document["features"][0]["geometry"]["coordinates"][0] == RING


def test_withdrawn_shapes_stay_and_the_same_shapes_are_the_same_bytes() -> None:
    gone = shape(SUBJECT, RING, geometry=None)
    filed = [entry(shape(SUBJECT, RING), "a1"), entry(gone, "a2", after="a0")]
    left = annotations_geojson("slide-1", filed, canvas=SLIDE)
    assert len(json.loads(left.data)["features"]) == 1
    assert left.sha256 == annotations_geojson("slide-1", filed, canvas=SLIDE).sha256


@pytest.mark.parametrize(
    "body",
    [
        comment(SUBJECT, "x"),
        shape(SUBJECT, RING, plane=2),
        shape(plain_subject(case="slide-2"), RING),
    ],
    ids=["comment", "volume", "other case"],
)
def test_what_is_no_shape_of_this_slide_does_not_go_out(body: Any) -> None:
    with pytest.raises(RefusedInputError, match="entry a1 is no shape on a slide of case slide-1"):
        annotations_geojson("slide-1", [entry(body, "a1")], canvas=SLIDE)


@pytest.mark.parametrize(
    "geometry", [{"type": "Point", "coordinates": [1, 2]}, {"type": "Polygon"}, {"x": "y"}]
)
def test_a_stored_shape_that_is_no_polygon_is_named(geometry: dict[str, Any]) -> None:
    body = shape(SUBJECT, RING, geometry=geometry)
    with pytest.raises(MedconsistError, match="annotation a1"):
        annotations_geojson("slide-1", [entry(body, "a1")], canvas=SLIDE)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (feature(BOW_TIE), "crosses or touches itself"),
        (feature([[0, 0], [1001, 0], [5, 5], [0, 0]]), "leaves the slide"),
        (feature([[-1, 0], [10, 0], [5, 5], [-1, 0]]), "leaves the slide"),
        (feature([[0, 0], [10, 0], [5, 5]]), "not closed"),
        (feature([[0, 0], [float("nan"), 0], [5, 5], [0, 0]]), "'NaN' is no number"),
        (feature([[0, 0], [float("inf"), 0], [5, 5], [0, 0]]), "'Infinity' is no number"),
        (feature([[0, 0], [10**400, 0], [5, 5], [0, 0]]), "is no number"),
        (feature([["<b>", 0], [10, 0], [5, 5], ["<b>", 0]]), "is no number"),
        (feature(classification={"name": "x" * 201}), "201 letters"),
        ({"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}}, "Point"),
        (b"\x1f\x8b\x00", "is no GeoJSON"),
        (b"[" * 100_000, "is no GeoJSON"),
        (b"{}", "holds no features"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_in_a_sentence(document: Any, words: str) -> None:
    with pytest.raises(RefusedInputError, match=words) as caught:
        read([feature(), document] if isinstance(document, dict) else document)
    assert str(caught.value).startswith("mine.geojson")


def test_files_that_are_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotations, "MAX_FEATURES", 2)
    with pytest.raises(BudgetError, match="holds 3 shapes, at most 2"):
        read([feature(), feature(), feature()])
    monkeypatch.setattr(annotations, "MAX_UPLOAD", 10)
    with pytest.raises(BudgetError, match="at most 10 are read"):
        read([feature()])


def test_a_hostile_file_name_is_one_harmless_line() -> None:
    with pytest.raises(RefusedInputError, match="is no GeoJSON") as caught:
        read_annotations(b"", name="a\n\u202e" + "b" * 4096, subject=SUBJECT, canvas=SLIDE)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250
