"""One plane of a DICOM file, whether it is a classic slice or a frame of a multi-frame image."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Shaped

from medconsist.errors import CorruptInputError
from medconsist.mri.formats.dicom_file import DicomFile, dicom_errors

__all__ = ["Frame", "frames_of"]


@dataclass(frozen=True, eq=False)
class Frame:
    """A plane: where it lies, and its stored values.

    ``cosines``, ``position``, ``spacing_mm`` and ``thickness_mm`` are None where the file does not
    say them; the value is ``stored * slope + intercept``.

    Examples
    --------
    >>> stored = np.array([[1, 2]], np.int16)
    >>> frame = Frame(DicomFile("a", None, (1, 1, 2)), stored, 0.5, -1.0, None, None, None, None)
    >>> frame.pixels().tolist()
    [[-0.5, 0.0]]
    """

    file: DicomFile
    stored: Shaped[np.ndarray, "rows columns"]
    slope: float
    intercept: float
    cosines: Float[np.ndarray, "2 3"] | None
    position: Float[np.ndarray, "3"] | None
    spacing_mm: tuple[float, float] | None
    thickness_mm: float | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return self.stored.shape

    def pixels(self) -> Float32[np.ndarray, "rows columns"]:
        """Return the values in modality units.

        Raises
        ------
        CorruptInputError
            If a value is not finite, or too large for float32.
        """
        values = self.stored.astype(np.float64) * self.slope + self.intercept
        if not (np.abs(values) <= np.finfo(np.float32).max).all():
            msg = (
                f"{self.file.name} rescales to values that are not finite or too large for float32 "
                f"(slope {self.slope:.4g}, intercept {self.intercept:.4g}). Copy the file again."
            )
            raise CorruptInputError(msg)
        return values.astype(np.float32)


def frames_of(file: DicomFile) -> Iterator[Frame]:
    """Yield the planes of a file in the order of the file.

    Raises
    ------
    TruncatedFileError, CorruptInputError
        If pixels or the attributes of a frame are missing or damaged.
    """
    stored = file.stored()
    header = file.header
    with dicom_errors(file.name):
        shared = list(header.get("SharedFunctionalGroupsSequence") or ())
        own = list(header.get("PerFrameFunctionalGroupsSequence") or ())
    if own and len(own) != len(stored):
        msg = f"{file.name} describes {len(own)} frames and holds {len(stored)}. Copy it again."
        raise CorruptInputError(msg)
    if not own and len(stored) > 1:
        own = [{}] * len(stored)
    for number, plane in enumerate(stored):
        groups = (*own[number : number + 1], *shared)
        with dicom_errors(file.name):
            frame = _frame(file, plane, groups)
        yield frame


def _frame(file: DicomFile, stored: Shaped[np.ndarray, "rows columns"], groups: Any) -> Frame:  # noqa: ANN401
    def numbers(group: str, word: str, count: int) -> Float[np.ndarray, " count"] | None:
        value = _found(file.header, groups, group, word)
        if value is None or value == "":
            return None
        array = np.atleast_1d(np.asarray(value, dtype=np.float64))
        if array.shape != (count,):
            msg = f"{word} has {array.size} values, not {count}"
            raise ValueError(msg)
        return array

    cosines = numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6)
    spacing = numbers("PixelMeasuresSequence", "PixelSpacing", 2)
    thickness = numbers("PixelMeasuresSequence", "SliceThickness", 1)
    slope = numbers("PixelValueTransformationSequence", "RescaleSlope", 1)
    intercept = numbers("PixelValueTransformationSequence", "RescaleIntercept", 1)
    if spacing is not None and not (np.isfinite(spacing).all() and (spacing > 0).all()):
        msg = f"PixelSpacing {spacing.tolist()} is not positive"
        raise ValueError(msg)
    return Frame(
        file,
        stored,
        1.0 if slope is None else float(slope[0]),
        0.0 if intercept is None else float(intercept[0]),
        None if cosines is None else cosines.reshape(2, 3),
        numbers("PlanePositionSequence", "ImagePositionPatient", 3),
        None if spacing is None else (float(spacing[0]), float(spacing[1])),
        None if thickness is None else float(thickness[0]),
    )


def _found(header: Any, groups: Any, group: str, word: str) -> Any:  # noqa: ANN401
    """Return an attribute of the frame, of all frames, or of a classic header, in that order."""
    for one in groups:
        items = one.get(group)
        if items and word in items[0]:
            return items[0][word].value
    return header[word].value if word in header else None
