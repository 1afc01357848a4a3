"""Asymmetric volumes with a place in the patient, and DICOM series of them by pydicom alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import torch
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from torch import Tensor

from tests.mri.asymmetric import asymmetric_image

SPACING = (5.0, 0.9, 1.1)
"""Slice, row, column [mm]."""
IDENTITY = {
    "PatientName": "Doe^Jane",
    "PatientID": "MRN-4711",
    "PatientBirthDate": "19610203",
    "PatientSex": "F",
    "PatientAge": "065Y",
    "PatientAddress": "Secret Lane 5",
    "StudyDate": "20260304",
    "StudyTime": "101112",
    "SeriesDate": "20260304",
    "AcquisitionDateTime": "20260304101112",
    "StudyID": "S-99",
    "AccessionNumber": "ACC-31",
    "ReferringPhysicianName": "Roe^Richard",
    "OperatorsName": "Poe^Paula",
    "InstitutionName": "Saint Nowhere",
    "StationName": "BAY-2",
    "DeviceSerialNumber": "SN-0815",
    "StudyDescription": "knee of Jane Doe",
    "SeriesDescription": "t2 of Jane Doe",
    "ImageComments": "Jane Doe moved",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.20260304.1",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.20260304.2",
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.20260304.3",
}


def volume(slices: int = 3) -> Tensor:
    """Return different slices of the asymmetric phantom."""
    return torch.stack([(s + 1) * asymmetric_image() for s in range(slices)])


def turned(angles: tuple[float, float, float] = (0.3, 0.4, -0.6)) -> Tensor:
    """Return a rotation by three angles [rad]."""
    (a, b, c), one = torch.tensor(angles, dtype=torch.float64), torch.tensor(1.0).double()
    zero = 0 * one
    about_z = [a.cos(), -a.sin(), zero, a.sin(), a.cos(), zero, zero, zero, one]
    about_y = [b.cos(), zero, b.sin(), zero, one, zero, -b.sin(), zero, b.cos()]
    about_x = [one, zero, zero, zero, c.cos(), -c.sin(), zero, c.sin(), c.cos()]
    z, y, x = (torch.stack(m).reshape(3, 3) for m in (about_z, about_y, about_x))
    return z @ y @ x


def oblique(*, handed: float = 1.0, spacing: tuple[float, float, float] = SPACING) -> Tensor:
    """Return an oblique affine (column, row, slice to RAS); ``handed`` -1 counts slices down."""
    step, row, column = spacing
    affine = torch.eye(4, dtype=torch.float64)
    scale = torch.tensor([column, row, step * handed], dtype=torch.float64)
    affine[:3, :3] = turned() * scale
    affine[:3, 3] = torch.tensor([-10.0, 20.0, 33.0])
    return affine


def points(affine: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return RAS [mm] of every voxel of ``slices height width``, in C order."""
    s, j, i = torch.meshgrid(*(torch.arange(n).double() for n in shape), indexing="ij")
    index = torch.stack([i, j, s, torch.ones_like(s)]).reshape(4, -1)
    return (affine.double() @ index)[:3].T


def by_place(image: Tensor, affine: Tensor) -> dict[tuple[float, ...], float]:
    """Return each value under the place of its voxel, rounded to a hundredth of a millimetre."""
    # +0.0 makes minus zero zero.
    keys = (points(affine, tuple(image.shape)) * 100).round().add(0.0).tolist()
    return dict(zip(map(tuple, keys), image.reshape(-1).tolist(), strict=True))


def slice_dataset(pixels: Any, position: list[float], cosines: list[float], **more: Any) -> Any:
    """Return a classic MR slice as pydicom holds it; further attributes by keyword."""
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    values = {
        **IDENTITY,
        "SOPClassUID": MRImageStorage,
        "Modality": "MR",
        "MagneticFieldStrength": "1.5",
        "PatientPosition": "HFS",
        "ImagePositionPatient": [f"{x:.10g}" for x in position],
        "ImageOrientationPatient": [f"{x:.10g}" for x in cosines],
        "PixelSpacing": [SPACING[1], SPACING[2]],
        "SliceThickness": SPACING[0],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "RescaleSlope": "0.01",
        "RescaleIntercept": "-1",
    } | more
    for word, value in values.items():
        setattr(dataset, word, value)
    dataset.PixelData = np.rint((pixels + 1) / 0.01).astype("<i2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def series_datasets(image: Tensor, affine: Tensor, **more: Any) -> list[Any]:
    """Return one classic slice per plane of an image (values of two decimals) and its affine."""
    matrix = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine.numpy()
    units = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    cosines = [*units[:, 0], *units[:, 1]]
    return [
        slice_dataset(
            plane.numpy(),
            list(matrix[:3, 3] + number * matrix[:3, 2]),
            cosines,
            InstanceNumber=number + 1,
            SOPInstanceUID=f"1.2.826.0.1.3680043.8.498.20260304.9.{number + 1}",
            **more,
        )
        for number, plane in enumerate(image)
    ]


def write_series(folder: Path, datasets: list[Any]) -> Path:
    """Write slices under names that say nothing of their order."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, dataset in enumerate(datasets):
        path = folder / f"IM{(number * 7 + 3) % 11:04d}.dcm"
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return folder
