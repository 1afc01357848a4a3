"""NumPy k-space: ``coils height width`` or ``slices coils height width``, complex."""

from pathlib import Path

from medconsist.errors import ShapeError
from medconsist.mri.formats.npy import read_npy
from medconsist.mri.readers.volume import Volume, as_complex64, refuse_other_axes

__all__ = ["read_numpy_kspace"]


def read_numpy_kspace(path: Path, *, budget_bytes: int) -> Volume:
    """Read ``.npy`` k-space; the last two axes of the file are height and width, as they lie.

    Raises
    ------
    ShapeError
        If the array has not three or four axes.
    """
    array = read_npy(path, budget_bytes=budget_bytes)
    if array.ndim not in (3, 4):
        msg = (
            f"{path.name} has {array.ndim} axes {array.shape}; allowed: 3 (coils, height, width) "
            "or 4 (slices, coils, height, width). Reshape the array and save it again."
        )
        raise ShapeError(msg)
    refuse_other_axes(*array.shape[-3:], name=path.name)
    data = as_complex64(array, name=path.name)
    order = "coils, height, width" if data.ndim == 3 else "slices, coils, height, width"
    notes = [f"Axes of the NumPy file taken as {order}."]
    if array.dtype.itemsize > 8:
        notes.append(f"Samples rounded from {array.dtype} to complex64.")
    return Volume(data.reshape(-1, *data.shape[-3:]), notes=tuple(notes))
