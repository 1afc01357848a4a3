"""Export of a result: every format holds the same voxels at the same place, whole or not at all."""

import resource
import signal
from pathlib import Path
from typing import Any

import ismrmrd
import nibabel
import numpy as np
import pydicom
import pytest
import torch

from medconsist.errors import (
    CorruptResultError,
    MissingInputError,
    RefusedInputError,
    StorageError,
)
from medconsist.mri.export import Export, Format, export_result
from medconsist.mri.formats.dicom_in import read_dicom_series
from tests.mri.posed import SPACING, by_place, oblique, series_datasets, volume, write_series
from tests.mri.stored_result import WEIGHTS, complex_volume, store_result

FORMATS: tuple[Format, ...] = ("dicom", "nifti", "ismrmrd")
HALF_STEP = 9 * (0.5 / 65535 + 1e-6)  # of the brightest voxel, and float32


@pytest.fixture
def case(tmp_path: Path) -> Path:
    return store_result(tmp_path / "results", affine=oblique(), spacing=SPACING)


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    return store_result(tmp_path / "results")


def done(case: Path, to: Format = "dicom", **more: Any) -> Path:
    return export_result(Export(result=case, out=case.parents[2] / "out", to=to, **more)).path


def test_dicom_and_nifti_hold_the_same_voxels_at_the_same_place(case: Path) -> None:
    series = read_dicom_series(done(case, "dicom"))
    nifti = nibabel.Nifti1Image.from_filename(done(case, "nifti"))
    voxels = torch.from_numpy(np.asarray(nifti.dataobj).transpose(2, 1, 0).copy())
    assert series.affine is not None
    places = by_place(series.image, series.affine)
    expected = by_place(volume(), oblique())
    assert places.keys() == expected.keys()
    assert max(abs(places[p] - v) for p, v in expected.items()) <= HALF_STEP
    assert (voxels - volume()).abs().max() <= 1e-6 * 9
    assert np.allclose(nifti.affine, oblique(), atol=1e-5)


def test_ismrmrd_keeps_the_complex_values(case: Path) -> None:
    with ismrmrd.Dataset(str(done(case, "ismrmrd")), create_if_needed=False) as file:
        image = file.read_image("image_0", 2)
    assert np.array_equal(image.data[0, 0], complex_volume()[2].numpy())
    meta = ismrmrd.Meta.deserialize(image.attribute_string)
    assert "not for diagnosis" in meta["SeriesDescription"]
    assert WEIGHTS in meta["ImageProcessingHistory"]


def test_the_dicom_says_how_it_was_made_and_what_the_samples_say(case: Path) -> None:
    read: Any = pydicom.dcmread(done(case))
    assert "cirim (simulation-trained)" in read.DerivationDescription
    assert "acceleration 4" in read.DerivationDescription
    assert WEIGHTS in read.DerivationDescription
    assert "simulation-trained" in read.SeriesDescription
    assert "withheld_error 1.25 sigma^2" in read.ImageComments
    assert "exchangeability" in read.ImageComments
    assert "Sampling mask inferred." in read.ImageComments
    assert read.PatientID == "p-7"
    assert read.ContentDate == "19000101"


def test_a_comparator_does_not_carry_the_label_of_the_network(case: Path) -> None:
    read: Any = pydicom.dcmread(done(case, role="zerofilled"))
    assert "simulation-trained" not in read.SeriesDescription + read.DerivationDescription
    assert WEIGHTS not in read.DerivationDescription
    own: Any = pydicom.dcmread(done(case))
    assert read.StudyInstanceUID == own.StudyInstanceUID
    assert read.SeriesInstanceUID != own.SeriesInstanceUID


def test_results_of_one_scan_lie_in_one_study_whatever_mask_was_given(
    unknown: Path, tmp_path: Path
) -> None:
    other = store_result(tmp_path / "masked", mask="34" * 32)
    one, two = (pydicom.dcmread(done(path)) for path in (unknown, other))
    assert one.SeriesInstanceUID != two.SeriesInstanceUID
    assert one.StudyInstanceUID == two.StudyInstanceUID


def test_the_reference_image_is_called_so(case: Path) -> None:
    read: Any = pydicom.dcmread(done(case, role="reference"))
    assert read.DerivationDescription.startswith("Reference image")
    assert "acceleration" not in read.DerivationDescription


@pytest.mark.parametrize("to", FORMATS)
def test_exporting_twice_gives_the_same_bytes(to: Format, case: Path) -> None:
    first = done(case, to).read_bytes()
    assert done(case, to).read_bytes() == first


def test_a_case_a_key_and_its_json_name_the_same_result(case: Path) -> None:
    (key,) = (path for path in case.iterdir() if path.is_dir())
    assert done(case).name == done(key).name == done(key / "result.json").name


