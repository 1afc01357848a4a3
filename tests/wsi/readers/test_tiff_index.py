"""Where stored tiles lie: declined with a reason, refused when the structure lies, bounded."""

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from medconsist.errors import CorruptInputError, TruncatedFileError, UnsupportedInputError
from medconsist.wsi.readers.tiff_index import stored_levels
from medconsist.wsi.slide import Level

PIXELS = np.random.default_rng(0).integers(0, 256, (130, 200, 3), dtype=np.uint8)
LEVELS = (Level(200, 130),)
JPEG: dict[str, Any] = {"tile": (64, 64), "compression": "jpeg", "photometric": "rgb"}


def write(path: Path, pixels: npt.NDArray[np.uint8] = PIXELS, **options: Any) -> Path:
    tifffile.imwrite(path, pixels, **options)
    return path


def first_page(tiff: tifffile.TiffFile) -> tifffile.TiffPage:
    """Return the first directory, never an abbreviated one."""
    page = tiff.pages[0]
    assert isinstance(page, tifffile.TiffPage)
    return page


def tag_offset(path: Path, code: int) -> int:
    """Return where the value field of a tag of the first directory lies."""
    with tifffile.TiffFile(path) as tiff:
        return first_page(tiff).tags[code].offset + (12 if tiff.is_bigtiff else 8)


@pytest.mark.parametrize("big", ["classic", "big"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_offsets_and_counts_are_those_of_the_file(tmp_path: Path, big: str, order: str) -> None:
    path = write(tmp_path / "a.tif", bigtiff=big == "big", byteorder=order, **JPEG)
    (stored,) = stored_levels(path, LEVELS)
    with tifffile.TiffFile(path) as tiff:
        page = first_page(tiff)
        assert stored.offsets.tolist() == list(page.dataoffsets)
        assert stored.counts.tolist() == list(page.databytecounts)
        assert stored.tables == (page.jpegtables or b"")
    assert stored.shape == (3, 4)
    assert stored.photometric == 6  # tifffile stores RGB as YCbCr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"compression": "jpeg", "photometric": "rgb", "rowsperstrip": 16}, "not stored as tiles"),
        ({"tile": (64, 64), "photometric": "rgb"}, "no compression"),
        ({"tile": (64, 64), "photometric": "rgb", "compression": "zlib"}, "deflate"),
        ({"tile": (64, 64), "photometric": "rgb", "compression": "jpeg2000"}, "JPEG 2000"),
        ({"tile": (64, 64), "photometric": "rgb", "compression": "lzw"}, "LZW"),
    ],
)
def test_what_is_not_jpeg_tiles_is_declined_with_the_reason(
    tmp_path: Path, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UnsupportedInputError, match=reason):
        stored_levels(write(tmp_path / "a.tif", **options), LEVELS)


def test_channels_bits_and_planes_are_declined(tmp_path: Path) -> None:
    grey = write(tmp_path / "g.tif", PIXELS[..., 0], tile=(64, 64), compression="jpeg")
    with pytest.raises(UnsupportedInputError, match="1 channels"):
        stored_levels(grey, LEVELS)
    planar = write(tmp_path / "p.tif", PIXELS.transpose(2, 0, 1), planarconfig="separate", **JPEG)
    with pytest.raises(UnsupportedInputError, match="planar"):
        stored_levels(planar, LEVELS)


def test_other_files_and_other_levels_are_declined(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    with pytest.raises(UnsupportedInputError, match="begins with"):
        stored_levels(tmp_path / "a.tif", LEVELS)
    with pytest.raises(UnsupportedInputError, match="level 0"):
        stored_levels(write(tmp_path / "b.tif", **JPEG), (Level(201, 130),))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "size"),
    [("openslide_boxes.tiff", (300, 250)), ("test3-DAPI-2-387.ndpi", (3968, 4864))],
)
def test_fixtures_that_are_left_to_openslide(
    data_dir: Path, name: str, size: tuple[int, int]
) -> None:
    with pytest.raises(UnsupportedInputError, match="level 0"):
        stored_levels(data_dir / "wsi" / name, (Level(*size),))


def test_a_tile_beyond_the_end_is_truncation(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", **JPEG)
    data = path.read_bytes()
    (stored,) = stored_levels(path, LEVELS)
    last = int((stored.offsets + stored.counts).max())
    # tifffile writes the directory first, so a cut within the tiles leaves it whole
    path.write_bytes(data[: last - 10])
    with pytest.raises(TruncatedFileError, match="tile 11 of level 0 ends at byte"):
        stored_levels(path, LEVELS)


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 9, 20, 100, 150, 300])
def test_a_file_cut_anywhere_in_its_structure_is_refused(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path / "a.tif", **JPEG)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises((CorruptInputError, UnsupportedInputError)):
        stored_levels(path, LEVELS)


def test_directories_in_a_circle_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", **JPEG)
    data = bytearray(path.read_bytes())
    first = struct.unpack_from("<I", data, 4)[0]
    entries = struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)
    path.write_bytes(data)
    with pytest.raises(CorruptInputError, match="circle"):
        stored_levels(path, LEVELS)


def test_a_claim_of_a_billion_tiles_takes_no_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", **JPEG)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, tag_offset(path, 324) - 4, 1 << 30)
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(TruncatedFileError, match="tag 324 of 1073741824 values"):
        stored_levels(path, LEVELS)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_fewer_tiles_than_the_size_needs_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", **JPEG)
    data = bytearray(path.read_bytes())
    offset = tag_offset(path, 256)
    with tifffile.TiffFile(path) as tiff:
        kind = "<H" if first_page(tiff).tags[256].dtype == 3 else "<I"
    struct.pack_into(kind, data, offset, 60000)
    path.write_bytes(data)
    with pytest.raises(CorruptInputError, match="needs 2814 tiles"):
        stored_levels(path, (Level(60000, 130),))
