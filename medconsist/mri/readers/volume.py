"""What a format gives before anything is inferred, and the checks that every format shares."""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Shaped
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.shapes import CoilKSpace, NoiseSamples, SamplingMask

__all__ = ["Volume", "as_complex64", "as_mask", "refuse_other_axes"]


@dataclass(frozen=True, eq=False)
class Volume:
    """K-space as it lies in the file, axes named, nothing inferred.

    ``mask`` may have fewer axes than the samples: ``width``, ``height width`` or
    ``slices height width``. ``acquired`` is for files that count their readouts: it decides, and a
    sample there that is exactly zero was still acquired. ``padding`` are the columns outside
    ``[start, stop)`` that the header calls padding. The other fields are those of `KSpace`.

    Examples
    --------
    >>> Volume(torch.ones(1, 2, 8, 6, dtype=torch.complex64)).voxel_size_mm
    (None, None, None)
    """

    data: CoilKSpace
    mask: Bool[Tensor, "..."] | None = None
    acquired: SamplingMask | None = None
    padding: tuple[int, int] | None = None
    affine: Float[Tensor, "4 4"] | None = None
    noise: NoiseSamples | None = None
    voxel_size_mm: tuple[float | None, float | None, float | None] = (None, None, None)
    contrast: str | None = None
    field_strength_t: float | None = None
    patient: str | None = None
    recon_matrix: tuple[int | None, int | None] = (None, None)
    notes: tuple[str, ...] = field(default=())


def as_complex64(array: Shaped[np.ndarray, "..."], *, name: str) -> Complex[Tensor, "..."]:
    """Return the array as complex64, or refuse it: nothing overflows or vanishes unseen.

    An array that is complex64 already is not copied, whatever its strides.

    Parameters
    ----------
    array
        Complex numbers of any width and byte order.
    name
        What to call it in a message.

    Raises
    ------
    RefusedInputError
        If the array is not complex, holds NaN or infinity, or leaves the range of complex64.
    """
    if array.dtype.kind != "c":
        msg = (
            f"{name} holds {array.dtype} numbers; allowed: complex64 or complex128. Magnitude "
            "images and integer data cannot be reconstructed; export complex k-space."
        )
        raise RefusedInputError(msg)
    if not _is_finite(array):
        finite = np.isfinite(array)
        first = np.unravel_index(int(np.argmin(finite)), finite.shape)
        msg = (
            f"{name} holds {int((~finite).sum())} samples that are NaN or infinite (first at index "
            f"{tuple(map(int, first))}); allowed: finite numbers. Export the file again."
        )
        raise RefusedInputError(msg)
    if array.dtype == np.complex64:
        return torch.from_numpy(array)
    with np.errstate(over="ignore", under="ignore"):
        single = array.astype(np.complex64)
    if not np.isfinite(single).all() or np.count_nonzero(single) != np.count_nonzero(array):
        msg = (
            f"{name} is {array.dtype} with values that complex64 cannot hold (largest magnitude "
            f"{float(np.abs(array).max()):.3g}); multiply it by one scale near 1 / that magnitude."
        )
        raise RefusedInputError(msg)
    return torch.from_numpy(np.ascontiguousarray(single))


def _is_finite(array: Shaped[np.ndarray, "..."]) -> bool:
    """Tell whether all values are finite, row by row: a mask of a whole volume is an eighth."""
    rows = array if array.ndim > 1 else array[None]
    while rows.ndim > 2 and len(rows) == 1:
        rows = rows[0]
    return all(bool(np.isfinite(row).all()) for row in rows)


def as_mask(array: Shaped[np.ndarray, "..."], *, name: str) -> Bool[Tensor, "..."]:
    """Return a mask of 0 and 1 (bool, integer, real or complex) as bool.

    Raises
    ------
    RefusedInputError
        If a value is neither 0 nor 1, or the mask is empty.
    """
    if array.dtype.kind not in "biufc" or not np.isin(array, (0, 1)).all():
        msg = f"{name} holds values other than 0 and 1 ({array.dtype}); allowed: bool, or 0 and 1."
        raise RefusedInputError(msg)
    mask = array != 0
    if not mask.any():
        msg = f"{name} marks no sample as acquired; pass the mask of this acquisition."
        raise RefusedInputError(msg)
    return torch.from_numpy(np.ascontiguousarray(mask))


def refuse_other_axes(coils: int, height: int, width: int, *, name: str) -> None:
    """Refuse axes that cannot be coils, height, width in this order.

    More than 64 coils and more than four times the shorter plane axis is an image axis: no array
    coil has that many channels for so small a plane.

    Raises
    ------
    ShapeError
        If the coil axis is implausible or an axis has length 0.
    """
    if min(coils, height, width) < 1:
        msg = f"{name} has an axis of length 0; allowed: at least one sample along each axis."
        raise ShapeError(msg)
    if coils > 64 and coils > 4 * min(height, width):
        msg = (
            f"{name} would have {coils} coils for a plane of {height} x {width}; the axes seem to "
            "be in another order. Allowed: [slices,] coils, height, width."
        )
        raise ShapeError(msg)
