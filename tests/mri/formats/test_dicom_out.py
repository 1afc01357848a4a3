"""DICOM out: other programs find every voxel at its place, and the warnings beside it."""

import subprocess
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from pydicom.uid import EnhancedMRImageStorage, MultiFrameGrayscaleWordSecondaryCaptureImageStorage
from torch import Tensor

from medconsist.errors import RefusedInputError, StorageError
from medconsist.mri.formats.deidentify import belonging_of_result
from medconsist.mri.formats.dicom_in import read_dicom_series
from medconsist.mri.formats.dicom_out import NOT_FOR_DIAGNOSIS, Labels, write_dicom
from medconsist.mri.formats.nifti import write_nifti
from medconsist.mri.formats.stored_pixels import store_pixels
from tests.mri.posed import SPACING, by_place, oblique, volume

LABELS = Labels(
    description="; simulation-trained; cirim",
    derivation="Image by cirim, acceleration 4",
    comments=("Pixel unit: units of the k-space file.", "withheld_error 1.1"),
    unit="units of the k-space file",
    software="medconsist 0.1.0",
    series=("key", "reconstruction"),
)
OWNER = belonging_of_result("case-1", scan="0" * 64)
SINGLE = 1e-6  # of the largest value: float32 in dcm2niix
Sizes = tuple[float | None, float | None, float | None]
UNKNOWN = (None, None, None)


def write(
    path: Path,
    image: Tensor,
    affine: Tensor | None,
    *,
    sizes: Sizes = UNKNOWN,
    labels: Any = LABELS,
) -> Path:
    write_dicom(path, image, affine=affine, voxel_size_mm=sizes, belonging=OWNER, labels=labels)
    return path


def half_step(image: Tensor) -> float:
    """Half a slope, and what float32 adds where the value is read back."""
    return float(image.max()) * (0.5 / 65535 + SINGLE)


def converted(dcm2niix: str, folder: Path) -> Any:
    """Return the NIfTI that dcm2niix makes of the only DICOM file in a folder."""
    out = folder / "converted"
    out.mkdir()
    subprocess.run([dcm2niix, "-z", "n", "-f", "x", "-o", out, folder], check=True)
    (path,) = out.glob("*.nii")
    return nibabel.Nifti1Image.from_filename(path)


def places(nifti: Any) -> dict[tuple[float, ...], float]:
    """Return each value of a NIfTI under its place in the patient."""
    voxels = torch.from_numpy(np.asarray(nifti.dataobj, dtype=np.float64).transpose(2, 1, 0).copy())
    return by_place(voxels, torch.from_numpy(nifti.affine))


def largest_difference(
    one: dict[tuple[float, ...], float], other: dict[tuple[float, ...], float]
) -> float:
    assert len(one) == len(other)
    # dcm2niix holds the affine as float32: a place may round to the next hundredth.
    return max(abs(value - _near(other, place)) for place, value in one.items())


def _near(values: dict[tuple[float, ...], float], place: tuple[float, ...]) -> float:
    if place in values:
        return values[place]
    near = [p for p in values if max(abs(a - b) for a, b in zip(p, place, strict=True)) <= 1]
    assert len(near) == 1, place
    return values[near[0]]


@pytest.mark.parametrize("handed", [1.0, -1.0])
@pytest.mark.parametrize("slices", [1, 3])
def test_dcm2niix_finds_every_voxel_at_its_place(
    handed: float, slices: int, tmp_path: Path, dcm2niix: str
) -> None:
    image, affine = volume(slices), oblique(handed=handed)
    write(tmp_path / "a.dcm", image, affine)
    nifti = converted(dcm2niix, tmp_path)
    assert largest_difference(by_place(image, affine), places(nifti)) <= half_step(image)
    assert np.allclose(nifti.header.get_zooms(), SPACING[::-1], atol=1e-5)
    assert (int(nifti.header["qform_code"]), int(nifti.header["sform_code"])) == (1, 1)


def test_our_nifti_and_that_of_dcm2niix_agree(tmp_path: Path, dcm2niix: str) -> None:
    image, affine = volume(), oblique()
    write(tmp_path / "a.dcm", image, affine)
    path = tmp_path / "ours.nii"
    write_nifti(path, image, voxel_size_mm=SPACING, affine=affine)
    ours = places(nibabel.Nifti1Image.from_filename(path))
    assert largest_difference(ours, places(converted(dcm2niix, tmp_path))) <= half_step(image)


@pytest.mark.parametrize("known", [True, False])
def test_dcmtk_accepts_the_file(known: bool, tmp_path: Path, dcmftest: str, dcmdump: str) -> None:
    path = write(tmp_path / "a.dcm", volume(), oblique() if known else None)
    assert subprocess.run([dcmftest, path], check=False).returncode == 0
    done = subprocess.run([dcmdump, path], capture_output=True, text=True, check=True)
    assert not done.stderr
    assert NOT_FOR_DIAGNOSIS in done.stdout


