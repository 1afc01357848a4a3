"""The direct engine against OpenSlide, across threads, forks and pickles."""

import multiprocessing
import pickle
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile

from medconsist.errors import CorruptInputError, RefusedInputError, TruncatedFileError
from medconsist.wsi.readers.direct import DirectSlide
from medconsist.wsi.readers.openslide_reader import OpenSlideSlide
from medconsist.wsi.readers.stored_bytes import Reads
from medconsist.wsi.slide import FILL

BOXES = ((0, 0, 320, 256), (17, 33, 100, 90), (200, 200, 150, 100), (-30, -20, 60, 70))


def opened(path: Path) -> DirectSlide:
    with OpenSlideSlide(path) as reference:
        return DirectSlide(path, reference.facts)


def sums(slide: DirectSlide) -> int:
    return int(slide.read_region(0, 0, 0, 200, 200).sum())


def child_sum(slide: DirectSlide, queue: "multiprocessing.Queue[int]") -> None:
    queue.put(sums(slide))


@pytest.mark.parametrize("name", ["svs", "tiff", "silent"])
def test_regions_of_every_level_equal_openslide(small_slides: dict[str, Path], name: str) -> None:
    with OpenSlideSlide(small_slides[name]) as reference:
        slide = DirectSlide(small_slides[name], reference.facts)
        for level in range(len(slide.facts.levels)):
            # openslide places coarser levels by the rounded downsample: whole levels are compared
            for box in BOXES if level == 0 else ((0, 0, 40, 30),):
                wanted = reference.read_region(level, *box)
                assert (slide.read_region(level, *box) == wanted).all()


@pytest.mark.data
def test_all_pixels_of_the_real_slide_equal_openslide(data_dir: Path) -> None:
    path = data_dir / "wsi" / "CMU-1-Small-Region.svs"
    with OpenSlideSlide(path) as reference:
        slide = DirectSlide(path, reference.facts)
        for y in range(0, 2967, 990):
            box = (0, y, 2230, 991)
            assert (slide.read_region(0, *box) == reference.read_region(0, *box)).all()


def test_a_region_outside_the_image_is_fill(small_slides: dict[str, Path]) -> None:
    slide = opened(small_slides["svs"])
    assert (slide.read_region(0, 5000, -400, 30, 20) == FILL).all()


def test_levels_and_sizes_that_do_not_exist_are_refused(small_slides: dict[str, Path]) -> None:
    slide = opened(small_slides["svs"])
    with pytest.raises(RefusedInputError, match="there are 2 levels"):
        slide.read_region(2, 0, 0, 10, 10)
    with pytest.raises(RefusedInputError, match="at least one pixel"):
        slide.read_region(0, 0, 0, 0, 10)


def test_threads_share_a_slide(small_slides: dict[str, Path]) -> None:
    slide = opened(small_slides["svs"])
    wanted = sums(slide)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: sums(slide), range(16))) == {wanted}


# A child that is forked while other threads run may hang in them; here it only reads.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_reads_the_same(small_slides: dict[str, Path]) -> None:
    slide = opened(small_slides["svs"])
    wanted = sums(slide)
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[int] = context.Queue()
    child = context.Process(target=child_sum, args=(slide, queue))
    child.start()
    assert queue.get(timeout=20) == wanted
    child.join()
    slide.close()
    assert sums(slide) == wanted


def test_a_pickled_slide_opens_its_path_again(small_slides: dict[str, Path]) -> None:
    slide = opened(small_slides["tiff"])
    slide.notes = ("seen",)
    again = pickle.loads(pickle.dumps(slide))  # noqa: S301 - our own bytes
    assert sums(again) == sums(slide)
    assert again.facts == slide.facts
    assert again.notes == ("seen",)


def test_readers_do_not_import_torch() -> None:
    said = "import sys, medconsist.wsi.readers.open; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", said], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_broken_bytes_name_tile_and_level_and_harm_nothing_else(
    small_slides: dict[str, Path], tmp_path: Path
) -> None:
    sound = opened(small_slides["svs"])
    stored = sound.stored[0]
    data = bytearray(small_slides["svs"].read_bytes())
    at, size = int(stored.offsets[6]), int(stored.counts[6])
    data[at + size // 2 : at + size] = (b"\xff\xd9" * size)[: size - size // 2]
    broken = tmp_path / "broken.svs"
    broken.write_bytes(data)
    slide = DirectSlide(broken, sound.facts)
    with pytest.raises(CorruptInputError, match=r"row 1, column 1\) of level 0"):
        slide.read_region(0, 0, 0, 200, 200)
    assert (slide.read_region(0, 0, 0, 64, 64) == sound.read_region(0, 0, 0, 64, 64)).all()


def test_a_file_that_shrinks_after_opening_is_truncated(
    small_slides: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(small_slides["svs"].read_bytes())
    slide = opened(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(TruncatedFileError, match="ends at byte"):
        slide.read_region(0, 0, 0, 64, 64)


def test_a_tile_that_was_never_stored_is_fill(tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.tif", np.full((128, 192, 3), 40, np.uint8)
    tifffile.imwrite(path, pixels, tile=(64, 64), compression="jpeg", photometric="rgb")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        tag = page.tags[325]
        at, kind = tag.valueoffset, {3: "<H", 4: "<I"}[int(tag.dtype)]
    struct.pack_into(kind, data, at + struct.calcsize(kind), 0)
    path.write_bytes(data)
    with OpenSlideSlide(path) as reference:
        wanted = reference.read_region(0, 0, 0, 192, 128)
    region = opened(path).read_region(0, 0, 0, 192, 128)
    assert (region == wanted).all()
    assert (region[:64, 64:128] == FILL).all()
    assert (region[64:] != FILL).all()


def test_streams_are_whole_jpeg_files(small_slides: dict[str, Path], tmp_path: Path) -> None:
    slide = opened(small_slides["svs"])
    stream = slide.stream(0, 1, 2)
    assert stream is not None
    (tmp_path / "tile.jpg").write_bytes(stream)
    made = Reads(tmp_path / "tile.jpg").pread(0, len(stream))
    assert bytes(made) == stream
    facts = slide.stream_facts(0)
    assert facts is not None
    assert (facts.width, facts.height) == (64, 64)
