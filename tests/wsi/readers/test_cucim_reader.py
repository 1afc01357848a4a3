"""The optional cuCIM engine; its library needs CUDA packages, so here a stand-in reads instead."""

import pickle
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import openslide
import pytest

from medconsist.errors import RefusedInputError, UnsupportedInputError
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.tile_grid import TileGrid


class CuImage:
    """The part of cuCIM's interface that is used, over OpenSlide."""

    drop_levels = 0

    def __init__(self, path: str) -> None:
        if path.endswith(".bad"):
            msg = "Cannot load library"
            raise RuntimeError(msg)
        self._handle = openslide.OpenSlide(path)
        sizes = self._handle.level_dimensions
        self.resolutions = {"level_dimensions": sizes[: len(sizes) - self.drop_levels]}

    def read_region(
        self, location: tuple[int, int], size: tuple[int, int], *, level: int
    ) -> npt.NDArray[np.uint8]:
        return np.asarray(self._handle.read_region(location, level, size).convert("RGB"))

    def close(self) -> None:
        self._handle.close()


@pytest.fixture
def cucim(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("cucim")
    monkeypatch.setattr(module, "CuImage", CuImage, raising=False)
    monkeypatch.setitem(sys.modules, "cucim", module)
    return module


def test_regions_and_tiles_are_those_of_openslide(
    cucim: ModuleType, small_slides: dict[str, Path]
) -> None:
    path = small_slides["svs"]
    slide = open_slide(path, engine="cucim")
    reference = open_slide(path, engine="openslide")
    assert slide.engine == "cucim"
    for box in ((0, -5, -6, 400, 300), (1, 10, 20, 30, 40), (0, 320, 0, 5, 5)):
        np.testing.assert_array_equal(slide.read_region(*box), reference.read_region(*box))
    grid = TileGrid(
        width=320, height=256, mpp=Mpp(0.5, 0.5, "given"), target_mpp=1.3, tile_px=40, edge="keep"
    )
    items = list(range(len(grid)))
    seen, wanted = (one.tiles(grid, items).all() for one in (slide, reference))
    np.testing.assert_array_equal(seen, wanted)
    again = pickle.loads(pickle.dumps(slide))  # noqa: S301  our own bytes
    np.testing.assert_array_equal(
        again.read_region(0, 1, 2, 3, 4), slide.read_region(0, 1, 2, 3, 4)
    )
    for one in (slide, reference, again):
        one.close()


def test_other_levels_than_openslide_sees_are_refused(
    cucim: ModuleType, small_slides: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CuImage, "drop_levels", 1)
    with pytest.raises(UnsupportedInputError, match="cuCIM sees the levels"):
        open_slide(small_slides["svs"], engine="cucim")


def test_what_cucim_does_not_open_is_unsupported(
    cucim: ModuleType, small_slides: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "slide.bad"
    path.write_bytes(small_slides["svs"].read_bytes())
    with pytest.raises(UnsupportedInputError, match="cuCIM does not open it"):
        open_slide(path, engine="cucim")


def test_an_impossible_region_is_refused(cucim: ModuleType, small_slides: dict[str, Path]) -> None:
    with (
        open_slide(small_slides["svs"], engine="cucim") as slide,
        pytest.raises(RefusedInputError, match="allowed are levels 0 to 1"),
    ):
        slide.read_region(2, 0, 0, 1, 1)
