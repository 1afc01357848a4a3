"""A heat map holds the values of its tiles, at their place, and nothing where no tile was."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.results.schema import Place
from medconsist.tiling.affine import Affine
from medconsist.wsi.heatmap import HeatMap, heat_map
from medconsist.wsi.tile_grid import TileGrid
from tests.wsi.test_tile_grid import slide_grid

CASES = {
    "side by side": slide_grid(0.2498),
    "origin and unequal microns": slide_grid((0.25, 0.31), origin_x=101, origin_y=77),
    "overlap with a large divisor": slide_grid(overlap_px=64),
    "overlap without one": slide_grid(0.3, tile_px=101, overlap_px=13, width=900, height=700),
    "small steps": slide_grid(0.4, tile_px=101, overlap_px=90, width=700, height=600),
    "kept": slide_grid(overlap_px=64, edge="keep"),
    "shifted": slide_grid(0.27, overlap_px=64, edge="shift"),
}
GRID = pytest.mark.parametrize("grid", CASES.values(), ids=CASES)


def values_of(n: int) -> np.ndarray:
    return np.random.default_rng(4).normal(size=n)


def naive(grid: TileGrid, items: np.ndarray, values: np.ndarray, y: float, x: float) -> float:
    """Return the mean over the tiles that cover a point, walking over all of them."""
    boxes = grid.boxes(items)
    covers = (boxes[:, 0] <= x) & (x < boxes[:, 2]) & (boxes[:, 1] <= y) & (y < boxes[:, 3])
    return float(np.mean(values[covers])) if covers.any() else math.nan


@GRID
def test_each_cell_is_the_mean_of_the_tiles_that_cover_its_centre(grid: TileGrid) -> None:
    items = np.arange(len(grid))[np.random.default_rng(1).random(len(grid)) < 0.7]
    values = values_of(len(items))
    shown = heat_map(grid, items, values)
    for index in np.ndindex(shown.values.shape):
        if grid is CASES["small steps"] and sum(index) % 5:
            continue  # a fifth of its many cells
        y, x = shown.affine.to_place(np.asarray(index) + 0.5).tolist()
        expected = naive(grid, items, values, y, x)
        assert shown.values[index] == pytest.approx(expected, rel=1e-6, nan_ok=True), index


@GRID
def test_heat_map_reaches_as_far_as_the_tiles(grid: TileGrid) -> None:
    shown = heat_map(grid, [0], np.ones(1))
    boxes = grid.boxes(np.arange(len(grid)))
    top_left, bottom_right = shown.affine.to_place([[0, 0], shown.values.shape])
    np.testing.assert_allclose(top_left[::-1], boxes[0, :2], atol=1e-9)
    cell = np.asarray(shown.affine.scale[::-1])
    # Within half a cell: a cell belongs to the picture where its centre is covered.
    assert (np.abs(bottom_right[::-1] - boxes[:, 2:].max(axis=0)) <= 0.5 * cell + 1e-6).all()


@given(
    mpp=st.tuples(st.floats(0.1, 1.0), st.floats(0.1, 1.0)),
    tile_px=st.integers(40, 128),
    origin=st.tuples(st.integers(0, 10**5), st.integers(0, 10**5)),
    data=st.data(),
)
@settings(deadline=None)
def test_point_of_a_tile_leads_to_its_value_and_back(
    mpp: tuple[float, float], tile_px: int, origin: tuple[int, int], data: st.DataObject
) -> None:
    grid = slide_grid(mpp, tile_px=tile_px, origin_x=origin[0], origin_y=origin[1], edge="keep")
    items = np.arange(len(grid))
    shown = heat_map(grid, items, items.astype(float))
    item = data.draw(st.integers(0, len(grid) - 1))
    x0, y0, x1, y1 = grid.boxes([item])[0].tolist()
    inside = data.draw(st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)))
    point = [x0 + inside[0] * (x1 - x0), y0 + inside[1] * (y1 - y0)]
    assert shown.sample(point) == item
    # The corner of the cell is the corner of the tile, to 1e-6 px and better.
    column, row = grid.index([item])[0].tolist()
    assert shown.affine.to_place([row, column]).tolist() == pytest.approx([y0, x0], abs=1e-6)


def test_place_without_tile_is_unknown_not_zero() -> None:
    shown = heat_map(slide_grid(), [3, 8], np.array([1.0, math.nan]))
    assert int(np.isfinite(shown.values).sum()) == 1
    assert shown.values[0, 3] == 1.0
    assert math.isnan(float(shown.sample([0.0, 0.0])))


def test_outside_is_unknown() -> None:
    shown = heat_map(slide_grid(origin_x=100), np.arange(35), np.ones(35))
    points = [[99.0, 0.0], [100.0, 0.0], [3683.9, 2559.9], [3684.0, 0.0], [200.0, -0.1]]
    assert np.isfinite(shown.sample(points)).tolist() == [False, True, True, False, False]


def test_result_record_keeps_the_place() -> None:
    shown = heat_map(slide_grid(0.2498, origin_x=33), [1], np.ones(1))
    place = Place.model_validate_json(shown.place.model_dump_json())
    back = HeatMap.from_place(shown.values, place)
    assert back.affine == shown.affine
    assert back.place == shown.place


def test_place_on_something_else_is_refused() -> None:
    other = Place(of="slide", unit="um", offset=(0.0, 0.0), scale=(1.0, 1.0))
    with pytest.raises(RefusedInputError, match="lies on the slide in level-0 px"):
        HeatMap.from_place(np.zeros((2, 2), np.float32), other)


def test_overlap_of_one_pixel_does_not_ask_for_a_picture_as_large_as_the_slide() -> None:
    grid = slide_grid(overlap_px=1, width=80_000, height=80_000)
    shown = heat_map(grid, [0], np.ones(1))
    assert max(shown.values.shape) <= 8 * max(grid.shape) + 8


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"items": [0, 1], "values": np.ones(3)}, ShapeError, "one value for each of 2 tiles"),
        ({"items": [0, 0], "values": np.ones(2)}, RefusedInputError, "some of them twice"),
        ({"items": [0], "values": np.array([np.inf])}, RefusedInputError, "1 of 1 values are inf"),
        ({"items": [99], "values": np.ones(1)}, RefusedInputError, "whole numbers from 0 to 34"),
    ],
)
def test_values_that_do_not_fit_are_refused(
    arguments: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        heat_map(slide_grid(), **arguments)


def test_slide_without_room_for_a_tile_has_no_heat_map() -> None:
    with pytest.raises(RefusedInputError, match="no tile of 256 px fits"):
        heat_map(slide_grid(width=300), [], np.ones(0))


def test_mirrored_or_flat_heat_map_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="must be above 0"):
        HeatMap(np.zeros((1, 1), np.float32), Affine(offset=(0.0, 0.0), scale=(1.0, -1.0)))
    with pytest.raises(ShapeError, match="rows and columns"):
        HeatMap(np.zeros(3, np.float32), Affine(offset=(0.0,), scale=(1.0,)))
