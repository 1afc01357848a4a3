r"""Planes of DICOM to an affine and back: positions and cosines in LPS, affine in RAS.

PS3.3 C.7.6.2: row ``j``, column ``i`` of plane ``s`` lies at

.. math:: r(j, i, s) = p_s + i \, d_{column} \hat x + j \, d_{row} \hat y ,

with the cosines ``x`` (along a row) and ``y`` (along a column) of ImageOrientationPatient.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from medconsist.errors import RefusedInputError

__all__ = ["Planes", "affine_of_planes", "planes_of_affine"]

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
_PERPENDICULAR = 2e-3  # cosines of three digits, as some headers store them, stay below
_EVEN = 1e-2  # of the step between slices; the same as for readouts (readers/patient_frame.py)
_STEP_MM = 1e-3  # nearer positions are one position


@dataclass(frozen=True, eq=False)
class Planes:
    """Parallel planes of one grid in the patient, lengths in millimetres, directions in LPS.

    Parameters
    ----------
    cosines
        Unit vectors along a row (increasing column) and along a column (increasing row).
    spacing_mm
        Between rows, between columns: the order of PixelSpacing.
    positions
        Centre of the first voxel of each plane.
    step_mm
        Between neighbouring planes; the thickness, where there is one plane alone.
    stacked
        Unit vector from one plane to the next; against the normal where slices count down.

    Examples
    --------
    >>> planes = planes_of_affine(torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0])), 2)
    >>> planes.spacing_mm, planes.step_mm, planes.positions[1].tolist()
    ((3.0, 2.0), 4.0, [0.0, 0.0, 4.0])
    """

    cosines: Float[np.ndarray, "2 3"]
    spacing_mm: tuple[float, float]
    positions: Float[np.ndarray, "slices 3"]
    step_mm: float
    stacked: Float[np.ndarray, "3"]


def planes_of_affine(affine: Float[Tensor, "4 4"], slices: int) -> Planes:
    """Return the planes of an affine that maps voxel index (column, row, slice) to RAS [mm].

    Raises
    ------
    RefusedInputError
        If the axes are not perpendicular: a DICOM plane has no shear, and a stack of planes that
        slides sideways is read differently by different programs.
    """
    matrix = affine.detach().cpu().double().numpy()
    steps = (_LPS_TO_RAS @ matrix[:3, :3]).T  # column, row, slice, each a vector in LPS
    lengths = np.linalg.norm(steps, axis=1)
    if not np.isfinite(matrix).all() or not (lengths > 0).all():
        msg = "the affine is singular or not finite; allowed: an invertible matrix, or None."
        raise RefusedInputError(msg)
    units = steps / lengths[:, None]
    cosines = np.abs(units @ units.T)
    inside, aside = float(cosines[0, 1]), float(cosines[2, :2].max())
    if inside > _PERPENDICULAR or aside > _EVEN:
        msg = (
            f"the axes of the image are not perpendicular (cosines {inside:.3g} in the plane and "
            f"{aside:.3g} out of it; allowed: {_PERPENDICULAR} and {_EVEN}, as where a series is "
            "read), and a DICOM plane cannot be sheared. Write NIfTI, which can."
        )
        raise RefusedInputError(msg)
    origin = _LPS_TO_RAS @ matrix[:3, 3]
    positions = origin + np.arange(slices)[:, None] * steps[2]
    spacing = float(lengths[1]), float(lengths[0])
    return Planes(units[:2], spacing, positions, float(lengths[2]), units[2])


def affine_of_planes(
    cosines: Float[np.ndarray, "2 3"],
    spacing_mm: tuple[float, float],
    positions: Float[np.ndarray, "slices 3"],
    *,
    thickness_mm: float | None,
    name: str,
) -> tuple[Float[Tensor, "4 4"], Int[np.ndarray, " slices"]]:
    """Return the affine (column, row, slice to RAS), and the planes in order along their normal.

    Parameters
    ----------
    cosines, spacing_mm, positions
        As in `Planes`; positions in any order.
    thickness_mm
        Step of a single plane, which nothing else says.
    name
        Of the series, for messages.

    Raises
    ------
    RefusedInputError
        If cosines are no perpendicular unit vectors, two planes lie at one position, a plane is
        missing or the steps differ, planes slide sideways, or one plane has no thickness.
    """
    off = float(np.abs(cosines @ cosines.T - np.eye(2)).max())
    if not np.isfinite(positions).all() or not off <= _PERPENDICULAR:
        msg = (
            f"{name}: ImageOrientationPatient {cosines.reshape(-1).tolist()} is not two "
            "perpendicular unit vectors, or a position is not finite; the geometry cannot be known."
        )
        raise RefusedInputError(msg)
    normal = np.cross(cosines[0], cosines[1])
    normal /= np.linalg.norm(normal)
    order = np.argsort(positions @ normal, kind="stable")
    step = _step(positions[order], normal, thickness_mm, name)
    column, row = cosines[0] * spacing_mm[1], cosines[1] * spacing_mm[0]
    matrix = np.eye(4)
    matrix[:3] = _LPS_TO_RAS @ np.stack([column, row, step, positions[order[0]]], axis=1)
    return torch.from_numpy(matrix), order


def _step(
    positions: Float[np.ndarray, "slices 3"],
    normal: Float[np.ndarray, "3"],
    thickness_mm: float | None,
    name: str,
) -> Float[np.ndarray, "3"]:
    if len(positions) == 1:
        if thickness_mm is None or not 0 < thickness_mm < np.inf:
            msg = f"{name} holds one slice without a thickness; its third axis cannot be known."
            raise RefusedInputError(msg)
        return normal * thickness_mm
    along = np.diff(positions @ normal)
    _refuse_uneven(along, name)
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    aside = float(np.linalg.norm(step - normal * (step @ normal)))
    strays = float(np.linalg.norm(np.diff(positions, axis=0) - step, axis=1).max())
    if max(aside, strays) > _EVEN * float(np.linalg.norm(step)):
        msg = (
            f"{name}: slices slide sideways by up to {max(aside, strays):.3g} mm from one to the "
            "next (a tilted gantry or mixed stacks); allowed: slices stacked along their normal."
        )
        raise RefusedInputError(msg)
    return step


def _refuse_uneven(along: Float[np.ndarray, " steps"], name: str) -> None:
    if along.min() < _STEP_MM:
        msg = (
            f"{name} holds several images at one position (echoes, time points, components, or a "
            "file twice); allowed: one image a slice. Keep the files of one of them."
        )
        raise RefusedInputError(msg)
    middle = float(np.median(along))
    wrong = int(np.abs(along - middle).argmax())
    if abs(along[wrong] - middle) > _EVEN * middle:
        msg = (
            f"{name}: slices {wrong + 1} and {wrong + 2} along the normal are {along[wrong]:.4g} "
            f"mm apart, the others {middle:.4g} mm; a slice is missing, or stacks are mixed."
        )
        raise RefusedInputError(msg)
