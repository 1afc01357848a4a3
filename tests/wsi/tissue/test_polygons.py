"""Outlines along the edges of pixels."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from medconsist.tiling.affine import Affine
from medconsist.wsi.tissue.polygons import tissue_polygons

ONE = Affine((0.0, 0.0), (1.0, 1.0))


def test_a_square_with_a_hole_has_the_corners_of_its_pixels() -> None:
    mask = np.zeros((10, 12), bool)
    mask[1:9, 2:11] = True
    mask[3:5, 4:8] = False
    (polygon,) = tissue_polygons(mask, Affine((100.0, 1000.0), (16.0, 8.0)))
    assert polygon.bounds == (1016.0, 116.0, 1088.0, 244.0)
    (hole,) = polygon.interiors
    assert hole.bounds == (1032.0, 148.0, 1064.0, 180.0)
    assert len(polygon.exterior.coords) == 5
    assert polygon.area == pytest.approx((8 * 9 - 2 * 4) * 16 * 8)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.1, 0.5, 0.8]))
def test_areas_are_exact_and_polygons_valid(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((14, 11)) < share
    polygons = tissue_polygons(mask, ONE)
    assert sum(polygon.area for polygon in polygons) == pytest.approx(float(mask.sum()))
    assert all(polygon.is_valid for polygon in polygons)
    rows, columns = np.indices(mask.shape)
    inside = np.zeros(mask.shape, bool)
    for polygon in polygons:
        inside |= shapely.contains_xy(polygon, columns + 0.5, rows + 0.5)
    assert np.array_equal(inside, mask)


def test_no_tissue_has_no_polygons() -> None:
    assert tissue_polygons(np.zeros((4, 4), bool), ONE) == []
