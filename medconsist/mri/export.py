"""A finished reconstruction out of its result folder: DICOM, NIfTI or ISMRMRD, one file each."""

import re
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from medconsist._atomic import make_folder
from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.mri.export_text import attributes_of, comments_of, derivation_of, software_of
from medconsist.mri.formats.deidentify import (
    Belonging,
    belonging_of_result,
    with_identity,
    without_identity,
)
from medconsist.mri.formats.dicom_in import DicomSeries, read_dicom_series
from medconsist.mri.formats.dicom_out import Labels, write_dicom
from medconsist.mri.formats.ismrmrd_out import write_ismrmrd_images
from medconsist.mri.formats.nifti import write_nifti
from medconsist.mri.reference_geometry import Geometry, beside_reference
from medconsist.mri.settings import KIND
from medconsist.results.folder import RESULT_NAME
from medconsist.results.methods import method_of
from medconsist.results.schema import ArrayRecord, Result
from medconsist.results.store import ResultStore, StoredResult

__all__ = ["Export", "Exported", "Format", "export_result"]

Format = Literal["dicom", "nifti", "ismrmrd"]
_SUFFIXES = {"dicom": ".dcm", "nifti": ".nii.gz", "ismrmrd": ".h5"}
_AXES = ("slices", "height", "width")
_LETTERS_OF_KEY = 12
_ZONE = "TimezoneOffsetFromUTC"
_OFFSET = re.compile(r"(?P<sign>[+-])(?P<hours>[01]\d)(?P<minutes>[0-5]\d)")
_KEPT = (
    "The file holds the name, ids and dates of the reference series. Keep it where the patient's "
    "other images are kept."
)


@dataclass(frozen=True, kw_only=True)
class Export:
    """One image of a result to write, and where.

    Parameters
    ----------
    result
        Folder of a result (``study/case/<key>``), or of a case, whose current result is taken.
    out
        Folder for the file; made if it is not there.
    to
        Format.
    role
        Which image: the reconstruction, or one that it is compared with.
    reference
        A DICOM series of the same examination, a folder or a file; None without one.
    identity
        ``"removed"`` (the default), or ``"kept"``: name, ids, dates and UIDs of the reference go
        into the DICOM file as they are.

    Raises
    ------
    RefusedInputError
        If the format is not known, or identity is to be kept and there is no reference that has
        one, or a format that holds none.

    Examples
    --------
    >>> Export(result=Path("results/mri/head"), out=Path("."), to="nifti").role
    'reconstruction'
    """

    result: Path
    out: Path
    to: Format
    role: str = "reconstruction"
    reference: Path | None = None
    identity: Literal["removed", "kept"] = "removed"

    def __post_init__(self) -> None:
        if self.to not in get_args(Format):
            msg = f"no format {self.to!r}; allowed: {', '.join(get_args(Format))}."
            raise RefusedInputError(msg)
        if self.identity == "kept" and (self.reference is None or self.to != "dicom"):
            msg = (
                "--keep-identity goes with --to dicom and --reference FOLDER alone: the identity "
                "is that of the reference series, and no other format holds one."
            )
            raise RefusedInputError(msg)


@dataclass(frozen=True)
class Exported:
    """Where the file is, and what must be said of it.

    Examples
    --------
    >>> Exported(Path("a.dcm"), ()).notes
    ()
    """

    path: Path
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Picture:
    """An image of a result with all that is known about it."""

    stored: StoredResult
    record: ArrayRecord
    values: Tensor
    magnitude: Tensor
    geometry: Geometry
    reference: DicomSeries | None

    @property
    def result(self) -> Result:
        return self.stored.result


def export_result(job: Export) -> Exported:
    """Write one image of a finished result; the same result gives the same bytes.

    The file is ``<case>_<role>_<key>.dcm``, ``.nii.gz`` or ``.h5``, the key cut to 12 digits; one
    of the same name is replaced, as it is of the same result. The name of a file that holds the
    identity of the patient ends in ``_identified``: it never takes the place of one without. DICOM
    and NIfTI hold magnitudes, ISMRMRD the values as they are.

    Raises
    ------
    MissingInputError
        If there is no such result, or no current one.
    RefusedInputError
        If it is no MRI reconstruction, has no such image, or the reference does not fit.
    CorruptResultError
        If the result is not as it was written.
    StorageError
        If the disk is full or read-only; nothing half-written is left.
    """
    stored = _open(job.result)
    record = _image_record(stored, job.role)
    values = torch.from_numpy(np.asarray(stored.array(job.role)))
    magnitude = (values.abs() if values.is_complex() else values).float()
    reference = None if job.reference is None else read_dicom_series(job.reference)
    geometry = _geometry(record)
    if reference is not None:
        geometry = beside_reference(geometry, magnitude, reference)
    picture = _Picture(stored, record, values, magnitude, geometry, reference)
    words = (stored.result.case, job.role, stored.result.key[:_LETTERS_OF_KEY])
    name = "_".join((*words, *(["identified"] if job.identity == "kept" else [])))
    path = job.out / (name + _SUFFIXES[job.to])
    make_folder(job.out)
    _WRITERS[job.to](path, picture, job)
    kept = (_KEPT,) if job.identity == "kept" else ()
    return Exported(path, (*geometry.notes, *kept))


