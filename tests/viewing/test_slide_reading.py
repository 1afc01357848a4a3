"""The pictures of a stored slide: verified, on one grid, each on its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medconsist.results.schema import Place, ResultFields, Times
from medconsist.results.store import ResultStore, StoredResult
from medconsist.viewing.slide_reading import REGIONS, marked, open_slide_reading
from tests.viewing.conftest import START
from tests.viewing.slides import damage, embed_small, predict_small


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredResult:
    return embed_small(tmp_path_factory.mktemp("slide") / "results")


def test_the_overview_is_the_stored_one_and_cannot_be_written(stored: StoredResult) -> None:
    reading = open_slide_reading(stored)
    assert reading.overview is not None
    assert (reading.overview == stored.array("overview")).all()
    assert not reading.overview.flags.writeable
    assert reading.problems == ()
    assert reading.pixel_mm == pytest.approx((0.008, 0.008))


def test_regions_come_in_the_order_of_the_legend_and_blank_is_no_region(
    stored: StoredResult,
) -> None:
    reading = open_slide_reading(stored)
    assert list(reading.regions) == list(REGIONS)
    for role, mask in reading.regions.items():
        assert (mask == stored.array(role)).all()
    assert reading.regions["pen"].any()


def test_a_colour_map_lies_on_the_pixels_of_its_tiles(stored: StoredResult) -> None:
    reading = open_slide_reading(stored)
    colours = stored.array("feature_colours")
    assert reading.overview is not None
    each = 64 // 8  # a tile of 64 px at 1 um/px, a pixel of 8 um
    wanted = np.kron(colours, np.ones((each, each, 1), dtype=np.uint8))
    assert (reading.maps["feature_colours"] == wanted).all()
    assert reading.maps["feature_colours"].shape == reading.overview.shape


WriteSlide = Any


@pytest.fixture
def write_slide_result(tmp_path: Path) -> WriteSlide:
    """Write pictures of an asymmetric overview with the places that are asked for."""

    def write(
        place: Place | None,
        shape: tuple[int, int],
        *,
        numbers: dict[str, tuple[np.ndarray, Place]] | None = None,
        **facts: Any,
    ) -> StoredResult:
        store = ResultStore(tmp_path, "wsi")
        times = Times(started=START, finished=START)
        fields = ResultFields(
            kind="wsi.features", inputs={}, config={}, result_version=1, times=times
        )
        picture = np.arange(12 * 20 * 3, dtype=np.uint16).reshape(12, 20, 3).astype(np.uint8)
        own = np.arange(shape[0] * shape[1] * 3).reshape(*shape, 3).astype(np.uint8) % 200
        axes = ("height", "width", "rgb")
        with store.draft("a", fields.key) as draft:
            draft.add_array("overview", picture, axes=axes, place=at((0, 0), (16, 16)), **facts)
            draft.add_array("colours", own, axes=axes, place=place)
            for role, (values, where) in (numbers or {}).items():
                draft.add_array(role, values, axes=axes[:2], place=where)
            draft.finish(fields)
        return store.read("a", fields.key)

    return write


def at(offset: tuple[float, float], scale: tuple[float, float]) -> Place:
    return Place(of="slide", unit="level-0 px", offset=offset, scale=scale)


@pytest.mark.parametrize(
    ("place", "shape"),
    [
        (at((0, 0), (16, 16)), (12, 20)),
        (at((40, 70), (33.5, 41.25)), (3, 4)),
        (at((-40, -70), (100, 90)), (4, 5)),
        (at((0, 0), (5, 7)), (40, 30)),
    ],
    ids=["same", "inside", "beyond", "finer"],
)
def test_a_map_is_where_its_place_says_and_white_elsewhere(
    place: Place, shape: tuple[int, int], write_slide_result: WriteSlide
) -> None:
    stored = write_slide_result(place, shape)
    drawn, own = open_slide_reading(stored).maps["colours"], stored.array("colours")
    for row in range(12):
        for column in range(20):
            y, x = (16 * (row + 0.5), 16 * (column + 0.5))
            i = int((y - place.offset[0]) // place.scale[0])
            j = int((x - place.offset[1]) // place.scale[1])
            inside = 0 <= i < shape[0] and 0 <= j < shape[1]
            wanted = own[i, j] if inside else np.full(3, 255)
            assert (drawn[row, column] == wanted).all()


def test_a_map_without_a_place_that_has_another_shape_is_not_drawn_over(
    write_slide_result: WriteSlide,
) -> None:
    reading = open_slide_reading(write_slide_result(None, (3, 4)))
    assert "colours" not in reading.maps
    assert any("colours is not drawn" in problem for problem in reading.problems)


def test_unknown_spacing_stays_unknown(write_slide_result: WriteSlide) -> None:
    half = {"spacing_mm": (0.008, None, None)}
    assert open_slide_reading(write_slide_result(None, (12, 20), **half)).pixel_mm is None


@pytest.mark.parametrize("role", ["tissue", "pen", "feature_colours"])
def test_a_damaged_array_leaves_the_others(role: str, tmp_path: Path) -> None:
    stored = embed_small(tmp_path / "results")
    whole = open_slide_reading(stored)
    damage(tmp_path / "results", stored, role)
    reading = open_slide_reading(stored)
    (problem,) = reading.problems
    assert problem.startswith(f"{role} is not shown, the stored bytes are at fault.")
    assert set(whole.regions) - set(reading.regions) == {role} - {"feature_colours"}
    assert set(whole.maps) - set(reading.maps) == {role} & {"feature_colours"}
    assert reading.overview is not None
    assert whole.overview is not None
    assert (reading.overview == whole.overview).all()


def test_a_damaged_overview_leaves_a_sentence(tmp_path: Path) -> None:
    stored = embed_small(tmp_path / "results")
    damage(tmp_path / "results", stored, "overview")
    reading = open_slide_reading(stored)
    assert reading.overview is None
    assert reading.problems[0].startswith("overview is not shown")


def test_marks_leave_the_picture_below_and_say_where_they_are() -> None:
    picture = np.full((9, 9, 3), 200, np.uint8)
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:7, 1:8] = True
    assert (marked(picture, {}) == picture).all()
    tissue, pen = marked(picture, {"tissue": mask}), marked(picture, {"pen": mask})
    assert (picture == 200).all()
    rim = mask.copy()
    rim[3:6, 2:7] = False
    for drawn, role in ((tissue, "tissue"), (pen, "pen")):
        assert (drawn[rim] == REGIONS[role].colour).all()
        assert (drawn[~mask] == 200).all()
    assert (tissue[4, 4] == 200).all()
    assert (pen[4, 4] != 200).any()
    assert (marked(picture, {"pen": mask, "tissue": mask})[rim] == REGIONS["tissue"].colour).all()


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> StoredResult:
    root = tmp_path_factory.mktemp("predicted") / "results"
    embed_small(root)
    return predict_small(root)


def test_a_map_of_numbers_lies_on_the_pixels_of_its_tiles(predicted: StoredResult) -> None:
    reading = open_slide_reading(predicted)
    assert list(reading.grids) == ["instance_probability", "attention", "novelty", "disagreement"]
    assert reading.overview is not None
    each = 64 // 8  # a tile of 64 px at 1 um/px, a pixel of 8 um
    for role, grid in reading.grids.items():
        wanted = np.kron(predicted.array(role), np.ones((each, each), dtype=np.float32))
        np.testing.assert_array_equal(grid, wanted)
        assert np.isnan(grid).any()
        assert grid.shape == reading.overview.shape[:2]


def test_tiles_are_shown_as_they_are_stored(predicted: StoredResult) -> None:
    reading = open_slide_reading(predicted)
    assert list(reading.tiles) == ["top_tiles", "bottom_tiles"]
    for role, tiles in reading.tiles.items():
        assert (tiles == predicted.array(role)).all()


def test_numbers_of_a_map_are_unknown_where_its_grid_ends(write_slide_result: WriteSlide) -> None:
    numbers = {"attention": (np.ones((2, 3), dtype=np.float32), at((32, 48), (32, 32)))}
    grid = open_slide_reading(write_slide_result(None, (3, 4), numbers=numbers)).grids["attention"]
    inside = np.zeros((12, 20), dtype=bool)
    inside[2:6, 3:9] = True
    np.testing.assert_array_equal(np.isfinite(grid), inside)


@pytest.mark.parametrize("role", ["attention", "top_tiles"])
def test_a_damaged_map_leaves_the_others(role: str, tmp_path: Path) -> None:
    embed_small(tmp_path / "results")
    stored = predict_small(tmp_path / "results")
    whole = open_slide_reading(stored)
    damage(tmp_path / "results", stored, role)
    reading = open_slide_reading(stored)
    (problem,) = reading.problems
    assert problem.startswith(f"{role} is not shown, the stored bytes are at fault.")
    assert set(whole.grids) - set(reading.grids) == {role} & {"attention"}
    assert set(whole.tiles) - set(reading.tiles) == {role} & {"top_tiles"}
