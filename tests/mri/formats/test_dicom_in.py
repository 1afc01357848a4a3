"""DICOM in: voxels at their place whatever the files are called, and no guess where in doubt."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from pydicom.uid import CTImageStorage, JPEGLosslessSV1

from medconsist.errors import (
    BudgetError,
    CorruptInputError,
    MedconsistError,
    MissingInputError,
    RefusedInputError,
    TruncatedFileError,
    UnsupportedInputError,
)
from medconsist.mri.formats import dicom_in
from medconsist.mri.formats.deidentify import belonging_of_result
from medconsist.mri.formats.dicom_in import read_dicom_series
from medconsist.mri.formats.dicom_out import Labels, write_dicom
from tests.mri.posed import SPACING, by_place, oblique, series_datasets, volume, write_series

TEXT_MM = 1e-6  # positions and cosines of ten digits, over the width of the phantom
HALF_STEP = 0.005  # rescale slope of the files .01


@pytest.mark.parametrize("handed", [1.0, -1.0])
def test_classic_slices_come_back_at_their_place(handed: float, tmp_path: Path) -> None:
    affine = oblique(handed=handed)
    read = read_dicom_series(write_series(tmp_path / "s", series_datasets(volume(), affine)))
    assert read.affine is not None
    assert read.voxel_size_mm == pytest.approx(SPACING)
    here, there = by_place(volume(), affine), by_place(read.image, read.affine)
    assert here.keys() == there.keys()
    assert max(abs(here[place] - there[place]) for place in here) <= HALF_STEP
    first, last = read.instances[0].sop_instance, read.instances[-1].sop_instance
    assert (first < last) == (handed > 0)


def test_the_affine_is_that_of_the_positions(tmp_path: Path) -> None:
    read = read_dicom_series(write_series(tmp_path / "s", series_datasets(volume(), oblique())))
    assert read.affine is not None
    assert (read.affine - oblique()).abs().max() <= TEXT_MM


@pytest.mark.data
def test_a_real_slice_is_read_with_its_geometry(data_dir: Path) -> None:
    path = data_dir / "mri" / "pydicom_MR_small.dcm"
    read = read_dicom_series(path)
    assert read.affine is not None
    # ImagePositionPatient -83.9063, -91.2, 6.6406 and identity cosines, in LPS.
    expected = [[-0.3125, 0, 0, 83.9063], [0, -0.3125, 0, 91.2], [0, 0, 0.8, 6.6406], [0, 0, 0, 1]]
    assert read.affine.tolist() == expected
    assert torch.equal(read.image[0], torch.from_numpy(pydicom.dcmread(path).pixel_array).float())


def test_hidden_files_and_dicomdir_are_left_out(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", series_datasets(volume(), oblique()))
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "DICOMDIR").write_bytes(b"x")
    assert read_dicom_series(folder).image.shape == volume().shape


def without(word: str) -> Callable[[list[Any]], None]:
    def change(datasets: list[Any]) -> None:
        for dataset in datasets:
            delattr(dataset, word)

    return change


def with_value(number: int, word: str, value: Any) -> Callable[[list[Any]], None]:
    return lambda datasets: setattr(datasets[number], word, value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_value(1, "SeriesInstanceUID", "1.2.3"), "2 DICOM series"),
        (with_value(1, "StudyInstanceUID", "1.2.3"), "2 DICOM studies"),
        (with_value(1, "PatientID", "MRN-0815"), "2 DICOM patients"),
        (with_value(1, "FrameOfReferenceUID", "1.2.3"), "2 DICOM frames of reference"),
        (with_value(1, "ImageOrientationPatient", [1, 0, 0, 0, 1, 0]), "as a localiser does"),
        (with_value(1, "PixelSpacing", [1, 1]), "differ in matrix, spacing or orientation"),
        (lambda datasets: delattr(datasets[1], "PixelSpacing"), "differ in matrix, spacing"),
        (with_value(1, "ImagePositionPatient", [0, 0, 0]), "apart|sideways"),
        (lambda datasets: datasets.pop(1), "a slice is missing"),
        (lambda datasets: datasets.append(datasets[0].copy()), "at one position"),
        (without("ImagePositionPatient"), "no position or spacing"),
        (with_value(0, "Modality", "CT"), "allowed: MR images"),
        (with_value(0, "PhotometricInterpretation", "RGB"), "one grey channel"),
        (with_value(0, "PixelSpacing", [0, 1]), "is not positive"),
        (with_value(0, "RescaleSlope", "1e300"), "too large for float32"),
        (with_value(0, "Rows", 21), "Copy the file again"),
    ],
)
def test_what_is_no_volume_is_refused_with_one_sentence(
    change: Callable[[list[Any]], None], said: str, tmp_path: Path
) -> None:
    datasets = series_datasets(volume(5), oblique())
    change(datasets)
    with pytest.raises(RefusedInputError, match=said):
        read_dicom_series(write_series(tmp_path / "s", datasets))


def test_compressed_pixels_are_refused_by_name(tmp_path: Path) -> None:
    dataset = series_datasets(volume(1), oblique())[0]
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    with pytest.raises(UnsupportedInputError, match=r"stored as JPEG Lossless.*dcmdjpeg"):
        read_dicom_series(write_series(tmp_path / "s", [dataset]))


def test_run_length_pixels_need_no_other_decoder(tmp_path: Path) -> None:
    datasets = series_datasets(volume(), oblique())
    for dataset in datasets:
        dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    read = read_dicom_series(write_series(tmp_path / "s", datasets))
    assert (read.image - volume()).abs().max() <= HALF_STEP


def test_other_files_in_the_folder_are_named(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", series_datasets(volume(), oblique()))
    (folder / "report.txt").write_text("no DICOM")
    with pytest.raises(UnsupportedInputError, match=r"report\.txt is no DICOM"):
        read_dicom_series(folder)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", series_datasets(volume(1), oblique()))
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    for length in (0, 131, 140, 300, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises((CorruptInputError, UnsupportedInputError)):
            read_dicom_series(folder)


def test_shorter_pixels_than_claimed_are_truncated(tmp_path: Path) -> None:
    dataset = series_datasets(volume(1), oblique())[0]
    for pixels in (dataset.PixelData[:-10], b""):
        dataset.PixelData = pixels
        with pytest.raises(TruncatedFileError, match=f"holds {len(pixels)} bytes of pixels, but"):
            read_dicom_series(write_series(tmp_path / "s", [dataset]))


def test_a_claim_beyond_the_budget_is_refused_before_pixels_are_read(tmp_path: Path) -> None:
    dataset = series_datasets(volume(1), oblique())[0]
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = 10**6, 65535, 65535
    with pytest.raises(BudgetError, match="memory budget"):
        read_dicom_series(write_series(tmp_path / "s", [dataset]))


def test_files_beyond_the_budget_or_the_most_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_series(tmp_path / "s", series_datasets(volume(), oblique()))
    with pytest.raises(BudgetError, match="memory budget"):
        read_dicom_series(folder, budget_bytes=1000)
    monkeypatch.setattr(dicom_in, "_MOST_FILES", 2)
    with pytest.raises(RefusedInputError, match="holds 3 files; allowed: one series of at most 2"):
        read_dicom_series(folder)


def test_stored_values_without_a_rescale_are_the_values(tmp_path: Path) -> None:
    datasets = series_datasets(volume(), oblique())
    for dataset in datasets:
        del dataset.RescaleSlope, dataset.RescaleIntercept
    read = read_dicom_series(write_series(tmp_path / "s", datasets))
    assert (read.image - 100 * (volume() + 1)).abs().max() <= 1e-4  # float32


def test_a_uid_that_is_none_is_refused(tmp_path: Path) -> None:
    dataset = series_datasets(volume(1), oblique())[0]
    dataset["SeriesInstanceUID"] = pydicom.DataElement(
        0x0020000E, "UI", "1.2.x", validation_mode=pydicom.config.IGNORE
    )
    with pytest.raises(CorruptInputError, match=r"SeriesInstanceUID '1\.2\.x'"):
        read_dicom_series(write_series(tmp_path / "s", [dataset]))


def test_frames_that_are_not_all_described_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    write_dicom(
        path,
        volume(),
        affine=oblique(),
        voxel_size_mm=(None, None, None),
        belonging=belonging_of_result("p", scan="s"),
        labels=Labels(derivation="cs", unit="1", software="medconsist", series=("k",)),
    )
    whole = pydicom.dcmread(path)
    assert len(read_dicom_series(path).instances) == 1
    del whole.PerFrameFunctionalGroupsSequence[-1]
    whole.save_as(path)
    with pytest.raises(CorruptInputError, match="describes 2 frames and holds 3"):
        read_dicom_series(path)


def test_values_of_a_damaged_header_are_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_series(tmp_path / "s", series_datasets(volume(1), oblique()))
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes().replace(b"19610203", b"Jane Doe"))
    read_dicom_series(folder)
    assert "Doe" not in caplog.text


@pytest.mark.parametrize("seed", [3, 17])
def test_flipped_bytes_are_read_or_refused_and_nothing_else(seed: int, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", series_datasets(volume(1), oblique()))
    (path,) = folder.iterdir()
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    draw = np.random.default_rng(seed)
    read = 0
    for _ in range(40):
        damaged = whole.copy()
        damaged[draw.integers(128, 1400, size=2)] = draw.integers(256, size=2)
        path.write_bytes(damaged.tobytes())
        with contextlib.suppress(MedconsistError):
            assert read_dicom_series(folder).image.isfinite().all()
            read += 1
    assert 0 < read < 40


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="does not exist"):
        read_dicom_series(tmp_path / "no")
    with pytest.raises(MissingInputError, match="holds no file"):
        read_dicom_series(tmp_path)


def test_another_object_of_dicom_is_refused(tmp_path: Path) -> None:
    dataset = series_datasets(volume(1), oblique())[0]
    dataset.SOPClassUID = CTImageStorage
    dataset.Modality = "CT"
    with pytest.raises(UnsupportedInputError, match="'CT' image"):
        read_dicom_series(write_series(tmp_path / "s", [dataset]))
