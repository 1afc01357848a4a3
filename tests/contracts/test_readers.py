"""Damaged, hostile and absurd files: every reader answers with one typed sentence, in time."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from medconsist import errors
from medconsist.errors import (
    BudgetError,
    MedconsistError,
    MissingInputError,
    RefusedInputError,
    ShapeError,
    TruncatedFileError,
    UnsafeFileError,
)
from medconsist.mri.formats import foreign_hdf5
from medconsist.mri.formats.foreign_hdf5 import Request, read_foreign_hdf5
from medconsist.mri.readers import read_kspace, read_maps
from tests.mri.asymmetric import asymmetric_kspace
from tests.mri.conftest import WRITERS, header_xml, write_bart, write_fastmri, write_npy
from tests.mri.ismrmrd_writer import write_ismrmrd
from tests.mri.layout_writers import write_cc359, write_cmrxrecon, write_skm_tea

BUDGET = 2**28
IN_TIME = 20.0  # seconds for one file on a loaded machine; a sound one takes 0.2


def write_checksummed(path: Path, samples: Tensor) -> Path:
    """Write a fastMRI file in the newest HDF5 layout, whose metadata carry checksums."""
    target = path.with_suffix(".h5")
    with h5py.File(target, "w", libver="latest") as file:
        file.create_dataset("kspace", data=samples.numpy(), fletcher32=True, chunks=(1, 3, 20, 28))
    return target


KINDS: dict[str, Callable[[Path, Tensor], Path]] = {
    **WRITERS,
    "ismrmrd": write_ismrmrd,
    "cmrxrecon": write_cmrxrecon,
    "skm_tea": write_skm_tea,
    "cc359": write_cc359,
}
ALL_WRITERS = {**KINDS, "checksummed": write_checksummed}


def refused(path: Path, *, budget: int = BUDGET) -> MedconsistError | Tensor:
    """Return the refusal, checked to be one sentence with exit code 2, or the samples read."""
    start = time.monotonic()
    answer: MedconsistError | Tensor
    try:
        answer = read_kspace(path, budget_bytes=budget).data
    except MedconsistError as error:
        answer = error
    assert time.monotonic() - start < IN_TIME
    if isinstance(answer, MedconsistError):
        assert answer.exit_code == 2
        assert str(answer).strip()
        assert "\n" not in str(answer)
    return answer


def refused_or_same(path: Path, samples: Tensor) -> bool:
    """Tell whether the file is refused, or read with exactly these samples."""
    answer = refused(path)
    return isinstance(answer, MedconsistError) or torch.equal(answer, samples)


def lengths(total: int, count: int) -> list[int]:
    """Return lengths from 0 to just below the total, dense at the header."""
    head = [0, 1, 5, 8, 64, 100]
    spread = [round(total * k / count) for k in range(1, count)]
    return sorted({n for n in (*head, *spread, total - 1) if n < total})


@pytest.mark.parametrize("kind", ALL_WRITERS)
def test_truncation_at_any_length_is_refused(kind: str, tmp_path: Path) -> None:
    path = ALL_WRITERS[kind](tmp_path / "scan", asymmetric_kspace())
    whole = path.read_bytes()
    hdf5 = kind not in ("npy", "bart")
    for length in lengths(len(whole), 3 if hdf5 else 40):
        path.write_bytes(whole[:length])
        assert isinstance(refused(path), TruncatedFileError), length


def test_truncated_header_of_a_bart_pair_is_refused(tmp_path: Path) -> None:
    samples = asymmetric_kspace()
    path = write_bart(tmp_path / "scan", samples).with_suffix(".hdr")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        # Cut behind the slice axis, only ones are missing, and the pair still says the same.
        assert refused_or_same(path, samples), length


@pytest.mark.parametrize("kind", ["npy", "bart", "checksummed"])
def test_flipped_bit_in_the_header_is_refused_or_harmless(kind: str, tmp_path: Path) -> None:
    samples = asymmetric_kspace()
    path = ALL_WRITERS[kind](tmp_path / "scan", samples)
    header = path.with_suffix(".hdr") if kind == "bart" else path
    whole = header.read_bytes()
    size, step = {"npy": (128, 1), "bart": (len(whole), 1), "checksummed": (400, 21)}[kind]
    for position in range(0, size, step):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        header.write_bytes(damaged)
        assert refused_or_same(path, samples), position


def test_flipped_bits_in_an_old_hdf5_header_never_take_the_caller_down(tmp_path: Path) -> None:
    path = write_fastmri(tmp_path / "scan", asymmetric_kspace())
    whole = path.read_bytes()
    for position in range(8, 2048, 97):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        assert isinstance(refused(path), MedconsistError | Tensor)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [complex(np.nan, 0), complex(0, np.inf)])
def test_values_that_are_not_finite_are_refused(kind: str, value: complex, tmp_path: Path) -> None:
    samples = asymmetric_kspace()
    samples[1, 2, 3, 4] = torch.tensor(value)
    answer = refused(KINDS[kind](tmp_path / "scan", samples))
    assert isinstance(answer, RefusedInputError)
    assert "1 samples that are NaN or infinite" in str(answer)


@pytest.mark.parametrize("kind", KINDS)
def test_kspace_of_zeros_is_refused(kind: str, tmp_path: Path) -> None:
    answer = refused(KINDS[kind](tmp_path / "scan", 0 * asymmetric_kspace()))
    assert "zero everywhere" in str(answer)


def test_one_slice_of_zeros_is_named(tmp_path: Path) -> None:
    samples = asymmetric_kspace()
    samples[1] = 0
    with pytest.raises(RefusedInputError, match=r"slices \[1\]"):
        read_kspace(write_npy(tmp_path / "scan", samples))


@pytest.mark.parametrize("kind", KINDS)
def test_header_that_claims_more_than_the_budget_is_refused_before_reading(
    kind: str, tmp_path: Path
) -> None:
    path = KINDS[kind](tmp_path / "scan", asymmetric_kspace())
    needed = asymmetric_kspace().numel() * 8
    assert isinstance(refused(path, budget=needed - 1), BudgetError)
    assert isinstance(refused(path, budget=needed), Tensor)


def test_huge_claims_cost_neither_time_nor_memory(tmp_path: Path) -> None:
    start = time.monotonic()
    with h5py.File(tmp_path / "sparse.h5", "w") as file:
        file.create_dataset("kspace", (4000, 64, 1024, 1024), np.complex64, chunks=(1, 1, 64, 64))
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        zeros = np.zeros((1, 8, 512, 512), np.complex64)
        file.create_dataset("kspace", data=zeros, compression="gzip", maxshape=(None,) * 4)
        file["kspace"].resize((100_000, 8, 512, 512))
    with h5py.File(tmp_path / "chunk.h5", "w") as file:
        sizes = {"chunks": (4, 16, 1024, 1024), "maxshape": (None,) * 4}
        file.create_dataset("kspace", (1, 2, 8, 8), np.complex64, **sizes)
    (tmp_path / "huge.hdr").write_text("# Dimensions\n1 99999 99999 64\n")
    (tmp_path / "huge.cfl").write_bytes(b"\0" * 8)
    header = "{'descr': '<c8', 'fortran_order': False, 'shape': (64, 99999, 99999), }"
    text = header.ljust(117) + "\n"
    (tmp_path / "huge.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + text.encode())
    for name in ("sparse.h5", "bomb.h5", "chunk.h5", "huge.hdr", "huge.npy"):
        assert isinstance(refused(tmp_path / name), BudgetError), name
    assert time.monotonic() - start < IN_TIME


@pytest.mark.parametrize(
    "dims",
    [
        *("", "1", "1 20", "1 -20 28 3", "1 0 28 3", "1 2.5 28 3", "1 x 28 3", "1 " * 17),
        *("1 99999999999999999999 28 3", "1 20 28 3 2", "1 20 28 3 1 4"),
        "20 28 3 3 1 1 1 1 1 1 1 1 1 2",
    ],
)
def test_dimensions_that_make_no_kspace_are_refused(dims: str, tmp_path: Path) -> None:
    (tmp_path / "bad.hdr").write_text(f"# Dimensions\n{dims}\n")
    (tmp_path / "bad.cfl").write_bytes(np.ones(20 * 28 * 3 * 8, np.complex64).tobytes())
    assert isinstance(refused(tmp_path / "bad"), RefusedInputError)


@pytest.mark.parametrize(
    "shape", [(), (5,), (6, 7), (2, 2, 2, 6, 7), (0, 6, 7), (2, 0, 7), (0, 2, 6, 7)]
)
def test_wrong_number_of_axes_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "axes.npy", np.ones(shape, np.complex64))
    assert isinstance(refused(tmp_path / "axes.npy"), ShapeError)
    with h5py.File(tmp_path / "axes.h5", "w") as file:
        file["kspace"] = np.ones((*shape, 3) if len(shape) == 3 and all(shape) else shape, "c8")
    answer = refused(tmp_path / "axes.h5")
    assert isinstance(answer, ShapeError) or len(shape) == 3


def test_three_axes_in_hdf5_are_ambiguous_and_refused(tmp_path: Path) -> None:
    path = write_fastmri(tmp_path / "scan", asymmetric_kspace()[0])
    with pytest.raises(ShapeError, match="3 axes"):
        read_kspace(path)


@pytest.mark.parametrize("dtype", ["f4", "i2", "u1", "?", "S4", "f8"])
def test_numbers_that_are_not_complex_are_refused(dtype: str, tmp_path: Path) -> None:
    np.save(tmp_path / "real.npy", np.ones((2, 6, 7)).astype(dtype))
    with h5py.File(tmp_path / "real.h5", "w") as file:
        file["kspace"] = np.ones((1, 2, 6, 7)).astype(dtype)
    for name in ("real.npy", "real.h5"):
        assert isinstance(refused(tmp_path / name), RefusedInputError), name


@pytest.mark.parametrize("value", [1e300, 1e-300])
def test_double_precision_that_single_cannot_hold_is_refused(value: float, tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", np.full((2, 6, 7), value, np.complex128))
    with pytest.raises(RefusedInputError, match="complex64 cannot hold"):
        read_kspace(tmp_path / "wide.npy")


def test_pickled_numpy_is_never_loaded(tmp_path: Path) -> None:
    array = np.empty(1, object)
    array[0] = Path
    np.save(tmp_path / "pickle.npy", array, allow_pickle=True)
    with pytest.raises(UnsafeFileError, match="pickled"):
        read_kspace(tmp_path / "pickle.npy")


def test_bytes_after_the_samples_are_refused(tmp_path: Path) -> None:
    path = write_npy(tmp_path / "scan", asymmetric_kspace())
    with path.open("ab") as file:
        file.write(b"\0" * 8)
    with pytest.raises(RefusedInputError, match=r"holds .* bytes of samples, but its header"):
        read_kspace(path)


@pytest.mark.parametrize("name", ["none.npy", "none.h5", "none.cfl", "none.hdr", "none", "a.dat"])
def test_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"does not exist"):
        read_kspace(tmp_path / name)


def test_missing_half_of_a_pair_is_named(tmp_path: Path) -> None:
    path = write_bart(tmp_path / "scan", asymmetric_kspace())
    path.with_suffix(".hdr").unlink()
    with pytest.raises(MissingInputError, match=r"scan\.hdr does not exist.*pair"):
        read_kspace(path)


def test_missing_mask_is_named(tmp_path: Path) -> None:
    path = write_npy(tmp_path / "scan", asymmetric_kspace())
    for name in ("mask.npy", "mask.cfl"):
        with pytest.raises(MissingInputError, match="does not exist"):
            read_kspace(path, mask=tmp_path / name)


def test_folder_and_pipe_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    for path in (tmp_path, tmp_path / "pipe.h5"):
        with pytest.raises(RefusedInputError, match="not a regular file"):
            read_kspace(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"# just text\n", b"\x1f\x8b\x08\x00"])
def test_unknown_kind_lists_the_known_ones(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "scan.dat").write_bytes(content)
    with pytest.raises(RefusedInputError, match=r"NumPy \.npy.*fastMRI HDF5.*BART \.cfl"):
        read_kspace(tmp_path / "scan.dat")


def test_suffix_that_the_content_belies_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scan.npy").write_bytes(b"no numpy at all")
    with pytest.raises(RefusedInputError, match="does not begin as one"):
        read_kspace(tmp_path / "scan.npy")


def test_hdf5_without_kspace_names_what_is_there(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["phantom"] = np.ones(3)
    with pytest.raises(RefusedInputError, match="found: phantom"):
        read_kspace(tmp_path / "other.h5")


@pytest.mark.parametrize("mask", [np.ones((5, 5)), np.full((20, 28), 2), np.zeros((20, 28))])
def test_mask_that_does_not_fit_is_refused(mask: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", mask)
    path = write_npy(tmp_path / "scan", asymmetric_kspace())
    with pytest.raises(RefusedInputError, match="mask"):
        read_kspace(path, mask=tmp_path / "mask.npy")


@pytest.mark.parametrize("trick", ["external", "soft", "storage", "virtual", "nested"])
def test_hdf5_that_reaches_outside_itself_is_refused(trick: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\1" * 8 * 64)
    other = write_fastmri(tmp_path / "other", asymmetric_kspace())
    with h5py.File(tmp_path / "trick.h5", "w") as file:
        if trick == "external":
            file["kspace"] = h5py.ExternalLink(str(other), "/kspace")
        elif trick == "soft":
            file["hidden"] = np.ones((1, 1, 8, 8), np.complex64)
            file["kspace"] = h5py.SoftLink("/hidden")
        elif trick == "storage":
            where = [(str(secret), 0, 8 * 64)]
            file.create_dataset("kspace", (1, 1, 8, 8), np.complex64, external=where)
        elif trick == "virtual":
            layout = h5py.VirtualLayout((2, 3, 20, 28), np.complex64)
            layout[:] = h5py.VirtualSource(other, "kspace", (2, 3, 20, 28))
            file.create_virtual_dataset("kspace", layout)
        else:
            file["kspace"] = np.ones((1, 1, 8, 8), np.complex64)
            file.create_group("a/b")["c"] = h5py.ExternalLink(str(other), "/kspace")
    with pytest.raises(UnsafeFileError, match="refused"):
        read_kspace(tmp_path / "trick.h5")


def test_hdf5_that_contains_itself_is_read(tmp_path: Path) -> None:
    path = write_fastmri(tmp_path / "loop", asymmetric_kspace())
    with h5py.File(path, "a") as file:
        file.create_group("loop")["again"] = file["/"]
    assert torch.equal(read_kspace(path).data, asymmetric_kspace())


def test_damaged_compressed_samples_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "zip.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", data=asymmetric_kspace().numpy(), compression="gzip")
        where = file["kspace"].id.get_chunk_info(1).byte_offset
    damaged = bytearray(path.read_bytes())
    damaged[where + 2 : where + 12] = b"\xff" * 10
    path.write_bytes(damaged)
    assert isinstance(refused(path), TruncatedFileError)


@pytest.mark.parametrize("when", ["at_once", "among_the_samples", "with_nonsense"])
def test_crash_of_the_reading_process_is_one_sentence(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_fastmri(tmp_path / "scan", asymmetric_kspace())
    monkeypatch.setattr(foreign_hdf5, "_WORKER", f"tests.mri.crashing_worker_{when}")
    with pytest.raises(TruncatedFileError, match="ended early"):
        read_kspace(path)


def test_reading_process_that_claims_too_much_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_fastmri(tmp_path / "scan", asymmetric_kspace())
    monkeypatch.setattr(foreign_hdf5, "_WORKER", "tests.mri.crashing_worker_among_the_samples")
    with pytest.raises(BudgetError, match="memory budget"):
        read_kspace(path, budget_bytes=1000)


def test_absent_datasets_are_left_out_of_the_answer(tmp_path: Path) -> None:
    path = write_fastmri(tmp_path / "scan", asymmetric_kspace(), ismrmrd_header=header_xml())
    contents = read_foreign_hdf5(
        Request(str(path), ("mask",), texts=("ismrmrd_header",), attributes=("acquisition", "no"))
    )
    assert contents.arrays == {}
    assert contents.texts["ismrmrd_header"] == header_xml()
    assert contents.attributes == {"acquisition": "AXFLAIR"}
    assert contents.present == ("ismrmrd_header", "kspace")


@pytest.mark.parametrize("shape", [(6, 7), (1, 1, 1, 2, 6, 7), (0, 6, 7)])
def test_maps_of_other_axes_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "maps.npy", np.ones(shape, np.complex64))
    with pytest.raises(ShapeError, match="allowed for maps"):
        read_maps(tmp_path / "maps.npy")


def test_maps_of_zeros_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "maps.npy", np.zeros((2, 6, 7), np.complex64))
    with pytest.raises(RefusedInputError, match="zero everywhere"):
        read_maps(tmp_path / "maps.npy")


def test_every_refusal_of_a_reader_is_known_by_name() -> None:
    assert all(issubclass(getattr(errors, name), MedconsistError) for name in errors.__all__)
