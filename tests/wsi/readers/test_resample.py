"""One rule for levels and for tiles at a scale that is not stored."""

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.wsi.readers.resample import choose_level, resample, whole, window
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
