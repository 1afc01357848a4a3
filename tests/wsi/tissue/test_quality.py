"""Flags on faults that are drawn by hand."""

import numpy as np
import pytest
from scipy import ndimage

from medconsist.wsi.tile_grid import TileGrid
from medconsist.wsi.tissue.blank import blank_mask
from medconsist.wsi.tissue.blur import sharpness
from medconsist.wsi.tissue.mask import tissue_mask
from medconsist.wsi.tissue.pen import pen_mask
from medconsist.wsi.tissue.quality import quality_flags
from tests.wsi.tissue.drawn import PINK, glass, overview_of, with_box

TISSUE = (10, 10, 110, 150)
INKS = {
    "blue": (25, 45, 180),
    "green": (30, 140, 60),
    "black": (20, 20, 22),
    "red": (215, 30, 40),
}


@pytest.mark.parametrize("ink", INKS)
def test_a_stroke_of_ink_is_marked_and_tissue_is_not(ink: str) -> None:
    picture = with_box(with_box(glass(), TISSUE), (0, 70, 120, 82), INKS[ink])
    pen = pen_mask(overview_of(picture))
    assert pen[:, 70:82].mean() > 0.95
    assert not pen[:, :66].any()
    assert not pen[:, 86:].any()


@pytest.mark.parametrize("colour", [PINK, (90, 60, 130), (140, 90, 50), (60, 40, 90)])
def test_stains_are_no_ink(colour: tuple[int, int, int]) -> None:
    assert not pen_mask(overview_of(with_box(glass(), TISSUE, colour))).any()


def test_a_dark_band_over_tissue_is_a_fold_and_a_dark_disc_is_none() -> None:
    noise = np.random.default_rng(0).normal(0, 3, (200, 260, 3))
    picture = with_box(glass(200, 260), (10, 10, 190, 250)).astype(float)
    picture[98:103, 60:200] = (200, 82, 146)  # twice the density
    rows, columns = np.indices((200, 260))
    picture[np.hypot(rows - 50, columns - 60) < 15] = (200, 82, 146)
    overview = overview_of((picture + noise).round().clip(0, 254).astype(np.uint8))
    fold = quality_flags(overview, tissue_mask(overview)).masks["fold"]
    assert fold[98:103, 65:195].mean() > 0.8
    assert not fold[:90].any()
    assert not fold[112:].any()


def test_missing_places_are_blank_and_glass_is_not() -> None:
    picture = with_box(with_box(glass(), TISSUE), (30, 30, 60, 90), (255, 255, 255))
    blank = blank_mask(overview_of(picture))
    assert blank[30:60, 30:90].all()
    assert blank.sum() == 30 * 60


def test_blur_is_marked_where_tiles_are_out_of_focus() -> None:
    picture = with_box(glass(), TISSUE)
    overview = overview_of(picture)  # 8 um: blocks of 128 um are 16 px
    sharp = np.random.default_rng(0).integers(60, 220, (64, 64, 1)).repeat(3, 2).astype(np.uint8)
    soft = ndimage.gaussian_filter(sharp.astype(float), (2, 2, 0))
    soft = ((soft - 140) * 4 + 140).clip(0, 255).astype(np.uint8)

    def read(grid: TileGrid, items: np.ndarray) -> np.ndarray:
        left = grid.boxes(items)[:, 0] < 80 * 16
        return np.stack([soft if one else sharp for one in left])

    quality = quality_flags(overview, tissue_mask(overview), read=read)
    assert quality.masks["blur"][16:110, 16:80].all()
    assert not quality.masks["blur"][:, 80:].any()
    assert quality.shares["blur"] == pytest.approx(0.5, abs=0.05)


def test_sharpness_is_blind_to_contrast_and_says_nothing_of_even_tiles() -> None:
    tile = np.random.default_rng(0).integers(100, 150, (1, 32, 32, 3)).astype(np.uint8)
    even = np.full((1, 32, 32, 3), 128, np.uint8)
    twice = ((tile - 100) * 2 + 100).astype(np.uint8)
    assert sharpness(twice) == pytest.approx(sharpness(tile), rel=1e-5)  # float32 means
    assert np.isnan(sharpness(even)).all()


def test_a_ramp_has_a_quarter() -> None:
    ramp = np.broadcast_to(
        (np.arange(40) * 6).astype(np.uint8)[None, :, None, None], (1, 40, 40, 3)
    )
    assert sharpness(ramp) == pytest.approx(0.25)


def test_what_cannot_be_judged_is_named() -> None:
    dark = with_box(np.full((80, 80, 3), 6, np.uint8), (20, 20, 60, 60), (10, 20, 150))
    overview = overview_of(dark)
    quality = quality_flags(overview, tissue_mask(overview))
    assert sorted(quality.masks) == ["blank"]
    assert sorted(quality.not_assessed) == ["blur", "fold", "pen"]


def test_no_tissue_has_no_shares() -> None:
    overview = overview_of(glass())
    assert set(quality_flags(overview, tissue_mask(overview)).shares.values()) == {None}
