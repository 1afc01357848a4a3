"""The overview: levels, blocks, and the exact place of its pixels."""

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.tiling.affine import Affine
from medconsist.tiling.source import Source
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.slide import Level, Slide, SlideFacts
from medconsist.wsi.tile_grid import TileGrid
from medconsist.wsi.tissue import overview as module
from medconsist.wsi.tissue.overview import Overview, area_reduced, overview


class InMemory(Slide):
    """Levels held as arrays; records the largest rectangle that was read."""

    engine = "memory"

    def __init__(self, *levels: np.ndarray) -> None:
        sizes = tuple(Level(level.shape[1], level.shape[0]) for level in levels)
        self.facts = SlideFacts(path=Path("memory"), vendor="none", levels=sizes)
        self.levels = levels
        self.reads: list[tuple[int, int, int]] = []

    def read_region(self, level: int, x: int, y: int, width: int, height: int) -> np.ndarray:
        self.reads.append((level, width, height))
        return self.levels[level][y : y + height, x : x + width]

    def tiles(self, grid: TileGrid, items: Sequence[int] | np.ndarray) -> Source:
        raise NotImplementedError

    def close(self) -> None:
        pass


def noise(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (rows, columns, 3)).astype(np.uint8)


def test_blocks_give_the_same_means_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    slide = InMemory(noise(211, 333))
    whole = overview(slide, mpp=Mpp(0.5, 0.5, "given"), target_mpp=4)
    monkeypatch.setattr(module, "_BLOCK_PX", 50)
    blocks = overview(slide, mpp=Mpp(0.5, 0.5, "given"), target_mpp=4)
    assert np.array_equal(whole.picture, blocks.picture)
    assert max(max(read[1:]) for read in slide.reads[1:]) <= 50
    assert whole.picture.shape == (27, 42, 3)
    assert whole.pixel_um == (4.0, 4.0)


def test_a_block_takes_a_few_times_its_own_bytes() -> None:
    picture = noise(1024, 1024)
    tracemalloc.start()
    area_reduced(picture, (2, 2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # sums of 4 bytes for half of the values, then for a quarter, and copies of these: 5 times;
    # with 8 bytes it was 12
    assert peak < 6 * picture.nbytes


def test_means_over_more_than_two_to_the_24_pixels_do_not_overflow() -> None:
    white = np.broadcast_to(np.uint8(255), (4100, 4100, 3))
    assert (area_reduced(white, (4100, 4100)) == 255).all()
    assert (area_reduced(white, (4095, 4096)) == 255).all()


def test_means_equal_a_plain_loop() -> None:
    picture = noise(7, 5)
    reduced = area_reduced(picture, (3, 2))
    for row, column in np.ndindex(3, 3):
        block = picture[row * 3 : row * 3 + 3, column * 2 : column * 2 + 2].reshape(-1, 3)
        assert np.array_equal(reduced[row, column], np.floor(block.mean(0) + 0.5))


def test_pixels_that_are_not_square_are_reduced_to_near_squares() -> None:
    small = overview(InMemory(noise(64, 64)), mpp=Mpp(1.0, 0.5, "given"), target_mpp=8)
    assert small.affine.scale == (16.0, 8.0)
    assert small.pixel_um == (8.0, 8.0)


def test_the_lowest_useful_level_is_read() -> None:
    slide = InMemory(noise(641, 640), noise(160, 160), noise(40, 40), noise(10, 10))
    small = overview(slide, mpp=Mpp(0.5, 0.5, "given"), target_mpp=8)
    assert [read[0] for read in slide.reads] == [2]
    # the ratio of the dimensions, not the rounded downsample
    assert small.affine.scale == (641 / 40, 16.0)


def test_a_target_must_be_above_zero() -> None:
    with pytest.raises(RefusedInputError, match="target_mpp must be finite and above 0, got 0"):
        overview(InMemory(noise(8, 8)), mpp=Mpp(0.5, 0.5, "given"), target_mpp=0)


def test_an_empty_picture_and_a_mirroring_affine_are_refused() -> None:
    mpp = Mpp(0.5, 0.5, "given")
    with pytest.raises(ShapeError, match="one pixel or more"):
        Overview(picture=noise(0, 4), affine=Affine((0.0, 0.0), (8.0, 8.0)), mpp=mpp)
    with pytest.raises(RefusedInputError, match="above 0 along both axes"):
        Overview(picture=noise(4, 4), affine=Affine((0.0, 0.0), (-8.0, 8.0)), mpp=mpp)
