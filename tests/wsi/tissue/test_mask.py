"""The mask: padding, turning, areas, and what is no tissue."""

import io

import numpy as np
import pytest

from medconsist.errors import NoTissueError
from medconsist.tiling.affine import Affine
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.tissue.mask import MaskConfig, require_tissue, tissue_mask
from medconsist.wsi.tissue.overview import Overview
from tests.wsi.tissue.drawn import glass, overview_of, with_box

BOX = (20, 30, 70, 130)


def test_area_of_a_known_rectangle_is_exact() -> None:
    found = tissue_mask(overview_of(with_box(glass(), BOX)))
    assert found.mask.sum() == 50 * 100
    assert found.mask[20:70, 30:130].all()
    assert found.area_mm2 == pytest.approx(50 * 100 * 0.008**2, rel=1e-12)


def test_area_uses_the_height_and_the_width_of_pixels() -> None:
    found = tissue_mask(overview_of(with_box(glass(), BOX), mpp=(0.5, 0.25)))
    assert found.area_mm2 == pytest.approx(50 * 0.004 * 100 * 0.008, rel=1e-12)


@pytest.mark.parametrize("margin", [1, 7, 40])
def test_padding_with_white_changes_nothing(margin: int) -> None:
    picture = with_box(with_box(glass(), BOX), (0, 140, 60, 160), (235, 205, 222))
    wide = np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), constant_values=255)
    padded = tissue_mask(overview_of(wide)).mask
    alone = tissue_mask(overview_of(picture)).mask
    assert np.array_equal(padded[margin:-margin, margin:-margin], alone)
    assert padded.sum() == alone.sum()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turning_the_picture_turns_the_mask(turns: int) -> None:
    picture = with_box(with_box(glass(), BOX), (90, 10, 110, 60), (120, 80, 150))
    turned = tissue_mask(overview_of(np.rot90(picture, turns).copy())).mask
    assert np.array_equal(turned, np.rot90(tissue_mask(overview_of(picture)).mask, turns))


def test_a_small_hole_is_filled_and_a_large_one_stays() -> None:
    small, large = (40, 50, 50, 60), (30, 80, 60, 120)
    picture = with_box(glass(), BOX)
    for hole in (small, large):
        picture[hole[0] : hole[2], hole[1] : hole[3]] = glass()[
            hole[0] : hole[2], hole[1] : hole[3]
        ]
    mask = tissue_mask(overview_of(picture)).mask
    assert mask[45, 55]
    assert not mask[45, 100]


def test_a_bay_that_reaches_the_border_is_no_hole() -> None:
    picture = with_box(glass(40, 60), (0, 0, 40, 60))
    picture[:10, 20:30] = glass(10, 10)
    mask = tissue_mask(overview_of(picture)).mask
    assert not mask[:8, 21:29].any()


def test_dirt_below_the_least_size_is_no_tissue() -> None:
    picture = with_box(glass(), (10, 10, 20, 20))  # 0.0064 mm^2
    assert not tissue_mask(overview_of(picture)).mask.any()
    config = MaskConfig(min_object_mm2=0.006)
    assert tissue_mask(overview_of(picture), config=config).mask.sum() == 100


@pytest.mark.parametrize("value", [255, 254, 245, 0])
def test_one_even_colour_of_glass_or_none_has_no_tissue(value: int) -> None:
    overview = overview_of(np.full((60, 80, 3), value, np.uint8))
    found = tissue_mask(overview)
    with pytest.raises(NoTissueError, match=r"no tissue was found.*80 x 60 px"):
        require_tissue(overview, found)


def test_noisy_glass_raises_no_tissue_with_a_picture() -> None:
    from PIL import Image

    overview = overview_of(glass())
    with pytest.raises(NoTissueError, match="Look at the picture") as caught:
        require_tissue(overview, tissue_mask(overview))
    assert caught.value.reason == "no tissue"
    assert Image.open(io.BytesIO(caught.value.picture)).size == (1024, 768)


def test_a_picture_full_of_tissue_is_all_tissue() -> None:
    noise = np.random.default_rng(0).normal(0, 6, (50, 70, 3))
    picture = (np.array((205, 130, 180)) + noise).round().clip(0, 255).astype(np.uint8)
    assert tissue_mask(overview_of(picture)).mask.all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2)])
def test_tiny_pictures_pass_through(shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), (222, 140, 190), np.uint8)
    assert not tissue_mask(overview_of(picture)).mask.any()
    kept = MaskConfig(min_object_mm2=0.0)
    assert tissue_mask(overview_of(picture), config=kept).mask.all()


def test_lit_tissue_in_the_dark_is_found_and_the_dark_is_not() -> None:
    dark = np.random.default_rng(0).integers(4, 12, (120, 160, 3)).astype(np.uint8)
    picture = with_box(dark, (30, 40, 90, 120), (10, 20, 150))
    found = tissue_mask(overview_of(picture))
    assert found.stain.kind == "fluorescence"
    # smoothing over 24 um (3 px) moves the border by a few pixels
    assert found.mask[32:88, 42:118].all()
    assert not found.mask[:18].any()
    assert not tissue_mask(overview_of(dark)).mask.any()


@pytest.mark.parametrize("offset", [0.0, 100.5])
def test_the_offset_of_the_affine_leaves_the_mask_alone(offset: float) -> None:
    picture = with_box(glass(), BOX)
    moved = Overview(
        picture=picture, affine=Affine((offset, -offset), (16.0, 16.0)), mpp=Mpp(0.5, 0.5, "given")
    )
    assert np.array_equal(tissue_mask(moved).mask, tissue_mask(overview_of(picture)).mask)
