"""fastMRI HDF5 k-space, multicoil train, validation and test layouts.

Knoll et al. 2020, doi:10.1148/ryai.2020190007. Dataset ``kspace`` is ``slices coils height
width``: height is the (oversampled) readout, width the phase encoding; ``mask`` (test layout) is
``width``. Files carry no patient orientation, so the affine stays unknown.
"""

import numpy as np
from jaxtyping import Bool, Shaped
from torch import Tensor

from medconsist._ids import is_id
from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.formats.foreign_hdf5 import Contents, ForeignHdf5
from medconsist.mri.readers.asked import FirstAxis
from medconsist.mri.readers.fastmri_volume import Grid, grid_of_volume, is_volume
from medconsist.mri.readers.first_axis import split_first_axis
from medconsist.mri.readers.ismrmrd_header import IsmrmrdHeader, asked_matrix, parse_ismrmrd_header
from medconsist.mri.readers.volume import Volume, as_complex64, as_mask, refuse_other_axes
from medconsist.shapes import NoiseSamples

__all__ = ["read_fastmri"]

_NOISE = "medconsist_noise"


def read_fastmri(file: ForeignHdf5, *, first_axis: FirstAxis | None = None) -> Volume:
    """Read a fastMRI file; also dataset ``medconsist_noise``, if any.

    ``medconsist_noise`` (``coils samples``) is our addition: the noise scan of simulated files.
    Where the header encodes more than one partition, the file is a volume in this layout: its
    first axis may still be frequencies (`split_first_axis`).

    Raises
    ------
    RefusedInputError
        If there is no dataset ``kspace``, or ``first_axis`` must be said.
    ShapeError
        If ``kspace`` has not four axes (three in a single-coil file).
    """
    path = file.path
    contents = file.read(
        arrays=("kspace", "mask", _NOISE),
        texts=("ismrmrd_header",),
        attributes=("acquisition", "patient_id"),
    )
    array, notes = _kspace(contents, name=path.name)
    refuse_other_axes(*array.shape[1:], name=path.name)
    header, said = _header(contents)
    volume = is_volume(header)
    data, split = split_first_axis(
        as_complex64(array, name=path.name), asked=first_axis, volume=volume, name=path.name
    )
    grid = grid_of_volume if volume else _grid_of_planes
    voxel, recon, more = grid(header, array.shape)
    contrast, patient = map(contents.attributes.get, ("acquisition", "patient_id"))
    return Volume(
        data,
        mask=_mask(contents, name=path.name),
        padding=None if volume else _padding(header, data.shape[-1]),
        noise=_noise(contents, data.shape[1], name=path.name),
        voxel_size_mm=voxel,
        contrast=contrast if isinstance(contrast, str) else None,
        field_strength_t=header.field_strength_t,
        patient=patient if isinstance(patient, str) and is_id(patient) else None,
        recon_matrix=recon,
        notes=(*notes, *said, *split, *more),
    )


def _kspace(
    contents: Contents, *, name: str
) -> tuple[Shaped[np.ndarray, "slices coils height width"], tuple[str, ...]]:
    if "kspace" not in contents.arrays:
        found = ", ".join(contents.present) or "nothing"
        msg = (
            f"{name} holds no dataset 'kspace' (found: {found}); the HDF5 layouts that are read "
            "are fastMRI's (kspace: slices, coils, height, width), ISMRMRD's (dataset/data and "
            "dataset/xml), CMRxRecon's (kspace_full, kspace_sub04, kus), SKM-TEA's and CC359's."
        )
        raise RefusedInputError(msg)
    array = contents.arrays["kspace"]
    if array.ndim == 3 and "reconstruction_esc" in contents.present:
        return array[:, None], ("A single-coil fastMRI file: slices, height, width of one coil.",)
    if array.ndim != 4:
        msg = (
            f"{name}: kspace has {array.ndim} axes {array.shape}; allowed: 4 (slices, coils, "
            "height, width). Add the missing axis of length 1."
        )
        raise ShapeError(msg)
    return array, ()


def _header(contents: Contents) -> tuple[IsmrmrdHeader, tuple[str, ...]]:
    if "ismrmrd_header" not in contents.texts:
        return IsmrmrdHeader(), ()
    header = parse_ismrmrd_header(contents.texts["ismrmrd_header"])
    if header is None:
        return IsmrmrdHeader(), ("The ISMRMRD header is not readable: voxel size unknown.",)
    return header, ()


def _mask(contents: Contents, *, name: str) -> Bool[Tensor, "..."] | None:
    if "mask" not in contents.arrays:
        return None
    return as_mask(contents.arrays["mask"], name=f"{name}: mask")


def _noise(contents: Contents, coils: int, *, name: str) -> NoiseSamples | None:
    if _NOISE not in contents.arrays:
        return None
    array = contents.arrays[_NOISE]
    if array.ndim != 2 or len(array) != coils:
        msg = f"{name}: {_NOISE} has axes {array.shape}; allowed: ({coils} coils, samples)."
        raise ShapeError(msg)
    return as_complex64(array, name=f"{name}: {_NOISE}")


def _grid_of_planes(header: IsmrmrdHeader, shape: tuple[int, ...]) -> Grid:
    """Divide the encoded field of view by the encoded matrix, where that is the k-space stored."""
    height, width = shape[-2:]
    notes = []
    spacings: list[float | None] = []
    for axis, n in ((0, height), (1, width)):
        matrix, fov = header.encoded_matrix[axis], header.encoded_fov_mm[axis]
        known = matrix == n and fov is not None
        spacings.append(fov / n if known and fov is not None else None)
        if matrix is not None and matrix != n:
            notes.append(
                f"The header encodes {matrix} points along {('height', 'width')[axis]}, the file "
                f"holds {n}: spacing unknown."
            )
    matrix_z, fov_z = header.encoded_matrix[2], header.encoded_fov_mm[2]
    if matrix_z == 1 and fov_z is not None:
        notes.append(
            f"Slice thickness {fov_z:g} mm by the header; the distance between slices is unknown."
        )
    return (None, spacings[0], spacings[1]), asked_matrix(header)[:2], tuple(notes)


def _padding(header: IsmrmrdHeader, width: int) -> tuple[int, int] | None:
    """Return first and one past the last acquired column, as fastMRI's loader computes them."""
    lines = header.encoded_matrix[1]
    if lines != width or header.line_centre is None or header.line_maximum is None:
        return None
    start = lines // 2 - header.line_centre
    stop = start + header.line_maximum + 1
    return (start, stop) if 0 <= start < stop <= width else None
