"""A pinned place as a point on the DICOM image that it is on."""

from typing import Any

import numpy as np

from medconsist._extras import require
from medconsist.review.records import Pin
from medconsist.viewing.leaving.dicom_heading import referenced
from medconsist.viewing.leaving.dicom_source import Source

__all__ = ["point_of"]

_CENTRE = 0.5  # a voxel counts from the centre of the first pixel, SCOORD from its corner
_Place = tuple[float, float, int | None]


def point_of(pin: Pin | None, source: Source) -> Any:  # noqa: ANN401  a class of highdicom
    """Return a point (SCOORD, PS3.3 C.18.6) that names the image; None where it is not on one.

    On a volume it is a point of one frame. On a slide it counts from the corner of the total pixel
    matrix, as level-0 pixels do.
    """
    place = _place(pin, source)
    if place is None:
        return None
    column, row, frame = place
    sr = require("highdicom.sr", extra="dicom")
    dcm = require("pydicom.sr.codedict", extra="dicom").codes.DCM
    point = sr.ScoordContentItem(
        name=dcm.ImageRegion,
        graphic_type="POINT",
        graphic_data=np.array([[column, row]]),
        pixel_origin_interpretation="VOLUME" if frame is None else None,
        relationship_type="INFERRED FROM",
    )
    named = referenced(source.image)
    image = sr.ImageContentItem(
        name=dcm.SourceImage,
        referenced_sop_class_uid=named.ReferencedSOPClassUID,
        referenced_sop_instance_uid=named.ReferencedSOPInstanceUID,
        referenced_frame_numbers=None if frame is None else [frame],
        relationship_type="SELECTED FROM",
    )
    point.ContentSequence = sr.ContentSequence([image])
    return point


def _place(pin: Pin | None, source: Source) -> _Place | None:
    """Return column and row from the corner, and the number of the frame."""
    if pin is None or source.image is None:
        return None
    if pin.space == "slide" and not source.is_volume:
        x, y = pin.at
        width, height = source.image.TotalPixelMatrixColumns, source.image.TotalPixelMatrixRows
        return (x, y, None) if 0 <= x <= width and 0 <= y <= height else None
    if pin.space != "voxel" or not source.is_volume:
        return None
    header = source.image
    frame, row, column = pin.at[0], pin.at[1] + _CENTRE, pin.at[2] + _CENTRE
    frames, height, width = (int(header[w].value) for w in ("NumberOfFrames", "Rows", "Columns"))
    is_on = frame.is_integer() and 0 <= frame < frames
    is_on = is_on and 0 <= row <= height and 0 <= column <= width
    return (column, row, int(frame) + 1) if is_on else None