def test_pydicom_finds_plane_and_value_of_each_frame(tmp_path: Path) -> None:
    image, affine = volume(), oblique()
    read: Any = pydicom.dcmread(write(tmp_path / "a.dcm", image, affine))
    assert read.SOPClassUID == EnhancedMRImageStorage
    shared = read.SharedFunctionalGroupsSequence[0]
    x, y = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    row_mm, column_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    scale = shared.PixelValueTransformationSequence[0]
    expected = by_place(image, affine)
    for number, frame in enumerate(read.PerFrameFunctionalGroupsSequence):
        first = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        assert frame.FrameContentSequence[0].InStackPositionNumber == number + 1
        for j, i in ((0, 0), (0, 27), (19, 0), (19, 27), (5, 7)):
            lps = first + i * column_mm * x + j * row_mm * y
            value = read.pixel_array[number, j, i] * float(scale.RescaleSlope)
            place = tuple((lps * [-1, -1, 1] * 100).round() + 0.0)
            assert abs(expected[place] - value) <= half_step(image)


def test_the_functional_groups_of_enhanced_mr_are_whole(tmp_path: Path) -> None:
    read: Any = pydicom.dcmread(write(tmp_path / "a.dcm", volume() - 2, oblique()))
    shared = read.SharedFunctionalGroupsSequence[0]
    # PS3.3 table A.36-2: what every derived image has.
    for group in ("PixelMeasures", "PlaneOrientation", "FrameAnatomy", "MRImageFrameType"):
        assert len(shared[f"{group}Sequence"].value) == 1
    measures = shared.PixelMeasuresSequence[0]
    assert (measures.SliceThickness, measures.SpacingBetweenSlices) == (5, 5)
    scale = shared.PixelValueTransformationSequence[0]
    assert scale.RescaleType == "US"
    world = shared.RealWorldValueMappingSequence[0]
    assert world.RealWorldValueSlope == float(scale.RescaleSlope)
    assert world.RealWorldValueIntercept == float(scale.RescaleIntercept) == -2
    contents = [one.FrameContentSequence[0] for one in read.PerFrameFunctionalGroupsSequence]
    assert [list(one.DimensionIndexValues) for one in contents] == [[1, 1], [1, 2], [1, 3]]
    assert {one.StackID for one in contents} == {"1"}
    pointers = [one.DimensionIndexPointer for one in read.DimensionIndexSequence]
    assert [pydicom.datadict.keyword_for_tag(one) for one in pointers] == [
        "StackID",
        "InStackPositionNumber",
    ]


def test_our_reader_gives_the_volume_back(tmp_path: Path) -> None:
    read = read_dicom_series(write(tmp_path / "a.dcm", volume(), oblique()))
    assert read.affine is not None
    assert (read.affine - oblique()).abs().max() <= 1e-9  # decimal text of sixteen characters
    assert (read.image - volume()).abs().max() <= half_step(volume())


@pytest.mark.parametrize("scale", [1e-12, 1.0, 3e9])
def test_sixteen_bits_lose_at_most_half_a_step(scale: float, generator: torch.Generator) -> None:
    image = scale * torch.rand(2, 16, 16, generator=generator)
    signed = image - scale / 3
    for values in (image, signed):
        stored = store_pixels(values)
        back = stored.stored * float(stored.slope) + float(stored.intercept)
        steps = np.abs(back - values.double().numpy()).max() / float(stored.slope)
        assert steps <= 0.5 + 1e-6  # slope and intercept are decimal text
        assert stored.stored.max() == 65535
    assert store_pixels(image).intercept == "0.0"


def test_an_image_of_zeros_stays_zero(tmp_path: Path) -> None:
    read = read_dicom_series(write(tmp_path / "a.dcm", torch.zeros(2, 4, 5), oblique()))
    assert not read.image.any()


