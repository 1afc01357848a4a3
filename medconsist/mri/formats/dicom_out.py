"""A volume out as one DICOM file: enhanced MR where its geometry is known, else secondary capture.

Everything that a reader must be told stands in standard attributes: research use only, how the
image was made, in which units, what it refers to. The same content gives the same bytes and UIDs.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from medconsist._atomic import atomic_write_bytes
from medconsist._digests import sha256_of_bytes
from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.mri.formats.deidentify import DUMMY_DATE, Belonging
from medconsist.mri.formats.dicom_enhanced import add_enhanced_mr
from medconsist.mri.formats.dicom_geometry import planes_of_affine
from medconsist.mri.formats.dicom_secondary import add_secondary_capture
from medconsist.mri.formats.dicom_text import code, text
from medconsist.mri.formats.dicom_uids import derived_uid
from medconsist.mri.formats.stored_pixels import StoredPixels, store_pixels

__all__ = ["NOT_FOR_DIAGNOSIS", "Labels", "named_bytes", "write_dicom"]

NOT_FOR_DIAGNOSIS = "RESEARCH USE ONLY - NOT FOR DIAGNOSIS"
_ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.3"
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_LARGEST_VALUE = 2**32 - 2  # PS3.5 7.1.1: the length of a value has 32 bits and is even
_LONGEST_AXIS = 65535
_SERIES_NUMBER = 9001  # behind those of the scanner, where the study is that of a reference


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What stands beside the image in the file.

    Parameters
    ----------
    description
        Follows `NOT_FOR_DIAGNOSIS` in SeriesDescription, 64 characters with it; what matters most
        comes first, as the end is cut.
    derivation
        How the image was made; at most 1024 characters.
    comments
        Lines below `NOT_FOR_DIAGNOSIS` in ImageComments.
    unit
        Unit of the values, in words.
    software
        Name and version of what made the image.
    series
        Words that name the series; its UID is made from them and from the study.
    made
        Date and time of the image as DICOM writes them; a dummy where identity is left out.

    Examples
    --------
    >>> Labels(derivation="cs", unit="1", software="medconsist 1", series=("a",)).made[0]
    '19000101'
    """

    description: str = ""
    derivation: str
    comments: tuple[str, ...] = ()
    unit: str
    software: str
    series: tuple[str, ...]
    made: tuple[str, str] = (DUMMY_DATE, "000000")


def write_dicom(
    path: Path,
    image: Float[Tensor, "slices height width"],
    *,
    affine: Float[Tensor, "4 4"] | None,
    voxel_size_mm: tuple[float | None, float | None, float | None],
    belonging: Belonging,
    labels: Labels,
) -> None:
    """Write a real image as one multi-frame DICOM file, atomically.

    With an affine it is an Enhanced MR Image (1.2.840.10008.5.1.4.1.1.4.1): each frame has its
    position, orientation and spacing. Without one it is a Multi-frame Grayscale Word Secondary
    Capture (1.2.840.10008.5.1.4.1.1.7.3) without position, orientation or frame of reference; its
    PixelSpacing is there only where both in-plane spacings are known. Values are 16 bits with
    rescale slope and intercept (`store_pixels`).

    Parameters
    ----------
    path
        File to write; an existing one is replaced.
    image
        Real and finite. Take the magnitude of complex images first.
    affine
        Voxel index (column, row, slice) to patient millimetres, right-anterior-superior.
    voxel_size_mm
        Slice, row, column spacing; used where there is no affine.
    belonging
        Patient, study and reference.
    labels
        What stands beside the image.

    Raises
    ------
    RefusedInputError
        If a value is not finite, the affine is sheared or singular, or the image too large for one
        file.
    MissingExtraError
        If pydicom is not installed.
    StorageError
        If the disk is full or read-only; nothing half-written is left.
    """
    slices, height, width = image.shape
    if max(height, width) > _LONGEST_AXIS or 2 * image.numel() > _LARGEST_VALUE:
        msg = (
            f"an image of {slices} x {height} x {width} does not fit into one DICOM file (axes of "
            f"{_LONGEST_AXIS}, {_LARGEST_VALUE} bytes). Write NIfTI."
        )
        raise RefusedInputError(msg)
    pixels = store_pixels(image)
    dataset = _common(pixels, belonging, labels)
    if affine is not None:
        dataset.SOPClassUID = _ENHANCED_MR
        add_enhanced_mr(
            dataset, planes_of_affine(affine, slices), pixels, belonging, unit=labels.unit
        )
    else:
        dataset.SOPClassUID = _SECONDARY_CAPTURE
        add_secondary_capture(dataset, voxel_size_mm, pixels, belonging)
    atomic_write_bytes(path, named_bytes(dataset))


def _common(pixels: StoredPixels, belonging: Belonging, labels: Labels) -> Any:  # noqa: ANN401
    dataset = require("pydicom", extra="dicom").Dataset()
    slices, height, width = pixels.stored.shape
    values: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192",
        **belonging.attributes,
        "StudyInstanceUID": belonging.study,
        "SeriesInstanceUID": derived_uid("series", belonging.study, *labels.series),
        "SeriesNumber": _SERIES_NUMBER,
        "InstanceNumber": 1,
        "Modality": "MR",
        "Manufacturer": "medconsist",
        "ManufacturerModelName": "medconsist",
        "DeviceSerialNumber": "none",
        "SoftwareVersions": text(labels.software, 64),
        "SeriesDescription": text(f"{NOT_FOR_DIAGNOSIS}{labels.description}", 64),
        "ImageComments": text("\n".join([NOT_FOR_DIAGNOSIS, *labels.comments]), 10240),
        "DerivationDescription": text(labels.derivation, 1024),
        "ContentDate": labels.made[0],
        "ContentTime": labels.made[1],
        "ContentQualification": "RESEARCH",
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "PresentationLUTShape": "IDENTITY",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "NumberOfFrames": slices,
        "Rows": height,
        "Columns": width,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "PixelData": pixels.stored.astype("<u2").tobytes(),
    }
    for word, value in values.items():
        setattr(dataset, word, value)
    dataset["PixelData"].VR = "OW"
    if not belonging.keeps_identity:
        dataset.DeidentificationMethodCodeSequence = [
            code("113100", "DCM", "Basic Application Confidentiality Profile")
        ]
    return dataset


def named_bytes(dataset: Any) -> bytes:  # noqa: ANN401  a class of pydicom
    """Return the file; its UID is made from its other bytes, so that no two files share one."""
    dataset.SOPInstanceUID = derived_uid("instance")
    dataset.SOPInstanceUID = derived_uid("instance", sha256_of_bytes(_encoded(dataset)))
    return _encoded(dataset)


def _encoded(dataset: Any) -> bytes:  # noqa: ANN401  a class of pydicom
    pydicom = require("pydicom", extra="dicom")
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = _EXPLICIT_LITTLE_ENDIAN
    meta.ImplementationClassUID = derived_uid("medconsist")
    meta.ImplementationVersionName = "MEDCONSIST"
    dataset.file_meta = meta
    file = BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()
