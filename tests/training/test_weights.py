"""Weights come back bit by bit, and whatever is not ours is refused in one sentence."""

import hashlib
import struct
from pathlib import Path

import pytest
import safetensors.torch
import torch

from medconsist.errors import (
    ConvergenceError,
    MedconsistError,
    MissingInputError,
    RefusedInputError,
    StorageError,
    TruncatedFileError,
    UnsafeFileError,
)
from medconsist.training.weights import read_weights, save_weights

STATE = {
    "a.weight": torch.arange(6.0).reshape(2, 3).T,
    "b.count": torch.tensor(3),
    "c.half": torch.ones(2, dtype=torch.bfloat16),
    "d.complex": torch.tensor([1 + 2j]),
}


def write(path: Path) -> str:
    return save_weights(path, STATE, architecture={"n": 3, "unit": "gru"}, about={"data": "none"})


def test_weights_come_back_bit_by_bit_with_what_they_belong_to(tmp_path: Path) -> None:
    digest = write(tmp_path / "a.safetensors")

    stored = read_weights(tmp_path / "a.safetensors")

    assert stored.state.keys() == STATE.keys()
    for name, tensor in STATE.items():
        assert stored.state[name].dtype == tensor.dtype
        assert torch.equal(stored.state[name], tensor)
    assert stored.architecture == {"n": 3, "unit": "gru"}
    assert stored.about == {"data": "none"}
    raw = (tmp_path / "a.safetensors").read_bytes()
    assert stored.sha256 == digest == hashlib.sha256(raw).hexdigest()


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = {write(tmp_path / f"{n}.safetensors") for n in range(5)}
    assert len(digests) == 1


def test_no_length_of_the_header_is_taken_for_a_pickle(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    starts = set()
    for length in (466, 722, 978, 1234):
        save_weights(path, {"a": torch.ones(1)}, architecture={"n": "x" * length}, about={})
        starts.add(path.read_bytes()[:2])
        assert read_weights(path).architecture == {"n": "x" * length}
    assert starts == {b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"}


def test_numbers_of_8_bits_are_looked_at_too(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    eight = torch.tensor([1.0, 2.0]).to(torch.float8_e4m3fn)
    save_weights(path, {"a": eight}, architecture={}, about={})
    assert torch.equal(read_weights(path).state["a"].float(), eight.float())
    bad = torch.tensor([float("nan")]).to(torch.float8_e4m3fn)
    with pytest.raises(ConvergenceError, match="a is not finite"):
        save_weights(path, {"a": bad}, architecture={}, about={})


def test_tensors_that_share_memory_are_both_written(tmp_path: Path) -> None:
    shared = torch.ones(2)
    path = tmp_path / "a.safetensors"
    save_weights(path, {"a": shared, "b": shared}, architecture={}, about={})
    assert read_weights(path).state.keys() == {"a", "b"}


def test_a_cut_of_the_file_is_refused_as_truncated_or_broken(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    for size in range(0, len(whole), 5):
        (tmp_path / "cut.safetensors").write_bytes(whole[:size])
        with pytest.raises(TruncatedFileError, match="Copy it again"):
            read_weights(tmp_path / "cut.safetensors")


def test_a_wrong_byte_in_the_header_is_refused_or_harmless(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", whole)
    for place in range(0, 8 + length, 3):
        broken = bytearray(whole)
        broken[place] ^= 0x15
        (tmp_path / "broken.safetensors").write_bytes(bytes(broken))
        try:
            state = read_weights(tmp_path / "broken.safetensors").state
        except MedconsistError:
            continue
        assert len(state) == len(STATE)


def test_a_pickled_checkpoint_is_refused_as_unsafe(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "a.ckpt")
    with pytest.raises(UnsafeFileError, match="pickled content"):
        read_weights(tmp_path / "a.ckpt")


def with_header(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        b"not weights at all",
        with_header(b'{"a":{"data_offsets":[0,Infinity]}}'),
        with_header(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ],
    ids=["hdf5", "text", "endless", "deep"],
)
def test_another_kind_of_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(RefusedInputError, match="is not a safetensors file"):
        read_weights(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"medconsist": "[]"},
        {"medconsist": '{"format":"other"}'},
        {"medconsist": '{"about":{"a":1},"architecture":{},"format":"medconsist-weights-1"}'},
    ],
    ids=str,
)
def test_safetensors_without_our_metadata_are_refused(
    metadata: dict[str, str] | None, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors.torch.save({"a": torch.ones(1)}, metadata=metadata))
    with pytest.raises(RefusedInputError, match="without the metadata 'medconsist-weights-1'"):
        read_weights(path)


def test_weights_that_are_not_finite_are_neither_written_nor_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    bad = {"a": torch.tensor([1.0, float("nan")])}
    with pytest.raises(ConvergenceError, match=r"a\.safetensors is not written: a is not finite"):
        save_weights(path, bad, architecture={}, about={})
    assert not path.exists()
    write(path)
    raw = path.read_bytes()
    at = raw.index(struct.pack("<f", 5.0))
    path.write_bytes(raw[:at] + struct.pack("<f", float("inf")) + raw[at + 4 :])
    with pytest.raises(RefusedInputError, match=r"a\.weight holds values that are not finite"):
        read_weights(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="does not exist"):
        read_weights(tmp_path / "a.safetensors")
    with pytest.raises(RefusedInputError, match="not a regular file"):
        read_weights(tmp_path)


def test_metadata_that_are_not_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="architecture"):
        save_weights(tmp_path / "a", STATE, architecture={"x": object()}, about={})


def test_a_folder_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Could not write"):
        write(tmp_path / "missing" / "a.safetensors")
