"""How a file says that it is stored; a broken one says nothing, and nothing goes wrong."""

import random
from pathlib import Path

import numpy as np
import pytest
import tifffile

from medconsist.wsi.storage import StoredAs, storage_of
from tests.wsi.small_slide import write_small_slide

PIXELS = np.zeros((48, 80, 3), np.uint8)


def test_every_image_of_a_file_is_told_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "two.tiff"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(PIXELS, tile=(16, 32), compression="jpeg", photometric="rgb")
        tiff.write(PIXELS[:, :40], rowsperstrip=8, compression="zlib", photometric="rgb")
    assert storage_of(path) == (
        StoredAs(80, 48, "JPEG", "YCBCR", (32, 16)),  # tifffile stores RGB as YCbCr
        StoredAs(40, 48, "ADOBE_DEFLATE", "RGB", None),
    )
    assert storage_of(path)[1].words == "40 x 48: ADOBE_DEFLATE, RGB, strips"


@pytest.mark.data
def test_the_aperio_trap_and_an_unknown_compression_are_named(data_dir: Path) -> None:
    wsi = data_dir / "wsi"
    first = storage_of(wsi / "CMU-1-Small-Region.svs")[0]
    assert first == StoredAs(2220, 2967, "JPEG", "RGB", (240, 240))
    assert storage_of(wsi / "openslide_unopenable.tiff")[0].compression == "52479"


@pytest.mark.parametrize("bytes_", [b"", b"I", b"II", b"II*", b"II*\0", b"no slide", bytes(900)])
def test_another_kind_of_file_has_no_images(bytes_: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(bytes_)
    assert storage_of(path) == ()


def test_a_folder_and_a_missing_file_have_none(tmp_path: Path) -> None:
    assert storage_of(tmp_path) == ()
    assert storage_of(tmp_path / "none.svs") == ()


def test_a_cut_file_has_none_and_nothing_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_small_slide(tmp_path / "good.svs", width=128, height=128, levels=1).read_bytes()
    path = tmp_path / "bad.svs"
    for at in (*range(1, 20), *range(20, len(data), len(data) // 20)):
        path.write_bytes(data[:at])
        assert storage_of(path) == ()
    assert not caplog.records


def test_a_flipped_bit_of_a_directory_never_raises(tmp_path: Path) -> None:
    good = write_small_slide(tmp_path / "good.svs", width=128, height=128, levels=1)
    with tifffile.TiffFile(good) as tiff:
        places = [page.offset + at for page in tiff.pages for at in range(2, 170)]
    data, path = good.read_bytes(), tmp_path / "bad.svs"
    draw = random.Random(3)  # noqa: S311  a fixed draw, no secret
    told = set()
    for _ in range(150):
        changed = bytearray(data)
        changed[draw.choice(places)] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        told.add(len(storage_of(path)))
    assert {0, len(storage_of(good))} <= told
