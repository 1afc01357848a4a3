"""The first look: where the grid lies, which tiles are taken, and what is said before a tile is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medconsist.errors import NoTissueError, RefusedInputError, UnsupportedInputError
from medconsist.wsi.look import Look, grid_of, look_at
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.readers.openslide_reader import OpenSlideSlide
from medconsist.wsi.settings import Embedding
from medconsist.wsi.slide import Bounds
from tests.wsi.small_slide import SIDE, write_small_slide


class Bounded(OpenSlideSlide):
    """A slide of which the scanner filled a part; no file that can be written here has bounds."""

    bounds = Bounds(x=101, y=53, width=500, height=400)

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.facts = replace(self.facts, bounds=self.bounds)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("look")
    return write_small_slide(folder / "biopsy.svs")


def seen(path: Path, *, tile_px: int = 64, **settings: Any) -> Look:
    with open_slide(path) as slide:
        mpp = slide.facts.mpp()
        return look_at(slide, mpp=mpp, tile_px=tile_px, settings=Embedding(**settings))


def test_the_grid_covers_the_whole_slide(path: Path) -> None:
    grid = seen(path).grid
    assert (grid.origin_x, grid.origin_y, grid.width, grid.height) == (0, 0, SIDE, SIDE)
    assert grid.shape == (SIDE // 64, SIDE // 64)


def test_the_grid_covers_what_the_scanner_filled(path: Path) -> None:
    with Bounded(path) as slide:
        mpp = Mpp(0.5, 0.4, "given")
        settings = Embedding(target_mpp=1.0, overlap_px=10)
        grid = grid_of(slide, mpp=mpp, tile_px=50, settings=settings)
        look = look_at(slide, mpp=mpp, tile_px=50, settings=settings)
    assert grid == look.grid
    assert grid.boxes([0]).tolist() == [[101.0, 53.0, 201.0, 178.0]]
    right, bottom = grid.boxes(np.arange(len(grid)))[:, 2:].max(axis=0)
    assert right <= 601
    assert bottom <= 453
    assert grid.step_px == 40


def test_the_overview_is_of_the_whole_slide_even_with_bounds(path: Path) -> None:
    with Bounded(path) as slide:
        look = look_at(slide, mpp=Mpp(0.5, 0.5, "given"), tile_px=64, settings=Embedding())
    assert look.overview.affine.offset == (0.0, 0.0)
    extent = np.array(look.overview.picture.shape[:2]) * look.overview.affine.scale
    assert extent.tolist() == [SIDE, SIDE]


def test_more_tissue_asked_for_leaves_fewer_tiles(path: Path) -> None:
    some, most = seen(path, min_tissue=0.05), seen(path, min_tissue=0.95)
    assert set(most.choice.items) < set(some.choice.items)
    assert most.choice.table()["usable"].min() >= 0.95


def test_what_is_not_assessed_is_said(tmp_path: Path) -> None:
    dark = write_small_slide(tmp_path / "dark.svs", stain="fluorescence")
    notes = " ".join(seen(dark).notes)
    assert "Not assessed: pen, ink is not seen in fluorescence." in notes
    assert "the stain looks fluorescence" in notes
    with pytest.raises(UnsupportedInputError, match="made for he"):
        seen(dark, other_stain="refuse")
    assert "looks" not in " ".join(seen(dark, stains=("fluorescence",)).notes)


def test_brown_stain_is_flagged_for_an_encoder_of_pink_ones(tmp_path: Path) -> None:
    brown = write_small_slide(tmp_path / "brown.svs", stain="ihc")
    assert any("the stain looks ihc" in note for note in seen(brown).notes)


def test_nothing_on_the_glass_gives_a_picture_of_it(tmp_path: Path) -> None:
    with pytest.raises(NoTissueError, match="no tissue was found") as caught:
        seen(write_small_slide(tmp_path / "glass.svs", tissue=0))
    assert caught.value.picture.startswith(b"\x89PNG")


def test_no_pixel_is_read_of_a_slide_that_is_smaller_than_a_tile(path: Path) -> None:
    with Bounded(path) as slide:
        slide.close()
        with pytest.raises(RefusedInputError, match="has 500 x 400 px, and a tile 600 x 600"):
            look_at(slide, mpp=Mpp(0.5, 0.5, "given"), tile_px=600, settings=Embedding())


@pytest.mark.parametrize("overlap", [64, 100])
def test_an_overlap_of_a_whole_tile_is_refused(overlap: int, path: Path) -> None:
    with pytest.raises(RefusedInputError, match="overlap_px within"):
        seen(path, overlap_px=overlap)
