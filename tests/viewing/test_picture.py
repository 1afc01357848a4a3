import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from medconsist.errors import RefusedInputError
from medconsist.viewing.picture import encode_png


def decoded(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_a_grey_picture_comes_back_pixel_for_pixel(picture: np.ndarray) -> None:
    assert (decoded(encode_png(picture)) == picture).all()


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(3, 4))))
def test_a_colour_picture_comes_back_pixel_for_pixel(picture: np.ndarray) -> None:
    assert (decoded(encode_png(picture)) == picture).all()


def test_tall_pixels_repeat_rows_and_wide_pixels_repeat_columns() -> None:
    picture = np.array([[0, 100], [200, 250]], dtype=np.uint8)
    assert (decoded(encode_png(picture, pixel_aspect=2.0)) == picture.repeat(2, axis=0)).all()
    assert (decoded(encode_png(picture, pixel_aspect=0.5)) == picture.repeat(2, axis=1)).all()


@given(st.floats(0.2, 5.0))
def test_the_drawn_shape_has_square_pixels_and_no_new_values(aspect: float) -> None:
    picture = np.arange(100, dtype=np.uint8).reshape(10, 10)
    drawn = decoded(encode_png(picture, pixel_aspect=aspect))
    # Half a drawn pixel of rounding on ten pixels.
    assert drawn.shape[0] / drawn.shape[1] == pytest.approx(aspect, rel=0.051)
    assert set(np.unique(drawn)) == set(range(100))


@pytest.mark.parametrize("shape", [(0, 4), (2, 2, 5), (2, 2, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(RefusedInputError, match="cannot be encoded"):
        encode_png(np.zeros(shape, dtype=np.uint8))


@pytest.mark.parametrize("aspect", [0.0, -1.0, float("nan")])
def test_an_aspect_that_is_not_positive_is_refused(aspect: float) -> None:
    with pytest.raises(RefusedInputError, match="not above 0"):
        encode_png(np.zeros((2, 2), dtype=np.uint8), pixel_aspect=aspect)