def _dicom(path: Path, picture: _Picture, job: Export) -> None:
    result, geometry = picture.result, picture.geometry
    kept = {}
    if job.identity == "kept":
        finished = result.times.finished.astimezone(_time_zone(picture.reference))
        kept = {"made": (f"{finished:%Y%m%d}", f"{finished:%H%M%S}")}
    write_dicom(
        path,
        picture.magnitude,
        affine=geometry.affine,
        voxel_size_mm=geometry.voxel_size_mm,
        belonging=_belonging(picture, job),
        labels=Labels(
            description=_description(picture),
            derivation=derivation_of(picture.stored, picture.record),
            comments=comments_of(result, picture.record, geometry.notes),
            unit=picture.record.unit or "unknown",
            software=software_of(result),
            series=(result.key, picture.record.role, job.identity),
            **kept,
        ),
    )


def _belonging(picture: _Picture, job: Export) -> Belonging:
    result, reference = picture.result, picture.reference
    patient = result.patient or result.case
    if reference is None:
        return belonging_of_result(patient, scan=_scan(result))
    return (
        with_identity(reference)
        if job.identity == "kept"
        else without_identity(reference, patient=patient)
    )


def _nifti(path: Path, picture: _Picture, job: Export) -> None:
    del job
    write_nifti(
        path,
        picture.magnitude,
        voxel_size_mm=picture.geometry.voxel_size_mm,
        affine=picture.geometry.affine,
        label=_description(picture).removeprefix("; "),
    )


def _ismrmrd(path: Path, picture: _Picture, job: Export) -> None:
    del job
    write_ismrmrd_images(
        path,
        picture.values,
        affine=picture.geometry.affine,
        voxel_size_mm=picture.geometry.voxel_size_mm,
        attributes=attributes_of(picture.stored, picture.record, picture.geometry.notes),
    )


_WRITERS = {"dicom": _dicom, "nifti": _nifti, "ismrmrd": _ismrmrd}


def _description(picture: _Picture) -> str:
    """Return the label first, as the end is cut: ``"; simulation-trained; cirim"``."""
    model, method = picture.result.model, method_of(picture.result, picture.record.role)
    label = model.label if model is not None and method == model.name else ""
    return "".join(f"; {word}" for word in (label, method or picture.record.role) if word)


def _open(path: Path) -> StoredResult:
    folder = path.resolve()
    folder = folder.parent if folder.name == RESULT_NAME else folder
    is_key = (folder / RESULT_NAME).is_file()
    if not is_key and not (folder / "current").is_file():
        msg = (
            f"{path} is no result: it has neither {RESULT_NAME} nor a current one. Give the folder "
            "of a case (results/STUDY/CASE) or of one of its results."
        )
        raise MissingInputError(msg)
    case = folder.parent if is_key else folder
    store = ResultStore(case.parent.parent, case.parent.name)
    stored = store.read(case.name, folder.name if is_key else None)
    if stored.result.kind != KIND:
        msg = f"{path} is a result of kind {stored.result.kind!r}; allowed: {KIND!r}."
        raise RefusedInputError(msg)
    return stored


def _image_record(stored: StoredResult, role: str) -> ArrayRecord:
    record = stored.record(role)
    maps = (*stored.result.trust.maps, "sampling_mask")
    if record.kind != "zarr" or record.axes != _AXES or role in maps:
        images = [
            one.role
            for one in stored.result.arrays
            if one.kind == "zarr" and one.axes == _AXES and one.role not in maps
        ]
        msg = f"{role!r} is no image of the patient; allowed: {', '.join(images)}."
        raise RefusedInputError(msg)
    return record


def _geometry(record: ArrayRecord) -> Geometry:
    spacing = record.spacing_mm or (None, None, None)
    affine = None
    if record.orientation is not None:
        affine = torch.tensor(record.orientation, dtype=torch.float64)
    return Geometry(affine, (spacing[0], spacing[1], spacing[2]))


def _time_zone(reference: DicomSeries | None) -> timezone:
    """Return the zone that a reference gives its times in; UTC where it does not say."""
    said = "" if reference is None else str(reference.taken(_ZONE).get(_ZONE, ""))
    found = _OFFSET.fullmatch(said)
    if found is None:
        return UTC
    minutes = int(found["hours"]) * 60 + int(found["minutes"])
    return timezone(timedelta(minutes=-minutes if found["sign"] == "-" else minutes))


def _scan(result: Result) -> str:
    """Return a digest of the measured file alone: all results of one scan share it."""
    measured = {role: sha for role, sha in result.inputs.items() if role.startswith("kspace")}
    return sha256_of_bytes(canonical_json(measured))
