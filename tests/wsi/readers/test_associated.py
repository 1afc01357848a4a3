"""Label and macro images: there or not, their pixels, and what is refused of them."""

import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from medconsist.errors import BudgetError, CorruptInputError, MissingInputError
from medconsist.wsi.readers.facts import associated_sizes
from medconsist.wsi.readers.openslide_reader import OpenSlideSlide
from tests.wsi.small_slide import write_small_slide


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_small_slide(tmp_path / "a.svs")


@pytest.fixture
def slide(path: Path) -> Iterator[OpenSlideSlide]:
    with closing(OpenSlideSlide(path)) as slide:
        yield slide


def page_of(path: Path, name: str) -> tifffile.TiffPage:
    """The directory of the file that holds the picture."""
    with tifffile.TiffFile(path) as tiff:
        pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]
    return next(page for page in pages if f"\n{name} " in page.description)


def test_their_sizes_are_known_before_they_are_decoded(slide: OpenSlideSlide) -> None:
    assert associated_sizes(slide.facts) == {"label": (387, 431), "macro": (1280, 431)}


@pytest.mark.parametrize("name", ["label", "macro"])
def test_their_pixels_are_those_of_openslide(slide: OpenSlideSlide, path: Path, name: str) -> None:
    with openslide.OpenSlide(path) as reader:
        wanted = np.asarray(reader.associated_images[name].convert("RGB"))
    np.testing.assert_array_equal(slide.associated(name, side=2000), wanted)


def test_a_large_one_is_made_smaller_in_proportion(slide: OpenSlideSlide) -> None:
    assert slide.associated("macro", side=320).shape == (108, 320, 3)


@pytest.mark.parametrize("name", ["thumbnail", "", "../label", "Label", "nothing"])
def test_no_other_picture_is_given(slide: OpenSlideSlide, name: str) -> None:
    with pytest.raises(MissingInputError, match="no such picture"):
        slide.associated(name, side=2000)


def test_a_slide_without_has_none(tmp_path: Path) -> None:
    with closing(OpenSlideSlide(write_small_slide(tmp_path / "a.tiff"))) as slide:
        assert associated_sizes(slide.facts) == {}
        with pytest.raises(MissingInputError, match="no such picture"):
            slide.associated("label", side=2000)


def test_one_of_absurd_size_is_refused_before_it_is_decoded(path: Path) -> None:
    page = page_of(path, "label")
    with path.open("r+b") as file:
        for code in (256, 257):
            file.seek(page.tags[code].valueoffset)
            file.write(struct.pack("<I", 60_000))
    with (
        closing(OpenSlideSlide(path)) as slide,
        pytest.raises(BudgetError, match="60000 x 60000 px; allowed are"),
    ):
        slide.associated("label", side=2000)


def test_a_broken_one_is_said_and_harms_nothing_else(path: Path) -> None:
    page = page_of(path, "label")
    with path.open("r+b") as file:
        file.seek(page.dataoffsets[0])
        file.write(bytes(page.databytecounts[0]))
    with closing(OpenSlideSlide(path)) as slide:
        with pytest.raises(CorruptInputError, match="reading the label image"):
            slide.associated("label", side=2000)
        assert slide.associated("macro", side=2000).shape == (431, 1280, 3)
        assert slide.read_region(0, 0, 0, 9, 9).shape == (9, 9, 3)


@pytest.mark.data
def test_a_real_slide_has_both(data_dir: Path) -> None:
    with closing(OpenSlideSlide(data_dir / "wsi" / "CMU-1-Small-Region.svs")) as slide:
        assert associated_sizes(slide.facts) == {"label": (387, 463), "macro": (1280, 431)}
        label = slide.associated("label", side=2000)
    assert label.shape == (463, 387, 3)
    assert label.std() > 20  # letters on paper
