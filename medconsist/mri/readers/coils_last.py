"""HDF5 k-space with its coils on the last axis, turned slab by slab."""

from math import prod

import numpy as np
import torch
from jaxtyping import Shaped

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.formats.files import check_budget
from medconsist.mri.formats.foreign_hdf5 import ForeignHdf5
from medconsist.mri.readers.volume import as_complex64, refuse_other_axes
from medconsist.shapes import CoilKSpace

__all__ = ["read_coils_last"]

_SLAB_POINTS = 2**20  # 8 MiB of complex64, held about three times beside the volume
_ITEM_BYTES = 8
_COMPLEX = {"f4": np.complex64, "f8": np.complex128}


def read_coils_last(
    file: ForeignHdf5, key: str, *, pick: tuple[int, int] | None = None, parts: int = 1
) -> CoilKSpace:
    """Read ``x ky kz coil`` as ``slices coils height width``, never with a second whole copy.

    Parameters
    ----------
    file, key
        The dataset.
    pick
        Axis and index of a further axis that is read at one place alone.
    parts
        Numbers of the last axis that make one sample: 1, or 2 where real and imaginary parts
        alternate.

    Raises
    ------
    ShapeError, RefusedInputError
        If the axes or the values are none of k-space.
    BudgetError
        If it claims more than the budget of the file.
    """
    shape = [
        n for axis, n in enumerate(file.datasets[key].shape) if pick is None or axis != pick[0]
    ]
    name = f"{file.path.name}: {key}"
    if min(shape) < 1:
        msg = f"{name} has axes {tuple(shape)}; allowed: none empty."
        raise ShapeError(msg)
    slices, height, width, coils = *shape[:3], shape[3] // parts
    refuse_other_axes(coils, height, width, name=name)
    check_budget(file.path, _ITEM_BYTES * slices * coils * height * width, file.budget_bytes)
    data = torch.empty(slices, coils, height, width, dtype=torch.complex64)
    count = max(1, _SLAB_POINTS // prod(shape[1:]))
    picks = {} if pick is None else {key: pick}
    for start in range(0, slices, count):
        spans = {key: (start, min(start + count, slices))}
        slab = file.read(arrays=(key,), picks=picks, spans=spans).arrays[key]
        slab = slab if parts == 1 else _joined(slab, name=name)
        turned = as_complex64(slab.transpose(0, 3, 1, 2), name=f"{name}, slices from {start}")
        data[start : start + count] = turned
    return data


def _joined(real: Shaped[np.ndarray, "..."], *, name: str) -> Shaped[np.ndarray, "..."]:
    kind = _COMPLEX.get(real.dtype.str[1:])
    if kind is None:
        msg = f"{name} holds {real.dtype} numbers; allowed: float32 or float64, in pairs."
        raise RefusedInputError(msg)
    native = np.ascontiguousarray(real, dtype=real.dtype.newbyteorder("="))
    return native.view(kind)
