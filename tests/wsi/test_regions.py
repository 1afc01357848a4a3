"""Regions made of tiles, and tiles chosen by regions."""

import math

import numpy as np
import pytest
import shapely

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.tiling.affine import Affine
from medconsist.wsi.heatmap import HeatMap, heat_map
from medconsist.wsi.regions import Region, Rule, contour_regions, items_inside, tile_regions
from tests.wsi.test_tile_grid import slide_grid


def test_tiles_carry_their_value_on_their_exact_rectangle() -> None:
    grid = slide_grid(0.2498, origin_x=55)
    values = np.array([0.2, 0.9, math.nan])
    (region,) = tile_regions(grid, [3, 8, 9], values, name="attention", threshold=0.5)
    assert region.geometry.bounds == tuple(grid.boxes([8])[0])
    assert (region.name, region.measurements, region.kind) == (
        "attention",
        {"attention": 0.9},
        "tile",
    )
    assert len(tile_regions(grid, [3, 8, 9], values, name="attention")) == 2  # NaN is left out


def test_value_is_needed_for_each_tile() -> None:
    with pytest.raises(ShapeError, match="one value for each of 2 tiles"):
        tile_regions(slide_grid(), [1, 2], np.ones(3), name="a")


def test_contours_enclose_the_cells_at_the_threshold_and_nothing_else() -> None:
    values = np.random.default_rng(3).random((13, 17)).astype(np.float32)
    values[2, 2:6] = np.nan
    values[5:9, 5:9], values[6:8, 6:8] = 1.0, 0.0  # a ring: a region with a hole
    shown = HeatMap(values, Affine(offset=(7.5, 101.25), scale=(512.41, 500.3)))
    regions = contour_regions(shown, name="tumour", threshold=0.6)
    whole = shapely.union_all([region.geometry for region in regions])
    for index in np.ndindex(values.shape):
        y, x = shown.affine.to_place(np.asarray(index) + 0.5)
        assert shapely.contains_xy(whole, x, y) == (values[index] >= 0.6), index
    cell = 512.41 * 500.3
    assert whole.area == pytest.approx(float((values >= 0.6).sum()) * cell, rel=1e-9)
    assert any(len(region.geometry.interiors) for region in regions)


def test_contour_says_mean_and_maximum_of_its_own_cells() -> None:
    values = np.array([[0.6, 0.8, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]], dtype=np.float32)
    shown = HeatMap(values, Affine(offset=(0.0, 0.0), scale=(10.0, 10.0)))
    left, right = sorted(
        contour_regions(shown, name="p", threshold=0.5), key=lambda one: one.geometry.bounds
    )
    assert left.geometry.bounds == (0.0, 0.0, 20.0, 10.0)
    assert left.measurements == pytest.approx({"p mean": 0.7, "p max": 0.8})
    assert right.measurements == pytest.approx({"p mean": 1.0, "p max": 1.0})
    assert len(left.geometry.exterior.coords) == 5  # no points within straight borders


def test_nothing_above_the_threshold_has_no_contour() -> None:
    shown = heat_map(slide_grid(), [1], np.array([0.2]))
    assert contour_regions(shown, name="p", threshold=0.5) == []


def test_rules_of_tiles_in_a_region() -> None:
    grid = slide_grid(0.5, width=100, height=80, tile_px=10, origin_x=1000)  # 8 rows, 10 columns
    region = shapely.box(1005, 20, 1044, 35)  # columns 0 (half) to 4 (its left 4 px); rows 2, 3
    found = {
        rule: [divmod(item, 10) for item in items_inside(grid, region, rule=rule).tolist()]
        for rule in ("center", "any", "all")
    }
    assert found["any"] == [(row, column) for row in (2, 3) for column in range(5)]
    # The centres of column 0 and of row 3 lie on the border, that of column 4 outside.
    assert found["center"] == [(row, column) for row in (2, 3) for column in range(4)]
    assert found["all"] == [(2, column) for column in (1, 2, 3)]


@pytest.mark.parametrize("rule", ["center", "any", "all"])
def test_every_rule_agrees_with_a_walk_over_all_tiles(rule: Rule) -> None:
    grid = slide_grid((0.2498, 0.3), overlap_px=40, edge="shift", origin_y=300)
    ring = shapely.Point(2000, 1500).buffer(1400).difference(shapely.Point(2200, 1500).buffer(500))
    small = shapely.Polygon([(3300, 400), (3900, 500), (3500, 1200)])
    boxes = [shapely.box(*box) for box in grid.boxes(np.arange(len(grid)))]
    either = shapely.union(ring, small)
    holds = {
        "center": lambda box: either.intersects(box.centroid),
        "any": lambda box: either.intersection(box).area > 0,
        "all": lambda box: either.covers(box),
    }
    expected = [item for item, box in enumerate(boxes) if holds[rule](box)]
    assert 0 < len(expected) < len(grid)
    assert items_inside(grid, [ring, small], rule=rule).tolist() == expected


def test_tile_lies_in_its_own_rectangle() -> None:
    grid = slide_grid(0.2498)
    for item in (0, 11, len(grid) - 1):
        (region,) = tile_regions(grid, [item], np.ones(1), name="a")
        assert items_inside(grid, region.geometry, rule="all").tolist() == [item]
        assert items_inside(grid, region.geometry).tolist() == [item]


def test_region_beside_the_grid_holds_no_tile() -> None:
    assert items_inside(slide_grid(), shapely.box(9000, 9000, 9100, 9100)).tolist() == []
    assert items_inside(slide_grid(), []).tolist() == []
    assert items_inside(slide_grid(width=100), shapely.box(0, 0, 50, 50)).tolist() == []


@pytest.mark.parametrize(
    ("geometry", "sentence"),
    [
        (shapely.Point(1, 2), "a polygon or several, got Point"),
        ("here", "a polygon or several, got str"),
        (shapely.Polygon(), "must not be empty"),
        (shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)]), r"touches itself at \(1, 1\)"),
        (
            shapely.Polygon([(0, 0), (9, 0), (9, 9)], [[(20, 20), (21, 20), (21, 21)]]),
            r"is not simple \(Hole lies outside shell\) at \(20, 20\): move a corner",
        ),
        (shapely.Polygon([(0, 0), (math.inf, 2), (2, 0)]), "coordinates must be finite"),
    ],
)
def test_geometry_that_is_no_region_is_refused(geometry: object, sentence: str) -> None:
    with pytest.raises(RefusedInputError, match=sentence):
        Region(geometry=geometry)
    with pytest.raises(RefusedInputError, match=sentence):
        items_inside(slide_grid(), geometry if not isinstance(geometry, str) else [geometry])


def test_numbers_of_a_region_are_checked() -> None:
    box = shapely.box(0, 0, 1, 1)
    with pytest.raises(RefusedInputError, match="red, green and blue"):
        Region(geometry=box, colour=(0, 300, 0))
    with pytest.raises(RefusedInputError, match="'p' is nan; leave out what is unknown"):
        Region(geometry=box, measurements={"p": math.nan})
