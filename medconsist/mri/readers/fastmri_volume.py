"""A volume in fastMRI's layout: which axis of the header each axis of the file is."""

from math import isclose

from medconsist.mri.readers.ismrmrd_header import IsmrmrdHeader, asked_matrix

__all__ = ["Grid", "grid_of_volume", "is_volume"]

Grid = tuple[
    tuple[float | None, float | None, float | None],
    tuple[int | None, int | None],
    tuple[str, ...],
]
"""Voxel size (slices, rows, columns) [mm], height and width of the image asked for, and notes."""

# The axes of the header (readout x, line y, partition z) that slices, rows and columns may be:
# partitions first, as fastMRI puts slices, or the readout first, as where it was transformed.
_ORDERS = ((2, 0, 1), (0, 1, 2))


def is_volume(header: IsmrmrdHeader) -> bool | None:
    """Tell whether more than one partition was encoded; None where the header does not say it."""
    partitions = header.encoded_matrix[2]
    return None if partitions is None else partitions > 1


def grid_of_volume(header: IsmrmrdHeader, shape: tuple[int, ...]) -> Grid:
    """Return voxel size and matrix, where the lengths of the axes say which is which.

    A length that fits two orders of the axes with different spacing leaves the spacing unknown.
    """
    lengths = (shape[0], *shape[-2:])
    matrix, fov, wanted = header.encoded_matrix, header.encoded_fov_mm, asked_matrix(header)
    orders = [order for order in _ORDERS if tuple(matrix[axis] for axis in order) == lengths]
    if not orders:
        note = f"The header encodes {matrix}, the file holds {lengths}: spacing unknown."
        return (None, None, None), (None, None), (note,)
    found = []
    for axis, n in enumerate(lengths):
        values = [fov[order[axis]] for order in orders]
        known = [value for value in values if value is not None]
        alike = len(known) == len(values) and all(isclose(v, known[0]) for v in known)
        found.append(known[0] / n if alike else None)
    height, width = ({wanted[order[axis]] for order in orders} for axis in (1, 2))
    rows = height.pop() if len(height) == 1 else None
    columns = width.pop() if len(width) == 1 else None
    return (found[0], found[1], found[2]), (rows, columns), ()
