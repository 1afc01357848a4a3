"""Shares of tiles against sums over fine pixels, and the choice of tiles."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.tiling.affine import Affine
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.settings import Embedding
from medconsist.wsi.tile_grid import TileGrid
from medconsist.wsi.tissue.quality import FLAGS
from medconsist.wsi.tissue.tiles import mask_shares, tissue_tiles

MPP = Mpp(0.5, 0.5, "given")


def grid_of(width: int, height: int, **options: object) -> TileGrid:
    plain = {"mpp": MPP, "target_mpp": 0.5, "tile_px": 64}
    return TileGrid(width=width, height=height, **{**plain, **options})  # type: ignore[arg-type]  # a test's short cut


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    tile=st.integers(3, 40),
    scale=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    offset=st.tuples(st.integers(-30, 30), st.integers(-30, 30)),
)
def test_shares_equal_sums_over_level_0(
    seed: int, tile: int, scale: tuple[int, int], offset: tuple[int, int]
) -> None:
    mask = np.random.default_rng(seed).random((13, 17)) > 0.4
    grid = grid_of(120, 90, tile_px=tile, edge="keep")
    affine = Affine(tuple(map(float, offset)), tuple(map(float, scale)))
    fine = np.zeros((400, 400), bool)
    painted = mask.repeat(scale[0], 0).repeat(scale[1], 1)
    fine[100 + offset[0] :, 100 + offset[1] :][: len(painted), : painted.shape[1]] = painted
    expected = [
        fine[100 + int(y0) : 100 + int(y1), 100 + int(x0) : 100 + int(x1)].mean()
        for x0, y0, x1, y1 in grid.boxes(range(len(grid)))
    ]
    assert mask_shares(grid, mask, affine) == pytest.approx(expected, abs=1e-12)


def test_fractions_of_pixels_count_by_area() -> None:
    mask = np.array([[True, False]])
    grid = TileGrid(width=30, height=10, mpp=MPP, target_mpp=0.75, tile_px=10)
    # a tile of 15 px: 10 of tissue and 5 without, over 10 of 15 rows
    kept = TileGrid(width=30, height=10, mpp=MPP, target_mpp=0.75, tile_px=10, edge="keep")
    assert len(grid) == 0
    shares = mask_shares(kept, mask, Affine((0.0, 0.0), (10.0, 10.0)))
    assert shares == pytest.approx([10 * 10 / 225, 0.0])


def test_whole_and_empty_tiles_are_one_and_zero_exactly() -> None:
    mask = np.zeros((10, 20), bool)
    mask[:, :10] = True
    shares = mask_shares(grid_of(1280, 640), mask, Affine((0.0, 0.0), (64.0, 64.0)))
    assert set(shares.tolist()) == {0.0, 1.0}


def test_excluded_flags_take_their_area_away() -> None:
    mask, pen = np.ones((1, 4), bool), np.array([[False, True, False, False]])
    grid, affine = grid_of(256, 64), Affine((0.0, 0.0), (64.0, 64.0))
    choice = tissue_tiles(grid, mask, affine, min_tissue=0.5, flags={"pen": pen})
    assert choice.items.tolist() == [0, 2, 3]
    assert choice.items.dtype == np.int64
    assert choice.shares["pen"].tolist() == [0, 1, 0, 0]
    assert choice.table()["usable"].tolist() == [1, 1, 1]
    every = tissue_tiles(grid, mask, affine, flags={"pen": pen}, exclude=())
    assert every.items.tolist() == [0, 1, 2, 3]


def test_ink_alone_is_left_out_unless_more_is_asked_for_as_embed_does() -> None:
    mask, affine = np.ones((1, 5), bool), Affine((0.0, 0.0), (64.0, 64.0))
    flags = {name: np.arange(5)[None] == at for at, name in enumerate(FLAGS)}
    choice = tissue_tiles(grid_of(320, 64), mask, affine, flags=flags)
    assert choice.items.tolist() == [at for at in range(5) if at != FLAGS.index("pen")]
    asked = tissue_tiles(grid_of(320, 64), mask, affine, flags=flags, exclude=FLAGS)
    assert asked.items.tolist() == [4]
    same = tissue_tiles(grid_of(320, 64), mask, affine, flags=flags, exclude=Embedding().leave_out)
    assert same.items.tolist() == choice.items.tolist()


def test_a_least_share_of_zero_still_leaves_empty_tiles_out() -> None:
    mask = np.array([[True, False]])
    choice = tissue_tiles(grid_of(128, 64), mask, Affine((0.0, 0.0), (64.0, 64.0)), min_tissue=0)
    assert choice.items.tolist() == [0]


def test_a_flag_of_another_grid_and_a_share_above_one_are_refused() -> None:
    mask, affine = np.ones((2, 2), bool), Affine((0.0, 0.0), (64.0, 64.0))
    with pytest.raises(ShapeError, match="the flag 'pen' has the shape"):
        tissue_tiles(grid_of(128, 128), mask, affine, flags={"pen": np.ones((3, 3), bool)})
    with pytest.raises(RefusedInputError, match="min_tissue is a share"):
        tissue_tiles(grid_of(128, 128), mask, affine, min_tissue=1.5)


def test_a_hundred_thousand_tiles_take_less_than_half_a_core_second() -> None:
    mask = np.random.default_rng(0).random((1280, 1280)) > 0.5
    grid = TileGrid(width=81920, height=81920, mpp=MPP, target_mpp=0.5, tile_px=256)
    begin = time.process_time()
    shares = mask_shares(grid, mask, Affine((0.0, 0.0), (64.0, 64.0)))
    assert len(shares) == 102_400
    assert time.process_time() - begin < 0.5
