"""Opening: the fastest engine that gives OpenSlide's pixels, and a note of why it is another."""

import logging
import pickle
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile

from medconsist.errors import MissingExtraError, UnsupportedInputError
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.readers import jpeg_stream, open_slide
from medconsist.wsi.tile_grid import TileGrid


def test_a_jpeg_tiff_is_read_directly_with_the_pixels_of_openslide(
    small_slides: dict[str, Path],
) -> None:
    for name in ("svs", "tiff", "silent"):
        path = small_slides[name]
        with open_slide(path) as slide, open_slide(path, engine="openslide") as reference:
            assert (slide.engine, slide.notes, reference.engine) == ("direct", (), "openslide")
            for level, size in enumerate(slide.facts.levels):
                box = (level, -3, -4, size.width + 9, size.height + 9)
                np.testing.assert_array_equal(slide.read_region(*box), reference.read_region(*box))


def test_what_the_direct_engine_declines_is_read_by_openslide_and_said(
    small_slides: dict[str, Path],
) -> None:
    with open_slide(small_slides["noise"]) as slide:
        assert slide.engine == "openslide"
        (note,) = slide.notes
    assert "deflate" in note
    with pytest.raises(UnsupportedInputError, match="deflate"):
        open_slide(small_slides["noise"], engine="direct")


def test_an_engine_whose_pixels_differ_is_dropped_for_the_slide(
    small_slides: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The marker that says RGB is taken away: the trap of Aperio slides, wrong in every colour."""
    monkeypatch.setattr(jpeg_stream, "APP14", b"")
    with caplog.at_level(logging.WARNING), open_slide(small_slides["svs"]) as slide:
        assert slide.engine == "openslide"
        (note,) = slide.notes
    assert "the direct engine differs from OpenSlide on level 0" in note
    assert "differs from OpenSlide" in caplog.text
    with pytest.raises(UnsupportedInputError, match="differs from OpenSlide on level 0"):
        open_slide(small_slides["svs"], engine="direct")


def test_content_decides_and_a_wrong_extension_is_noted(
    small_slides: dict[str, Path], tmp_path: Path
) -> None:
    for suffix in (".jpg", ".ndpi", ""):
        path = Path(shutil.copy(small_slides["svs"], tmp_path / f"slide{suffix}"))
        with open_slide(path) as slide:
            assert slide.facts.vendor == "aperio"
            (note,) = slide.notes
        assert note.endswith("its content is aperio")


def test_cucim_says_how_to_install_it(
    small_slides: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cucim", None)
    with pytest.raises(MissingExtraError, match=r"medconsist\[cucim\]"):
        open_slide(small_slides["svs"], engine="cucim")


@pytest.mark.gpu
def test_cucim_reads_the_pixels_of_openslide(small_slides: dict[str, Path]) -> None:
    pytest.importorskip("cucim")
    with open_slide(small_slides["svs"], engine="cucim") as slide:
        assert slide.engine == "cucim"


def test_both_engines_make_the_same_tiles(small_slides: dict[str, Path]) -> None:
    grid = TileGrid(
        width=320, height=256, mpp=Mpp(0.5, 0.5, "given"), target_mpp=0.5, tile_px=50,
        overlap_px=10, edge="keep",
    )  # fmt: skip
    path = small_slides["svs"]
    with open_slide(path) as slide, open_slide(path, engine="openslide") as reference:
        items = list(range(len(grid)))
        direct, wanted = (one.tiles(grid, items).all() for one in (slide, reference))
    np.testing.assert_array_equal(direct, wanted)


def test_both_engines_place_tiles_of_any_scale_alike(small_slides: dict[str, Path]) -> None:
    path = small_slides["svs"]
    with open_slide(path) as slide, open_slide(path, engine="openslide") as reference:
        for target in (0.7, 1.3, 2.0, 2.9):
            grid = TileGrid(
                width=320, height=256, mpp=Mpp(0.5, 0.5, "given"), target_mpp=target, tile_px=32
            )
            items = list(range(len(grid)))
            direct, wanted = (one.tiles(grid, items).all() for one in (slide, reference))
            # letters of full contrast; the scaled DCT differs by 0.6 on tissue, a shift by 8 here
            assert np.abs(direct.astype(int) - wanted).mean() < 2


def test_a_stored_tile_of_no_bytes_never_differs_between_engines(
    small_slides: dict[str, Path], tmp_path: Path
) -> None:
    path = Path(shutil.copy(small_slides["tiff"], tmp_path / "sparse.tif"))
    with tifffile.TiffFile(path, mode="r+") as tiff:
        page = tiff.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        page.tags[325].overwrite([page.databytecounts[0], 0, *page.databytecounts[2:]])
    with open_slide(path) as slide, open_slide(path, engine="openslide") as reference:
        box = (0, 0, 0, 300, 250)
        np.testing.assert_array_equal(slide.read_region(*box), reference.read_region(*box))


def test_threads_share_a_slide(small_slides: dict[str, Path]) -> None:
    draw = np.random.default_rng(3)
    with open_slide(small_slides["svs"]) as slide:
        boxes = [(int(x), int(y), 80, 70) for x, y in draw.integers(-20, 250, (64, 2))]
        alone = [slide.read_region(0, *box) for box in boxes]
        with ThreadPoolExecutor(8) as threads:
            together = list(threads.map(lambda box: slide.read_region(0, *box), boxes))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["svs", "noise"])
def test_a_pickled_slide_opens_again(small_slides: dict[str, Path], name: str) -> None:
    with open_slide(small_slides[name]) as slide:
        expected = slide.read_region(0, 1, 2, 99, 88)
        again = pickle.loads(pickle.dumps(slide))  # noqa: S301  our own bytes
    assert again.engine == slide.engine
    np.testing.assert_array_equal(again.read_region(0, 1, 2, 99, 88), expected)
    again.close()


def test_opening_costs_milliseconds(small_slides: dict[str, Path]) -> None:
    open_slide(small_slides["svs"]).close()
    start = time.process_time()
    for _ in range(5):
        open_slide(small_slides["svs"]).close()
    assert (time.process_time() - start) / 5 < 0.2  # 10 ms on an idle core without beartype


@pytest.mark.data
def test_a_real_slide_is_read_directly(data_dir: Path) -> None:
    path = data_dir / "wsi" / "CMU-1-Small-Region.svs"
    with open_slide(path) as slide, open_slide(path, engine="openslide") as reference:
        assert slide.engine == "direct"
        box = (0, 2000, 2700, 300, 300)
        np.testing.assert_array_equal(slide.read_region(*box), reference.read_region(*box))


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["test3-DAPI-2-387.ndpi", "openslide_boxes.tiff", "openslide_boxes_0.dcm"]
)
def test_other_real_formats_go_to_openslide(data_dir: Path, name: str) -> None:
    with open_slide(data_dir / "wsi" / name) as slide:
        assert slide.engine == "openslide"
        assert slide.notes[0].startswith("read by OpenSlide: ")
