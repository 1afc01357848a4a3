"""Tiles from stored tiles: exact, each decoded once, bounded, equal to the plain loop."""

import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from medconsist.errors import CorruptInputError, RefusedInputError
from medconsist.tiling.loader import TileLoader
from medconsist.wsi.bench.rho import SlowReads
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.readers.direct import DirectSlide
from medconsist.wsi.readers.openslide_reader import OpenSlideSlide
from medconsist.wsi.readers.stored_bytes import Reads
from medconsist.wsi.simulate import SlideConfig, write_repeated_slide
from medconsist.wsi.tile_grid import TileGrid

MPP = Mpp(0.5, 0.5, "given")
# grid settings of a slide of 320 x 256 px with stored tiles of 64 px, at the mpp of level 0
NATIVE: dict[str, dict[str, object]] = {
    "aligned": {"tile_px": 64},
    "edges": {"tile_px": 64, "origin_x": 30.0, "edge": "keep"},
    "overlap": {"tile_px": 64, "overlap_px": 16, "edge": "keep"},
    "shifted": {"tile_px": 80, "overlap_px": 20, "edge": "shift"},
    "small": {"tile_px": 25, "origin_x": 7.0, "origin_y": 11.0},
    "large": {"tile_px": 150, "overlap_px": 75, "edge": "keep"},
    "outside": {"tile_px": 50, "origin_x": 300.0, "origin_y": -60.0, "edge": "keep"},
}
SCALED: dict[str, dict[str, object]] = {
    "half": {"target_mpp": 1.0, "tile_px": 32},
    "half, odd place": {"target_mpp": 1.0, "tile_px": 32, "origin_x": 3.0},
    "quarter": {"target_mpp": 2.0, "tile_px": 16, "overlap_px": 4, "edge": "keep"},
    "third": {"target_mpp": 1.5, "tile_px": 40, "edge": "keep"},
    "not whole": {"target_mpp": 1.0008, "tile_px": 32, "edge": "keep"},
    "finer": {"target_mpp": 0.37, "tile_px": 50, "overlap_px": 10},
}
SETTINGS = {**NATIVE, **SCALED}


def grid_of(slide: DirectSlide | OpenSlideSlide, settings: dict[str, object]) -> TileGrid:
    width, height = slide.facts.size
    given = {"target_mpp": 0.5, **settings}
    return TileGrid(width=width, height=height, mpp=MPP, **given)  # type: ignore[arg-type]  # per key


def opened(path: Path) -> DirectSlide:
    with OpenSlideSlide(path) as reference:
        return DirectSlide(path, reference.facts)


def loaded(loader: TileLoader) -> npt.NDArray[np.uint8]:
    """Return what the loader gives, put back into the order of the positions."""
    tiles = np.zeros((len(loader.source), *loader.source.shape), np.uint8)
    seen: list[int] = []
    for batch in loader:
        tiles[batch.positions] = batch.tiles.numpy()
        seen += batch.positions.tolist()
    assert sorted(seen) == list(range(len(tiles)))
    return tiles


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("slide_name", ["svs", "tiff"])
def test_native_tiles_equal_openslide(
    small_slides: dict[str, Path], slide_name: str, name: str
) -> None:
    with OpenSlideSlide(small_slides[slide_name]) as reference:
        slide = DirectSlide(small_slides[slide_name], reference.facts)
        grid = grid_of(slide, NATIVE[name])
        items = np.arange(len(grid))
        source = slide.tiles(grid, items)
        assert source.canvas is None
        assert (source.all() == reference.tiles(grid, items).all()).all()


@pytest.mark.data
def test_all_full_tiles_of_the_real_slide_equal_openslide(data_dir: Path) -> None:
    path = data_dir / "wsi" / "CMU-1-Small-Region.svs"
    with OpenSlideSlide(path) as reference:
        slide = DirectSlide(path, reference.facts)
        grid = grid_of(slide, {"tile_px": 240})
        tiles = loaded(TileLoader(slide.tiles(grid, range(108))))
        assert grid.shape == (12, 9)
        assert (tiles == reference.tiles(grid, range(108)).all()).all()


@pytest.mark.parametrize("name", SCALED)
def test_scaled_tiles_are_near_the_resampled_openslide(
    small_slides: dict[str, Path], name: str
) -> None:
    with OpenSlideSlide(small_slides["svs"]) as reference:
        slide = DirectSlide(small_slides["svs"], reference.facts)
        grid = grid_of(slide, SCALED[name])
        items = np.arange(len(grid))
        made = slide.tiles(grid, items).all().astype(int)
        # One rule for both: what is left is the scaled DCT instead of averaging, on drawn letters.
        assert np.abs(made - reference.tiles(grid, items).all()).mean() <= 1.0


