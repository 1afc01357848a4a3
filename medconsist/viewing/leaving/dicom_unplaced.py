"""A segmentation of an image of which nobody knows where it lies in the patient.

highdicom writes such a one for a single frame alone. The standard asks for no position where every
frame names the frame that it was drawn on (PS3.3 table A.51-2).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from medconsist._extras import require
from medconsist.mri.formats.dicom_text import code, item
from medconsist.mri.formats.dicom_uids import derived_uid
from medconsist.viewing.leaving.dicom_heading import referenced

__all__ = ["unplaced_segmentation"]

_STACK = "1"
_SEGMENT_NUMBER, _IDENTIFICATION = 0x0062000B, 0x0062000A
_IN_STACK, _FRAME_CONTENT = 0x00209057, 0x00209111


def unplaced_segmentation(
    header: Any,  # noqa: ANN401  a class of pydicom
    masks: UInt8[np.ndarray, "frames height width segments"],
    described: Sequence[Any],
) -> Any:  # noqa: ANN401
    """Return a binary Segmentation without frame of reference, position, orientation or spacing.

    Frames are in the order of segments, then slices; those without a pixel are left out, and each
    says which frame of the image it is of.

    Parameters
    ----------
    header
        Of the image.
    masks
        0 and 1.
    described
        An item of each segment.
    """
    dataset = require("pydicom", extra="dicom").Dataset()
    kept = [
        (number, frame)
        for number in range(masks.shape[3])
        for frame in range(masks.shape[0])
        if masks[frame, ..., number].any()
    ]
    values = {
        "ImageType": ["DERIVED", "PRIMARY"],
        "LossyImageCompression": "00",
        "SegmentationType": "BINARY",
        "SegmentsOverlap": "YES" if (masks.sum(-1) > 1).any() else "NO",
        "SegmentSequence": list(described),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "NumberOfFrames": len(kept),
        "Rows": masks.shape[1],
        "Columns": masks.shape[2],
        "BitsAllocated": 1,
        "BitsStored": 1,
        "HighBit": 0,
        "PixelRepresentation": 0,
        "ReferencedSeriesSequence": [
            item(
                SeriesInstanceUID=header.SeriesInstanceUID,
                ReferencedInstanceSequence=[referenced(header)],
            )
        ],
        "SharedFunctionalGroupsSequence": [item()],
        "PerFrameFunctionalGroupsSequence": [_own(header, *place) for place in kept],
    }
    for word, value in (values | _dimensions(header)).items():
        setattr(dataset, word, value)
    bits = np.concatenate([masks[frame, ..., number].reshape(-1) for number, frame in kept])
    packed = np.packbits(bits, bitorder="little").tobytes()  # PS3.5 8.1.1: the first is lowest
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    dataset["PixelData"].VR = "OB"
    return dataset


def _dimensions(header: Any) -> dict[str, Any]:  # noqa: ANN401  a class of pydicom
    organisation = derived_uid("dimensions of shapes", header.SOPInstanceUID)
    pointers = ((_SEGMENT_NUMBER, _IDENTIFICATION), (_IN_STACK, _FRAME_CONTENT))
    return {
        "DimensionOrganizationSequence": [item(DimensionOrganizationUID=organisation)],
        "DimensionIndexSequence": [
            item(
                DimensionOrganizationUID=organisation,
                DimensionIndexPointer=pointer,
                FunctionalGroupPointer=group,
            )
            for pointer, group in pointers
        ],
    }


def _own(header: Any, number: int, frame: int) -> Any:  # noqa: ANN401  classes of pydicom
    image = referenced(header)
    image.ReferencedFrameNumber = frame + 1
    image.SpatialLocationsPreserved = "YES"
    image.PurposeOfReferenceCodeSequence = [
        code("121322", "DCM", "Source image for image processing operation")
    ]
    segmented = code("113076", "DCM", "Segmentation")
    return item(
        DerivationImageSequence=[
            item(SourceImageSequence=[image], DerivationCodeSequence=[segmented])
        ],
        FrameContentSequence=[
            item(
                StackID=_STACK,
                InStackPositionNumber=frame + 1,
                DimensionIndexValues=[number + 1, frame + 1],
            )
        ],
        SegmentIdentificationSequence=[item(ReferencedSegmentNumber=number + 1)],
    )
