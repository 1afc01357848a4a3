"""Where the voxels lie in the patient, from the directions and positions of the readouts."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from medconsist.mri.readers.acquisitions import Acquisitions

__all__ = ["Frame", "affine_of_slices", "affine_of_volume", "common_frame", "order_of_slices"]

_UNIT = 1e-2  # headers store cosines as 32-bit floats, some rounded to three digits
_EVEN = 1e-2
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
_NOTE = (
    "Orientation from the heads of the readouts, for k-space of exp(-2 pi i k r): check left and "
    "right against a known mark before use."
)

Vector = Float[np.ndarray, "3"]


@dataclass(frozen=True, eq=False)
class Frame:
    """Unit vectors along readout, line and slice, and the centre of each slice [mm], in LPS.

    Examples
    --------
    >>> axes = np.eye(3)
    >>> Frame(axes[0], axes[1], axes[2], np.zeros((4, 3))).centres.shape
    (4, 3)
    """

    read: Vector
    phase: Vector
    slice: Vector
    centres: Float[np.ndarray, "slices 3"]


def common_frame(image: Acquisitions) -> Frame | None:
    """Return what all readouts of the image agree on, else None.

    Unknown if a direction is no unit vector, two are not perpendicular, readouts differ in
    direction, or readouts of one slice in position.
    """
    vectors = [getattr(image, name).astype(np.float64) for name in Acquisitions.VECTORS[1:]]
    axes = np.stack([vector[0] for vector in vectors])
    if not np.isfinite(axes).all() or np.abs(axes @ axes.T - np.eye(3)).max() > _UNIT:
        return None
    same = all(np.abs(v - a).max() <= _UNIT for v, a in zip(vectors, axes, strict=True))
    position = image.position.astype(np.float64)
    slices, first = np.unique(image.slice, return_index=True)
    centres = position[first]
    if not same or not np.isfinite(position).all():
        return None
    moved = np.abs(position - centres[np.searchsorted(slices, image.slice)])
    if moved.max() > _UNIT:
        return None
    return Frame(axes[0], axes[1], axes[2], centres)


def order_of_slices(frame: Frame | None) -> Int[np.ndarray, " slices"] | None:
    """Return the order along the slice direction where the counters jump about, else None."""
    if frame is None:
        return None
    along = frame.centres @ frame.slice
    steps = np.diff(along)
    if not len(steps) or (steps > 0).all() or (steps < 0).all() or (steps == 0).any():
        return None
    return np.argsort(along)


def affine_of_slices(
    frame: Frame,
    spacings_mm: tuple[float | None, float | None],
    lengths: tuple[int, int],
    thickness_mm: float | None,
) -> tuple[Float[Tensor, "4 4"] | None, float | None, tuple[str, ...]]:
    r"""Return the affine of planes (rows: readout, columns: lines), slice spacing [mm], notes.

    Index ``n // 2`` of rows and columns is the position of the slice,

    .. math:: r(j, i, s) = p_s + (i - n_i // 2) d_i \hat r + (j - n_j // 2) d_j \hat p .

    One slice alone takes its thickness for the spacing.
    """
    rows_mm, columns_mm = spacings_mm
    if len(frame.centres) == 1:
        if thickness_mm is None:
            return None, None, ()
        step = frame.slice * thickness_mm
        said: tuple[str, ...] = ("One slice: spacing is its thickness.",)
    else:
        steps = np.diff(frame.centres, axis=0)
        step, said = steps.mean(0), ()
        length = float(np.linalg.norm(step))
        across = np.abs(np.stack([frame.read, frame.phase]) @ step).max()
        if length == 0 or np.abs(steps - step).max() > _EVEN * length or across > _EVEN * length:
            return None, None, ("Slices are not evenly spaced along their normal: no affine.",)
    if rows_mm is None or columns_mm is None:
        return None, float(np.linalg.norm(step)), said
    row, column = frame.read * rows_mm, frame.phase * columns_mm
    corner = frame.centres[0] - row * (lengths[0] // 2) - column * (lengths[1] // 2)
    return _affine(column, row, step, corner), float(np.linalg.norm(step)), (*said, _NOTE)


def affine_of_volume(
    frame: Frame,
    spacings_mm: tuple[float | None, float | None, float | None],
    lengths: tuple[int, int, int],
    first: int,
) -> tuple[Float[Tensor, "4 4"] | None, tuple[str, ...]]:
    """Return the affine where slices are readout positions, rows lines, columns partitions.

    ``lengths`` and ``spacings_mm`` are those of readout, line and partition as encoded; the first
    slice that was kept is number ``first`` of the readout.
    """
    read_mm, line_mm, partition_mm = spacings_mm
    if read_mm is None or line_mm is None or partition_mm is None or len(frame.centres) != 1:
        return None, ()
    steps = frame.read * read_mm, frame.phase * line_mm, frame.slice * partition_mm
    corner = frame.centres[0] + steps[0] * first
    for step, length in zip(steps, lengths, strict=True):
        corner = corner - step * (length // 2)
    return _affine(steps[2], steps[1], steps[0], corner), (_NOTE,)


def _affine(
    column: Vector, row: Vector, step: Vector, corner: Shaped[np.ndarray, "3"]
) -> Float[Tensor, "4 4"]:
    matrix = np.eye(4)
    matrix[:3] = _LPS_TO_RAS @ np.stack([column, row, step, corner], axis=1)
    return torch.from_numpy(matrix)