@pytest.mark.data
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_the_scaled_dct_of_the_real_slide_is_within_one_of_area_averaging(
    data_dir: Path, factor: int
) -> None:
    path = data_dir / "wsi" / "CMU-1-Small-Region.svs"
    with OpenSlideSlide(path) as reference:
        slide, side = DirectSlide(path, reference.facts), 240 // factor
        grid = grid_of(slide, {"target_mpp": 0.5 * factor, "tile_px": side})
        made = slide.tiles(grid, range(36)).all().astype(int)
        for tile, (x, y) in zip(made, grid.boxes(range(36))[:, :2].astype(int), strict=True):
            region = reference.read_region(0, int(x), int(y), 240, 240)
            wanted = Image.fromarray(region).resize((side, side), Image.Resampling.BOX)
            assert np.abs(tile - np.asarray(wanted).astype(int)).mean() <= 1.0


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("memory", [48 << 20, 40_000])
@pytest.mark.parametrize(("threads", "batch"), [(1, 64), (3, 5)])
def test_the_loader_equals_the_plain_loop(
    small_slides: dict[str, Path], name: str, memory: int, threads: int, batch: int
) -> None:
    slide = opened(small_slides["tiff"])
    grid = grid_of(slide, SETTINGS[name])
    draw = np.random.default_rng(len(name))
    every = np.arange(len(grid))
    for items in (every, draw.permutation(every)[: len(every) // 3], every[:0]):
        source = slide.tiles(grid, items, memory=memory)
        plain = source.all()
        assert (loaded(TileLoader(source, threads=threads, batch=batch)) == plain).all()


@pytest.mark.parametrize("name", SETTINGS)
def test_no_stored_tile_is_decoded_twice(small_slides: dict[str, Path], name: str) -> None:
    slide = opened(small_slides["svs"])
    grid = grid_of(slide, SETTINGS[name])
    source = slide.tiles(grid, np.arange(len(grid)))
    loaded(TileLoader(source))
    assert source.sweep.strips == 1
    assert source.sweep.twice == 0
    assert source.decoded == source.sweep.stored <= 5 * 4


def test_strips_say_how_many_are_decoded_twice(small_slides: dict[str, Path]) -> None:
    slide = opened(small_slides["svs"])
    grid = grid_of(slide, NATIVE["overlap"])
    source = slide.tiles(grid, np.arange(len(grid)), memory=2 * 3 * 64 * 64 * 3)
    loaded(TileLoader(source))
    assert source.sweep.strips > 1
    assert source.decoded == source.sweep.decoded == source.sweep.stored + source.sweep.twice


def test_an_aligned_grid_needs_no_strips_however_little_memory(
    small_slides: dict[str, Path],
) -> None:
    slide = opened(small_slides["svs"])
    grid = grid_of(slide, NATIVE["aligned"])
    assert slide.tiles(grid, np.arange(len(grid)), memory=1).sweep.strips == 1


def test_tiles_that_are_left_out_are_not_decoded(small_slides: dict[str, Path]) -> None:
    slide = opened(small_slides["svs"])
    grid = grid_of(slide, NATIVE["aligned"])
    source = slide.tiles(grid, [3, 4, 17])
    loaded(TileLoader(source))
    assert source.decoded == 3
    none = slide.tiles(grid, [])
    assert list(TileLoader(none)) == []
    assert none.decoded == 0


def test_stored_bytes_tell_blank_tiles_before_anything_is_decoded(
    small_slides: dict[str, Path],
) -> None:
    slide = opened(small_slides["svs"])
    grid = grid_of(slide, NATIVE["aligned"])
    found = slide.stored_bytes(grid, np.arange(len(grid)))
    assert (found == slide.stored[0].counts).all()
    coarse = slide.stored_bytes(grid_of(slide, {"tile_px": 128}), [0])
    assert coarse == slide.stored[0].counts.reshape(4, 5)[:2, :2].max()


def test_tiles_named_twice_or_not_there_are_refused(small_slides: dict[str, Path]) -> None:
    slide = opened(small_slides["svs"])
    grid = grid_of(slide, NATIVE["aligned"])
    for items in ([1, 1], [-1], [len(grid)]):
        with pytest.raises(RefusedInputError, match="named once each"):
            slide.tiles(grid, items)


def test_a_broken_stored_tile_is_raised_in_its_place(
    small_slides: dict[str, Path], tmp_path: Path
) -> None:
    sound = opened(small_slides["svs"])
    data = bytearray(small_slides["svs"].read_bytes())
    at, size = int(sound.stored[0].offsets[12]), int(sound.stored[0].counts[12])
    data[at : at + size] = bytes(size)
    (tmp_path / "broken.svs").write_bytes(data)
    slide, before = DirectSlide(tmp_path / "broken.svs", sound.facts), threading.enumerate()
    grid = grid_of(slide, NATIVE["aligned"])
    seen: list[int] = []
    batches = TileLoader(slide.tiles(grid, np.arange(20)), batch=3)
    with pytest.raises(CorruptInputError, match=r"row 2, column 2\) of level 0"):
        seen.extend(len(batch) for batch in batches)
    assert sum(seen) <= 12
    assert threading.enumerate() == before


def test_slow_reads_change_nothing_but_the_time(small_slides: dict[str, Path]) -> None:
    path = small_slides["svs"]
    quick = opened(path)
    slow = DirectSlide(path, quick.facts, reads=SlowReads(Reads(path), latency=0.005))
    grid = grid_of(quick, NATIVE["overlap"])
    items = np.arange(len(grid))
    assert (loaded(TileLoader(slow.tiles(grid, items))) == quick.tiles(grid, items).all()).all()


def test_open_tiles_of_a_wide_slide_stay_within_their_memory(tmp_path: Path) -> None:
    path = tmp_path / "wide.tif"
    config = SlideConfig(width=2560, height=2560, tile=64, tissue=0.7, layout="tiff", levels=1)
    write_repeated_slide(path, width=20_000, height=256, config=config)
    slide = opened(path)
    grid = grid_of(slide, {"tile_px": 64, "overlap_px": 16})
    source = slide.tiles(grid, np.arange(len(grid)), memory=1 << 20)
    open_now = most = complete = 0
    for job in source.jobs():
        open_now = int(job.ranks.max()) + 1 - complete
        most, complete = max(most, open_now), job.complete
    assert complete == len(grid)
    assert most * 64 * 64 * 3 <= 1 << 20
    assert source.sweep.twice <= 0.06 * source.sweep.stored
