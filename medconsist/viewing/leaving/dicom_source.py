"""Whose a DICOM file is, and the image that it refers to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.mri import export as mri_export
from medconsist.mri.formats.deidentify import belonging_of_result
from medconsist.mri.formats.dicom_text import code
from medconsist.results.schema import Result
from medconsist.results.store import StoredResult
from medconsist.viewing.leaving.export import Export

__all__ = ["DICOM", "WHOSE", "Source", "opaque", "source_of_image", "source_of_result"]
__all__ += ["volume_export"]

DICOM = "application/dicom"
"""Media type of a DICOM file (RFC 3240)."""

_MEDIA = {"dicom": DICOM, "nifti": "application/gzip"}
_WHAT = {"dicom": "DICOM image", "nifti": "NIfTI image"}
WHOSE = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
    *("StudyDescription", "PatientIdentityRemoved", "DeidentificationMethod"),
    *("DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified"),
    "TimezoneOffsetFromUTC",
)
"""What is taken of an image: patient and study."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """Patient and study of a file that leaves, and the DICOM image that was reviewed.

    Parameters
    ----------
    attributes
        DICOM keyword of the patient and the study to its value.
    study
        UID.
    image
        Header of the image, as pydicom holds it, without pixels; None where there is no image.

    Examples
    --------
    >>> Source(attributes={"PatientIdentityRemoved": "YES"}, study="2.25.1").keeps_identity
    False
    """

    attributes: Mapping[str, Any] = field(repr=False)
    study: str
    image: Any = field(default=None, repr=False)

    @property
    def keeps_identity(self) -> bool:
        """Whether name, ids and dates of the patient are in here."""
        return bool(self.attributes.get("PatientIdentityRemoved") != "YES")

    @property
    def is_volume(self) -> bool:
        """Whether the image is a stack of slices, and no slide."""
        return self.image is not None and "NumberOfFrames" in self.image

    @property
    def has_orientation(self) -> bool:
        """Whether it is known where the image lies in the patient."""
        return self.image is not None and "SharedFunctionalGroupsSequence" in self.image


def volume_export(
    stored: StoredResult,
    *,
    to: Literal["dicom", "nifti"],
    role: str = "reconstruction",
    reference: Path | None = None,
    identity: Literal["removed", "kept"] = "removed",
) -> Export:
    """Return one image of an MR result as a file, by the writers of ``medconsist mri export``.

    Parameters
    ----------
    stored
        The result.
    to
        Enhanced MR (or secondary capture, where the orientation is unknown), or NIfTI.
    role
        Which image.
    reference
        A DICOM series of the same examination; see `medconsist.mri.export`.
    identity
        Whether name, ids, dates and UIDs of the reference go into a DICOM file. Who may not see
        identity must not choose ``"kept"``: this function does not ask.

    Raises
    ------
    RefusedInputError
        It is no MR reconstruction, has no such image, or the reference does not fit.
    CorruptResultError
        The result is not as it was written.
    """
    with TemporaryDirectory() as folder:
        job = mri_export.Export(
            result=stored.folder.path,
            out=Path(folder),
            to=to,
            role=role,
            reference=reference,
            identity=identity,
        )
        path = mri_export.export_result(job).path
        return Export(name=path.name, media_type=_MEDIA[to], what=_WHAT[to], data=path.read_bytes())


def source_of_image(image: Export) -> Source:
    """Return the source whose image leaves beside the review, as `volume_export` gives it.

    Raises
    ------
    RefusedInputError
        It is no DICOM file.
    """
    if image.media_type != DICOM:
        msg = f"{image.name} is {image.media_type}; allowed: {DICOM}. Use volume_export(to='dicom')"
        raise RefusedInputError(msg)
    pydicom = require("pydicom", extra="dicom")
    header = pydicom.dcmread(BytesIO(image.data), stop_before_pixels=True)
    whose = {word: header[word].value for word in WHOSE if word in header}
    return Source(attributes=whose, study=str(header.StudyInstanceUID), image=header)


def source_of_result(result: Result) -> Source:
    """Return the source of a result without a DICOM image: opaque ids, UIDs made of its inputs."""
    scan = sha256_of_bytes(canonical_json(result.inputs))
    return opaque(result.patient or result.case, scan=scan)


def opaque(patient: str, *, scan: str) -> Source:
    """Return the source of an opaque id, without identity and without an image.

    Parameters
    ----------
    patient
        Opaque id.
    scan
        Digest; all files of one scan lie in one study.
    """
    owner = belonging_of_result(patient, scan=scan)
    profile = code("113100", "DCM", "Basic Application Confidentiality Profile")
    said = {"DeidentificationMethodCodeSequence": [profile], "TimezoneOffsetFromUTC": "+0000"}
    return Source(attributes=owner.attributes | said, study=owner.study)
