"""CLAM mode: areas, presets, and tile tests against polygons worked out by hand (T2)."""

from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from scipy import ndimage

from medconsist.errors import RefusedInputError
from medconsist.tiling.affine import Affine
from medconsist.wsi.slide import Level
from medconsist.wsi.tissue.clam_contours import traced_pieces
from medconsist.wsi.tissue.clam_mode import (
    CLAM_PRESETS,
    ClamConfig,
    ClamRegion,
    _closed,
    _median,
    _saturation,
    clam_level,
    clam_regions,
)
from medconsist.wsi.tissue.clam_tiles import clam_corners, clam_tile_test
from tests.wsi.tissue.drawn import glass, with_box

# outline 0..1000, hole 400..600
REGION = ClamRegion(
    outline=np.array([[0, 0], [1000, 0], [1000, 1000], [0, 1000]]),
    holes=(np.array([[400, 400], [600, 400], [600, 600], [400, 600]]),),
)
CORNERS = np.array(
    [
        [0, 0],  # inside: every test
        [950, 100],  # centre (1050, 200) outside; left points at 1000: on the edge
        [-150, 100],  # centre (-50, 200) outside, right points at 0: on the edge
        [-151, 100],  # all four points outside
        [400, 400],  # centre (500, 500) in the hole
        [300, 450],  # centre (400, 550) on the edge of the hole: taken
        [900, 900],  # centre (1000, 1000) on the corner
    ]
)


@pytest.mark.parametrize(
    ("test", "taken"),
    [
        ("four_pt", [1, 1, 1, 0, 0, 1, 1]),
        ("four_pt_hard", [1, 0, 0, 0, 0, 1, 0]),
        ("center", [1, 0, 0, 0, 0, 1, 1]),
        ("basic", [1, 1, 0, 0, 0, 1, 1]),
    ],
)
def test_tile_tests_on_a_square_with_a_hole(test: str, taken: list[int]) -> None:
    found = clam_tile_test(REGION, CORNERS, tile_px=200, test=test)  # type: ignore[arg-type]  # parametrised
    assert found.astype(int).tolist() == taken


def test_the_shift_of_the_four_points_is_cut_to_whole_pixels() -> None:
    # 255 px: centre at +127, points at +- int(127 * 0.5) = 63, the right ones at x + 190
    corners = np.array([[-190, 100], [-191, 100]])
    assert clam_tile_test(REGION, corners, tile_px=255).tolist() == [True, False]


def test_corners_begin_at_the_outline_and_leave_the_hole_out() -> None:
    found = clam_corners([REGION], tile_px=200, step_px=200, test="center")
    # 6 x 6 of the bounding box; centres at 100, 300 ... 900 lie inside, but (500, 500) does not
    assert len(found) == 24
    assert [400, 400] not in found.tolist()


def test_lengths_below_one_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="tile_px must be 1 or more, got 0"):
        clam_tile_test(REGION, CORNERS, tile_px=0)
    with pytest.raises(RefusedInputError, match="step_px must be 1 or more, got 0"):
        clam_corners([REGION], tile_px=200, step_px=0)


def test_areas_are_those_between_pixel_centres() -> None:
    mask = np.zeros((40, 50), bool)
    mask[5:35, 10:45] = True  # 30 x 35
    mask[10:14, 20:30] = False  # 4 x 10
    mask[20, 20] = False
    (piece,) = traced_pieces(mask)
    assert piece.area == 29 * 34
    assert sorted(piece.hole_areas) == [2.0, 5 * 11 - 2]
    assert piece.net_area == 29 * 34 - 2 - 53


def test_pieces_that_touch_at_a_corner_are_one_and_a_pixel_has_no_area() -> None:
    mask = np.zeros((30, 30), bool)
    mask[2:10, 2:10] = mask[10:20, 10:20] = True
    mask[25, 25] = True
    areas = sorted(piece.area for piece in traced_pieces(mask))
    assert areas == [0.0, 7 * 7 + 9 * 9]


def test_an_island_in_a_hole_is_a_piece_of_its_own() -> None:
    mask = np.zeros((40, 40), bool)
    mask[2:38, 2:38] = True
    mask[8:32, 8:32] = False
    mask[15:25, 15:25] = True
    pieces = traced_pieces(mask)
    assert sorted((piece.area, len(piece.holes)) for piece in pieces) == [(81.0, 0), (1225.0, 1)]


