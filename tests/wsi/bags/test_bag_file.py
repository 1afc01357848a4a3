"""A bag comes back bit by bit; what is cut, altered, foreign or pickled is refused."""

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medconsist.errors import (
    CorruptResultError,
    MedconsistError,
    MissingInputError,
    NoTissueError,
    RefusedInputError,
    StorageError,
    TruncatedFileError,
    UnsafeFileError,
)
from medconsist.wsi.bags import bag_file
from medconsist.wsi.bags.bag import Bag
from medconsist.wsi.bags.bag_file import read_bag, read_bag_facts, stream_bag, write_bag
from medconsist.wsi.bags.simulate import simulated_bag

HERE = Path(__file__).parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "slide-1.safetensors"


def assert_same(found: Bag, wanted: Bag) -> None:
    assert found.header == wanted.header
    for name in ("features", "coords", "index"):
        one, other = getattr(found, name), getattr(wanted, name)
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tiles=st.integers(1, 130), dim=st.integers(1, 9), mmap=st.booleans(), verify=st.booleans())
def test_a_bag_comes_back_bit_by_bit(
    tiles: int, dim: int, mmap: bool, verify: bool, path: Path
) -> None:
    bag = simulated_bag(tiles=tiles, dim=dim, seed=tiles)
    write_bag(path, bag)
    assert_same(read_bag(path, mmap=mmap, verify=verify), bag)


def test_fp16_and_the_affine_restore_float_coordinates(path: Path) -> None:
    bag = simulated_bag(tiles=130, dim=3)
    write_bag(path, bag)
    found = read_bag(path)
    assert torch.equal(found.exact_coords(), bag.exact_coords())
    assert float((found.exact_coords() - found.coords).max()) > 0.9
    assert float((found.exact_coords() - found.coords).min()) >= 0


def test_the_bytes_are_those_of_safetensors_itself(path: Path) -> None:
    bag = simulated_bag(tiles=7, dim=3)
    write_bag(path, bag)
    raw = path.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    metadata = json.loads(raw[8 : 8 + length])["__metadata__"]
    assert metadata.keys() == {"medconsist"}
    tensors = {"features": bag.features, "coords": bag.coords, "index": bag.index}
    assert safetensors.torch.save(tensors, metadata=metadata) == raw


def test_the_same_bag_gives_the_same_bytes(path: Path) -> None:
    seen = set()
    for _ in range(3):
        write_bag(path, simulated_bag(tiles=7, dim=3))
        seen.add(path.read_bytes())
    assert len(seen) == 1


def test_no_part_of_a_file_is_accepted(path: Path, tmp_path: Path) -> None:
    write_bag(path, simulated_bag(tiles=5, dim=3))
    whole, cut = path.read_bytes(), tmp_path / "cut.safetensors"
    for size in range(0, len(whole), 7):
        cut.write_bytes(whole[:size])
        with pytest.raises(TruncatedFileError, match="Copy it again"):
            read_bag(cut, verify=False)
    cut.write_bytes(whole + b"\0")
    with pytest.raises(CorruptResultError, match="not as it was written"):
        read_bag(cut, verify=False)


def test_no_altered_byte_is_accepted(path: Path, tmp_path: Path) -> None:
    write_bag(path, simulated_bag(tiles=5, dim=3))
    whole, broken = path.read_bytes(), tmp_path / "broken.safetensors"
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 0x04
        broken.write_bytes(bytes(data))
        with pytest.raises(MedconsistError, match=r"\S"):
            read_bag(broken)


def test_an_altered_feature_is_named_as_corrupt(path: Path) -> None:
    write_bag(path, simulated_bag(tiles=5, dim=3))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptResultError, match="differ from its own sha256"):
        read_bag(path)
    assert len(read_bag(path, verify=False)) == 5


def test_a_header_that_does_not_fit_is_refused_with_its_key(path: Path) -> None:
    write_bag(path, simulated_bag(tiles=5, dim=3))
    data = path.read_bytes()
    path.write_bytes(data.replace(b'\\"bounds_x\\"', b'\\"bounds_z\\"'))
    with pytest.raises(RefusedInputError, match=r"'bounds_z' is not known.*'bounds_[xy]'"):
        read_bag(path)


def test_a_changed_value_of_the_header_breaks_its_seal(path: Path) -> None:
    write_bag(path, simulated_bag(tiles=5, dim=3))
    data = path.read_bytes()
    path.write_bytes(data.replace(b'\\"patient-1\\"', b'\\"patient-2\\"'))
    with pytest.raises(CorruptResultError, match="differ from its own sha256"):
        read_bag(path, verify=False)


@pytest.mark.parametrize(
    "metadata",
    ["[]", "{}", '{"format":"medconsist-bag-1"}', '{"format":"medconsist-weights-1"}',
     '{"bag":{},"data_sha256":"","dim":1,"format":"medconsist-bag-1","tiles":"x"}'],
)  # fmt: skip
def test_metadata_of_another_kind_are_refused(metadata: str, path: Path) -> None:
    data = safetensors.torch.save({"a": torch.ones(1)}, metadata={"medconsist": metadata})
    path.write_bytes(data)
    with pytest.raises(RefusedInputError, match="without the metadata 'medconsist-bag-1'"):
        read_bag(path)


