"""Masks and outlines of a simulated slide agree."""

import numpy as np
import pytest
import shapely

from medconsist.wsi.simulate import SlideConfig, slide_truth
from medconsist.wsi.simulated.truth import SlideTruth

CONFIG = SlideConfig(width=1500, height=900, tumour=0.3, faults=("fold", "blank", "pen-blue"))


def test_rings_enclose_the_cells_of_the_mask() -> None:
    truth = slide_truth(CONFIG)
    for kind, mask in truth.masks.items():
        inside = np.zeros(mask.shape, int)
        y, x = (np.indices(mask.shape) + 0.5) * truth.downsample
        for ring in truth.polygons[kind]:
            inside += shapely.contains_xy(shapely.Polygon(ring), x, y)
        assert np.array_equal(inside % 2 == 1, mask)


def test_rings_are_closed_and_in_the_order_x_y() -> None:
    mask = np.zeros((10, 20), bool)
    mask[2:4, 12:18] = True
    config = SlideConfig(width=640, height=320)
    truth = SlideTruth(config, 32, mask, mask & False, {})
    (ring,) = truth.polygons["tissue"]
    assert np.array_equal(ring[0], ring[-1])
    assert ring.min(axis=0) == pytest.approx([12 * 32, 2 * 32])
    assert ring.max(axis=0) == pytest.approx([18 * 32, 4 * 32])


def test_missing_tiles_are_no_tissue_and_hide_other_faults() -> None:
    masks = slide_truth(CONFIG).masks
    assert masks["blank"].any()
    for kind in ("tissue", "tumour", "fold", "pen-blue"):
        assert not (masks["blank"] & masks[kind]).any()


def test_masks_cover_the_last_incomplete_cell() -> None:
    truth = slide_truth(SlideConfig(width=100, height=65))
    assert truth.tissue.shape == (3, 4)
