"""Batches of a slide file are the tiles with tissue, each with its true place."""

from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import NoTissueError
from medconsist.wsi.look import look_at
from medconsist.wsi.read_tiles import tissue_batches
from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.settings import Embedding
from medconsist.wsi.simulate import SlideConfig, write_slide

SETTINGS = Embedding(target_mpp=1.0, min_tissue=0.5)


def test_batches_hold_every_tile_with_tissue_once_as_it_is_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    write_slide(path, SlideConfig(width=768, height=512, mpp=0.5))
    batches = list(tissue_batches(path, tile_px=32, settings=SETTINGS, batch=7, threads=1))
    items = np.concatenate([batch.items for batch in batches])
    with open_slide(path) as slide:
        look = look_at(slide, mpp=slide.facts.mpp(), tile_px=32, settings=SETTINGS)
        alone = slide.tiles(look.grid, items).all()
    assert batches[0].grid == look.grid
    assert np.array_equal(np.sort(items), look.choice.items)
    assert [len(batch.items) for batch in batches[:-1]] == [7] * (len(batches) - 1)
    assert np.array_equal(np.concatenate([batch.tiles.numpy() for batch in batches]), alone)


def test_an_mpp_that_is_given_is_that_of_the_slide(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    write_slide(path, SlideConfig(width=512, height=512, mpp=None))
    batch = next(tissue_batches(path, tile_px=32, settings=SETTINGS, mpp=0.5))
    assert (batch.grid.mpp.source, batch.grid.scale) == ("given", (2.0, 2.0))


def test_an_error_names_its_slide(tmp_path: Path) -> None:
    path = tmp_path / "empty.svs"
    write_slide(path, SlideConfig(width=512, height=512, mpp=0.5, tissue=0))
    with pytest.raises(NoTissueError, match="tissue") as caught:
        next(tissue_batches(path, tile_px=32, settings=SETTINGS))
    assert caught.value.__notes__ == [f"slide: {path}"]
