"""One rule for levels and for tiles at a scale that is not stored."""

import numpy as np
import pytest
from PIL import Image

from medconsist.errors import RefusedInputError
from medconsist.wsi.readers.resample import (
    choose_level,
    reduced,
    resample,
    shrink_of,
    whole,
    window,
)
from medconsist.wsi.slide import Level

LEVELS = (Level(46001, 30002), Level(11500, 7500), Level(2875, 1875))


@pytest.mark.parametrize(
    ("scale", "level"), [(0.5, 0), (1.0, 0), (2.0, 0), (3.9, 0), (4.0, 1), (15.9, 1), (40.0, 2)]
)
def test_the_level_is_the_coarsest_that_is_not_coarser(scale: float, level: int) -> None:
    assert choose_level(LEVELS, (scale, scale)) == level


def test_whole_factors_at_whole_corners_are_means_of_pixels() -> None:
    region = np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)
    made = resample(region, (4.0, 8.0, 12.0, 16.0), 4)
    wanted = region[8:16, 4:12].reshape(4, 2, 4, 2, 3).mean(axis=(1, 3))
    assert np.abs(made - wanted).max() <= 1  # two passes, each rounded to 8 bits


def test_factor_one_at_a_whole_corner_is_a_copy() -> None:
    region = np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)
    assert (resample(region, (2.0, 3.0, 10.0, 11.0), 8) == region[3:11, 2:10]).all()


@pytest.mark.parametrize("factor", [0.83, 1.0, 1.0008, 1.37, 2.0, 2.0016])
@pytest.mark.parametrize("shift", [0.25, 0.5, 0.9])
def test_a_ramp_stays_where_it_is(factor: float, shift: float) -> None:
    ramp = np.repeat(np.arange(10, 170, dtype=np.uint8)[None, :, None], 160, axis=0)
    region = np.repeat(ramp, 3, axis=2)
    start, size = 8 + shift, 32
    made = resample(region, (start, start, start + size * factor, start + size * factor), size)
    centre = start + (np.arange(size) + 0.5) * factor - 0.5 + 10
    # rounded to 8 bits; where pixel and kernel centres differ the sampled triangle is off by less
    assert np.abs(made[16, :, 0] - centre).max() <= 0.75


def test_a_box_outside_the_region_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="does not lie within"):
        resample(np.zeros((8, 8, 3), np.uint8), (0.0, 0.0, 9.0, 8.0), 4)


def test_a_window_has_room_for_the_kernel_but_not_beyond_the_image() -> None:
    assert window(100.5, 200.0, 100, 1000) == (97, 207)
    assert window(0.0, 150.0, 100, 1000) == (0, 153)
    assert window(900.5, 100.0, 100, 1000) == (898, 103)
    assert window(-10.5, 100.0, 100, 1000)[0] == -11


def test_whole_forgives_float_noise_only() -> None:
    assert whole(0.499 * 2 / 0.499) == 2
    assert whole(2.00001) is None


@pytest.mark.parametrize("factor", [0.99, 1.0, 1.0008, 1.004, 1.015])
@pytest.mark.parametrize("start", [(0.0, 0.25), (3.5, 2.999), (5.01, 0.0)])
def test_near_one_is_the_triangle_of_pillow(factor: float, start: tuple[float, float]) -> None:
    region = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    x, y = start
    box = (x, y, x + 60 * factor, y + 64 * factor)
    wanted = Image.fromarray(region).resize((60, 64), Image.Resampling.BILINEAR, box=box)
    made = resample(region, box, (64, 60)).astype(int)
    # Pillow's triangle is as wide as the factor (above 1), this one always a pixel; on noise
    assert np.abs(made - np.asarray(wanted)).mean() <= 0.5 + 100 * max(0.0, factor - 1)


def test_near_one_at_the_far_edge_takes_the_last_pixel() -> None:
    region = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    made = resample(region, (0.5, 0.5, 8.5, 8.5), 8)
    wanted = region.astype(float)
    for axis in (0, 1):
        parts = np.take(wanted, range(8), axis), np.take(wanted, range(1, 9), axis)
        wanted = (parts[0] + parts[1]) / 2
    assert np.abs(made - wanted).max() <= 1.0  # two roundings
    narrow = region[:, :1]
    assert resample(narrow, (0.0, 0.0, 1.0, 8.9), (9, 1)).shape == (9, 1, 3)


def test_near_one_is_the_light_on_the_area_of_a_pixel() -> None:
    rng = np.random.default_rng(1)
    region = np.asarray(
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).resize((160, 160))
    )
    factor, start = 1.0016, 2.4
    sums = np.concatenate([np.zeros((1, 160, 3)), region.astype(float).cumsum(0)])
    edges = start + factor * np.arange(129)
    at = np.floor(edges).astype(int)
    share = (edges - at)[:, None, None]
    until = sums[at] * (1 - share) + sums[at + 1] * share
    wanted = np.diff(until, axis=0) / factor
    made = resample(region, (8.0, start, 136.0, start + 128 * factor), 128)
    assert np.abs(made - wanted[:, 8:136]).mean() <= 0.5


@pytest.mark.parametrize(
    ("factor", "shrink"), [(0.7, 1), (1.9, 1), (2.0, 1), (2.0016, 2), (3.0, 1), (9.5, 8)]
)
def test_only_factors_that_are_not_whole_are_reduced_first(factor: float, shrink: int) -> None:
    assert shrink_of((factor, factor)) == shrink
    assert shrink_of((factor, 30.5)) == (1 if factor < 2 else max(n for n in (2, 8) if n <= factor))


def test_reduced_is_the_mean_of_pixels() -> None:
    region = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    wanted = region.reshape(4, 2, 6, 2, 3).mean(axis=(1, 3))
    assert np.abs(reduced(region, 2) - wanted).max() <= 0.5
    assert reduced(region, 1) is region
