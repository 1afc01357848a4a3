"""Shapes on a slide that is DICOM itself: Microscopy Bulk Simple Annotations of its pixels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from medconsist._digests import sha256_of_path
from medconsist._extras import require
from medconsist._ids import safe_id
from medconsist.errors import RefusedInputError
from medconsist.mri.formats.dicom_file import dicom_errors
from medconsist.mri.formats.dicom_text import item
from medconsist.mri.formats.dicom_uids import derived_uid
from medconsist.results.schema import Result
from medconsist.review.entries import Entry
from medconsist.viewing.leaving.annotations import Canvas
from medconsist.viewing.leaving.dicom_heading import (
    Heading,
    as_export,
    before_heading,
    put_heading,
)
from medconsist.viewing.leaving.dicom_shapes import (
    Drawn,
    Groups,
    add_authors,
    drawn_words,
    last_filed,
    outline_of,
    shape_codes,
    shapes_by_label,
    shown_label,
)
from medconsist.viewing.leaving.dicom_source import WHOSE, Source, opaque
from medconsist.viewing.leaving.dicom_words import long_string
from medconsist.viewing.leaving.export import Export
from medconsist.wsi.readers.dicom_structure import check_dicom

__all__ = ["annotations_ann", "source_of_slide"]

_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_ANN = "1.2.840.10008.5.1.4.1.1.91.1"
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
_LONGEST_UT = 10_000  # the value has no limit; a group of thousands of shapes has one here
_GEOJSON = "Export the shapes as GeoJSON (annotations_geojson)."


def source_of_slide(
    path: Path,
    result: Result,
    *,
    canvas: Canvas,
    identity: Literal["removed", "kept"] = "removed",
) -> Source:
    """Return the source of a result whose slide is a DICOM file.

    Nothing of the header is taken but its UIDs, the size of level 0 and, where identity is kept,
    the patient and the study. Without identity the UIDs are replaced, equal ones by equal ones.

    Parameters
    ----------
    path
        The file that the result was made of.
    result
        The result.
    canvas
        The slide as the program reads it.
    identity
        Who may not see identity must not choose ``"kept"``: this function does not ask.

    Raises
    ------
    RefusedInputError
        It is not the file of the result, no DICOM slide, or not its level 0.
    CorruptInputError, TruncatedFileError
        It is damaged.
    """
    if sha256_of_path(path) not in result.inputs.values():
        msg = f"{path.name} is not the slide that the result {result.case} was made of. Give that."
        raise RefusedInputError(msg)
    check_dicom(path)
    pydicom = require("pydicom", extra="dicom")
    with dicom_errors(path.name):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        _refuse_other_image(path, header, canvas)
        named = {word: str(header[word].value) for word in _UIDS}
        taken = {word: _checked(header[word], path.name) for word in WHOSE if word in header}
    whose: Mapping[str, Any]
    if identity == "kept":
        whose = dict.fromkeys(_TYPE_TWO, "") | {"PatientIdentityRemoved": "NO"} | taken
    else:
        named = {word: derived_uid("replaced", uid) for word, uid in named.items()}
        patient = result.patient or result.case
        whose = opaque(patient, scan=result.content_sha256).attributes
    return Source(
        attributes=whose,
        study=named["StudyInstanceUID"],
        image=item(
            SOPClassUID=_SLIDE,
            TotalPixelMatrixRows=canvas.height,
            TotalPixelMatrixColumns=canvas.width,
            **named,
        ),
    )


_TYPE_TWO = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("StudyID", "AccessionNumber", "ReferringPhysicianName"),
)


def annotations_ann(result: Result, entries: Sequence[Entry], *, source: Source) -> Export:
    """Return the polygons on a slide in pixels of its level 0, a group for each label and author.

    Coordinates are those of the shapes, in double precision: x and y from the corner of the first
    pixel of the total pixel matrix. What was withdrawn is left out.

    Parameters
    ----------
    result
        What was read.
    entries
        Annotations as `ReviewStore.entries` gives them.
    source
        Of `source_of_slide`.

    Raises
    ------
    RefusedInputError
        There is nothing to export, the source is no slide, a shape has a hole (which this format
        cannot hold), is not simple, leaves the slide, or was drawn on a slice.
    ConflictError
        One was drawn on another result.
    """
    if source.image is None or source.image.SOPClassUID != _SLIDE:
        msg = f"the slide is no DICOM image that annotations could refer to. {_GEOJSON}"
        raise RefusedInputError(msg)
    groups = shapes_by_label(result, entries, on_slide=True)
    dataset = _annotations(result, groups, source)
    heading = Heading(
        series="shapes",
        sop_class=_ANN,
        modality="ANN",
        description="shapes",
        made=last_filed(groups),
    )
    put_heading(dataset, source, result, heading)
    add_authors(dataset, groups)
    name = f"{safe_id(result.case)}-annotations.ann.dcm"
    return as_export(dataset, name=name, what="DICOM ANN")


def _refuse_other_image(path: Path, header: Any, canvas: Canvas) -> None:  # noqa: ANN401
    size = header.get("TotalPixelMatrixColumns"), header.get("TotalPixelMatrixRows")
    kind = list(header.get("ImageType", ()))[2:3]
    if str(header.get("SOPClassUID")) != _SLIDE or kind != ["VOLUME"]:
        msg = f"{path.name} is no DICOM slide of kind VOLUME. {_GEOJSON}"
        raise RefusedInputError(msg)
    if size != (canvas.width, canvas.height):
        msg = (
            f"{path.name} has {size[0]} x {size[1]} pixels, level 0 of the slide {canvas.width} x "
            f"{canvas.height}. Give the file of level 0."
        )
        raise RefusedInputError(msg)


def _checked(element: Any, name: str) -> Any:  # noqa: ANN401  a class of pydicom
    pydicom = require("pydicom", extra="dicom")
    strict = pydicom.config.RAISE
    with dicom_errors(f"{element.keyword} of {name}"):
        made = pydicom.DataElement(element.tag, element.VR, element.value, validation_mode=strict)
    return made.value


def _annotations(result: Result, groups: Groups, source: Source) -> Any:  # noqa: ANN401
    ann = require("highdicom.ann", extra="dicom")
    category, kind = shape_codes()
    described = [
        ann.AnnotationGroup(
            number=number,
            uid=derived_uid("group", result.content_sha256, label, author),
            label=long_string(shown_label(label)),
            annotated_property_category=category,
            annotated_property_type=kind,
            graphic_type="POLYGON",
            graphic_data=[ring for one in drawn for ring in _rings(one, source)],
            algorithm_type="MANUAL",
            description=long_string(drawn_words(author, drawn), _LONGEST_UT),
        )
        for number, ((label, author), drawn) in enumerate(groups.items(), start=1)
    ]
    image = item(Modality="SM", **{one.keyword: one.value for one in source.image})
    for word in _TYPE_TWO:
        setattr(image, word, "")
    return ann.MicroscopyBulkSimpleAnnotations(
        source_images=[image],
        annotation_coordinate_type="2D",
        annotation_groups=described,
        **before_heading(source),
    )


def _rings(drawn: Drawn, source: Source) -> list[Float64[np.ndarray, "points 2"]]:
    """Return the outlines of a shape, the first point not said twice."""
    outline, name = outline_of(drawn), f"annotation {drawn[0].id}"
    left, top, right, bottom = outline.bounds
    width, height = source.image.TotalPixelMatrixColumns, source.image.TotalPixelMatrixRows
    if min(left, top) < 0 or right > width or bottom > height:
        msg = (
            f"{name} leaves the slide: x {left:g} to {right:g}, y {top:g} to {bottom:g} of "
            f"{width} x {height} pixels. Was it drawn on another slide?"
        )
        raise RefusedInputError(msg)
    polygons = list(getattr(outline, "geoms", [outline]))
    if any(polygon.interiors for polygon in polygons):
        msg = f"{name} has a hole, which DICOM annotations cannot hold. {_GEOJSON}"
        raise RefusedInputError(msg)
    return [np.asarray(one.exterior.coords, dtype=np.float64)[:-1, :2] for one in polygons]
