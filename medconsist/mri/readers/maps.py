"""Coil sensitivity maps from a file: NumPy or BART."""

from pathlib import Path

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.formats.cfl import BART_AXES, read_cfl
from medconsist.mri.formats.npy import read_npy
from medconsist.mri.readers.volume import as_complex64
from medconsist.shapes import CoilMaps

__all__ = ["read_maps"]

_LETTERS = "coils, height, width"


def read_maps(path: Path, *, budget_bytes: int = 8 * 2**30) -> CoilMaps:
    """Read complex coil maps as ``slices sets coils height width``, as they lie in the file.

    NumPy: ``(coils, height, width)``, ``(sets, coils, height, width)`` or all five axes. BART:
    plane on the two long spatial axes, coils on axis 3, sets on axis 4, slices on axis 13. Maps
    are images: index ``n // 2`` is the centre of the field of view. They are not normalised here.

    Raises
    ------
    MissingInputError
        If the file does not exist.
    ShapeError
        If the axes do not fit.
    RefusedInputError
        If the values are not complex or not finite, or all are zero.
    """
    read = _from_npy if path.suffix == ".npy" else _from_bart
    maps = read(path, budget_bytes)
    if not (maps != 0).any():
        msg = f"{path.name} holds maps that are zero everywhere; pass the maps of this acquisition."
        raise RefusedInputError(msg)
    return maps


def _from_npy(path: Path, budget_bytes: int) -> CoilMaps:
    array = read_npy(path, budget_bytes=budget_bytes)
    if array.ndim not in (3, 4, 5) or array.size == 0:
        msg = (
            f"{path.name} has axes {array.shape}; allowed for maps: ({_LETTERS}), (sets, "
            f"{_LETTERS}) or (slices, sets, {_LETTERS}), none empty."
        )
        raise ShapeError(msg)
    maps = as_complex64(array, name=path.name)
    return maps.reshape(*(1,) * (5 - maps.ndim), *maps.shape)


def _from_bart(path: Path, budget_bytes: int) -> CoilMaps:
    array = as_complex64(read_cfl(path, budget_bytes=budget_bytes).numpy(), name=path.name)
    plane = [axis for axis in (0, 1, 2) if array.shape[axis] > 1]
    other = [axis for axis in range(array.ndim) if axis not in (*plane, 3, 4, 13)]
    if len(plane) != 2 or any(array.shape[axis] > 1 for axis in other):
        long = {BART_AXES[axis]: n for axis, n in enumerate(array.shape) if n > 1}
        msg = f"{path.name} has dimensions {long}; allowed for maps: a plane, coil, maps, slice."
        raise ShapeError(msg)
    return array.permute(13, 4, 3, *plane, *other).flatten(5).squeeze(-1).contiguous()