def test_presets_are_those_of_the_table() -> None:
    rows = {
        name: (p.sthresh, p.mthresh, p.close, p.a_t, p.a_h, p.max_n_holes, p.otsu)
        for name, p in CLAM_PRESETS.items()
    }
    assert rows == {
        "default": (8, 7, 4, 100, 16, 8, False),
        "bwh_biopsy": (15, 11, 2, 1, 1, 2, False),
        "bwh_resection": (15, 11, 4, 100, 16, 8, False),
        "tcga": (8, 7, 4, 16, 4, 8, False),
    }


def test_small_pieces_and_small_holes_are_dropped_by_area() -> None:
    # downsample 64: the unit is 512^2 / 64^2 = 64 px
    picture = with_box(with_box(glass(), (10, 10, 70, 90)), (90, 100, 98, 108))
    picture[20:40, 20:40] = glass()[20:40, 20:40]  # 21 * 21 - 2 px, above 1 unit
    picture[50:57, 60:67] = glass()[50:57, 60:67]  # 8 * 8 - 2 px, below
    config = ClamConfig(sthresh=15, mthresh=1, close=0, a_t=1, a_h=1, max_n_holes=8)
    (region,) = clam_regions(picture, Affine((0.0, 0.0), (64.0, 64.0)), config=config)
    assert region.outline.min(0).tolist() == [10 * 64, 10 * 64]
    assert region.outline.max(0).tolist() == [89 * 64, 69 * 64]
    assert len(region.holes) == 1
    none = ClamConfig(sthresh=15, mthresh=1, close=0, a_t=1, a_h=1, max_n_holes=0)
    assert clam_regions(picture, Affine((0.0, 0.0), (64.0, 64.0)), config=none)[0].holes == ()


def test_a_white_slide_has_no_regions() -> None:
    white = np.full((50, 50, 3), 255, np.uint8)
    for otsu in (False, True):
        config = ClamConfig(otsu=otsu)
        assert clam_regions(white, Affine((0.0, 0.0), (64.0, 64.0)), config=config) == []


def test_saturation_is_255_times_the_spread_over_the_largest() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    most, least = picture.max(-1).astype(float), picture.min(-1)
    exact = np.where(most > 0, 255 * (most - least) / np.maximum(most, 1), 0)
    # 12 bits of a reciprocal: half a level and a little
    assert np.abs(_saturation(picture) - exact).max() <= 0.55


def test_median_repeats_the_border() -> None:
    plane = np.random.default_rng(0).integers(0, 256, (30, 41)).astype(np.uint8)
    assert np.array_equal(_median(plane, 7), ndimage.median_filter(plane, 7, mode="nearest"))


@pytest.mark.parametrize("side", [2, 3, 4])
def test_closing_equals_its_definition_pixel_by_pixel(side: int) -> None:
    mask = np.random.default_rng(0).random((17, 19)) > 0.8
    offsets = [at - side // 2 for at in range(side)]

    def moved(values: np.ndarray, join: object, outside: bool) -> np.ndarray:
        out = np.zeros_like(values)
        for row, column in np.ndindex(values.shape):
            seen = [
                values[row + down, column + right]
                if 0 <= row + down < 17 and 0 <= column + right < 19
                else outside
                for down in offsets
                for right in offsets
            ]
            out[row, column] = join(seen)  # type: ignore[operator]  # any or all
        return out

    assert np.array_equal(_closed(mask, side), moved(moved(mask, any, False), all, True))


def test_the_level_is_the_coarsest_of_64_or_less() -> None:
    levels = tuple(Level(6400 // step, 6400 // step) for step in (1, 4, 16, 64, 128))
    assert clam_level(levels) == 3
    assert clam_level((Level(2220, 2967),)) == 0


@pytest.mark.parametrize("last", [(100, 75), (101, 76), (99, 74), (30, 20)])
def test_the_level_is_that_of_openslide_where_no_level_is_64_exactly(
    last: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "levels.tiff"
    with tifffile.TiffWriter(path) as tiff:
        for number, (width, height) in enumerate(((6400, 4800), (1600, 1200), last)):
            tiff.write(
                np.zeros((height, width), np.uint8), tile=(256, 256), compression="zlib",
                subfiletype=int(number > 0),
            )  # fmt: skip
    with openslide.OpenSlide(path) as slide:
        levels = tuple(Level(*size) for size in slide.level_dimensions)
        assert clam_level(levels) == slide.get_best_level_for_downsample(64)


def test_an_even_median_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="an odd mthresh"):
        ClamConfig(mthresh=4)
