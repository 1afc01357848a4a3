"""BART's file pair, written and read."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from medconsist.errors import ShapeError, StorageError
from medconsist.mri.formats.cfl import kspace_to_bart, maps_to_bart, read_cfl, write_cfl
from tests.mri.asymmetric import asymmetric_kspace

BUDGET = 2**24


def test_array_comes_back_with_sixteen_axes(tmp_path: Path, generator: torch.Generator) -> None:
    array = torch.randn(3, 4, 5, 2, dtype=torch.complex64, generator=generator)
    write_cfl(tmp_path / "a.cfl", array)
    read = read_cfl(tmp_path / "a", budget_bytes=BUDGET)
    assert read.shape == (3, 4, 5, 2, *(1,) * 12)
    assert torch.equal(read.reshape(array.shape), array)


def test_kspace_and_maps_take_the_axes_of_bart() -> None:
    samples = asymmetric_kspace(2, 3)
    assert kspace_to_bart(samples).shape == (1, 20, 28, 3, *(1,) * 9, 2, *(1,) * 0)
    assert maps_to_bart(samples[:, None]).shape == (1, 20, 28, 3, 1, *(1,) * 8, 2)
    assert kspace_to_bart(samples)[0, 4, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] == samples[1, 1, 4, 5]


@pytest.mark.bart
def test_bart_reads_what_is_written(bart: str, tmp_path: Path) -> None:
    samples = asymmetric_kspace(1, 3)
    write_cfl(tmp_path / "ksp", kspace_to_bart(samples))
    subprocess.run([bart, "fft", "-u", "-i", "6", "ksp", "img"], cwd=tmp_path, check=True)
    image = read_cfl(tmp_path / "img", budget_bytes=BUDGET).reshape(20, 28, 3).permute(2, 0, 1)
    ours = torch.fft.fftshift(
        torch.fft.ifft2(torch.fft.ifftshift(samples[0], dim=(-2, -1)), norm="ortho"), dim=(-2, -1)
    )
    assert (image - ours).abs().max() <= 1e-5 * ours.abs().max()  # complex64 transforms


def test_arrays_that_are_no_bart_arrays_are_refused(tmp_path: Path) -> None:
    for shape in ((1,) * 17, (3, 0)):
        with pytest.raises(ShapeError, match="1 to 16 axes"):
            write_cfl(tmp_path / "a", torch.zeros(shape, dtype=torch.complex64))
    assert not list(tmp_path.iterdir())


def test_folder_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Could not write"):
        write_cfl(tmp_path / "no" / "a", torch.ones(2, dtype=torch.complex64))


def test_name_with_dots_keeps_them(tmp_path: Path) -> None:
    write_cfl(tmp_path / "scan.v1", torch.ones(2, dtype=torch.complex64))
    assert (tmp_path / "scan.v1.cfl").is_file()
    assert np.fromfile(tmp_path / "scan.v1.cfl", np.complex64).tolist() == [1, 1]
