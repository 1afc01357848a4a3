"""What the slide screen asks the server for beside tiles."""

import io
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medconsist.results.store import StoredResult
from medconsist.viewing.web.slide_routes import region_jpeg
from medconsist.viewing.web.slide_tiles import SlideTiles, unreadable_tile
from medconsist.wsi.readers.direct import DirectSlide
from medconsist.wsi.readers.open import open_slide
from tests.viewing.planted import BLOCK, GREEN, plant, planted_map
from tests.viewing.slides import embed_small
from tests.viewing.web.test_routes import Site
from tests.wsi.small_slide import write_small_slide


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("routes") / "results"


@pytest.fixture(scope="module")
def planted(root: Path) -> StoredResult:
    return plant(root)


@pytest.fixture
def site(root: Path) -> Iterator[Site]:
    site = Site(root)
    with closing(site.desk):
        yield site


def test_numbers_of_a_map_come_bit_for_bit(site: Site, planted: StoredResult) -> None:
    answer = site.ask(planted, "values/instance_probability")
    assert answer.status == 200
    found = np.frombuffer(answer.body, dtype="<f4").reshape(planted_map().shape)
    np.testing.assert_array_equal(found, planted_map())


@pytest.mark.parametrize("role", ["overview", "nothing", "../result"])
def test_what_is_no_map_has_no_numbers(site: Site, planted: StoredResult, role: str) -> None:
    assert site.ask(planted, f"values/{role}").status == 404


def test_a_small_picture_shows_the_place_that_is_asked_for(
    site: Site, planted: StoredResult
) -> None:
    x, y, w, h = BLOCK
    answer = site.ask(planted, "slide/region.jpg", x=x, y=y, w=w, h=h)
    assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
    picture = np.asarray(Image.open(io.BytesIO(answer.body)))
    assert picture.shape == (300, 300, 3)
    # JPEG twice, of the slide and of the picture; its edge is a block of 8 px
    np.testing.assert_allclose(picture[8:-8, 8:-8].mean((0, 1)), GREEN, atol=4)
    wide = site.ask(planted, "slide/region.jpg", x=0, y=0, w=4096, h=3072)
    shown = np.asarray(Image.open(io.BytesIO(wide.body)))
    assert 160 <= shown.shape[1] < 4 * 160
    scale = shown.shape[1] / 4096
    middle = shown[round((y + h / 2) * scale), round((x + w / 2) * scale)]
    np.testing.assert_allclose(middle, GREEN, atol=12)


@pytest.mark.parametrize(
    "query",
    [
        {"x": 0, "y": 0, "w": 0, "h": 5},
        {"x": 0, "y": 0, "w": "nan", "h": 5},
        {"x": 0, "y": 0, "w": 9e99, "h": 5},
        {"x": 0, "y": 0, "w": 200, "h": 1e6},
        {"x": "a", "y": 0, "w": 5, "h": 5},
        {"x": 0},
    ],
)
def test_a_picture_that_cannot_be_is_refused(
    site: Site, planted: StoredResult, query: dict[str, Any]
) -> None:
    assert site.ask(planted, "slide/region.jpg", **query).status == 400


def test_a_small_picture_is_read_anew_once_the_slide_was_mended(tmp_path: Path) -> None:
    path = write_small_slide(tmp_path / "a.svs", width=700, height=650)
    sound, box = path.read_bytes(), (640.0, 600.0, 60.0, 50.0)
    with closing(SlideTiles(partial(open_slide, path))) as tiles:
        wanted, place = region_jpeg(tiles, box), last_tile(tiles)
    with path.open("r+b") as file:
        file.seek(place[0])
        file.write(bytes(place[1]))
    with closing(SlideTiles(partial(open_slide, path, check=False))) as tiles:
        mended = tmp_path / "copied again.svs"
        mended.write_bytes(sound)
        mended.replace(path)
        assert region_jpeg(tiles, box) == unreadable_tile(60, 50)  # by what is open
        assert tiles.unreadable == 1
        assert region_jpeg(tiles, box) == wanted


def test_another_slide_in_the_place_of_a_damaged_one_is_not_shown(tmp_path: Path) -> None:
    stored = embed_small(tmp_path / "results")
    site = Site(tmp_path / "results")
    with closing(site.desk):
        tiles, path = site.desk.slide(stored), site.desk.slide_file(stored)
        start, count = last_tile(tiles)
        with path.open("r+b") as file:
            file.seek(start)
            file.write(bytes(count))
        write_small_slide(tmp_path / "other.svs", seed=99).replace(path)
        row, column = (one - 1 for one in tiles.levels[0].grid)
        *_, width, height = tiles.levels[0].box(row, column)
        for _ in range(2):  # the first one has it opened again
            assert tiles.tile(0, row, column) == unreadable_tile(width, height)
        assert tiles.unreadable == 2


def last_tile(tiles: SlideTiles) -> tuple[int, int]:
    """Return where the last stored tile of level 0 begins, and its bytes."""
    assert isinstance(tiles.slide, DirectSlide)
    stored = tiles.slide.stored[0]
    return int(stored.offsets[-1]), int(stored.counts[-1])


@pytest.mark.parametrize(
    "path", ["values/attention", "slide/region.jpg", "slide/associated/label.jpg"]
)
def test_nothing_is_given_without_a_ticket(site: Site, planted: StoredResult, path: str) -> None:
    assert site.ask_with("", planted, path).status == 403
    site.allowed = False
    assert site.ask(planted, path).status == 403
