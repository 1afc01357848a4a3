"""The report of a review inside a DICOM file (Encapsulated PDF), byte for byte as it was made."""

from datetime import datetime
from typing import Any

from medconsist._extras import require
from medconsist.viewing.leaving.dicom_heading import Heading, as_export, put_heading, referenced
from medconsist.viewing.leaving.dicom_source import Source
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.leaving.report import Review, review_pdf
from medconsist.viewing.leaving.verdict_line import line_of, verdict_of
from medconsist.viewing.markup import NOTICE

__all__ = ["page_dicom"]

_ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def page_dicom(review: Review, *, source: Source, printed: datetime | None = None) -> Export:
    """Return the PDF of a review as a DICOM file; it is UNVERIFIED until the verdict is signed.

    The document in it is byte for byte that of `review_pdf`.

    BurnedInAnnotation is always YES: the pages hold ids, names of readers and what they wrote.

    Parameters
    ----------
    review
        What goes into it.
    source
        Patient, study and the image that is referred to.
    printed
        As for `review_pdf`.

    Raises
    ------
    ConflictError, RefusedInputError, BudgetError
        As `review_pdf` says.
    """
    report = review_pdf(review, printed=printed)
    entry = line_of(review.thread, review.entry)[-1]
    is_draft = verdict_of(entry).state == "draft"
    dataset = require("pydicom", extra="dicom").Dataset()
    heading = Heading(
        series="page",
        sop_class=_ENCAPSULATED_PDF,
        modality="DOC",
        description="draft report" if is_draft else "report",
        made=entry.created,
    )
    put_heading(dataset, source, review.result, heading)
    values: dict[str, Any] = {
        "ConversionType": "WSD",
        "AcquisitionDateTime": "",
        "BurnedInAnnotation": "YES",
        "VerificationFlag": "UNVERIFIED" if is_draft else "VERIFIED",
        "DocumentTitle": f"Review report {review.result.case}. {NOTICE}",
        "ConceptNameCodeSequence": [],
        "MIMETypeOfEncapsulatedDocument": report.media_type,
        "EncapsulatedDocumentLength": len(report.data),
        "EncapsulatedDocument": report.data + b"\0" * (len(report.data) % 2),
    }
    for word, value in values.items():
        setattr(dataset, word, value)
    if source.image is not None:
        dataset.SourceInstanceSequence = [referenced(source.image)]
    return as_export(dataset, name=f"{report.name}.dcm", what="DICOM PDF")
