"""The image that leaves beside a review, and whose the files are."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.mri import export as mri_export
from medconsist.viewing.leaving.dicom_seg import annotations_seg
from medconsist.viewing.leaving.dicom_source import (
    source_of_image,
    source_of_result,
    volume_export,
)
from tests.mri.posed import oblique, series_datasets, volume, write_series
from tests.viewing.leaving.filed import entry, shape
from tests.viewing.leaving.imaged import Imaged, imaged, read


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Imaged:
    return imaged(tmp_path_factory.mktemp("known"), oblique())


def test_the_image_is_that_of_the_command_line(case: Imaged, tmp_path: Path) -> None:
    for to in ("dicom", "nifti"):
        left = volume_export(case.stored, to=to, role="zerofilled")
        job = mri_export.Export(
            result=case.stored.folder.path, out=tmp_path, to=to, role="zerofilled"
        )
        written = mri_export.export_result(job).path
        assert left.name == written.name
        assert left.data == written.read_bytes()


def test_nifti_holds_the_volume_in_its_place(case: Imaged) -> None:
    left = volume_export(case.stored, to="nifti")
    nifti = nibabel.Nifti1Image.from_bytes(gzip.decompress(left.data))
    assert np.allclose(nifti.affine, oblique(), atol=1e-5)  # float32
    voxels = np.asarray(nifti.dataobj).transpose(2, 1, 0)
    assert np.abs(voxels - volume().numpy()).max() <= 1e-5
    assert (left.media_type, left.what) == ("application/gzip", "NIfTI image")


def test_without_a_reference_the_patient_is_the_opaque_id(case: Imaged) -> None:
    assert case.source.attributes["PatientID"] == "p-7"
    assert not case.source.keeps_identity
    assert case.source.has_orientation
    assert not source_of_result(case.result).has_orientation
    assert source_of_result(case.result).attributes["PatientName"] == "p-7"


def test_identity_is_kept_only_on_request(case: Imaged, tmp_path: Path) -> None:
    reference = write_series(tmp_path / "ref", series_datasets(volume(), oblique()))
    removed = source_of_image(volume_export(case.stored, to="dicom", reference=reference))
    assert not removed.keeps_identity
    assert "Doe" not in str(dict(removed.attributes))
    kept = source_of_image(
        volume_export(case.stored, to="dicom", reference=reference, identity="kept")
    )
    assert kept.keeps_identity
    assert kept.attributes["PatientID"] == "MRN-4711"
    assert "Doe" not in repr(kept)


def test_what_is_no_dicom_is_no_source(case: Imaged) -> None:
    with pytest.raises(RefusedInputError, match="allowed: application/dicom"):
        source_of_image(volume_export(case.stored, to="nifti"))


def test_no_header_of_the_source_is_changed_by_what_refers_to_it(case: Imaged) -> None:
    before = str(case.source.image)
    ring = [[3.0, 2.0], [5.0, 2.0], [5.0, 9.0], [3.0, 2.0]]
    annotations_seg(
        case.result, [entry(shape(case.subject, ring, plane=0), "a1")], source=case.source
    )
    assert str(case.source.image) == before
    assert str(read(case.image).PatientName) == "p-7"
