"""The map between index and place: exact, invertible, composable, and refused when it is none."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.tiling.affine import Affine

PLACES = st.floats(-1e6, 1e6)
SCALES = st.floats(1e-3, 1e4) | st.floats(-1e4, -1e-3)
INDICES = st.lists(st.floats(-1e5, 1e5), min_size=2, max_size=2)
# Built in the test: beartype draws random samples, which hypothesis forbids within a strategy.
MAPS = st.tuples(st.tuples(PLACES, PLACES), st.tuples(SCALES, SCALES))
Pair = tuple[float, float]
EPS = np.finfo(np.float64).eps


@given(MAPS, INDICES)
def test_place_of_an_index_leads_back_to_the_index(
    numbers: tuple[Pair, Pair], index: list[float]
) -> None:
    affine = Affine(*numbers)
    place = affine.to_place(index)
    # Two roundings of numbers of this size, seen through the scale.
    allowed = 4 * EPS * (np.abs(affine.offset) + np.abs(place) + 1) / np.abs(affine.scale)
    assert (np.abs(affine.to_index(place) - index) <= allowed + 4 * EPS * np.abs(index)).all()


@given(MAPS, INDICES)
def test_inverse_is_to_index(numbers: tuple[Pair, Pair], place: list[float]) -> None:
    affine = Affine(*numbers)
    np.testing.assert_allclose(
        affine.inverse.to_place(place), affine.to_index(place), rtol=1e-9, atol=1e-5
    )


@given(MAPS, MAPS, INDICES)
def test_then_is_one_after_the_other(
    first: tuple[Pair, Pair], second: tuple[Pair, Pair], index: list[float]
) -> None:
    inner, outer = Affine(*first), Affine(*second)
    joined = inner.then(outer).to_place(index)
    np.testing.assert_allclose(joined, outer.to_place(inner.to_place(index)), rtol=1e-9, atol=1e-3)


def test_axes_do_not_mix() -> None:
    affine = Affine(offset=(100.0, 7.0), scale=(10.0, 3.0))
    assert affine.to_place([2, 5]).tolist() == [120.0, 22.0]
    assert affine.to_index([[120.0, 22.0], [100.0, 7.0]]).tolist() == [[2.0, 5.0], [0.0, 0.0]]


@pytest.mark.parametrize(("offset", "scale"), [((0.0,), (1.0, 1.0)), ((), ())])
def test_offset_and_scale_need_the_same_axes(
    offset: tuple[float, ...], scale: tuple[float, ...]
) -> None:
    with pytest.raises(ShapeError, match="one entry for each axis"):
        Affine(offset=offset, scale=scale)


@pytest.mark.parametrize("scale", [0.0, math.nan, math.inf])
def test_scale_that_cannot_be_inverted_is_refused(scale: float) -> None:
    with pytest.raises(RefusedInputError, match="must be finite, no scale 0"):
        Affine(offset=(0.0,), scale=(scale,))


def test_points_and_maps_of_other_dimension_are_refused() -> None:
    affine = Affine(offset=(0.0, 0.0), scale=(1.0, 1.0))
    with pytest.raises(ShapeError, match=r"points of 2 axes are needed, got the shape \(3,\)"):
        affine.to_place([1, 2, 3])
    with pytest.raises(ShapeError, match="2 axes cannot be followed by 1"):
        affine.then(Affine(offset=(0.0,), scale=(1.0,)))
