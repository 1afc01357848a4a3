import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medconsist.errors import RefusedInputError
from medconsist.viewing.windowing import (
    PRESETS,
    Window,
    magnitude,
    percentile_window,
    to_uint8,
    white_level,
)

values = arrays(np.float64, (3, 4), elements=st.floats(-1e6, 1e6))
windows = st.builds(Window, st.floats(-1e5, 1e5), st.floats(1e-3, 1e6))


def grey_by_hand(value: float, window: Window) -> int:
    """DICOM PS3.3 C.11.2.1.3.2 (LINEAR_EXACT), one value at a time."""
    if value <= window.level - window.width / 2:
        return 0
    if value > window.level + window.width / 2:
        return 255
    exact = ((value - window.level) / window.width + 0.5) * 255
    return int(np.floor(exact + 0.5))


@given(image=values, window=windows)
def test_grey_follows_the_dicom_formula(image: np.ndarray, window: Window) -> None:
    by_hand = [[grey_by_hand(float(v), window) for v in row] for row in image]
    # One level: the two orders of operations may fall on either side of a half.
    assert np.abs(to_uint8(image, window).astype(int) - by_hand).max() <= 1


@given(image=values, window=windows)
def test_inverting_mirrors_the_greys(image: np.ndarray, window: Window) -> None:
    total = to_uint8(image, window).astype(int) + to_uint8(image, window, invert=True)
    assert (total == 255).all()


@given(image=values, window=windows)
def test_a_brighter_value_is_never_drawn_darker(image: np.ndarray, window: Window) -> None:
    greys = to_uint8(np.sort(image, axis=None)[None], window).astype(int)
    assert (np.diff(greys) >= 0).all()


def test_the_ends_of_the_window_are_black_and_white() -> None:
    image = np.array([[10.0, 20.0, 30.0]])
    assert to_uint8(image, Window(level=20.0, width=20.0)).tolist() == [[0, 128, 255]]


def test_one_window_serves_every_pane() -> None:
    dark, bright = np.linspace(0, 1, 101), np.linspace(0, 100, 101)
    shared = percentile_window([dark, bright], percentiles=(0.0, 100.0))
    assert (shared.low, shared.high) == (0.0, 100.0)


def test_auto_window_ignores_one_hot_pixel_in_a_thousand() -> None:
    image = np.append(np.linspace(0, 1, 1000), 1e9)
    assert percentile_window([image]).high < 1.0


def test_auto_window_scales_with_the_image() -> None:
    image = np.linspace(0.0, 3.0, 50)
    small, large = percentile_window([image]), percentile_window([1000 * image])
    # Interpolating a percentile rounds to a few float64 steps.
    assert large.level == pytest.approx(1000 * small.level, rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 7.0, -2.0])
def test_a_constant_image_is_mid_grey(value: float) -> None:
    image = np.full((2, 2), value)
    assert (to_uint8(image, percentile_window([image])) == 128).all()


def test_every_preset_is_a_rising_pair_of_percentiles() -> None:
    assert all(0 <= low < high <= 100 for low, high in PRESETS.values())
    assert PRESETS["Auto"] == (1.0, 99.0)


def test_the_white_level_of_nothing_is_one() -> None:
    assert white_level([np.zeros((2, 2))]) == 1.0


def test_magnitude_of_a_complex_image_is_its_modulus_in_its_precision() -> None:
    image = np.array([[3 + 4j]], dtype=np.complex64)
    assert magnitude(image).tolist() == [[5.0]]
    assert magnitude(image).dtype == np.float32


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan"), float("inf")])
def test_a_window_without_width_is_refused(width: float) -> None:
    with pytest.raises(RefusedInputError, match="width above 0"):
        Window(level=0.0, width=width)


def test_a_pixel_that_is_not_finite_is_refused_and_counted() -> None:
    with pytest.raises(RefusedInputError, match="1 of 2 pixels are not finite"):
        to_uint8(np.array([[np.nan, 1.0]]), Window(0.0, 1.0))


@pytest.mark.parametrize("images", [[], [np.array([np.nan])]])
def test_no_window_is_made_of_nothing(images: list[np.ndarray]) -> None:
    with pytest.raises(RefusedInputError, match="no finite value"):
        percentile_window(images)
