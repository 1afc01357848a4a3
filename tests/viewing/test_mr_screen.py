"""What the MR widget is told: words, frames and numbers of the result, and nothing sealed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medconsist import SIMULATED_NOTE
from medconsist.results.store import ResultStore
from medconsist.results.trust import Score
from medconsist.review.entries import Entry
from medconsist.review.records import Annotation, Comment, Pin
from medconsist.viewing.compare import DIFFERENCE_SHARE
from medconsist.viewing.mr_screen import marks_of, screen_data, shape_of, unknown_words
from medconsist.viewing.mr_slices import residual_bands, slice_numbers
from medconsist.viewing.reading import Reading, open_reading
from medconsist.viewing.web.server import subject_of
from tests.viewing.conftest import phantom

WriteResult = Any
KNOWN = {
    "spacing_mm": (5.0, 1.0, 1.0),
    "orientation": (
        (-1.0, 0.0, 0.0, 20.0),
        (0.0, -1.0, 0.0, 24.0),
        (0.0, 0.0, 5.0, 0.0),
        (0.0, 0.0, 0.0, 1.0),
    ),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results"


def reading(root: Path) -> Reading:
    return open_reading(ResultStore(root, "brain").read("scan-1"))


def test_everything_told_is_plain_json_without_a_pixel(
    write_result: WriteResult, root: Path
) -> None:
    write_result(root, array=KNOWN)
    data = screen_data(reading(root))
    text = json.dumps(data, allow_nan=False)
    # two colour tables of 256 colours are most of it
    assert len(text) < 20_000
    assert data["identity"] == "p-7 › scan-1"
    assert [image["role"] for image in data["images"]] == [
        "zerofilled",
        "reconstruction",
        "reference",
    ]
    assert (data["examined"], data["compared"]) == ("reconstruction", "reference")
    assert data["differenceShare"] == DIFFERENCE_SHARE
    assert data["frame"]["size"] == [40, 48, 3]
    assert data["frame"]["known"]
    assert data["samples"] == [[24 * 40, 48 * 40]]


def test_a_simulated_scan_is_called_so(write_result: WriteResult, root: Path) -> None:
    write_result(root, fields={"notes": (SIMULATED_NOTE,)})
    assert screen_data(reading(root))["badges"] == ["simulated"]


def test_what_is_unknown_is_said_and_no_letter_is_given(
    write_result: WriteResult, root: Path
) -> None:
    write_result(root)
    shown = reading(root)
    frame = screen_data(shown)["frame"]
    assert not frame["known"]
    assert [plane["letters"] for plane in frame["planes"]] == [None, None, None]
    assert frame["words"][0].startswith("Orientation unknown")
    assert "Voxel size unknown" in frame["words"][1]
    assert unknown_words(shown) == ["orientation unknown", "voxel size unknown"]


def test_a_known_orientation_says_its_convention(write_result: WriteResult, root: Path) -> None:
    write_result(root, array=KNOWN)
    frame = screen_data(reading(root))["frame"]
    assert frame["words"] == [
        "Radiological convention: the patient's right is on the left of the screen."
    ]
    axial = frame["planes"][0]
    assert axial["name"] == "axial"
    assert axial["letters"] == {"left": "R", "right": "L", "top": "A", "bottom": "P"}


def test_a_place_has_millimetres_where_all_steps_are_known(
    write_result: WriteResult, root: Path
) -> None:
    write_result(root, array=KNOWN)
    frame = screen_data(reading(root))["frame"]
    assert frame["orientation"] == KNOWN["orientation"]
    write_result(root / "flat", array=KNOWN | {"spacing_mm": (None, *KNOWN["spacing_mm"][1:])})
    assert screen_data(reading(root / "flat"))["frame"]["orientation"] is None


def test_a_map_says_that_it_has_places_without_a_value(
    write_result: WriteResult, root: Path
) -> None:
    write_result(root)
    shown = reading(root)
    pane = shown.maps["refutable_contrast"]
    assert pane.values is not None
    values = pane.values.copy()
    values[1, 0, 0] = np.nan
    object.__setattr__(pane, "values", values)
    gaps = {one["role"]: one["gaps"] for one in screen_data(shown)["maps"]}
    assert gaps == {
        "not_determined": False,
        "refutable_contrast": True,
        "matched_filter": False,
    }


def test_a_sealed_result_tells_of_the_original_alone(write_result: WriteResult, root: Path) -> None:
    write_result(root, array=KNOWN)
    shown = reading(root)
    data = screen_data(shown, sealed=True)
    assert [image["role"] for image in data["images"]] == ["zerofilled"]
    assert (data["maps"], data["slices"], data["residual"]) == ([], [], [])
    zero_filled = shown.images["zerofilled"].values
    assert zero_filled is not None
    # its own white level: that of all images would tell of the others
    assert data["white"] == pytest.approx(np.percentile(zero_filled, 99))
    assert "reconstruction" not in json.dumps(data)


def test_a_broken_image_takes_no_other_from_the_screen(
    write_result: WriteResult, root: Path
) -> None:
    broken = phantom()
    broken[0, 0, 0] = np.nan
    write_result(root, images={"reconstruction": broken})
    images = {image["role"]: image for image in screen_data(reading(root))["images"]}
    assert "not finite" in images["reconstruction"]["problem"]
    assert images["zerofilled"]["problem"] == ""


def test_the_number_of_each_slice_comes_from_the_stored_arrays(
    write_result: WriteResult, root: Path
) -> None:
    changed = phantom()
    changed[2] += 0.5
    write_result(root, images={"reconstruction": changed})
    shown = reading(root)
    by_title = {one.title: one for one in slice_numbers(shown, "reconstruction")}
    difference = by_title["Difference to the reference"]
    assert difference.worst == 2
    assert difference.values[2] == pytest.approx(100 * 0.5 / shown.white, rel=1e-5)
    assert difference.values[0] == 0
    assert by_title["Residual, matched filter"].values == (5.0, 5.0, 5.0)
    share = 0.15 * 36 / (48 * 40)
    assert by_title["Not determined by the data"].values[0] == pytest.approx(share)


def test_a_slice_without_a_finite_value_has_no_number(
    write_result: WriteResult, root: Path
) -> None:
    write_result(root)
    shown = reading(root)
    pane = shown.maps["refutable_contrast"]
    assert pane.values is not None
    values = pane.values.copy()
    values[1] = np.nan
    object.__setattr__(pane, "values", values)
    found = {one.title: one for one in slice_numbers(shown, "reconstruction")}
    assert found["Smallest refutable contrast"].values[1] is None
    assert found["Smallest refutable contrast"].worst == 0


def test_the_residual_by_radius_is_that_of_the_trust_record() -> None:
    scores = [
        Score(name=f"residual_band_{n}", value=n / 10, unit="sigma^2", n=9, meaning="m")
        for n in (0, 1, 4)
    ]
    bands = residual_bands(scores)
    assert [(band["low"], band["high"], band["value"]) for band in bands] == [
        (0.0, 0.2, 0.0),
        (0.2, 0.4, 0.1),
        (0.8, 1.0, 0.4),
    ]


def test_marks_are_those_of_this_very_result(write_result: WriteResult, root: Path) -> None:
    result = write_result(root, minutes=1)
    older = write_result(root, lambda_=0.5)
    triangle: dict[str, Any] = {
        "type": "Polygon",
        "coordinates": [[[1, 2], [5, 2], [5, 9], [1, 2]]],
    }

    def entry(body: Any) -> Entry:
        return Entry(id="e1", created="2026", author="a", supersedes=None, body=body)

    pin = Pin(space="voxel", at=(1.0, 20.0, 30.5))
    comments = [
        entry(Comment(subject=subject_of(result), text="here", pin=pin)),
        entry(Comment(subject=subject_of(older), text="elsewhere", pin=pin)),
        entry(Comment(subject=subject_of(result), text="", pin=pin)),
        entry(Comment(subject=subject_of(result), text="the whole")),
    ]
    shapes = [
        entry(Annotation(subject=subject_of(result), geometry=triangle, label="x", plane=1)),
        entry(Annotation(subject=subject_of(result), geometry=None, label="", plane=1)),
    ]
    marks = marks_of(result, comments, shapes)
    assert marks == [
        {"kind": "pin", "at": [1.0, 20.0, 30.5], "words": "here", "author": "a"},
        {"kind": "shape", "geometry": triangle, "plane": 1, "words": "x", "author": "a"},
    ]


def test_a_shape_names_its_slice() -> None:
    polygon = {"type": "Polygon", "coordinates": []}
    assert shape_of({"geometry": polygon, "plane": 2, "more": 1}) == {
        "kind": "shape",
        "geometry": polygon,
        "plane": 2,
    }
    for wrong in ({"geometry": polygon}, {"geometry": polygon, "plane": -1}, {"plane": 1}, "x"):
        assert shape_of(wrong) is None