def test_changing_a_mapped_bag_does_not_change_its_file(path: Path) -> None:
    write_bag(path, simulated_bag(tiles=5, dim=3))
    before = path.read_bytes()
    read_bag(path).features.zero_()
    assert path.read_bytes() == before


def test_a_file_that_is_replaced_or_removed_leaves_a_mapped_bag_as_it_was(path: Path) -> None:
    bag = simulated_bag(tiles=900, dim=64, seed=1)
    write_bag(path, bag)
    found = read_bag(path)
    write_bag(path, simulated_bag(tiles=900, dim=64, seed=2))
    assert_same(found, bag)
    path.unlink()
    assert_same(found, bag)


@pytest.mark.parametrize("mmap", [True, False])
def test_a_file_that_is_replaced_between_check_and_use_is_not_mixed_with_the_first(
    mmap: bool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = simulated_bag(tiles=9, dim=4, seed=1)
    write_bag(path, first)
    check = bag_file._checked

    def check_then_replace(*args: Any, **options: Any) -> Any:
        answer = check(*args, **options)
        write_bag(path, simulated_bag(tiles=9, dim=4, slide="other", seed=2))
        return answer

    monkeypatch.setattr(bag_file, "_checked", check_then_replace)
    assert_same(read_bag(path, mmap=mmap), first)


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(100), RefusedInputError, "not a safetensors file"),
        (b"not a bag at all", RefusedInputError, "not a safetensors file"),
        (b"", TruncatedFileError, "before any header"),
        (b"\x80\x04\x95" + bytes(50), UnsafeFileError, "pickled content"),
        (safetensors.torch.save({"a": torch.ones(1)}), RefusedInputError, "CLAM, TRIDENT"),
    ],
    ids=["hdf5", "text", "empty", "pickle", "foreign"],
)
def test_another_kind_of_file_is_refused(
    content: bytes, error: type[MedconsistError], said: str, path: Path
) -> None:
    path.write_bytes(content)
    with pytest.raises(error, match=said):
        read_bag(path)


def test_a_missing_file_and_a_folder_are_refused(path: Path) -> None:
    with pytest.raises(MissingInputError, match="Check the path of the bag"):
        read_bag(path)
    with pytest.raises(RefusedInputError, match="not a regular file"):
        read_bag(path.parent)


def test_an_empty_bag_is_written_only_if_asked(path: Path) -> None:
    empty = simulated_bag(tiles=0, dim=3)
    with pytest.raises(NoTissueError, match="slide-1 has no tile"):
        write_bag(path, empty)
    assert not path.exists()
    write_bag(path, empty, allow_empty=True)
    for mmap in (True, False):
        assert read_bag(path, mmap=mmap).features.shape == (0, 3)


def test_features_that_are_not_finite_and_wrong_places_are_not_written(path: Path) -> None:
    bag = simulated_bag(tiles=5, dim=3)
    bag.features[3, 1] = float("nan")
    with pytest.raises(RefusedInputError, match="tile 3, feature 1"):
        write_bag(path, bag)
    moved = simulated_bag(tiles=5, dim=3)
    moved.coords[2] += 1
    with pytest.raises(RefusedInputError, match="Tile 2 of slide-1 is at"):
        write_bag(path, moved)
    assert not path.exists()


def test_a_folder_that_is_not_there_is_a_storage_error(path: Path) -> None:
    with pytest.raises(StorageError, match="Could not write"):
        write_bag(path.parent / "missing" / "a.safetensors", simulated_bag(tiles=5, dim=3))


def test_blocks_that_do_not_fill_the_bag_are_refused_and_nothing_is_left(path: Path) -> None:
    bag = simulated_bag(tiles=5, dim=3)
    with pytest.raises(RefusedInputError, match="for 5 tiles"):
        stream_bag(path, bag.header, index=bag.index, dim=3, blocks=[b"\0" * 24])
    assert list(path.parent.iterdir()) == []


def test_the_head_alone_tells_slide_and_shape(path: Path) -> None:
    write_bag(path, simulated_bag(tiles=5, dim=3))
    facts = read_bag_facts(path)
    assert (facts.header.slide, facts.tiles, facts.dim) == ("slide-1", 5, 3)


@pytest.mark.parametrize("mode", ["mapped", "verified"])
def test_a_mapped_bag_is_not_loaded(mode: str, path: Path) -> None:
    """A bag of 200 MB of features is opened, and one row used, within 16 MiB."""
    tiles, dim = 50_000, 2048
    bag = simulated_bag(tiles=tiles, dim=1)
    block = torch.ones(1000, dim, dtype=torch.float16).numpy().tobytes()
    blocks = (block for _ in range(tiles // 1000))
    stream_bag(path, bag.header, index=bag.index, dim=dim, blocks=blocks)
    command = [sys.executable, str(HERE / "mapped_memory.py"), str(path), mode]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["row"] == dim
    assert seen["opened"] < 16, seen
    assert seen["used"] < 16, seen
