"""A real DICOM slice through a result and out again, judged by dcm2niix."""

import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medconsist.mri.export import Export, export_result
from medconsist.mri.formats.dicom_in import read_dicom_series
from tests.mri.stored_result import store_result


@pytest.mark.data
def test_a_real_slice_goes_through_to_dcm2niix_like_its_original(
    data_dir: Path, tmp_path: Path, dcm2niix: str
) -> None:
    original = data_dir / "mri" / "pydicom_MR_small.dcm"
    picture = read_dicom_series(original).image
    unknown = store_result(tmp_path / "results", picture=picture)
    job = Export(result=unknown, out=tmp_path / "out", to="dicom", reference=original)
    ours = export_result(job).path
    found = []
    for number, path in enumerate((original, ours)):
        folder = tmp_path / str(number)
        folder.mkdir()
        command = [dcm2niix, "-z", "n", "-s", "y", "-f", "x", "-o", str(folder), str(path)]
        subprocess.run(command, check=True, capture_output=True)
        found.append(nibabel.Nifti1Image.from_filename(next(folder.glob("*.nii"))))
    assert np.allclose(found[0].affine, found[1].affine, atol=1e-4)
    voxels = [np.asarray(one.dataobj, dtype=np.float64).squeeze() for one in found]
    assert np.abs(voxels[0] - voxels[1]).max() <= picture.max() * (0.5 / 65535 + 1e-6)
