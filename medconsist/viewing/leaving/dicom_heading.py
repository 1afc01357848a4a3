"""What every DICOM file of a review has: whose, of which series, made by what, research use."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

from medconsist.mri.export_text import software_of
from medconsist.mri.formats.dicom_out import NOT_FOR_DIAGNOSIS, named_bytes
from medconsist.mri.formats.dicom_text import code, item
from medconsist.mri.formats.dicom_uids import derived_uid
from medconsist.results.methods import method_of
from medconsist.results.schema import Result
from medconsist.viewing.leaving.dicom_source import DICOM, Source
from medconsist.viewing.leaving.dicom_words import long_string, unlimited
from medconsist.viewing.leaving.export import Export

__all__ = ["Heading", "algorithm", "algorithm_words", "as_export", "before_heading"]
__all__ += ["put_heading", "referenced"]

_SERIES_NUMBERS: Mapping[str, int] = MappingProxyType(
    {"report": 9002, "shapes": 9003, "pictures": 9004, "page": 9005, "maps": 9006}
)
"""Behind the image of a reconstruction, 9001."""

_SHORT_TEXT = 1024
_OFFSET = re.compile(r"(?P<sign>[+-])(?P<hours>[01]\d)(?P<minutes>[0-5]\d)")


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What tells one file of a review from another.

    Parameters
    ----------
    series
        ``"report"``, ``"shapes"``, ``"pictures"``, ``"page"`` or ``"maps"``.
    sop_class
        UID.
    modality
        E.g. ``"SR"``.
    description
        Follows "research use only" in SeriesDescription; the end is cut.
    made
        A time of the store, e.g. of the signature.
    number
        InstanceNumber.

    Examples
    --------
    >>> Heading(series="report", sop_class="1.2", modality="SR", description="review",
    ...         made="2026-01-31T09:30:00.000000Z").number
    1
    """

    series: str
    sop_class: str
    modality: str
    description: str
    made: str
    number: int = 1


def put_heading(dataset: Any, source: Source, result: Result, heading: Heading) -> None:  # noqa: ANN401
    """Set patient, study, series, equipment and the warnings; what stood there is replaced."""
    day, hour = _moment(heading.made, source)
    values: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192",
        **source.attributes,
        "SOPClassUID": heading.sop_class,
        "StudyInstanceUID": source.study,
        "SeriesInstanceUID": derived_uid("series", source.study, result.key, heading.series),
        "SeriesNumber": _SERIES_NUMBERS[heading.series],
        "InstanceNumber": heading.number,
        "Modality": heading.modality,
        "Manufacturer": "medconsist",
        "ManufacturerModelName": "medconsist",
        "DeviceSerialNumber": "none",
        "SoftwareVersions": long_string(software_of(result)),
        "SeriesDescription": long_string(f"{NOT_FOR_DIAGNOSIS}; {heading.description}"),
        "ContentDate": day,
        "ContentTime": hour,
        "ContentQualification": "RESEARCH",
        "ContributingEquipmentSequence": [_equipment(result)],
    }
    if not source.keeps_identity:
        values.setdefault("TimezoneOffsetFromUTC", "+0000")  # the zone of a study stays
    for word in ("SeriesDate", "SeriesTime", "InstanceCreationDate", "InstanceCreationTime"):
        if word in dataset:
            delattr(dataset, word)  # the time of writing would make two files of one review
    for word, value in values.items():
        setattr(dataset, word, value)


def before_heading(source: Source) -> dict[str, Any]:
    """Return what highdicom must be told of series and equipment, all of it set by `put_heading`.

    Examples
    --------
    >>> before_heading(Source(attributes={}, study="2.25.1"))["series_instance_uid"]
    '2.25.1'
    """
    return {
        "series_instance_uid": source.study,
        "series_number": 1,
        "sop_instance_uid": source.study,
        "instance_number": 1,
        "manufacturer": "medconsist",
        "manufacturer_model_name": "medconsist",
        "software_versions": "medconsist",
        "device_serial_number": "none",
    }


def as_export(dataset: Any, *, name: str, what: str) -> Export:  # noqa: ANN401
    """Return the file; its UID is made from its other bytes."""
    return Export(name=name, media_type=DICOM, what=what, data=named_bytes(dataset))


def referenced(dataset: Any) -> Any:  # noqa: ANN401  classes of pydicom
    """Return class and UID of an object as an item that refers to it."""
    return item(
        ReferencedSOPClassUID=dataset.SOPClassUID, ReferencedSOPInstanceUID=dataset.SOPInstanceUID
    )


def algorithm(result: Result) -> tuple[str, str]:
    """Return name and version of what made the result."""
    model = result.model
    name = model.name if model else method_of(result, "reconstruction") or result.kind
    label = f" ({model.label})" if model and model.label else ""
    return long_string(f"{name}{label}"), long_string(software_of(result))


def algorithm_words(result: Result) -> list[str]:
    """Return weights, card, training and inputs of the algorithm, a sentence each."""
    model = result.model
    words = ["no weights: a method without a model, or trained on this scan alone"]
    if model is not None:
        words = [f"weights sha256 {model.sha256}", f"model card {model.card or 'none'}"]
        words += [f"trained on {model.trained_on}"] if model.trained_on else []
    words += [f"result key {result.key}", f"sha256 of the result {result.content_sha256}"]
    words += [f"input {role} sha256 {digest}" for role, digest in result.inputs.items()]
    return [unlimited(word) for word in words]


def _equipment(result: Result) -> Any:  # noqa: ANN401  a class of pydicom
    name, version = algorithm(result)
    said = "; ".join(algorithm_words(result))
    return item(
        PurposeOfReferenceCodeSequence=[code("109102", "DCM", "Processing Equipment")],
        Manufacturer="medconsist",
        ManufacturerModelName=name,
        SoftwareVersions=version,
        ContributionDescription=said[:_SHORT_TEXT],
    )


def _moment(made: str, source: Source) -> tuple[str, str]:
    """Return date and time in the zone that the study of the source gives its times in."""
    said = _OFFSET.fullmatch(str(source.attributes.get("TimezoneOffsetFromUTC")))
    offset = timedelta(hours=int(said["hours"]), minutes=int(said["minutes"])) if said else None
    zone = timezone(-offset if said and said["sign"] == "-" else offset) if offset else UTC
    when = datetime.fromisoformat(made).astimezone(zone)
    return f"{when:%Y%m%d}", f"{when:%H%M%S}"
