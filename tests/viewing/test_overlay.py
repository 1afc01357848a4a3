import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medconsist.errors import RefusedInputError
from medconsist.viewing.overlay import (
    COLOURMAPS,
    Scale,
    blend,
    colour_bar,
    colour_table,
    colourise,
)

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOURS = colour_table()[np.arange(12).reshape(3, 4) * 20]
EVERYWHERE = np.ones((3, 4), dtype=bool)


def lightness(colours: np.ndarray) -> np.ndarray:
    """Relative luminance of WCAG 2.2 from sRGB bytes."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("name", COLOURMAPS)
def test_lightness_rises_along_the_whole_map(name: str) -> None:
    assert (np.diff(lightness(colour_table(name))[::5]) > 0).all()


@pytest.mark.parametrize("name", COLOURMAPS)
def test_the_ends_of_the_table_are_the_published_colours(name: str) -> None:
    table = colour_table(name)
    assert table[0].tobytes().hex() == COLOURMAPS[name].split()[0]
    assert table[-1].tobytes().hex() == COLOURMAPS[name].split()[-1]


def test_an_unknown_map_names_the_known_ones() -> None:
    with pytest.raises(RefusedInputError, match="allowed: viridis, cividis"):
        colour_table("jet")


@given(value=st.floats(-10, 10))
def test_a_value_gets_the_colour_of_its_share_of_the_scale(value: float) -> None:
    share = min(max((value + 2) / 8, 0.0), 1.0)
    expected = colour_table()[int(np.floor(255 * share + 0.5))]
    assert (colourise(np.array([[value]]), Scale(-2.0, 6.0))[0, 0] == expected).all()


def test_a_value_that_is_not_finite_has_no_colour() -> None:
    assert (colourise(np.array([[np.nan, np.inf]]), Scale(0.0, 1.0)) == 0).all()


def test_opacity_zero_shows_the_image_alone() -> None:
    shown = blend(GREY, COLOURS, EVERYWHERE, opacity=0.0)
    assert (shown == GREY[..., None]).all()


def test_opacity_one_shows_the_map_alone() -> None:
    assert (blend(GREY, COLOURS, EVERYWHERE, opacity=1.0) == COLOURS).all()


def test_the_image_stays_untouched_where_the_map_is_hidden() -> None:
    half = EVERYWHERE.copy()
    half[:, :2] = False
    shown = blend(GREY, COLOURS, half, opacity=0.7)
    assert (shown[:, :2] == GREY[:, :2, None]).all()
    assert (shown[:, 2:] != GREY[:, 2:, None]).any()


def test_half_opacity_is_the_mean_rounded_half_up() -> None:
    shown = blend(GREY, COLOURS, EVERYWHERE, opacity=0.5)
    expected = (GREY[..., None].astype(int) + COLOURS + 1) // 2
    assert (shown == expected).all()


@pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
def test_opacity_outside_zero_to_one_is_refused(opacity: float) -> None:
    with pytest.raises(RefusedInputError, match="outside the allowed 0 to 1"):
        blend(GREY, COLOURS, EVERYWHERE, opacity=opacity)


def test_the_colour_bar_runs_from_low_left_to_high_right() -> None:
    bar = colour_bar(width=256, height=3)
    assert bar.shape == (3, 256, 3)
    assert (bar == colour_table()[None]).all()


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (0.0, float("inf"))])
def test_a_scale_without_length_is_refused(low: float, high: float) -> None:
    with pytest.raises(RefusedInputError, match="has no length"):
        Scale(low, high)