def test_unknown_geometry_is_a_secondary_capture_without_any(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", volume(), None)
    read: Any = pydicom.dcmread(path)
    assert read.SOPClassUID == MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    words = {element.keyword for element in read.iterall()}
    assert not words & {
        *("PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "ImagePositionPatient"),
        *("ImageOrientationPatient", "FrameOfReferenceUID", "PatientPosition"),
    }
    assert read.PatientOrientation in ("", None)
    series = read_dicom_series(path)
    assert series.affine is None
    assert series.voxel_size_mm == UNKNOWN
    assert (series.image - volume()).abs().max() <= half_step(volume())


def test_known_spacing_in_the_plane_is_kept_without_orientation(tmp_path: Path) -> None:
    read: Any = pydicom.dcmread(write(tmp_path / "a.dcm", volume(), None, sizes=(None, 0.9, 1.1)))
    assert [float(x) for x in read.PixelSpacing] == [0.9, 1.1]
    half: Any = pydicom.dcmread(write(tmp_path / "b.dcm", volume(), None, sizes=(5.0, 0.9, None)))
    assert "PixelSpacing" not in half


@pytest.mark.parametrize("known", [True, False])
def test_the_window_spans_the_image_however_small_its_values(known: bool, tmp_path: Path) -> None:
    image = 1e-4 * volume()
    read: Any = pydicom.dcmread(write(tmp_path / "a.dcm", image, oblique() if known else None))
    window = read.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence[0] if known else read
    # LINEAR, the default, needs a width of at least 1 (PS3.3 C.11.2.1.2).
    assert window.VOILUTFunction == "LINEAR_EXACT"
    ends = [window.WindowCenter + side * window.WindowWidth / 2 for side in (-1, 1)]
    assert ends == pytest.approx([0, float(image.max())], rel=1e-6, abs=1e-12)


def test_attributes_of_type_two_are_there_though_unknown(tmp_path: Path) -> None:
    read: Any = pydicom.dcmread(write(tmp_path / "a.dcm", volume(), oblique()))
    for word in ("PatientPosition", "PositionReferenceIndicator", "StudyDate", "AccessionNumber"):
        assert read[word].value in ("", None)


@pytest.mark.parametrize("known", [True, False])
def test_the_file_says_what_it_is(known: bool, tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", volume(), oblique() if known else None)
    read: Any = pydicom.dcmread(path)
    assert read.SeriesDescription == f"{NOT_FOR_DIAGNOSIS}; simulation-trained; cirim"
    assert str(read.ImageComments).startswith(NOT_FOR_DIAGNOSIS)
    assert "withheld_error 1.1" in read.ImageComments
    assert read.DerivationDescription == LABELS.derivation
    assert read.ContentQualification == "RESEARCH"
    assert read.BurnedInAnnotation == "NO"
    assert read.LossyImageCompression == "00"
    assert list(read.ImageType)[:2] == ["DERIVED", "PRIMARY" if known else "SECONDARY"]
    assert read.PatientIdentityRemoved == "YES"
    assert (str(read.PatientName), read.PatientID) == ("case-1", "case-1")


def test_same_content_gives_the_same_bytes_and_other_content_another_uid(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name, volume(), oblique()) for name in ("a.dcm", "b.dcm"))
    assert one.read_bytes() == two.read_bytes()
    other = write(tmp_path / "c.dcm", 2 * volume(), oblique())
    first, changed = pydicom.dcmread(one), pydicom.dcmread(other)
    assert first.SOPInstanceUID != changed.SOPInstanceUID
    assert first.SeriesInstanceUID == changed.SeriesInstanceUID
    uids = [element.value for element in first if element.VR == "UI"]
    assert all(uid.is_valid for uid in uids)
    assert first.SOPInstanceUID.startswith("2.25.")


def test_text_that_would_break_a_value_is_tamed(tmp_path: Path) -> None:
    labels = Labels(
        description="a\\b\x00c", derivation="d" * 2000, unit="1", software="s", series=("k",)
    )
    read: Any = pydicom.dcmread(write(tmp_path / "a.dcm", volume(), None, labels=labels))
    assert read.SeriesDescription == f"{NOT_FOR_DIAGNOSIS}a/b c"
    assert len(read.DerivationDescription) == 1024


def test_a_refused_image_leaves_no_file(tmp_path: Path) -> None:
    image = volume()
    image[0, 0, 0] = torch.nan
    with pytest.raises(RefusedInputError, match="NaN or infinity"):
        write(tmp_path / "a.dcm", image, oblique())
    with pytest.raises(RefusedInputError, match="as float32"):
        write(tmp_path / "a.dcm", 1e308 * volume().double(), oblique())
    sheared = oblique()
    sheared[:3, 1] += 0.1 * sheared[:3, 0]
    with pytest.raises(RefusedInputError, match="Write NIfTI"):
        write(tmp_path / "a.dcm", volume(), sheared)
    with pytest.raises(RefusedInputError, match="does not fit into one DICOM file"):
        write(tmp_path / "a.dcm", torch.zeros(1, 1, 70_000), None)
    with pytest.raises(RefusedInputError, match="cannot scale"):
        write(tmp_path / "a.dcm", 1e-36 * volume(), None)
    assert not list(tmp_path.iterdir())
    with pytest.raises(StorageError, match="Could not write"):
        write(tmp_path / "no" / "a.dcm", volume(), None)
