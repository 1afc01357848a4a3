"""Calgary-Campinas files, made here in the layout of public loaders: no real file may be shared."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.readers import count_frames, read_kspace
from tests.mri.asymmetric import asymmetric_kspace
from tests.mri.layout_writers import write_cc359

IN_PLACE = 1e-6  # relative to the largest sample: two phase ramps in complex64


@pytest.fixture
def measured(samples: Tensor) -> Tensor:
    """The samples of the phantom that a CC359 scan would have measured: 85 % of kz."""
    samples[..., 24:] = 0
    return samples


@pytest.mark.parametrize("origin", ["first pixel", "centre"])
def test_real_and_imaginary_parts_become_coils_in_place(
    origin: str, tmp_path: Path, measured: Tensor
) -> None:
    path = write_cc359(tmp_path / "e14089s3_P53248.7", measured, origin=origin)
    read = read_kspace(path)
    assert (read.data - measured).abs().max() <= IN_PLACE * measured.abs().max()
    assert torch.equal(read.mask[0], measured[0, 0] != 0)
    assert sum("first pixel" in note for note in read.notes) == (2 if origin != "centre" else 0)
    assert any("Partial Fourier along width" in note for note in read.notes)
    assert read.voxel_size_mm == (None, None, None)
    assert count_frames(path) == 1


def test_what_lies_beyond_the_measured_part_of_kz_is_left_out_and_counted(
    tmp_path: Path, measured: Tensor
) -> None:
    path = write_cc359(tmp_path / "scan", measured, origin="centre")
    with h5py.File(path, "a") as file:
        file["kspace"][1, 3, 25:27] = 1e-3
    read = read_kspace(path)
    assert torch.equal(read.data, measured)
    assert any(note.startswith("2 positions at kz 24 to 27 hold values") for note in read.notes)


def test_undersampled_test_file_gives_its_mask(
    tmp_path: Path, measured: Tensor, generator: torch.Generator
) -> None:
    mask = torch.rand(20, 28, generator=generator) < 0.3
    mask[7:13, 11:17] = True
    read = read_kspace(write_cc359(tmp_path / "scan", measured * mask))
    assert torch.equal(read.mask[0], mask & (torch.arange(28) < 24))


def test_kspace_with_its_centre_in_the_corner_is_moved_and_keeps_its_end(tmp_path: Path) -> None:
    samples = asymmetric_kspace(slices=1)
    stored = torch.fft.ifftshift(samples, dim=(-2, -1)).permute(0, 2, 3, 1).contiguous()
    with h5py.File(tmp_path / "corner.h5", "w") as file:
        file["kspace"] = torch.view_as_real(stored).flatten(3).numpy()
    read = read_kspace(tmp_path / "corner.h5")
    assert torch.equal(read.data, samples)
    assert sum("centre at index 0" in note for note in read.notes) == 2


def test_double_precision_and_one_coil_are_read(tmp_path: Path) -> None:
    samples = asymmetric_kspace(slices=1, n_coils=1)
    path = write_cc359(tmp_path / "scan", samples, origin="centre")
    with h5py.File(path, "a") as file:
        pairs = file["kspace"][()].astype(">f8")
        del file["kspace"]
        file["kspace"] = pairs
    samples[..., 24:] = 0
    assert torch.equal(read_kspace(path).data, samples)


def test_real_numbers_of_another_shape_stay_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "image.h5", "w") as file:
        file["kspace"] = np.ones((4, 20, 28, 3), np.float32)
    with pytest.raises(RefusedInputError, match="holds float32 numbers"):
        read_kspace(tmp_path / "image.h5")
