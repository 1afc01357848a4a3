"""Images out as ISMRMRD: one image a slice with its place in the patient, complex values kept.

Inati et al. 2017, doi:10.1002/mrm.26089. The layout is that of the `ismrmrd` library: datasets
``header``, ``attributes`` and ``data`` of one group. There is no XML header: its schema asks for
a resonance frequency, which a result does not know.
"""

import logging
from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import escape

import h5py
import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from medconsist._atomic import atomic_write_bytes
from medconsist.errors import RefusedInputError
from medconsist.mri.formats.dicom_geometry import planes_of_affine

__all__ = ["IMAGE_GROUP", "IMAGE_HEADER", "write_ismrmrd_images"]

IMAGE_GROUP = "dataset/image_0"
_VERSION = 1
_COMPLEX_FLOAT, _COMPLEX_IMAGE = 7, 5
_FLOAT, _MAGNITUDE_IMAGE = 5, 1
_LONGEST_AXIS = 65535  # lengths and counters have 16 bits
_COUNTERS = ("average", "slice", "contrast", "phase", "repetition", "set")
IMAGE_HEADER = np.dtype(
    [
        ("version", "<u2"),
        ("data_type", "<u2"),
        ("flags", "<u8"),
        ("measurement_uid", "<u4"),
        ("matrix_size", "<u2", (3,)),
        ("field_of_view", "<f4", (3,)),
        ("channels", "<u2"),
        *((name, "<f4", (3,)) for name in ("position", "read_dir", "phase_dir", "slice_dir")),
        ("patient_table_position", "<f4", (3,)),
        *((name, "<u2") for name in _COUNTERS),
        ("acquisition_time_stamp", "<u4"),
        ("physiology_time_stamp", "<u4", (3,)),
        *((name, "<u2") for name in ("image_type", "image_index", "image_series_index")),
        ("user_int", "<i4", (8,)),
        ("user_float", "<f4", (8,)),
        ("attribute_string_len", "<u4"),
    ]
)
"""The image header of ISMRMRD 1, packed without padding."""
_PAIR = np.dtype([("real", "<f4"), ("imag", "<f4")])

_log = logging.getLogger(__name__)


def write_ismrmrd_images(
    path: Path,
    image: Shaped[Tensor, "slices height width"],
    *,
    affine: Float[Tensor, "4 4"] | None,
    voxel_size_mm: tuple[float | None, float | None, float | None],
    attributes: dict[str, str],
) -> None:
    """Write complex or real images as ``dataset/image_0`` of an HDF5 file, atomically.

    ``x`` of an image (``read_dir``) runs along its width, ``y`` (``phase_dir``) along its height,
    whichever of them was the readout; ``position`` is the centre of the voxel ``n // 2`` along
    both, in LPS. What is unknown is zero: directions and position without an affine, a field of
    view without a spacing.

    Parameters
    ----------
    path
        File to write, ``.h5``; an existing one is replaced.
    image
        Complex (stored as complex64) or real (float32), finite.
    affine
        Voxel index (column, row, slice) to patient millimetres, right-anterior-superior.
    voxel_size_mm
        Slice, row, column spacing.
    attributes
        Name to text; ISMRMRD's meta attributes of every image.

    Raises
    ------
    RefusedInputError
        If a value is not finite, an axis is longer than 65535, or the affine is sheared.
    StorageError
        If the disk is full or read-only; nothing half-written is left.
    """
    if image.numel() == 0 or max(image.shape) > _LONGEST_AXIS:
        msg = f"image of shape {tuple(image.shape)}; allowed: 1 to {_LONGEST_AXIS} along each axis."
        raise RefusedInputError(msg)
    image = image.to(torch.complex64 if image.is_complex() else torch.float32)
    if not torch.isfinite(image).all():
        msg = "the image holds NaN or infinity (as float32); allowed: finite values."
        raise RefusedInputError(msg)
    text = _meta(attributes)
    headers = _headers(image, affine, voxel_size_mm)
    headers["attribute_string_len"] = len(text.encode())
    values = _values(image)
    # In memory first: the HDF5 library can crash the process where a disk is full on closing.
    content = BytesIO()
    with h5py.File(content, "w") as file:
        group = file.create_group(IMAGE_GROUP)
        group.create_dataset("header", data=headers, maxshape=(None,))
        texts = group.create_dataset(
            "attributes", (len(headers),), maxshape=(None,), dtype=h5py.string_dtype()
        )
        texts[:] = [text] * len(headers)
        group.create_dataset("data", data=values, maxshape=(None, *values.shape[1:]))
    atomic_write_bytes(path, content.getvalue())
    _log.debug("wrote %s, %d images", path, len(headers))


def _values(image: Tensor) -> Shaped[np.ndarray, "slices channels z y x"]:
    stored = image.detach().cpu().resolve_conj()[:, None, None]
    if stored.is_complex():
        return np.ascontiguousarray(stored.numpy()).view(_PAIR)
    return np.ascontiguousarray(stored.numpy())


def _headers(
    image: Tensor,
    affine: Tensor | None,
    voxel_size_mm: tuple[float | None, float | None, float | None],
) -> Shaped[np.ndarray, " slices"]:
    slices, height, width = image.shape
    headers = np.zeros(slices, dtype=IMAGE_HEADER)
    complex_ = image.is_complex()
    headers["version"] = _VERSION
    headers["data_type"] = _COMPLEX_FLOAT if complex_ else _FLOAT
    headers["image_type"] = _COMPLEX_IMAGE if complex_ else _MAGNITUDE_IMAGE
    headers["matrix_size"] = width, height, 1
    headers["channels"] = 1
    headers["slice"] = np.arange(slices)
    headers["image_index"] = np.arange(1, slices + 1)
    step_mm, row_mm, column_mm = voxel_size_mm
    if affine is not None:
        planes = planes_of_affine(affine, slices)
        (row_mm, column_mm), step_mm = planes.spacing_mm, planes.step_mm
        x, y = planes.cosines
        centre = x * column_mm * (width // 2) + y * row_mm * (height // 2)
        headers["position"] = planes.positions + centre
        headers["read_dir"], headers["phase_dir"], headers["slice_dir"] = x, y, planes.stacked
    headers["field_of_view"] = (column_mm or 0) * width, (row_mm or 0) * height, step_mm or 0
    return headers


def _meta(attributes: dict[str, str]) -> str:
    """Return the XML of ISMRMRD's meta container."""
    items = "".join(
        f"<meta><name>{escape(name)}</name><value>{escape(value)}</value></meta>"
        for name, value in attributes.items()
    )
    return f"<ismrmrdMeta>{items}</ismrmrdMeta>"
