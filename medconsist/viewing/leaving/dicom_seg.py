"""Shapes that readers drew on slices as a DICOM segmentation on the geometry of the image."""

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from medconsist._extras import require
from medconsist._ids import safe_id
from medconsist.errors import BudgetError, RefusedInputError
from medconsist.mri.formats.dicom_uids import derived_uid
from medconsist.results.schema import Result
from medconsist.review.entries import Entry
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
    ellipse_of,
    last_filed,
    outline_of,
    shape_codes,
    shapes_by_label,
    shown_label,
)
from medconsist.viewing.leaving.dicom_source import Source
from medconsist.viewing.leaving.dicom_unplaced import unplaced_segmentation
from medconsist.viewing.leaving.dicom_words import long_string, unlimited
from medconsist.viewing.leaving.export import Export

__all__ = ["MAX_MASK_BYTES", "annotations_seg"]

MAX_MASK_BYTES = 1 << 29
"""Of all segments before they are packed, a byte a voxel."""

_SEG = "1.2.840.10008.5.1.4.1.1.66.4"
_LONGEST_ST = 1024
_EDGE = 0.5  # of a pixel whose centre has whole numbers


def annotations_seg(result: Result, entries: Sequence[Entry], *, source: Source) -> Export:
    """Return the shapes as a binary Segmentation; the same shapes give the same bytes.

    One segment for each label and author, of algorithm type MANUAL; segments may overlap. A pixel
    belongs to a shape if its centre lies in it or on its border; of an ellipse, which is filed as a
    polygon of 48 corners, it is the ellipse that counts, as in the numbers of the screen. The
    centre of the first pixel is column 0, row 0, as the affine of the image counts. The file refers
    to the image of ``source`` frame by frame and has its geometry. Where the orientation is unknown
    it has neither position nor orientation, and its description says so. What was
    withdrawn is left out.

    Parameters
    ----------
    result
        What was read.
    entries
        Annotations as `ReviewStore.entries` gives them.
    source
        With the image that the shapes lie on, see `source_of_image`.

    Raises
    ------
    RefusedInputError
        There is nothing to export, or no image; a shape is none of a slice (shapes on slides
        leave as GeoJSON), is not simple, leaves the image or holds no centre of a pixel.
    ConflictError
        One was drawn on another result.
    BudgetError
        There are too many segments of too large an image.
    """
    if not source.is_volume:
        msg = "the result has no DICOM volume that a segmentation could refer to. Shapes on a "
        msg += "slide leave as GeoJSON (annotations_geojson), or ANN (annotations_ann)."
        raise RefusedInputError(msg)
    segments = shapes_by_label(result, entries, on_slide=False)
    described = [
        _described(number, named, drawn, result)
        for number, (named, drawn) in enumerate(segments.items(), start=1)
    ]
    masks = _masks(segments, source)
    if source.has_orientation:
        dataset = _placed_segmentation(source, masks, described)
    else:
        dataset = unplaced_segmentation(source.image, masks, described)
    heading = Heading(
        series="shapes",
        sop_class=_SEG,
        modality="SEG",
        description="shapes" if source.has_orientation else "orientation unknown",
        made=last_filed(segments),
    )
    put_heading(dataset, source, result, heading)
    add_authors(dataset, segments)
    return as_export(dataset, name=f"{safe_id(result.case)}-annotations.seg.dcm", what="DICOM SEG")


def _masks(segments: Groups, source: Source) -> UInt8[np.ndarray, "frames height width segments"]:
    header = source.image
    frames, height, width = (int(header[w].value) for w in ("NumberOfFrames", "Rows", "Columns"))
    if frames * height * width * len(segments) > MAX_MASK_BYTES:
        msg = (
            f"{len(segments)} segments (labels of authors) of {frames} x {height} x {width} voxels "
            f"are more than {MAX_MASK_BYTES} bytes. Export the shapes of fewer labels."
        )
        raise BudgetError(msg)
    masks = np.zeros((frames, height, width, len(segments)), np.uint8)
    for number, group in enumerate(segments.values()):
        for drawn in group:
            plane = drawn[1].plane or 0
            if plane >= frames:
                msg = f"shape {drawn[0].id} lies on slice {plane}, the image has {frames} (from 0)."
                raise RefusedInputError(msg)
            masks[plane, ..., number] |= _filled(drawn, (height, width))
    return masks


def _filled(drawn: Drawn, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    shapely = require("shapely", extra="wsi")
    outline, name = outline_of(drawn), f"annotation {drawn[0].id}"
    left, top, right, bottom = outline.bounds
    height, width = size
    inside = min(left, top) >= -_EDGE and right <= width - _EDGE and bottom <= height - _EDGE
    if not inside:
        msg = (
            f"{name} leaves the image: columns {left:g} to {right:g}, rows {top:g} to {bottom:g} "
            f"of {width} x {height} pixels (counted from 0). Was it drawn on another image?"
        )
        raise RefusedInputError(msg)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    filled: Bool[np.ndarray, "height width"]
    if (ellipse := ellipse_of(drawn[1].geometry or {})) is not None:
        left, right, top, bottom = ellipse
        across = (2 * columns - left - right) / (right - left)
        down = (2 * rows - top - bottom) / (bottom - top)
        filled = down**2 + across**2 <= 1  # the sum of medconsist.viewing.web.volumes
    else:
        shapely.prepare(outline)
        filled = shapely.intersects_xy(outline, columns, rows)
    if not filled.any():
        msg = f"{name} holds no centre of a pixel, so nothing of it would be left. Draw it larger."
        raise RefusedInputError(msg)
    return filled


def _placed_segmentation(
    source: Source,
    masks: UInt8[np.ndarray, "frames height width segments"],
    described: Sequence[Any],
) -> Any:  # noqa: ANN401  a class of highdicom
    image = copy(source.image)
    image.PatientName = ""  # highdicom warns of a name of one part, which an opaque id is
    dataset = require("highdicom.seg", extra="dicom").Segmentation(
        source_images=[image],
        pixel_array=masks,
        segmentation_type="BINARY",
        segment_descriptions=described,
        **before_heading(source),
    )
    organisation = derived_uid("dimensions of shapes", source.image.SOPInstanceUID)
    for sequence in (dataset.DimensionOrganizationSequence, dataset.DimensionIndexSequence):
        for one in sequence:  # highdicom draws one, and the same shapes are the same bytes
            one.DimensionOrganizationUID = organisation
    return dataset


def _described(number: int, named: tuple[str, str], drawn: Sequence[Drawn], result: Result) -> Any:  # noqa: ANN401  a class of highdicom
    label, author = named
    shown = shown_label(label)
    category, kind = shape_codes()
    segment = require("highdicom.seg", extra="dicom").SegmentDescription(
        segment_number=number,
        segment_label=long_string(shown),
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type="MANUAL",
        tracking_uid=derived_uid("segment", result.content_sha256, label, author),
        tracking_id=unlimited(f"{shown} by {author}"),
    )
    words = unlimited(f"{shown}\n{drawn_words(author, drawn)}")
    cut = words if len(words) <= _LONGEST_ST else f"{words[: _LONGEST_ST - 1]}…"
    segment.SegmentDescription = cut
    return segment
