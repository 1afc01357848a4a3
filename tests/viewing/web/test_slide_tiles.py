"""Tiles of a slide are those of the reader: passed on as stored, or read, cut and encoded."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medconsist.errors import CorruptInputError, MissingInputError
from medconsist.viewing.web.slide_tiles import SlideTiles, unreadable_tile
from medconsist.wsi.readers.direct import DirectSlide
from medconsist.wsi.readers.open import Engine, open_slide
from tests.wsi.small_slide import write_small_slide


def _picture(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A small slide whose sides are no multiples of its tiles."""
    return write_small_slide(tmp_path / "name-of-a-person.svs", width=700, height=650)


@pytest.fixture
def tiles(path: Path) -> Iterator[SlideTiles]:
    """Its tiles by the direct engine."""
    with closing(SlideTiles(partial(open_slide, path))) as opened:
        yield opened


@pytest.mark.parametrize("engine", ["direct", "openslide"])
def test_each_tile_is_its_rectangle_of_the_slide(path: Path, engine: Engine) -> None:
    with (
        closing(SlideTiles(partial(open_slide, path, engine=engine))) as tiles,
        open_slide(path, engine="openslide") as slide,
    ):
        for number, level in enumerate(tiles.levels):
            rows, columns = level.grid
            for row in range(rows):
                for column in range(columns):
                    box = level.box(row, column)
                    seen = _picture(tiles.tile(number, row, column))
                    wanted = slide.read_region(number, *box).astype(int)
                    assert seen.shape == wanted.shape
                    assert np.abs(seen - wanted).mean() < 3  # quality 80 of what is encoded


def test_a_whole_stored_tile_is_sent_byte_for_byte(tiles: SlideTiles) -> None:
    assert isinstance(tiles.slide, DirectSlide)
    assert tiles.tile(0, 0, 0) == tiles.slide.stream(0, 0, 0)


def test_a_tile_of_the_edge_holds_nothing_beyond_the_image(tiles: SlideTiles) -> None:
    rows, columns = tiles.levels[0].grid
    *_, width, height = tiles.levels[0].box(rows - 1, columns - 1)
    whole = (tiles.levels[0].tile_width, tiles.levels[0].tile_height)
    assert (width, height) != whole  # else this slide shows nothing
    assert _picture(tiles.tile(0, rows - 1, columns - 1)).shape == (height, width, 3)


@pytest.mark.data
def test_the_tiles_of_a_real_slide_are_those_of_openslide(data_dir: Path) -> None:
    path = data_dir / "wsi" / "CMU-1-Small-Region.svs"
    with (
        closing(SlideTiles(partial(open_slide, path))) as tiles,
        open_slide(path, engine="openslide") as slide,
    ):
        last = tuple(one - 1 for one in tiles.levels[0].grid)
        for row, column in ((0, 0), (3, 5), last):
            seen = _picture(tiles.tile(0, row, column))
            wanted = slide.read_region(0, *tiles.levels[0].box(row, column)).astype(int)
            assert seen.shape == wanted.shape
            assert np.abs(seen - wanted).mean() < 3
        assert tiles.info()["mpp"] == [0.499, 0.499]


@pytest.mark.parametrize("place", [(9, 0, 0), (-1, 0, 0), (0, -1, 0), (0, 0, 99), (0, 99, 0)])
def test_a_tile_that_is_not_there_is_refused(
    tiles: SlideTiles, place: tuple[int, int, int]
) -> None:
    with pytest.raises(MissingInputError, match="there is no"):
        tiles.tile(*place)


def test_the_description_names_neither_file_nor_person(tiles: SlideTiles, path: Path) -> None:
    said = repr(tiles.info())
    assert path.stem not in said
    assert str(path.parent) not in said


def test_unknown_microns_stay_unknown(tmp_path: Path) -> None:
    path = write_small_slide(tmp_path / "a.svs", mpp=None)
    with closing(SlideTiles(partial(open_slide, path))) as tiles:
        assert tiles.info()["mpp"] is None
        assert tiles.info()["mpp_source"] is None


def test_what_cannot_be_decoded_is_hatched_and_harms_no_other_tile(path: Path) -> None:
    with closing(SlideTiles(partial(open_slide, path))) as tiles:
        slide = tiles.slide
        assert isinstance(slide, DirectSlide)
        rows, columns = tiles.levels[0].grid
        number = (rows - 1) * slide.stored[0].shape[1] + columns - 1  # one that is decoded here
        offset = int(slide.stored[0].offsets[number])
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(b"\x00" * int(slide.stored[0].counts[number]))
        damaged = SlideTiles(partial(open_slide, path, check=False))
        with closing(damaged):
            box = damaged.levels[0].box(rows - 1, columns - 1)
            assert damaged.tile(0, rows - 1, columns - 1) == unreadable_tile(*box[2:])
            assert damaged.unreadable == 1
            assert damaged.tile(0, 0, 0) == tiles.tile(0, 0, 0)


def test_a_slide_that_cannot_be_opened_again_is_read_on_by_what_is_open(
    path: Path, tiles: SlideTiles
) -> None:
    slide = tiles.slide
    assert isinstance(slide, DirectSlide)
    rows, columns = (one - 1 for one in tiles.levels[0].grid)
    whole = tiles.tile(0, 0, 0)
    with path.open("r+b") as file:  # of the last tile, so that `open_slide` refuses the file
        file.seek(int(slide.stored[0].offsets[-1]))
        file.write(bytes(int(slide.stored[0].counts[-1])))
    *_, width, height = tiles.levels[0].box(rows, columns)
    assert tiles.tile(0, rows, columns) == unreadable_tile(width, height)
    assert tiles.slide is slide
    assert tiles.tile(0, 0, 0) == whole
    with pytest.raises(CorruptInputError):
        open_slide(path)


def test_threads_get_the_tiles_that_one_would(tiles: SlideTiles, path: Path) -> None:
    places = [(0, row, column) for row in range(3) for column in range(3)] * 4
    with closing(SlideTiles(partial(open_slide, path), cache_bytes=10_000)) as other:
        wanted = [tiles.tile(*place) for place in places]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda place: other.tile(*place), places)) == wanted
        assert other._held <= 10_000
