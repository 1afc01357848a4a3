"""Magnitude images out as NIfTI-1; what is unknown stays unknown in the header."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Real
from torch import Tensor

from medconsist._atomic import atomic_write_bytes
from medconsist._extras import require
from medconsist.errors import RefusedInputError

__all__ = ["write_nifti"]

_LARGEST_AXIS = 32767  # NIfTI-1 stores lengths as int16
_UNKNOWN, _SCANNER = 0, 1
_LONGEST_LABEL = 48  # the warning stands behind it, within 79 letters
_SHEAR = 1e-4  # cosine between axes; rounding of header floats stays below


def write_nifti(
    path: Path,
    image: Real[Tensor, "slices height width"],
    *,
    voxel_size_mm: tuple[float | None, float | None, float | None],
    affine: Float[Tensor, "4 4"] | None,
    label: str = "",
) -> None:
    """Write a real image as float32 NIfTI-1 (``.nii`` or ``.nii.gz``), atomically.

    Image ``slices height width`` becomes file axes ``(column, row, slice)``; no axis is reversed.
    Without an affine both qform and sform codes are 0, so that no program may draw left and
    right. Without all three voxel sizes the spatial unit is "unknown"; an unknown spacing is
    stored as 1, which the format requires, and the description says which are unknown.

    Parameters
    ----------
    path
        File to write; an existing one is replaced.
    image
        Real and finite. Take the magnitude of complex images first.
    voxel_size_mm
        Slice, row, column spacing [mm]; None where unknown.
    affine
        Voxel index (column, row, slice) to patient millimetres, right-anterior-superior.
    label
        What must stand beside the image, e.g. ``"cirim, simulation-trained"``; its first 48
        letters go into the description, before the warning that it is for research only.

    Raises
    ------
    RefusedInputError
        If the suffix, a voxel size or the affine is not allowed, or a value is not finite.
    MissingExtraError
        If nibabel is not installed.
    StorageError
        If the disk is full or read-only; nothing half-written is left.
    """
    _refuse(path, image, voxel_size_mm, affine)
    nibabel = require("nibabel", extra="mri")
    voxels = image.detach().cpu().permute(2, 1, 0).to(torch.float32).numpy()
    file: Any = nibabel.Nifti1Image(np.asfortranarray(voxels), None)
    unknown = [
        axis
        for axis, size in zip(("column", "row", "slice"), voxel_size_mm[::-1], strict=True)
        if size is None
    ]
    file.header.set_zooms([size or 1.0 for size in voxel_size_mm[::-1]])
    file.header.set_xyzt_units("unknown" if unknown else "mm")
    said = f"; spacing unknown: {' '.join(unknown)}" if unknown else ""
    said += "; orientation unknown" if affine is None else ""
    named = f"{label[:_LONGEST_LABEL]}; " if label else ""
    file.header["descrip"] = f"{named}medconsist, research use only{said}".encode()[:79]
    _set_orientation(file, affine)
    content: bytes = file.to_bytes()
    # No time stamp: the same image gives the same bytes, and so the same sha256.
    atomic_write_bytes(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _set_orientation(file: Any, affine: Tensor | None) -> None:  # noqa: ANN401  nibabel has no types
    if affine is None:
        file.header.set_sform(None, code=_UNKNOWN)
        file.header.set_qform(None, code=_UNKNOWN)
        return
    matrix = affine.detach().cpu().double().numpy()
    file.header.set_sform(matrix, code=_SCANNER)
    units = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    # A quaternion cannot hold shear: then the sform alone speaks.
    if np.abs(units.T @ units - np.eye(3)).max() <= _SHEAR:
        file.header.set_qform(matrix, code=_SCANNER)


def _refuse(
    path: Path,
    image: Tensor,
    voxel_size_mm: tuple[float | None, float | None, float | None],
    affine: Tensor | None,
) -> None:
    if not path.name.endswith((".nii", ".nii.gz")):
        msg = f"{path.name} has no NIfTI suffix; allowed: .nii or .nii.gz."
        raise RefusedInputError(msg)
    if image.numel() == 0 or max(image.shape) > _LARGEST_AXIS:
        msg = f"image of shape {tuple(image.shape)}; allowed: 1 to {_LARGEST_AXIS} along each axis."
        raise RefusedInputError(msg)
    if not image.float().isfinite().all():
        msg = "the image holds NaN or infinity (as float32); allowed: finite values."
        raise RefusedInputError(msg)
    if any(size is not None and not 0 < size < float("inf") for size in voxel_size_mm):
        msg = f"voxel sizes {voxel_size_mm} mm; allowed: positive numbers, or None where unknown."
        raise RefusedInputError(msg)
    if affine is not None and not (
        affine.float().isfinite().all() and torch.linalg.det(affine[:3, :3].double()).abs() > 0
    ):
        msg = "the affine is singular or not finite; allowed: an invertible matrix, or None."
        raise RefusedInputError(msg)
