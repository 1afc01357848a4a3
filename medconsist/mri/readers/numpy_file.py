"""NumPy k-space: ``coils height width`` or ``slices coils height width``, complex."""

from pathlib import Path

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.formats.npy import read_npy
from medconsist.mri.readers.asked import Asked
from medconsist.mri.readers.first_axis import split_first_axis
from medconsist.mri.readers.volume import Volume, as_complex64, refuse_other_axes

__all__ = ["read_numpy_kspace"]


def read_numpy_kspace(path: Path, asked: Asked) -> Volume:
    """Read ``.npy`` k-space; the last two axes of the file are height and width, as they lie.

    Raises
    ------
    ShapeError
        If the array has not three or four axes.
    RefusedInputError
        If the first of four axes seems to be the readout of a volume, and nobody said it, or it
        was said of three.
    """
    array = read_npy(path, budget_bytes=asked.budget_bytes)
    if array.ndim not in (3, 4):
        msg = (
            f"{path.name} has {array.ndim} axes {array.shape}; allowed: 3 (coils, height, width) "
            "or 4 (slices, coils, height, width). Reshape the array and save it again."
        )
        raise ShapeError(msg)
    if array.ndim == 3 and asked.first_axis is not None:
        msg = (
            f"{path.name} has 3 axes {array.shape}, coils first; --first-axis {asked.first_axis} "
            f"goes with 4: {asked.first_axis}, coils, height, width. Reshape the array and save it "
            "again."
        )
        raise RefusedInputError(msg)
    refuse_other_axes(*array.shape[-3:], name=path.name)
    samples = as_complex64(array, name=path.name).contiguous()
    order = "coils, height, width" if samples.ndim == 3 else "slices, coils, height, width"
    data, said = split_first_axis(
        samples.reshape(-1, *samples.shape[-3:]),
        asked=asked.first_axis,
        volume=None,
        name=path.name,
    )
    notes = [*said] if said else [f"Axes of the NumPy file taken as {order}."]
    if array.dtype.itemsize > 8:
        notes.append(f"Samples rounded from {array.dtype} to complex64.")
    return Volume(data, notes=tuple(notes))
