"""What makes a dataset an Enhanced MR Image (PS3.3 A.36): functional groups of a derived volume."""

from typing import Any

from medconsist.mri.formats.deidentify import Belonging
from medconsist.mri.formats.dicom_geometry import Planes
from medconsist.mri.formats.dicom_text import code, decimals, item, text, window
from medconsist.mri.formats.dicom_uids import derived_uid
from medconsist.mri.formats.stored_pixels import StoredPixels

__all__ = ["add_enhanced_mr"]

_IMAGE_TYPE = ["DERIVED", "PRIMARY", "OTHER", "NONE"]
_STACK = "1"
_STACK_ID, _IN_STACK, _FRAME_CONTENT = 0x00209056, 0x00209057, 0x00209111
_KIND = {
    "PixelPresentation": "MONOCHROME",
    "VolumetricProperties": "VOLUME",
    "VolumeBasedCalculationTechnique": "NONE",
    "ComplexImageComponent": "MAGNITUDE",
    "AcquisitionContrast": "UNKNOWN",
}


def add_enhanced_mr(
    dataset: Any,  # noqa: ANN401  a class of pydicom
    planes: Planes,
    pixels: StoredPixels,
    belonging: Belonging,
    *,
    unit: str,
) -> None:
    """Add frame of reference, dimensions and functional groups to what every file has.

    One stack in the order of the frames. The region of the body is "body structure", the root of
    all, as nothing here knows better.
    """
    organisation = derived_uid("dimensions", belonging.study)
    dataset.ImageType = _IMAGE_TYPE
    for word, value in _KIND.items():
        setattr(dataset, word, value)
    dataset.FrameOfReferenceUID = belonging.frame_of_reference
    for word in ("PositionReferenceIndicator", "PatientPosition"):  # type 2: may be empty
        dataset.setdefault(word, "")
    dataset.AcquisitionContextSequence = []
    dataset.DimensionOrganizationSequence = [item(DimensionOrganizationUID=organisation)]
    dataset.DimensionIndexSequence = [
        item(
            DimensionOrganizationUID=organisation,
            DimensionIndexPointer=pointer,
            FunctionalGroupPointer=_FRAME_CONTENT,
        )
        for pointer in (_STACK_ID, _IN_STACK)
    ]
    dataset.SharedFunctionalGroupsSequence = [_shared(planes, pixels, belonging, unit)]
    dataset.PerFrameFunctionalGroupsSequence = [
        _own(number, position.tolist()) for number, position in enumerate(planes.positions, start=1)
    ]
    if belonging.series is not None:
        dataset.ReferencedImageEvidenceSequence = [_evidence(belonging, belonging.series)]


def _shared(planes: Planes, pixels: StoredPixels, belonging: Belonging, unit: str) -> Any:  # noqa: ANN401
    (step,) = decimals(planes.step_mm)
    anatomy = code("123037004", "SCT", "Body structure")
    groups = item(
        PixelMeasuresSequence=[
            item(
                PixelSpacing=decimals(*planes.spacing_mm),
                SliceThickness=step,
                SpacingBetweenSlices=step,
            )
        ],
        PlaneOrientationSequence=[
            item(ImageOrientationPatient=decimals(*planes.cosines.reshape(-1).tolist()))
        ],
        PixelValueTransformationSequence=[
            item(RescaleIntercept=pixels.intercept, RescaleSlope=pixels.slope, RescaleType="US")
        ],
        RealWorldValueMappingSequence=[_real_world(pixels, unit)],
        FrameVOILUTSequence=[item(**window(*pixels.window))],
        FrameAnatomySequence=[item(FrameLaterality="U", AnatomicRegionSequence=[anatomy])],
        MRImageFrameTypeSequence=[item(FrameType=_IMAGE_TYPE, **_KIND)],
    )
    if belonging.instances:
        purpose = [code("121338", "DCM", "Anatomic image")]
        groups.ReferencedImageSequence = [
            item(
                ReferencedSOPClassUID=one.sop_class,
                ReferencedSOPInstanceUID=one.sop_instance,
                PurposeOfReferenceCodeSequence=purpose,
            )
            for one in belonging.instances
        ]
    return groups


def _own(number: int, position: list[float]) -> Any:  # noqa: ANN401  a class of pydicom
    return item(
        FrameContentSequence=[
            item(StackID=_STACK, InStackPositionNumber=number, DimensionIndexValues=[1, number])
        ],
        PlanePositionSequence=[item(ImagePositionPatient=decimals(*position))],
    )


def _real_world(pixels: StoredPixels, unit: str) -> Any:  # noqa: ANN401  a class of pydicom
    return item(
        RealWorldValueFirstValueMapped=0,
        RealWorldValueLastValueMapped=65535,
        RealWorldValueIntercept=float(pixels.intercept),
        RealWorldValueSlope=float(pixels.slope),
        LUTExplanation=text(unit, 64),
        LUTLabel="UNITS",
        MeasurementUnitsCodeSequence=[code("[arb'U]", "UCUM", "arbitrary unit")],
    )


def _evidence(belonging: Belonging, series: str) -> Any:  # noqa: ANN401  a class of pydicom
    objects = [
        item(ReferencedSOPClassUID=one.sop_class, ReferencedSOPInstanceUID=one.sop_instance)
        for one in belonging.instances
    ]
    referenced = item(SeriesInstanceUID=series, ReferencedSOPSequence=objects)
    return item(StudyInstanceUID=belonging.study, ReferencedSeriesSequence=[referenced])
