"""Integrity: what a file claims against what it holds, and the class of error that says so."""

import struct
import time
from pathlib import Path

import pytest
import tifffile

from medconsist.errors import (
    CorruptInputError,
    MedconsistError,
    MissingInputError,
    NoMppError,
    StorageError,
    TruncatedFileError,
    UnsupportedInputError,
)
from medconsist.wsi.readers.content import Content, content_of
from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.readers.probe import check_file, why_unreadable


def test_good_slides_pass(small_slides: dict[str, Path]) -> None:
    assert {check_file(path) for path in small_slides.values()} == {Content.TIFF}


@pytest.mark.data
def test_good_real_slides_pass(data_dir: Path) -> None:
    kinds = {
        path.name: check_file(path)
        for path in (data_dir / "wsi").iterdir()
        if path.suffix in (".svs", ".ndpi", ".tiff", ".dcm")
    }
    assert kinds.pop("openslide_boxes_0.dcm") is Content.DICOM
    assert kinds.pop("openslide_boxes_1.dcm") is Content.DICOM
    assert set(kinds.values()) == {Content.TIFF}
    assert len(kinds) == 6


def test_a_missing_file_a_folder_and_an_empty_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.svs").touch()
    for name, error, says in (
        ("none.svs", MissingInputError, "there is no file none.svs"),
        (".", UnsupportedInputError, "is a folder"),
        ("empty.svs", CorruptInputError, "empty"),
    ):
        with pytest.raises(error, match=says):
            check_file(tmp_path / name)


def test_what_the_system_does_not_let_read_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read: File name too long"):
        check_file(tmp_path / ("a" * 300))


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.9999])
def test_a_cut_slide_is_truncated_and_nothing_else(
    small_slides: dict[str, Path], tmp_path: Path, share: float
) -> None:
    for source in small_slides.values():
        path = tmp_path / source.name
        data = source.read_bytes()
        path.write_bytes(data[: max(4, int(share * len(data)))])
        with pytest.raises(TruncatedFileError, match="Copy it again"):
            open_slide(path)
        with pytest.raises(TruncatedFileError, match="Copy it again"):
            open_slide(path, engine="openslide", check=False)


@pytest.mark.data
def test_a_cut_dicom_slide_is_truncated(data_dir: Path, tmp_path: Path) -> None:
    data = (data_dir / "wsi" / "openslide_boxes_0.dcm").read_bytes()
    path = tmp_path / "cut.dcm"
    for size in (132, 140, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(TruncatedFileError, match="Copy it again"):
            open_slide(path)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("openslide_unreadable.svs", CorruptInputError, "Bogus marker length"),
        ("openslide_unopenable.tiff", UnsupportedInputError, "compression: 52479"),
        ("musk1.data", UnsupportedInputError, "a text named .data, and no slide"),
    ],
)
def test_real_broken_files_get_their_class(
    data_dir: Path, name: str, error: type[MedconsistError], says: str
) -> None:
    with pytest.raises(error, match=says):
        open_slide(data_dir / "wsi" / name)


@pytest.mark.data
def test_a_batch_goes_on_over_broken_slides(data_dir: Path) -> None:
    names = ("openslide_unreadable.svs", "openslide_small.svs", "openslide_unopenable.tiff")
    seen = []
    for name in names:
        try:
            with open_slide(data_dir / "wsi" / name) as slide:
                seen.append(slide.engine)
        except MedconsistError as error:
            seen.append(error.reason)
    assert seen == ["corrupt", "direct", "unsupported"]


def test_directories_in_a_loop_end(tmp_path: Path) -> None:
    path = tmp_path / "loop.tif"
    entry = struct.pack("<HHII", 256, 4, 1, 100)
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 8) + bytes(90))
    with pytest.raises(CorruptInputError, match="leads back to byte 8"):
        check_file(path)


def directory(following: int, **tags: tuple[int, int]) -> bytes:
    """A directory of LONG tags ``tag_256=(count, value or place)``."""
    entries = [struct.pack("<HHII", int(name[4:]), 4, *said) for name, said in tags.items()]
    return struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", following)


def test_overlapping_tables_cost_no_time(tmp_path: Path) -> None:
    """20,000 directories that all claim the same table of 2 MB would be 40 GB of reading."""
    path, n, tiles, width = tmp_path / "bomb.tif", 20_000, 500_000, 2 + 6 * 12 + 4
    table = (tiles, 8 + n * width)
    sides = {"tag_256": (1, 8), "tag_257": (1, 8 * tiles), "tag_322": (1, 8), "tag_323": (1, 8)}
    blocks = [
        directory(at + width if at < table[1] - width else 0, **sides, tag_324=table, tag_325=table)
        for at in range(8, 8 + n * width, width)
    ]
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + b"".join(blocks) + bytes(4 * tiles))
    start = time.process_time()
    with pytest.raises(CorruptInputError, match="overlap"):
        check_file(path)
    assert time.process_time() - start < 2


def test_a_slide_of_80000_pixels_is_checked_in_milliseconds(tmp_path: Path) -> None:
    path, side, tile = tmp_path / "large.tif", 80_000, 256
    tiles = (-(-side // tile)) ** 2
    at = 8 + 2 + 6 * 12 + 4
    head = directory(
        0, tag_256=(1, side), tag_257=(1, side), tag_322=(1, tile), tag_323=(1, tile),
        tag_324=(tiles, at), tag_325=(tiles, at + 4 * tiles),
    )  # fmt: skip
    tables = struct.pack("<I", at) * tiles + struct.pack("<I", 100) * tiles
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + head + tables)
    start = time.process_time()
    assert check_file(path) is Content.TIFF
    assert time.process_time() - start < 0.5


def test_a_level_of_another_shape_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "shapes.tif"
    with tifffile.TiffWriter(path) as tiff:
        for kind, shape in ((0, (640, 640, 3)), (1, (320, 80, 3))):
            tiff.write(
                shape=shape, dtype="uint8", tile=(64, 64), photometric="rgb", subfiletype=kind,
                data=None, compression=None,
            )  # fmt: skip
    with pytest.raises(CorruptInputError, match="not the same picture"):
        open_slide(path)


def test_mpp_is_missed_only_in_a_sound_slide(small_slides: dict[str, Path]) -> None:
    with (
        open_slide(small_slides["silent"]) as slide,
        pytest.raises(NoMppError, match="does not say its microns per pixel"),
    ):
        slide.facts.mpp()


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (b"", Content.EMPTY),
        (b"I", Content.TIFF),
        (b"MM\0+rest", Content.TIFF),
        (b"\xff\xd8\xff\xe0", Content.JPEG),
        (bytes(128) + b"DICM", Content.DICOM),
        (b"a,b\n1,2\n", Content.TEXT),
        (b"\x01\x02\x03\x00\x05", Content.OTHER),
    ],
)
def test_content_decides_whatever_the_name(tmp_path: Path, data: bytes, content: Content) -> None:
    path = tmp_path / "slide.svs"
    path.write_bytes(data)
    assert content_of(path) is content


def test_an_error_of_a_sound_file_names_what_was_done(small_slides: dict[str, Path]) -> None:
    error = why_unreadable(small_slides["svs"], ValueError("bad tile"), doing="reading level 1")
    assert isinstance(error, CorruptInputError)
    assert "failed on reading level 1: bad tile" in str(error)
