"""A verdict as a DICOM structured report (TID 1500): who said what about which result, and why.

The document of a signature is what was signed: it holds the comments that were filed before, and
never changes. A later comment is in a later document, or in the PDF.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from medconsist._extras import require
from medconsist.mri.formats.dicom_out import named_bytes
from medconsist.mri.formats.dicom_text import item
from medconsist.mri.formats.dicom_uids import derived_uid
from medconsist.results.schema import Result
from medconsist.review.entries import Entry
from medconsist.review.records import Verdict
from medconsist.viewing.leaving import dicom_evaluations as evaluations
from medconsist.viewing.leaving.dicom_heading import Heading, as_export, put_heading, referenced
from medconsist.viewing.leaving.dicom_measurements import measurement_groups
from medconsist.viewing.leaving.dicom_source import Source
from medconsist.viewing.leaving.dicom_words import SCHEME, coded, long_string, person_name
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.leaving.report import Review, refuse_other_result
from medconsist.viewing.leaving.verdict_line import line_of, verdict_of

__all__ = ["review_sr"]

_COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
_PROCEDURES = {
    "mri": ("113091000", "SCT", "Magnetic resonance imaging"),
    "wsi": ("104157003", "SCT", "Light microscopy"),
    "timeseries": ("biosignal", SCHEME, "Recording of a biosignal"),
}
NOT_STATED = "not stated"
"""Organisation of who signed, where the program was not told one."""


def review_sr(review: Review, *, source: Source, organization: str = NOT_STATED) -> Export:
    """Return a verdict as a Comprehensive SR document; the same review gives the same bytes.

    It holds the decision, reasons and comment, the signature (printed name, account, time,
    meaning, sha256 of what was signed, link of the audit chain), earlier signatures, first
    impressions, comments with their places, every score of the trust record with its expectation
    and judgement, the reported numbers, the algorithm with the sha256 of its weights, and
    "research use only". A place on the image that the source has is a point on its frame
    (SCOORD); any other is said in words. The document is UNVERIFIED until the verdict is signed.
    That of an amendment names the one it stands in the place of (PredecessorDocumentsSequence),
    which has the same UID whenever it is exported with the same source and organisation.

    Parameters
    ----------
    review
        What goes into it; pictures do not (see `medconsist.viewing.leaving.dicom_sc`). Give
        comments and impressions as `ReviewStore.thread` returns them: what was withdrawn after
        the signature was there when it was signed.
    source
        Patient, study and image.
    organization
        Of who signed.

    Raises
    ------
    ConflictError
        The verdict is of another result than the one given.
    RefusedInputError
        There is no such verdict, or the link of a signature is not given.
    """
    line = line_of(review.thread, review.entry)
    refuse_other_result(verdict_of(line[-1]), review.result)
    signed = [one for one in line if verdict_of(one).state != "draft"]
    last = verdict_of(line[-1])
    line = [*signed, line[-1]] if last.state == "draft" else signed
    predecessor = None
    for number in range(1, len(line) + 1):  # the oldest first: each names the one before
        predecessor = _document(review, line[:number], source, organization, predecessor)
    suffix = "-draft" if last.state == "draft" else ""
    return as_export(
        predecessor, name=f"{review.result.case}-review{suffix}.sr.dcm", what="DICOM SR"
    )


def _document(
    review: Review,
    line: Sequence[Entry],
    source: Source,
    organization: str,
    predecessor: Any,  # noqa: ANN401  a class of pydicom
) -> Any:  # noqa: ANN401
    result, entry = review.result, line[-1]
    verdict = verdict_of(entry)
    root = _content(review, line, source)
    dataset = require("pydicom", extra="dicom").Dataset()
    heading = Heading(
        series="report",
        sop_class=_COMPREHENSIVE_SR,
        modality="SR",
        description="draft" if verdict.state == "draft" else "review",
        made=entry.created,
        number=len(line),
    )
    put_heading(dataset, source, result, heading)
    for element in root:
        dataset[element.tag] = element
    dataset.PerformedProcedureCodeSequence = []
    dataset.ReferencedPerformedProcedureStepSequence = []
    _add_state(dataset, entry, verdict, organization)
    if source.image is not None:
        dataset.CurrentRequestedProcedureEvidenceSequence = [_evidence(source.image)]
    if predecessor is not None:
        named_bytes(predecessor)  # its UID is made of its bytes
        dataset.PredecessorDocumentsSequence = [_evidence(predecessor)]
    return dataset


def _add_state(dataset: Any, entry: Entry, verdict: Verdict, organization: str) -> None:  # noqa: ANN401
    is_signed = verdict.state != "draft"
    dataset.CompletionFlag = "COMPLETE" if is_signed else "PARTIAL"
    dataset.PreliminaryFlag = "FINAL" if is_signed else "PRELIMINARY"
    dataset.VerificationFlag = "VERIFIED" if is_signed else "UNVERIFIED"
    if is_signed:
        when = datetime.fromisoformat(entry.created)
        dataset.VerifyingObserverSequence = [
            item(
                VerifyingObserverName=person_name(verdict.printed_name or ""),
                VerifyingObserverIdentificationCodeSequence=[],
                VerifyingOrganization=long_string(organization),
                VerificationDateTime=f"{when:%Y%m%d%H%M%S.%f}+0000",
            )
        ]


def _content(review: Review, line: Sequence[Entry], source: Source) -> Any:  # noqa: ANN401
    sr = require("highdicom.sr", extra="dicom")
    result, entry = review.result, line[-1]
    root = sr.MeasurementReport(
        observation_context=_observers(result, entry),
        procedure_reported=_procedure(result),
        imaging_measurements=measurement_groups(result, verdict_of(entry)),
    )[0]
    said = sr.ContainerContentItem(
        name=sr.CodedConcept("C0034375", "UMLS", "Qualitative Evaluations"),
        relationship_type="CONTAINS",
    )
    said.ContentSequence = sr.ContentSequence(
        [
            *evaluations.decision(verdict_of(entry)),
            *evaluations.signatures(line, review.links),
            *evaluations.impressions(_known(review.impressions, entry), result),
            *evaluations.comments(_known(review.comments, entry), result, source),
            *evaluations.about(result, source),
        ]
    )
    root.ContentSequence.append(said)
    return root


def _known(filed: Sequence[Entry], entry: Entry) -> list[Entry]:
    """Return what was known when a verdict was signed; a draft knows all."""
    if verdict_of(entry).state == "draft":
        known = list(filed)
    else:
        known = [one for one in filed if one.created <= entry.created]
    replaced = {one.supersedes for one in known}
    return [one for one in known if one.id not in replaced]


def _observers(result: Result, entry: Entry) -> Any:  # noqa: ANN401
    sr = require("highdicom.sr", extra="dicom")
    dcm = require("pydicom.sr.codedict", extra="dicom").codes.DCM
    name = person_name(verdict_of(entry).printed_name or entry.author)
    person = sr.PersonObserverIdentifyingAttributes(
        name=f"{name}^",  # a name of one part, as highdicom wants it told
        login_name=long_string(entry.author),
    )
    program = sr.DeviceObserverIdentifyingAttributes(
        uid=derived_uid("medconsist"),
        name="medconsist",
        manufacturer_name="medconsist",
        model_name=long_string(result.kind),
    )
    return sr.ObservationContext(
        observer_person_context=sr.ObserverContext(dcm.Person, person),
        observer_device_context=sr.ObserverContext(dcm.Device, program),
    )


def _procedure(result: Result) -> Any:  # noqa: ANN401
    found = _PROCEDURES.get(result.kind.split(".")[0])
    if found is None:
        return coded("procedure_unknown")
    value, scheme, meaning = found
    return require("highdicom.sr", extra="dicom").CodedConcept(value, scheme, meaning)


def _evidence(dataset: Any) -> Any:  # noqa: ANN401  classes of pydicom
    series = item(
        SeriesInstanceUID=dataset.SeriesInstanceUID, ReferencedSOPSequence=[referenced(dataset)]
    )
    return item(StudyInstanceUID=dataset.StudyInstanceUID, ReferencedSeriesSequence=[series])
