"""NIfTI out: in place, whole or not at all, and unknown stays unknown."""

import os
import stat
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError, StorageError
from medconsist.mri.formats.nifti import write_nifti
from tests.mri.asymmetric import asymmetric_image

UNKNOWN = (None, None, None)


def load(path: Path) -> Any:
    """Read a NIfTI-1 image back."""
    return nibabel.Nifti1Image.from_filename(path)


def volume() -> Tensor:
    """Return three different slices of the asymmetric phantom."""
    return torch.stack([s * asymmetric_image() for s in (1, 2, 3)])


@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz"])
def test_image_comes_back_in_place(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_nifti(path, volume(), voxel_size_mm=(5.0, 0.9, 1.1), affine=None)
    read = load(path)
    assert read.get_data_dtype() == np.float32
    assert np.array_equal(np.asarray(read.dataobj).transpose(2, 1, 0), volume().numpy())
    assert np.allclose(read.header.get_zooms(), (1.1, 0.9, 5.0))
    assert read.header.get_xyzt_units()[0] == "mm"


def test_unknown_orientation_has_both_codes_zero(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", volume(), voxel_size_mm=(5.0, 1.0, 1.0), affine=None)
    header = load(tmp_path / "a.nii").header
    assert int(header["qform_code"]) == 0
    assert int(header["sform_code"]) == 0
    assert b"orientation unknown" in header["descrip"].tobytes()


@pytest.mark.parametrize("size", [UNKNOWN, (None, 0.9, 1.1)])
def test_unknown_spacing_has_no_unit(
    size: tuple[float | None, float | None, float | None], tmp_path: Path
) -> None:
    write_nifti(tmp_path / "a.nii", volume(), voxel_size_mm=size, affine=None)
    header = load(tmp_path / "a.nii").header
    assert header.get_xyzt_units()[0] == "unknown"
    assert np.allclose(header.get_zooms(), [n or 1 for n in size[::-1]])
    assert b"slice" in header["descrip"].tobytes()


def test_known_affine_is_stored_in_both_forms(tmp_path: Path) -> None:
    angle = 0.3
    affine = torch.tensor(
        [
            [1.1 * np.cos(angle), -0.9 * np.sin(angle), 0, -10],
            [1.1 * np.sin(angle), 0.9 * np.cos(angle), 0, 20],
            [0, 0, 5, 30],
            [0, 0, 0, 1],
        ],
        dtype=torch.float64,
    )
    write_nifti(tmp_path / "a.nii", volume(), voxel_size_mm=(5.0, 0.9, 1.1), affine=affine)
    read = load(tmp_path / "a.nii")
    assert (int(read.header["qform_code"]), int(read.header["sform_code"])) == (1, 1)
    assert np.allclose(read.get_sform(), affine, atol=1e-5)
    assert np.allclose(read.get_qform(), affine, atol=1e-4)
    assert np.allclose(read.header.get_zooms(), (1.1, 0.9, 5.0))


def test_sheared_affine_is_stored_as_sform_alone(tmp_path: Path) -> None:
    # By 1 degree, between the two short axes: small beside the long one, as thick slices have.
    affine = torch.diag(torch.tensor([0.5, 0.5, 10.0, 1.0]))
    affine[0, 1] = 0.5 * torch.tensor(1.0).deg2rad()
    write_nifti(tmp_path / "a.nii", volume(), voxel_size_mm=(10.0, 0.5, 0.5), affine=affine)
    read = load(tmp_path / "a.nii")
    assert (int(read.header["qform_code"]), int(read.header["sform_code"])) == (0, 1)
    assert np.allclose(read.affine, affine)


def test_a_long_label_does_not_push_the_warning_out(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    write_nifti(path, volume(), voxel_size_mm=UNKNOWN, affine=None, label="simulation-trained" * 9)
    descrip = load(path).header["descrip"].tobytes()
    assert descrip.startswith(b"simulation-trained")
    assert b"research use only" in descrip


def test_same_image_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tmp_path / name, volume(), voxel_size_mm=UNKNOWN, affine=None)
    content = (tmp_path / "a.nii.gz").read_bytes()
    assert content == (tmp_path / "b.nii.gz").read_bytes()
    assert content[4:8] == bytes(4)  # the time stamp of gzip (RFC 1952)


def test_other_users_may_read_what_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_nifti(tmp_path / "a.nii", volume(), voxel_size_mm=UNKNOWN, affine=None)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.nii").stat().st_mode) == 0o644


def test_refused_image_leaves_no_file(tmp_path: Path) -> None:
    image = volume()
    image[0, 0, 0] = torch.nan
    with pytest.raises(RefusedInputError, match="NaN or infinity"):
        write_nifti(tmp_path / "a.nii", image, voxel_size_mm=UNKNOWN, affine=None)
    with pytest.raises(RefusedInputError, match=r"\.nii or \.nii\.gz"):
        write_nifti(tmp_path / "a.img", volume(), voxel_size_mm=UNKNOWN, affine=None)
    with pytest.raises(RefusedInputError, match="voxel sizes"):
        write_nifti(tmp_path / "a.nii", volume(), voxel_size_mm=(0.0, 1.0, 1.0), affine=None)
    with pytest.raises(RefusedInputError, match="singular"):
        write_nifti(tmp_path / "a.nii", volume(), voxel_size_mm=UNKNOWN, affine=torch.zeros(4, 4))
    shifted = torch.eye(4)
    shifted[0, 3] = torch.nan
    with pytest.raises(RefusedInputError, match="not finite"):
        write_nifti(tmp_path / "a.nii", volume(), voxel_size_mm=UNKNOWN, affine=shifted)
    with pytest.raises(RefusedInputError, match="as float32"):
        write_nifti(
            tmp_path / "a.nii", 1e300 * volume().double(), voxel_size_mm=UNKNOWN, affine=None
        )
    with pytest.raises(RefusedInputError, match="shape"):
        write_nifti(tmp_path / "a.nii", torch.zeros(1, 0, 3), voxel_size_mm=UNKNOWN, affine=None)
    assert not list(tmp_path.iterdir())


def test_folder_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Could not write"):
        write_nifti(tmp_path / "no" / "a.nii", volume(), voxel_size_mm=UNKNOWN, affine=None)
