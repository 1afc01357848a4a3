"""Who and what study an exported file belongs to: without identity, unless that is asked for.

Nothing of a reference is copied as a whole and cleaned afterwards. A new file takes only what is
listed here, so that an attribute nobody thought of, private ones among them, cannot slip through.
For what is taken, the Basic Application Level Confidentiality Profile holds (PS3.15 table E.1-1):
names and ids become the opaque ids of the result, dates are emptied or a dummy, descriptions are
left out, UIDs are replaced in a consistent way. Pixels are not changed: a face that can be
rendered from a head stays in them.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from medconsist._digests import sha256_of_bytes
from medconsist._ids import safe_id
from medconsist.errors import CorruptInputError
from medconsist.mri.formats.dicom_in import DicomSeries, Instance
from medconsist.mri.formats.dicom_uids import derived_uid

__all__ = ["DUMMY_DATE", "Belonging", "belonging_of_result", "with_identity", "without_identity"]

DUMMY_DATE = "19000101"
"""Stands where a date must stand; the profile allows a dummy (action D)."""
_LONGEST_ID = 64
_NOT_PERSONAL = ("BodyPartExamined", "PatientPosition", "MagneticFieldStrength")
_IDENTITY = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
    *("StudyDescription", "PatientIdentityRemoved", "DeidentificationMethod"),
    *("LongitudinalTemporalInformationModified", "PositionReferenceIndicator"),
    "TimezoneOffsetFromUTC",
)
_METHOD = "Basic Profile (PS3.15) by a list of what is allowed; pixels kept"
_REMOVED = {
    "PatientBirthDate": "",
    "PatientSex": "",
    "StudyDate": "",
    "StudyTime": "",
    "StudyID": "",
    "AccessionNumber": "",
    "ReferringPhysicianName": "",
    "PositionReferenceIndicator": "",
    "PatientIdentityRemoved": "YES",
    "DeidentificationMethod": _METHOD,
    "LongitudinalTemporalInformationModified": "REMOVED",
}


@dataclass(frozen=True, kw_only=True)
class Belonging:
    """Patient, study and frame of reference of a new file, and the images that it refers to.

    Parameters
    ----------
    attributes
        DICOM keyword to value.
    study, frame_of_reference
        UIDs.
    series
        UID of the reference series, None without one.
    instances
        Its objects.
    keeps_identity
        Whether the identity of the reference is in here.

    Examples
    --------
    >>> belonging_of_result("p1", scan="0" * 64).attributes["PatientIdentityRemoved"]
    'YES'
    """

    attributes: dict[str, Any]
    study: str
    frame_of_reference: str
    series: str | None = None
    instances: tuple[Instance, ...] = field(default=())
    keeps_identity: bool = False


def belonging_of_result(patient: str, *, scan: str) -> Belonging:
    """Return the belonging of a result on its own: opaque ids, UIDs made from the scan.

    Parameters
    ----------
    patient
        Opaque id.
    scan
        Digest of the measured file: all results of one scan lie in one DICOM study and one frame
        of reference.
    """
    return Belonging(
        attributes=_REMOVED | _named(patient),
        study=derived_uid("study", patient, scan),
        frame_of_reference=derived_uid("frame of reference", scan),
    )


def without_identity(series: DicomSeries, *, patient: str) -> Belonging:
    """Return the belonging beside a reference series whose identity is left out.

    Equal UIDs of the reference become equal new ones, in every export, so that files of one study
    stay together.
    """
    study, frame, own = _uids(series)
    kept = _of_the_scan(series)
    instances = (
        Instance(one.sop_class, derived_uid("replaced", one.sop_instance))
        for one in series.instances
    )
    return Belonging(
        attributes=_REMOVED | kept | _named(patient),
        study=derived_uid("replaced", study),
        frame_of_reference=derived_uid("replaced", frame or study),
        series=derived_uid("replaced", own),
        instances=tuple(instances),
    )


def with_identity(series: DicomSeries) -> Belonging:
    """Return the belonging of the reference as it is, name and ids included."""
    study, frame, own = _uids(series)
    empty = dict.fromkeys(("PatientName", "PatientID", *_TYPE_TWO), "")
    kept = series.taken(*_IDENTITY) | _of_the_scan(series)
    return Belonging(
        attributes=empty | {"PatientIdentityRemoved": "NO"} | kept,
        study=study,
        frame_of_reference=frame or derived_uid("replaced", study),
        series=own,
        instances=series.instances,
        keeps_identity=True,
    )


_UIDS = ("StudyInstanceUID", "FrameOfReferenceUID", "SeriesInstanceUID")
_TYPE_TWO = tuple(word for word, value in _REMOVED.items() if value == "")


def _uids(series: DicomSeries) -> tuple[str, str, str]:
    """Return the UIDs of study, frame of reference (empty where there is none) and series."""
    found = series.taken(*_UIDS)
    study, frame, own = (str(found.get(word, "")) for word in _UIDS)
    return study, frame, own


def _of_the_scan(series: DicomSeries) -> dict[str, Any]:
    """Return what is not personal; what is no valid code is left out, as free text may be."""
    found = dict[str, Any]()
    for word in _NOT_PERSONAL:
        with suppress(CorruptInputError):
            found |= series.taken(word)
    return found


def _named(patient: str) -> dict[str, str]:
    """Return name and id; an id longer than DICOM's 64 characters ends in its own digest."""
    opaque = safe_id(patient, what="patient id")
    if len(opaque) > _LONGEST_ID:
        opaque = f"{opaque[:31]}-{sha256_of_bytes(opaque.encode())[:32]}"
    return {"PatientName": opaque, "PatientID": opaque}
