"""A very large slide of few tiles is a sound slide."""

from pathlib import Path

import numpy as np
import openslide
import pytest

from medconsist.errors import RefusedInputError
from medconsist.wsi.simulate import RepeatedTruth, SlideConfig, write_repeated_slide

# Divisible by 4^3, so that OpenSlide reads levels without interpolating.
SIZE = (20_544, 15_424)
CONFIG = SlideConfig(tile=64, tissue=0.7, tumour=0.3, levels=4, quality=95, subsampling="444")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RepeatedTruth]:
    path = tmp_path_factory.mktemp("large") / "large.svs"
    return path, write_repeated_slide(path, width=SIZE[0], height=SIZE[1], config=CONFIG)


def test_the_file_is_small_and_openslide_reads_all_levels(
    large: tuple[Path, RepeatedTruth],
) -> None:
    path, truth = large
    assert path.stat().st_size < 3_000_000
    with openslide.OpenSlide(path) as slide:
        assert slide.properties["openslide.vendor"] == "aperio"
        assert slide.level_dimensions == truth.config.level_sizes
        assert slide.level_dimensions[-1] == (321, 241)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_every_level_averages_the_drawing(level: int, large: tuple[Path, RepeatedTruth]) -> None:
    path, truth = large
    scale, side = 4**level, 100
    with openslide.OpenSlide(path) as slide:
        width, height = slide.level_dimensions[level]
        for y, x in ((0, 0), (height // 2 + 3, width // 3), (height - side, width - side)):
            seen = slide.read_region((x * scale, y * scale), level, (side, side))
            wanted = truth.pixels(y * scale, x * scale, height=side * scale, width=side * scale)
            mean = wanted.reshape(side, scale, side, scale, 3).mean(axis=(1, 3))
            difference = np.asarray(seen)[..., :3] - mean
            aside = np.asarray(seen)[:, 1:, :3] - mean[:, :-1]
            # JPEG at quality 95 and camera noise against a shift by one pixel.
            assert np.abs(difference).mean() < 0.7 * np.abs(aside).mean()
            # A mean of 16 values that is rounded up at the half, twice.
            assert abs(difference.mean()) < 0.15


def test_a_tile_shows_the_patch_tile_that_the_truth_names(
    large: tuple[Path, RepeatedTruth],
) -> None:
    path, truth = large
    with openslide.OpenSlide(path) as slide:
        for column, row in ((0, 0), (123, 45), (299, 230)):
            from_column, from_row = truth.tile_at(column, row)
            tile, original = (
                np.asarray(slide.read_region((64 * x, 64 * y), 0, (64, 64)))
                for x, y in ((column, row), (from_column, from_row))
            )
            assert np.array_equal(tile, original)


def test_too_many_levels_for_the_patch_are_refused(tmp_path: Path) -> None:
    config = SlideConfig(tile=16, levels=4)
    with pytest.raises(RefusedInputError, match="use levels=3 or a larger tile"):
        write_repeated_slide(tmp_path / "slide.svs", width=20_000, height=20_000, config=config)
