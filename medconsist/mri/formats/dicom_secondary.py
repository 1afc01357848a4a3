"""What makes a dataset a Multi-frame Grayscale Word Secondary Capture (PS3.3 A.8.4)."""

from typing import Any

from medconsist.mri.formats.deidentify import Belonging
from medconsist.mri.formats.dicom_text import decimals, item, window
from medconsist.mri.formats.stored_pixels import StoredPixels

__all__ = ["add_secondary_capture"]

_PAGE_NUMBERS = 0x00182001


def add_secondary_capture(
    dataset: Any,  # noqa: ANN401  a class of pydicom
    voxel_size_mm: tuple[float | None, float | None, float | None],
    pixels: StoredPixels,
    belonging: Belonging,
) -> None:
    """Add what a picture without a known place in the patient has: no position, no orientation.

    PatientOrientation is empty, which says that it is unknown; the frames are numbered pages.
    """
    _, rows_mm, columns_mm = voxel_size_mm
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.ConversionType = "WSD"
    dataset.PatientOrientation = ""
    dataset.RescaleIntercept = pixels.intercept
    dataset.RescaleSlope = pixels.slope
    dataset.RescaleType = "US"
    for word, value in window(*pixels.window).items():
        setattr(dataset, word, value)
    if rows_mm is not None and columns_mm is not None:
        dataset.PixelSpacing = decimals(rows_mm, columns_mm)
    dataset.FrameIncrementPointer = _PAGE_NUMBERS
    dataset.PageNumberVector = list(range(1, pixels.stored.shape[0] + 1))
    # The grey picture has no place in a frame of reference, nor beside anything positioned.
    for word in ("PositionReferenceIndicator", "PatientPosition"):
        if word in dataset:
            delattr(dataset, word)
    if belonging.instances:
        dataset.ReferencedImageSequence = [
            item(ReferencedSOPClassUID=one.sop_class, ReferencedSOPInstanceUID=one.sop_instance)
            for one in belonging.instances
        ]
