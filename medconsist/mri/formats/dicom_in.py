"""A DICOM series in: classic slices or an enhanced multi-frame image, to one volume with affine.

Geometry comes from ImagePositionPatient and ImageOrientationPatient alone (PS3.3 C.7.6.2); file
names, instance numbers and SliceLocation are not believed. What does not fit into one volume is
refused, never dropped.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from medconsist._extras import require
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.mri.formats.dicom_file import DicomFile, dicom_errors, open_dicom
from medconsist.mri.formats.dicom_frames import Frame, frames_of
from medconsist.mri.formats.dicom_geometry import affine_of_planes
from medconsist.mri.formats.files import check_budget

__all__ = ["BUDGET_BYTES", "DicomSeries", "Instance", "read_dicom_series"]

BUDGET_BYTES = 4 * 2**30
_SAME = 1e-4  # cosines and spacings of one series, as decimal text of several digits
_MOST_FILES = 20_000
_ONE_SERIES = "Give the folder of one DICOM series, with nothing else in it."


@dataclass(frozen=True)
class Instance:
    """One object of a series: its class and its own UID.

    Examples
    --------
    >>> Instance("1.2.840.10008.5.1.4.1.1.4", "2.25.1").sop_instance
    '2.25.1'
    """

    sop_class: str
    sop_instance: str


@dataclass(frozen=True, eq=False)
class DicomSeries:
    """A volume in patient space, and the header that it came with.

    Parameters
    ----------
    image
        ``slices height width`` in modality units (rescale slope and intercept applied), slices in
        ascending order along the normal, the row cosines times the column cosines.
    affine
        Voxel index (column, row, slice) to patient millimetres, right-anterior-superior; None
        where the file says no orientation (secondary capture).
    voxel_size_mm
        Slice, row, column spacing; None where unknown.
    header
        The first object of the first file, as pydicom holds it. It has the patient's identity.
    instances
        Every object of the series, in the order of the slices.

    Examples
    --------
    >>> series = DicomSeries(torch.zeros(1, 2, 2), None, (None, None, None), {}, ())
    >>> series.affine is None
    True
    """

    image: Float32[Tensor, "slices height width"]
    affine: Float[Tensor, "4 4"] | None
    voxel_size_mm: tuple[float | None, float | None, float | None]
    header: Any
    instances: tuple[Instance, ...]

    def taken(self, *words: str) -> dict[str, Any]:
        """Return attributes of the header by keyword, those that are there.

        Raises
        ------
        CorruptInputError
            If a value is not what its kind allows.
        """
        pydicom = require("pydicom", extra="dicom")
        found = dict[str, Any]()
        for word in (word for word in words if word in self.header):
            with dicom_errors(f"{word} of the reference series"):
                one = self.header[word]
                strict = pydicom.config.RAISE
                pydicom.DataElement(one.tag, one.VR, one.value, validation_mode=strict)
                found[word] = one.value
        return found


def read_dicom_series(path: Path, *, budget_bytes: int = BUDGET_BYTES) -> DicomSeries:
    """Read a folder that holds one MR series alone, or one file.

    Parameters
    ----------
    path
        A folder (read with its subfolders; hidden files and DICOMDIR are left out) or a file.
    budget_bytes
        Most bytes that the files and their pixels may claim.

    Raises
    ------
    MissingInputError
        If nothing is there, or no file in the folder.
    UnsupportedInputError
        If a file is no DICOM, no MR image of one grey channel, or compressed in a way that needs
        a decoder which is not part of this program.
    RefusedInputError
        If the images are not one volume: several series, patients, orientations or matrices, a
        position taken twice, a gap, or slices that slide sideways.
    CorruptInputError, TruncatedFileError
        If a file is damaged or shorter than it claims.
    BudgetError
        If the files claim more than the budget.
    """
    require("pydicom", extra="dicom")
    files = [open_dicom(file) for file in _files(path, budget_bytes)]
    _refuse_mixed(files, path.name)
    claimed = sum(file.claimed_bytes for file in files)
    check_budget(path, claimed, budget_bytes, remedy=_ONE_SERIES)
    frames = [frame for file in files for frame in frames_of(file)]
    _refuse_unlike(frames, path.name)
    affine, order, spacing = _geometry(frames, path.name)
    ordered = [frames[number] for number in order]
    named = [Instance(frame.file.sop_class, frame.file.sop_instance) for frame in ordered]
    image = np.stack([frame.pixels() for frame in ordered])
    header = files[0].header
    return DicomSeries(
        torch.from_numpy(image), affine, spacing, header, tuple(dict.fromkeys(named))
    )


def _files(path: Path, budget_bytes: int) -> list[Path]:
    if path.is_file():
        found = [path]
    elif path.is_dir():
        seen = sorted(file for file in path.rglob("*") if file.is_file())
        found = [f for f in seen if not f.name.startswith(".") and f.name != "DICOMDIR"]
    else:
        msg = f"{path} does not exist. Give the folder of one DICOM series, or a file."
        raise MissingInputError(msg)
    if not found:
        msg = f"{path} holds no file. Give the folder of one DICOM series."
        raise MissingInputError(msg)
    if len(found) > _MOST_FILES:
        msg = f"{path} holds {len(found)} files; allowed: one series of at most {_MOST_FILES}."
        raise RefusedInputError(msg)
    size = sum(file.stat().st_size for file in found)
    check_budget(path, size, budget_bytes, remedy=_ONE_SERIES)
    return found


def _refuse_mixed(files: list[DicomFile], name: str) -> None:
    with dicom_errors(name):
        patients = {str(file.header.get("PatientID", "")) for file in files}
        frames = {str(file.header.get("FrameOfReferenceUID", "")) for file in files}
    found = {
        "series": {file.series for file in files},
        "studies": {file.study for file in files},
        "patients": patients,
        "frames of reference": frames,
    }
    for what, values in found.items():
        if len(values) > 1:
            msg = (
                f"{name} holds {len(values)} DICOM {what}; allowed: one series of one patient. Put "
                "the files of each series into a folder of its own."
            )
            raise RefusedInputError(msg)


def _refuse_unlike(frames: list[Frame], name: str) -> None:
    first = frames[0]
    for frame in frames[1:]:
        same = frame.shape == first.shape and (frame.cosines is None) == (first.cosines is None)
        same = same and (frame.spacing_mm is None) == (first.spacing_mm is None)
        if same and frame.cosines is not None and first.cosines is not None:
            same = bool(np.abs(frame.cosines - first.cosines).max() <= _SAME)
        if same and frame.spacing_mm is not None and first.spacing_mm is not None:
            same = np.allclose(frame.spacing_mm, first.spacing_mm, rtol=_SAME)
        if not same:
            msg = (
                f"{name}: images differ in matrix, spacing or orientation ({first.shape} and "
                f"{frame.shape}), as a localiser does; allowed: parallel slices of one grid."
            )
            raise RefusedInputError(msg)


def _geometry(
    frames: list[Frame], name: str
) -> tuple[Tensor | None, list[int], tuple[float | None, float | None, float | None]]:
    first = frames[0]
    rows_mm, columns_mm = first.spacing_mm or (None, None)
    positions = [frame.position for frame in frames if frame.position is not None]
    known = first.cosines is not None and len(positions) == len(frames)
    if not known or first.cosines is None or first.spacing_mm is None:
        if len({frame.file.sop_instance for frame in frames}) > 1:
            msg = (
                f"{name}: the images say no position or spacing, so their order is unknown; "
                "allowed: slices with ImagePositionPatient, or one multi-frame image."
            )
            raise RefusedInputError(msg)
        return None, list(range(len(frames))), (None, rows_mm, columns_mm)
    affine, order = affine_of_planes(
        first.cosines,
        first.spacing_mm,
        np.stack(positions),
        thickness_mm=first.thickness_mm,
        name=name,
    )
    step = float(torch.linalg.vector_norm(affine[:3, 2]))
    return affine, order.tolist(), (step, rows_mm, columns_mm)
