"""Files of each kind that names a patient, as small as their kind allows."""

from pathlib import Path

import h5py
import numpy as np
import pydicom
import torch
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    TwelveLeadECGWaveformStorage,
    VLWholeSlideMicroscopyImageStorage,
    generate_uid,
)

from tests.mri.ismrmrd_writer import ismrmrd_xml, lines_of, write_rows

__all__ = ["WRITERS", "edf_head", "write_dicom_head"]


def fastmri(folder: Path, patient: str) -> Path:
    """A scan as of the fastMRI data."""
    path = folder / "scan.h5"
    with h5py.File(path, "w") as file:
        file["kspace"] = np.ones((1, 2, 4, 4), np.complex64)
        file.attrs["patient_id"] = patient
    return path


def ismrmrd(folder: Path, patient: str) -> Path:
    """A scan written by the package ismrmrd itself."""
    said = f"<subjectInformation><patientID>{patient}</patientID></subjectInformation>"
    xml = ismrmrd_xml().replace("<acquisitionSystem", f"{said}<acquisitionSystem", 1)
    return write_rows(folder / "raw", lines_of(torch.ones(1, 1, 20, 28)), xml)


def edf_head(patient: bytes, *, reserved: bytes = b"EDF+C") -> bytes:
    """Return the fixed part of a header: version, patient, recording, date, length, the rest."""
    return (
        b"0       "
        + patient[:80].ljust(80)
        + b"Startdate X X X X".ljust(80)
        + b"01.01.8500.00.00"
        + b"512".ljust(8)
        + reserved.ljust(44)
        + b"1".ljust(8)
        + b"1".ljust(8)
        + b"1".ljust(4)
    )


def edf(folder: Path, patient: str) -> Path:
    """The header of an EDF+ file with code, sex, date of birth and name."""
    path = folder / "record.edf"
    path.write_bytes(edf_head(f"{patient} F 02-MAY-1951 Secret_Person".encode()) + bytes(512))
    return path


def write_dicom_head(path: Path, patient: str, *, sop_class: str, **more: object) -> Path:
    """Write a DICOM file without pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    file.SpecificCharacterSet = "ISO_IR 192"
    file.PatientName, file.PatientID = "Secret^Person", patient
    for name, value in more.items():
        setattr(file, name, value)
    pydicom.dcmwrite(path, file, enforce_file_format=True)
    return path


def waveform(folder: Path, patient: str) -> Path:
    """An ECG."""
    return write_dicom_head(
        folder / "ecg.dcm", patient, sop_class=TwelveLeadECGWaveformStorage, Modality="ECG"
    )


def dicom_slide(folder: Path, patient: str) -> Path:
    """A slide with pixels behind its header."""
    return write_dicom_head(
        folder / "slide.dcm",
        patient,
        sop_class=VLWholeSlideMicroscopyImageStorage,
        Modality="SM",
        Rows=2,
        Columns=2,
        BitsAllocated=8,
        SamplesPerPixel=1,
        PixelData=b"\1\2\3\4",
    )


WRITERS = {
    "fastMRI": fastmri,
    "ISMRMRD": ismrmrd,
    "EDF+": edf,
    "DICOM waveform": waveform,
    "DICOM slide": dicom_slide,
}
