"""Tiles lie where their microns say: no snapping, no drift, rows down and columns right."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medconsist.errors import NoMppError, RefusedInputError
from medconsist.wsi.mpp import Mpp, mpp_of
from medconsist.wsi.tile_grid import TileGrid

# Arguments, not grids: beartype draws random samples, which hypothesis forbids within a strategy.
GRIDS = st.fixed_dictionaries(
    {
        "width": st.integers(600, 200_000),
        "height": st.integers(600, 200_000),
        "target_mpp": st.floats(0.25, 2.0),
        "tile_px": st.integers(16, 128),
        "overlap_px": st.integers(0, 15),
        "origin_x": st.integers(0, 50_000),
        "origin_y": st.integers(0, 50_000),
        "edge": st.sampled_from(("drop", "keep", "shift")),
    }
)
MPPS = st.tuples(st.floats(0.5, 1.0), st.floats(0.5, 1.0))


def slide_grid(mpp: float | tuple[float, float] = 0.25, **changes: Any) -> TileGrid:
    x, y = mpp if isinstance(mpp, tuple) else (mpp, mpp)
    asked = {"width": 4000, "height": 3000, "target_mpp": 0.5, "tile_px": 256} | changes
    return TileGrid(mpp=Mpp(x, y, "given"), **asked)


@given(GRIDS, MPPS, st.data())
def test_corner_of_a_tile_is_origin_plus_index_times_exact_step(
    numbers: dict[str, Any], mpp: tuple[float, float], data: st.DataObject
) -> None:
    grid = slide_grid(mpp, **numbers)
    item = data.draw(st.integers(0, len(grid) - 1))
    column, row = grid.index([item])[0].tolist()
    x0, y0, x1, y1 = grid.boxes([item])[0].tolist()
    right, down = grid.target_mpp / mpp[0], grid.target_mpp / mpp[1]
    step = grid.tile_px - grid.overlap_px
    assert (x1 - x0, y1 - y0) == pytest.approx((grid.tile_px * right, grid.tile_px * down), 1e-9)
    corner = (grid.origin_x + column * step * right, grid.origin_y + row * step * down)
    if grid.edge == "shift":
        last_x = grid.origin_x + grid.width - grid.tile_px * right
        last_y = grid.origin_y + grid.height - grid.tile_px * down
        corner = (min(corner[0], last_x), min(corner[1], last_y))
    assert (x0, y0) == pytest.approx(corner, abs=1e-6)
    np.testing.assert_allclose(
        grid.affine.inverse.to_place(grid.affine.to_place([row, column])), [row, column], atol=1e-6
    )


def test_no_drift_at_column_10000() -> None:
    grid = slide_grid(0.2498, width=6_000_000, height=600)
    (box,) = grid.boxes([10_000])
    assert box[0] == pytest.approx(10_000 * 256 * 0.5 / 0.2498, rel=1e-15)
    # Steps rounded to 512 px would have lost eight tiles by here.
    assert box[0] - 10_000 * 512 == pytest.approx(4099.28, abs=0.01)


def test_scans_that_others_snap_to_20x_give_three_extents() -> None:
    extents = {float(np.diff(slide_grid(mpp).boxes([0])[0, ::2])[0]) for mpp in (0.30, 0.45, 0.59)}
    assert extents == {256 * (0.5 / mpp) for mpp in (0.30, 0.45, 0.59)}


def test_missing_mpp_is_an_error_and_never_a_default() -> None:
    with pytest.raises(NoMppError, match="does not say its microns per pixel"):
        mpp_of({})
    with pytest.raises(NoMppError, match="does not say"):
        mpp_of({"openslide.mpp-x": "0.25"})
    assert NoMppError.reason == "no mpp"


@pytest.mark.parametrize("said", ["0", "-0.25", "nan", "inf", "352.78", "0,25", ""])
def test_mpp_that_cannot_be_is_an_error(said: str) -> None:
    with pytest.raises(NoMppError, match="--mpp"):
        mpp_of({"openslide.mpp-x": said, "openslide.mpp-y": said})


def test_given_mpp_goes_before_the_slides_own_and_says_so() -> None:
    properties = {"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.26", "aperio.MPP": "0.25"}
    assert mpp_of(properties) == Mpp(0.25, 0.26, "aperio.MPP")
    assert mpp_of(properties, given=0.5) == Mpp(0.5, 0.5, "given")
    assert mpp_of(properties, given=(1, 2)) == Mpp(1.0, 2.0, "given")


def test_source_of_a_ventana_slide_is_its_own_word_not_the_tag_of_its_tiff() -> None:
    shared = {"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.25", "tiff.XResolution": "40000"}
    assert mpp_of(shared).source == "tiff.XResolution"
    assert mpp_of(shared | {"ventana.ScanRes": "0.25"}).source == "ventana.ScanRes"


def test_stored_words_are_x_y_and_column_row_while_arrays_are_row_column() -> None:
    grid = slide_grid(origin_x=100, origin_y=7)
    assert grid.shape == (5, 7)
    item = 1 * 7 + 3  # row 1, column 3
    assert grid.index([item]).tolist() == [[3, 1]]
    assert grid.coords([item]).tolist() == [[100 + 3 * 512, 7 + 512]]
    assert grid.affine.to_place([1, 3]).tolist() == [7 + 512, 100 + 3 * 512]


def test_unequal_mpp_makes_tiles_square_in_microns_not_in_pixels() -> None:
    (box,) = slide_grid((0.25, 0.5)).boxes([0])
    assert box.tolist() == [0.0, 0.0, 512.0, 256.0]


def test_float_noise_does_not_move_a_stored_corner_by_a_pixel() -> None:
    assert 0.3 / 0.1 < 3  # one tile of 256 px begins at 767.9999999999999
    assert slide_grid(0.1, target_mpp=0.3).coords([1]).tolist() == [[768, 0]]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tile_px": 0}, "tile_px must be 1 or more"),
        ({"overlap_px": 256}, "overlap_px within 0..tile_px-1"),
        ({"target_mpp": 0.0}, "target_mpp must be 0.05 to 20"),
        ({"target_mpp": math.nan}, "target_mpp must be 0.05 to 20"),
        ({"width": 0}, "needs a width and height above 0"),
        ({"width": 300, "edge": "shift"}, "use edge='keep'"),
        ({"origin_x": math.inf}, "must be finite"),
    ],
)
def test_grid_that_cannot_be_is_refused_when_it_is_made(
    changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(RefusedInputError, match=sentence):
        slide_grid(**changes)
