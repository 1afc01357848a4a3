"""Another engine is believed only where its pixels are OpenSlide's."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openslide
import pytest

from medconsist.errors import CorruptInputError
from medconsist.tiling.grid import Items
from medconsist.tiling.source import Source
from medconsist.wsi.readers.level_tiles import LevelTiles
from medconsist.wsi.readers.openslide_reader import OpenSlideSlide
from medconsist.wsi.readers.self_check import difference, sampled_boxes
from medconsist.wsi.slide import Slide
from medconsist.wsi.tile_grid import TileGrid


class Altered(Slide):
    """An engine that is wrong by 1 in one pixel of a level, or fails there."""

    engine = "altered"

    def __init__(
        self, reference: OpenSlideSlide, *, level: int | None, fails: bool = False
    ) -> None:
        self.facts, self._reference, self._level = reference.facts, reference, level
        self._fails = fails

    def read_region(
        self, level: int, x: int, y: int, width: int, height: int
    ) -> npt.NDArray[np.uint8]:
        region = self._reference.read_region(level, x, y, width, height).copy()
        if level == self._level:
            if self._fails:
                msg = "stream cut"
                raise CorruptInputError(msg)
            region[-1, -1, 1] ^= 1
        return region

    def tiles(self, grid: TileGrid, items: Items) -> Source:
        return LevelTiles(self, grid, items)

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture(params=["svs", "tiff", "noise"])
def reference(request: pytest.FixtureRequest, small_slides: dict[str, Path]) -> Iterator[Slide]:
    with OpenSlideSlide(small_slides[request.param]) as slide:
        yield slide


def test_equal_pixels_are_no_difference(reference: OpenSlideSlide) -> None:
    assert difference(Altered(reference, level=None), reference) is None


def test_one_pixel_off_by_one_is_found_on_every_level(reference: OpenSlideSlide) -> None:
    for level in range(len(reference.facts.levels)):
        why = difference(Altered(reference, level=level), reference)
        assert why is not None
        assert f"on level {level}" in why
        assert "by up to 1 of 255" in why


def test_an_engine_that_fails_where_openslide_reads_differs(reference: OpenSlideSlide) -> None:
    why = difference(Altered(reference, level=0, fails=True), reference)
    assert why == "on level 0 at 0, 0: stream cut"


def test_first_and_last_tiles_of_every_level_are_sampled(small_slides: dict[str, Path]) -> None:
    slide = OpenSlideSlide(small_slides["svs"])
    boxes = sampled_boxes(slide)
    slide.close()
    assert (0, (0, 0, 64, 64)) in boxes
    assert (0, (256, 192, 64, 64)) in boxes
    assert {level for level, _ in boxes} == {0, 1}
    assert len(boxes) <= 10


def test_the_sample_is_the_same_at_every_open(reference: OpenSlideSlide) -> None:
    again = OpenSlideSlide(reference.facts.path)
    assert sampled_boxes(again) == sampled_boxes(reference)
    again.close()


def test_every_sampled_place_is_read_without_interpolation(reference: OpenSlideSlide) -> None:
    with openslide.OpenSlide(reference.facts.path) as handle:
        for level, (x, y, width, height) in sampled_boxes(reference):
            size = handle.level_dimensions[level]
            whole = np.asarray(handle.read_region((0, 0), level, size).convert("RGB"))
            part = whole[y : y + height, x : x + width]
            np.testing.assert_array_equal(reference.read_region(level, x, y, width, height), part)
