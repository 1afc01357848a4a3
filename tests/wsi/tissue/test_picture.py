"""The picture: size, outline, flags and scale bar."""

import io

import numpy as np
import pytest

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.wsi.tissue.picture import FLAG_COLOURS, tissue_picture
from tests.wsi.tissue.drawn import glass, overview_of, with_box


def opened(png: bytes) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png)))


def test_the_outline_and_the_flags_are_drawn_where_they_lie() -> None:
    picture = with_box(glass(), (20, 30, 70, 130))
    mask, pen = np.zeros((2, 120, 160), bool)
    mask[20:70, 30:130] = True
    pen[90:110, 10:50] = True
    drawn = opened(tissue_picture(picture, mask=mask, flags={"pen": pen}, longest_side=160))
    assert drawn.shape == (120, 160, 3)
    assert drawn[20, 80].tolist() == [0, 150, 60]
    assert drawn[45, 80].tolist() == [222, 140, 190]
    expected = (np.array(picture[100, 30]) + FLAG_COLOURS["pen"]) // 2
    assert np.abs(drawn[100, 30] - expected).max() <= 1


def test_a_bar_is_drawn_only_where_microns_are_known() -> None:
    picture, mask = glass(), np.zeros((120, 160), bool)
    with_bar = opened(tissue_picture(overview_of(picture), mask=mask))
    bare = opened(tissue_picture(picture, mask=mask))
    black = (with_bar == 0).all(-1)
    # 1280 um over 1024 px: the longest round length within a quarter is 200 um, 160 px
    assert black.sum(1).max() == 160
    assert not (bare == 0).all(-1).any()


def test_pixels_that_are_not_square_are_stretched() -> None:
    overview = overview_of(glass(), mpp=(0.5, 0.25))
    assert opened(tissue_picture(overview, mask=np.zeros((120, 160), bool))).shape == (384, 1024, 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (3000, 2)])
def test_odd_shapes_are_drawn(shape: tuple[int, int]) -> None:
    overview = overview_of(glass(*shape))
    assert max(opened(tissue_picture(overview, mask=np.ones(shape, bool))).shape) == 1024


def test_a_mask_of_another_grid_and_a_tiny_picture_are_refused() -> None:
    with pytest.raises(ShapeError, match="mask has the shape"):
        tissue_picture(glass(), mask=np.zeros((3, 3), bool))
    with pytest.raises(RefusedInputError, match="longest_side must be 16 px or more"):
        tissue_picture(glass(), mask=np.zeros((120, 160), bool), longest_side=3)
