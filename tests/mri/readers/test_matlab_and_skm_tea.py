"""CMRxRecon and SKM-TEA files, made here in the documented layout: no real file may be shared."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.readers import read_kspace
from tests.mri.asymmetric import asymmetric_kspace
from tests.mri.layout_writers import write_matlab, write_skm_tea


def cine(frames: int = 3) -> Tensor:
    """Return ``time slices coils kx ky``; frame t is t + 1 times the phantom."""
    scale = torch.arange(1, frames + 1)[:, None, None, None, None]
    return (scale * asymmetric_kspace()).to(torch.complex64)


def in_matlab_order(samples: Tensor) -> np.ndarray:
    """Return ``kx ky coil slice time`` of ``time slices coils kx ky``."""
    return samples.permute(3, 4, 2, 1, 0).numpy()


@pytest.mark.parametrize("name", ["kspace_full", "kspace_sub04", "kus", "kspace"])
def test_one_time_frame_of_a_cine_is_read(name: str, tmp_path: Path) -> None:
    path = write_matlab(tmp_path / "cine.mat", **{name: in_matlab_order(cine())})
    with pytest.raises(RefusedInputError, match=r"3 frames \(time.*--frame N, N from 0 to 2"):
        read_kspace(path)
    read = read_kspace(path, frame=2)
    assert torch.equal(read.data, cine()[2])
    assert any(note.startswith("Frame 2 of 3") for note in read.notes)


def test_trailing_axes_that_matlab_drops_are_restored(tmp_path: Path, samples: Tensor) -> None:
    one_time = in_matlab_order(cine(1))[..., 0]
    for array, expected in ((one_time, samples), (one_time[..., 0], samples[:1])):
        path = write_matlab(tmp_path / "cine.mat", kspace_full=array)
        assert torch.equal(read_kspace(path).data, expected)


def test_single_coil_cine_becomes_one_coil(tmp_path: Path) -> None:
    array = in_matlab_order(cine())[:, :, 0]
    path = write_matlab(tmp_path / "cine.mat", kspace_single_full=array)
    assert torch.equal(read_kspace(path, frame=1).data, cine()[1, :, :1])


@pytest.mark.parametrize("timed", [False, True])
def test_mask_of_its_own_file_is_laid_out_as_the_kspace(
    timed: bool, tmp_path: Path, line_mask: Tensor
) -> None:
    plane = line_mask.expand(20, 28)
    path = write_matlab(tmp_path / "kus.mat", kus=in_matlab_order(cine() * plane))
    mask = plane.numpy().astype(np.float64)
    mask = np.stack([0 * mask, mask, 0 * mask], axis=-1) if timed else mask
    file = write_matlab(tmp_path / "mask.mat", **{"mask" if timed else "mask04": mask})
    read = read_kspace(path, mask=file, frame=1)
    assert torch.equal(read.mask[0], plane)
    assert {"kus.mat", "mask.mat"} <= set(read.source)


def test_matlab_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    array = in_matlab_order(cine())
    many = np.zeros((2, 2, 2, 2, 2, 2), np.complex64)
    both = write_matlab(tmp_path / "both.mat", kspace_full=array, kspace_sub04=array)
    with pytest.raises(RefusedInputError, match="several k-spaces"):
        read_kspace(both)
    with pytest.raises(ShapeError, match="kx, ky, coil"):
        read_kspace(write_matlab(tmp_path / "many.mat", kspace_full=many))
    with pytest.raises(RefusedInputError, match="numbers; allowed: complex64"):
        read_kspace(write_matlab(tmp_path / "real.mat", kspace_full=array.real), frame=0)
    with pytest.raises(RefusedInputError, match="exactly one dataset mask"):
        read_kspace(write_matlab(tmp_path / "one.mat", kus=array), mask=both, frame=0)
    (tmp_path / "old.mat").write_bytes(b"MATLAB 5.0 MAT-file, Platform: PCWIN64".ljust(200))
    with pytest.raises(RefusedInputError, match=r"Save it with -v7\.3"):
        read_kspace(tmp_path / "old.mat")


def test_one_echo_of_skm_tea_is_read(tmp_path: Path, samples: Tensor) -> None:
    path = write_skm_tea(tmp_path / "MTR_005", samples, echoes=2)
    with pytest.raises(RefusedInputError, match=r"2 frames \(echoes\)"):
        read_kspace(path)
    read = read_kspace(path, frame=1, budget_bytes=samples.numel() * 8)
    assert torch.equal(read.data, 2 * samples)
    assert any("estimated samples" in note for note in read.notes)
    with pytest.raises(RefusedInputError, match="no frame -1"):
        read_kspace(path, frame=-1)


def test_skm_tea_of_other_axes_is_refused(tmp_path: Path, samples: Tensor) -> None:
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        file["kspace"], file["target"] = samples.numpy(), np.ones(3)
    with pytest.raises(ShapeError, match="x, ky, kz, echo, coil"):
        read_kspace(tmp_path / "flat.h5")


def test_frame_of_a_file_that_has_one_is_zero_or_refused(tmp_path: Path, samples: Tensor) -> None:
    np.save(tmp_path / "scan.npy", samples.numpy())
    assert torch.equal(read_kspace(tmp_path / "scan.npy", frame=0).data, samples)
    with pytest.raises(RefusedInputError, match="0, or leave it out"):
        read_kspace(tmp_path / "scan.npy", frame=1)
