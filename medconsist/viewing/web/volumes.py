"""Volumes of a result as the browser draws them, and the true numbers of a region.

What is drawn has 16 bits, in steps of a 32,767th of the largest magnitude; numbers that a reader
is told come from the stored values.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Real

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.results.schema import ArrayRecord

__all__ = ["Region", "RegionNumbers", "display_nifti", "region_numbers"]

_STEPS = 32_767
_UNKNOWN, _SCANNER = 0, 1
_DIMENSIONS = 3


@dataclass(frozen=True)
class Region:
    """An ellipse or rectangle on one slice, by its box.

    Parameters
    ----------
    plane
        Slice from 0.
    top, left, bottom, right
        Edges of the box [px]; pixel ``i`` reaches from ``i - .5`` to ``i + .5``.
    shape
        ``"ellipse"`` or ``"rectangle"``.

    Raises
    ------
    RefusedInputError
        An edge is not finite, or the box has no area.

    Examples
    --------
    >>> Region(0, 1.5, 1.5, 3.5, 4.5, "rectangle").shape
    'rectangle'
    """

    plane: int
    top: float | int
    left: float | int
    bottom: float | int
    right: float | int
    shape: str = "ellipse"

    def __post_init__(self) -> None:
        edges = (self.top, self.left, self.bottom, self.right)
        if (
            not all(map(math.isfinite, edges))
            or self.shape not in ("ellipse", "rectangle")
            or not (self.top < self.bottom and self.left < self.right)
        ):
            msg = (
                f"a region got the edges {edges} and the shape {self.shape!r}; allowed: finite "
                "edges, top above bottom, left before right, ellipse or rectangle."
            )
            raise RefusedInputError(msg)


@dataclass(frozen=True)
class RegionNumbers:
    """What a region holds.

    Parameters
    ----------
    pixels
        Whose middle lies in it.
    mean, deviation, least, largest
        In the unit of the values; the deviation has ``pixels - 1`` in its denominator. None where
        there are no pixels, or for the deviation fewer than 2.
    unit
        None where it is not known.

    Examples
    --------
    >>> RegionNumbers(0, None, None, None, None, None).pixels
    0
    """

    pixels: int
    mean: float | None
    deviation: float | None
    least: float | None
    largest: float | None
    unit: str | None


def display_nifti(values: Real[np.ndarray, "slices height width"], record: ArrayRecord) -> bytes:
    """Return a volume as NIfTI-1 of int16 with a slope, axes column, row, slice, none reversed.

    Where the orientation is unknown both codes are 0; an unknown spacing is 1, as the format
    requires, and the page says that it is unknown. Values that are not finite become 0.
    """
    nibabel = require("nibabel", extra="mri")
    finite = np.isfinite(values)
    largest = float(np.abs(values, where=finite, out=np.zeros(values.shape)).max(initial=0.0))
    slope = largest / _STEPS if largest > 0 else 1.0
    steps = np.rint(np.where(finite, values, 0) / slope).astype(np.int16)
    file = nibabel.Nifti1Image(np.asfortranarray(steps.transpose(2, 1, 0)), None)
    spacing = record.spacing_mm or (None,) * _DIMENSIONS
    file.header.set_zooms([size or 1.0 for size in spacing[::-1]])
    known = all(size is not None for size in spacing)
    file.header.set_xyzt_units("mm" if known else "unknown")
    affine = None if record.orientation is None else np.array(record.orientation)
    code = _UNKNOWN if affine is None else _SCANNER
    file.header.set_sform(affine, code=code)
    file.header.set_qform(affine, code=code, strip_shears=True)
    file.header["scl_slope"], file.header["scl_inter"] = slope, 0.0
    file.header["descrip"] = b"medconsist, research use only"
    content: bytes = file.to_bytes()
    return content


def region_numbers(
    values: Real[np.ndarray, "slices height width"], region: Region, *, unit: str | None
) -> RegionNumbers:
    """Return the numbers of the pixels whose middle lies in a region or on its border.

    Raises
    ------
    RefusedInputError
        There is no such slice, or a value of the region is not finite.
    """
    if not 0 <= region.plane < len(values):
        msg = f"there is no slice {region.plane}; allowed: 0 to {len(values) - 1}."
        raise RefusedInputError(msg)
    rows, columns = _inside(region, values.shape[1:])
    found = values[region.plane, rows, columns].astype(np.float64)
    if not found.size:
        return RegionNumbers(0, None, None, None, None, unit)
    if not np.isfinite(found).all():
        msg = "the region holds values that are not finite; choose another one."
        raise RefusedInputError(msg)
    deviation = float(found.std(ddof=1)) if found.size > 1 else None
    ends = float(found.min()), float(found.max())
    return RegionNumbers(found.size, float(found.mean()), deviation, *ends, unit)


def _inside(
    region: Region, shape: tuple[int, ...]
) -> tuple[Int[np.ndarray, " pixels"], Int[np.ndarray, " pixels"]]:
    row, column = np.indices(shape)
    if region.shape == "rectangle":
        inside = (row >= region.top) & (row <= region.bottom)
        inside &= (column >= region.left) & (column <= region.right)
    else:
        down = (2 * row - region.top - region.bottom) / (region.bottom - region.top)
        across = (2 * column - region.left - region.right) / (region.right - region.left)
        inside = down**2 + across**2 <= 1
    rows, columns = np.nonzero(inside)
    return rows, columns
