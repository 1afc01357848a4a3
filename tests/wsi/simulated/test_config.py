"""A config refuses what it cannot write."""

from typing import Any

import pytest

from medconsist.errors import RefusedInputError
from medconsist.wsi.simulate import SlideConfig


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"width": 10}, "64 or more"),
        ({"tile": 250}, "multiples of 16"),
        ({"mpp": 0.0}, "above 0"),
        ({"mpp": (0.25, 0.5)}, "use layout='tiff'"),
        ({"photometric": "rgb", "subsampling": "420"}, "not subsampled"),
        ({"quality": 0}, "1 to 100"),
        ({"level_step": 3}, "2 or 4"),
        ({"levels": 0}, ">= 1"),
        ({"scanner": "z"}, "allowed: .'a', 'b', 'c'"),
        ({"tissue": 1.5}, "0 to 1"),
        ({"tumour": -0.1}, "0 to 1"),
        ({"faults": ("pen-red",)}, "pen-blue"),
        ({"faults": ("fold", "fold")}, "each fault once"),
        ({"downsample": 0}, "1 or more"),
        ({"seed": -1}, "0 or more"),
    ],
)
def test_a_value_out_of_range_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RefusedInputError, match=sentence):
        SlideConfig(**fields)


@pytest.mark.parametrize(
    ("mpp", "magnification"), [(0.2498, 40), (0.4531, 20), (0.5, 20), (1.0, 10), (None, None)]
)
def test_the_stated_magnification_is_the_nearest_nominal_one(
    mpp: float | None, magnification: int | None
) -> None:
    assert SlideConfig(mpp=mpp).nominal_magnification == magnification


def test_levels_round_down_and_end_at_about_a_thousand_pixels() -> None:
    sizes = SlideConfig(width=46_001, height=32_914).level_sizes
    assert sizes == ((46_001, 32_914), (11_500, 8228), (2875, 2057), (718, 514))


def test_true_tumour_means_thirty_percent() -> None:
    assert SlideConfig(tumour=True).tumour_share == 0.3