def test_unknown_geometry_stays_unknown_in_every_format(unknown: Path) -> None:
    assert read_dicom_series(done(unknown, "dicom")).affine is None
    header = nibabel.Nifti1Image.from_filename(done(unknown, "nifti")).header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (0, 0)
    with ismrmrd.Dataset(str(done(unknown, "ismrmrd")), create_if_needed=False) as file:
        assert not any(file.read_image("image_0", 0).read_dir)


def test_a_reference_in_the_same_pose_lends_geometry_and_study(
    unknown: Path, tmp_path: Path
) -> None:
    reference = write_series(tmp_path / "ref", series_datasets(volume(), oblique()))
    for to in FORMATS:
        export = Export(result=unknown, out=tmp_path / "out", to=to, reference=reference)
        done_now = export_result(export)
        assert "fits in place" in done_now.notes[0]
    series = read_dicom_series(next((tmp_path / "out").glob("*.dcm")))
    assert series.affine is not None
    assert (series.affine - oblique()).abs().max() <= 1e-6
    assert "fits in place" in series.header.ImageComments
    assert len(series.header.ReferencedImageEvidenceSequence) == 1
    assert "Doe" not in str(series.header)


def test_a_mirrored_reference_lends_its_study_alone(unknown: Path, tmp_path: Path) -> None:
    datasets = series_datasets(volume().flip(2), oblique())
    reference = write_series(tmp_path / "ref", datasets)
    export = Export(result=unknown, out=tmp_path / "out", to="dicom", reference=reference)
    done_now = export_result(export)
    assert "Orientation stays unknown" in done_now.notes[0]
    read: Any = pydicom.dcmread(done_now.path)
    assert "ImagePositionPatient" not in str(read)
    assert len(read.ReferencedImageSequence) == 3
    assert "PatientPosition" not in read


def test_identity_is_kept_only_on_request_and_with_a_warning(case: Path, tmp_path: Path) -> None:
    reference = write_series(tmp_path / "ref", series_datasets(volume(), oblique()))
    without = done(case, reference=reference)
    removed = without.read_bytes()
    export = Export(
        result=case, out=without.parent, to="dicom", reference=reference, identity="kept"
    )
    kept = export_result(export)
    read: Any = pydicom.dcmread(kept.path)
    assert str(read.PatientName) == "Doe^Jane"
    assert (read.ContentDate, read.ContentTime) == ("20261123", "100908")
    assert any("name, ids and dates" in note for note in kept.notes)
    assert b"Doe" not in removed
    # One never takes the place of the other, and the name tells which is which.
    assert kept.path.stem == f"{without.stem}_identified"
    assert without.read_bytes() == removed


@pytest.mark.parametrize(
    ("zone", "said"), [("-0530", "20261123 043908"), ("+1400", "20261124 000908")]
)
def test_a_kept_date_is_in_the_time_zone_of_the_reference(
    zone: str, said: str, case: Path, tmp_path: Path
) -> None:
    datasets = series_datasets(volume(), oblique(), TimezoneOffsetFromUTC=zone)
    reference = write_series(tmp_path / "ref", datasets)
    read: Any = pydicom.dcmread(done(case, reference=reference, identity="kept"))
    assert read.TimezoneOffsetFromUTC == zone
    assert f"{read.ContentDate} {read.ContentTime}" == said


@pytest.mark.parametrize("to", ["nifti", "ismrmrd"])
def test_formats_without_identity_cannot_keep_one(to: Format, case: Path) -> None:
    with pytest.raises(RefusedInputError, match="--keep-identity goes with"):
        Export(result=case, out=case, to=to, reference=case, identity="kept")
    with pytest.raises(RefusedInputError, match="--keep-identity goes with"):
        Export(result=case, out=case, to="dicom", identity="kept")


def test_what_is_no_image_of_a_reconstruction_is_refused(case: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="'not_determined' is no image of the patient"):
        done(case, role="not_determined")
    with pytest.raises(RefusedInputError, match="Did you mean 'zerofilled'"):
        done(case, role="zerofiled")
    with pytest.raises(MissingInputError, match="is no result"):
        done(case.parent)
    other = store_result(tmp_path / "results", kind="wsi.embedding", case="slide")
    with pytest.raises(RefusedInputError, match=r"kind 'wsi\.embedding'"):
        done(other)
    assert not (tmp_path / "out").exists()


def test_a_damaged_result_is_not_exported(case: Path) -> None:
    path = next(p for p in case.rglob("reconstruction.zarr/**/c/**/*") if p.is_file())
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptResultError, match="reconstruction"):
        done(case)
    assert not (case.parents[2] / "out").exists()


@pytest.mark.parametrize("to", FORMATS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(to: Format, case: Path) -> None:
    path = done(case, to)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
    try:
        with pytest.raises(StorageError, match="Could not write"):
            done(case, to)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == before
