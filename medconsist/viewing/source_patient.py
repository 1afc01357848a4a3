"""Whom a source file names: one field of its header is read, within bounds, and nothing else.

=================  =================================================  =========================
kind               field                                              read by
=================  =================================================  =========================
fastMRI            attribute ``patient_id``                           a child process
ISMRMRD            ``subjectInformation/patientID`` of the header     a child process
EDF+, BDF+         code, the first word of the patient field          80 bytes
EDF, BDF           patient field, which is free text                  80 bytes
DICOM              PatientID (0010,0020): slides, waveforms, images   pydicom, the first 4 MiB
=================  =================================================  =========================

Other files name nobody here: TIFF and SVS, WFDB (its comments have no field for it), NIfTI, Twix,
arrays. An id that says only that there is none (``X``, ``anonymous``, zeros) names nobody.
"""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

from medconsist._extras import require
from medconsist.errors import CorruptInputError, UnsafeFileError
from medconsist.mri.formats.dicom_file import dicom_errors
from medconsist.mri.formats.foreign_hdf5 import ForeignHdf5, open_foreign_hdf5
from medconsist.timeseries.readers.edf_file import BDF_MAGIC, EDF_MAGIC

__all__ = ["Kind", "SourcePatient", "kind_of_source", "patient_of_source"]

Kind = Literal["fastMRI", "ISMRMRD", "EDF+", "EDF", "DICOM"]
_Family = Literal["HDF5", "EDF", "DICOM"]

_BUDGET = 2**20  # bytes that the child may hold of a HDF5 file
_HEAD = 256
_DICOM_HEAD = 2**22
_LONGEST = 4096  # letters; PatientID has 64 at most (PS3.5, 6.2)
_HDF5 = b"\x89HDF\r\n\x1a\n"
_DEFLATED = b"1.2.840.10008.1.2.1.99"  # a few bytes may be any number of them
_SPACE = "{http://www.ismrm.org/ISMRMRD}"
_NOBODY = re.compile(
    r"x+|0+|-+|\?+|anon\w*|de-?identified|unknown|none|null|n/?a|not[ _]?known|removed|no[ _]?id",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class SourcePatient:
    """What a file says of its patient.

    Parameters
    ----------
    kind
        Whose rules the id follows: ids of two kinds are of two departments, and do not compare.
    id
        As it stands there, without blanks around it; None where it names nobody.

    Examples
    --------
    >>> SourcePatient("DICOM", "PERSON-1").id
    'PERSON-1'
    """

    kind: Kind
    id: str | None


def kind_of_source(path: Path) -> _Family | None:
    """Return how a file is asked, by its first bytes; None where it has no field for a patient.

    Raises
    ------
    CorruptInputError
        It cannot be read.
    """
    head = _first(path, _HEAD)
    if head.startswith(_HDF5):
        return "HDF5"
    if head.startswith((EDF_MAGIC, BDF_MAGIC)):
        return "EDF"
    return "DICOM" if head[128:132] == b"DICM" else None


def patient_of_source(path: Path) -> SourcePatient | None:
    """Return whom a file names; None where its kind has no field for that.

    Raises
    ------
    MedconsistError
        The file cannot be read, is damaged, or is not safe to read.
    """
    match kind_of_source(path):
        case "HDF5":
            return _of_hdf5(path)
        case "EDF":
            return _of_edf(path)
        case "DICOM":
            return _of_dicom(path)
        case None:
            return None


def _of_hdf5(path: Path) -> SourcePatient | None:
    with open_foreign_hdf5(path, budget_bytes=_BUDGET) as file:
        headers = _ismrmrd_headers(file)
        found = file.read(attributes=("patient_id",), texts=tuple(headers[:1]))
    if not headers:
        said = found.attributes.get("patient_id")
        return None if said is None else SourcePatient("fastMRI", _meant(str(said)))
    return SourcePatient("ISMRMRD", _meant(_of_xml(found.texts.get(headers[0], ""), path.name)))


def _ismrmrd_headers(file: ForeignHdf5) -> list[str]:
    """Return the datasets ``xml`` beside rows of readouts."""
    groups = [
        name.removesuffix("/data")
        for name, listed in file.datasets.items()
        if name.endswith("/data") and "head" in listed.fields
    ]
    return [f"{group}/xml" for group in groups if f"{group}/xml" in file.datasets]


def _of_xml(text: str, name: str) -> str:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        msg = f"{name}: the header declares a document type or an entity; remove the declaration."
        raise UnsafeFileError(msg)
    try:
        root = ET.fromstring(text)  # noqa: S314  no DOCTYPE, so no entity to expand
    except (ET.ParseError, ValueError) as error:
        msg = f"{name}: the header is no well-formed XML. Copy the file again."
        raise CorruptInputError(msg) from error
    return root.findtext(f"{_SPACE}subjectInformation/{_SPACE}patientID") or ""


def _of_edf(path: Path) -> SourcePatient:
    head = _first(path, _HEAD)
    if len(head) < _HEAD:
        msg = f"{path.name} ends within its header of {_HEAD} bytes. Copy the file again."
        raise CorruptInputError(msg)
    field, reserved = head[8:88].decode("latin-1"), head[192:236]
    if reserved.startswith((b"EDF+", b"BDF+")):
        return SourcePatient("EDF+", _meant(field.split(" ", 1)[0]))
    return SourcePatient("EDF", _meant(" ".join(field.split())))


def _of_dicom(path: Path) -> SourcePatient:
    head = _first(path, _DICOM_HEAD)
    if _DEFLATED in head:
        msg = f"{path.name} is deflated; inflate it first, e.g. with dcmconv +te of DCMTK."
        raise UnsafeFileError(msg)
    pydicom = require("pydicom", extra="dicom")
    with dicom_errors(path.name):
        header = pydicom.dcmread(
            io.BytesIO(head), stop_before_pixels=True, specific_tags=["PatientID"]
        )
        stored = header.get_item("PatientID")
        if stored is not None and len(stored.value or b"") < stored.length:
            msg = "the file ends within PatientID"  # pydicom returns what is left of it
            raise ValueError(msg)
        said = header.get("PatientID")
    return SourcePatient("DICOM", _meant("" if said is None else str(said)))


def _meant(said: str) -> str | None:
    """Return an id without blanks and NULs around it, None for what names nobody."""
    said = said[:_LONGEST].strip(" \0\t\r\n")
    return None if not said or _NOBODY.fullmatch(said) else said


def _first(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        msg = f"{path.name} cannot be read: {error.strerror}."
        raise CorruptInputError(msg) from error
