"""BART k-space (``.cfl``/``.hdr``): a plane, slices of planes, or a volume with full readout."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Shaped
from torch import Tensor

from medconsist.errors import ShapeError
from medconsist.mri.formats.cfl import BART_AXES, cfl_coils, cfl_dimensions, read_cfl
from medconsist.mri.readers.readout_planes import planes_along_readout
from medconsist.mri.readers.volume import Volume, as_complex64, refuse_other_axes

__all__ = ["bart_plane", "read_bart_kspace"]

_SPATIAL = (0, 1, 2)
_COIL, _MAPS, _SLICE = 3, 4, 13


def read_bart_kspace(path: Path, *, budget_bytes: int) -> Volume:
    """Read BART k-space; which axis becomes what depends on the lengths, and a note says it.

    ==========================  ==============  =============  =======================
    dimensions                  height          width          slices
    ==========================  ==============  =============  =======================
    read = 1                    phase1          phase2         axis 13
    phase2 = 1 (or phase1 = 1)  read            phase1 (2)     axis 13
    all three above 1           phase1          phase2         read, after its inverse
                                                               centred transform
    ==========================  ==============  =============  =======================

    Raises
    ------
    ShapeError
        If there are fewer than two spatial axes, or any other axis is longer than 1.
    RefusedInputError
        If a volume's readout is not fully sampled.
    """
    name = path.name
    dims = cfl_dimensions(path, budget_bytes=budget_bytes)
    _refuse_long_axes(dims, allowed=(*_SPATIAL, _COIL, _SLICE), name=name)
    lengths = [dims[axis] for axis in _SPATIAL]
    if min(lengths) > 1:
        return _volume(path, dims)
    array = as_complex64(read_cfl(path, budget_bytes=budget_bytes).numpy(), name=name)
    samples = array.permute(*_SPATIAL, _COIL, _SLICE, *_others()).flatten(4)
    rows, columns = _plane_axes(lengths, name=name)
    unit = ({*_SPATIAL} - {rows, columns}).pop()
    data = samples.squeeze(unit).permute(3, 2, 0, 1).contiguous()
    refuse_other_axes(*data.shape[1:], name=name)
    note = f"BART axes {BART_AXES[rows]} and {BART_AXES[columns]} taken as height and width."
    return Volume(data, notes=(note,))


def bart_plane(array: Shaped[Tensor, "..."], *, name: str) -> Shaped[Tensor, "slices height width"]:
    """Return a BART array without coils (a sampling pattern) as ``slices height width``.

    Raises
    ------
    ShapeError
        If it has more or fewer than two spatial axes, or another long axis.
    """
    _refuse_long_axes(array.shape, allowed=(*_SPATIAL, _SLICE), name=name)
    rows, columns = _plane_axes([array.shape[axis] for axis in _SPATIAL], name=name)
    unit = ({*_SPATIAL} - {rows, columns}).pop()
    plane = array.permute(_SLICE, rows, columns, unit, _COIL, _MAPS, *_others(without=(_MAPS,)))
    return plane.flatten(3).squeeze(-1)


def _volume(path: Path, dims: tuple[int, ...]) -> Volume:
    name = path.name
    if dims[_SLICE] > 1:
        msg = (
            f"{name} has three spatial axes and {dims[_SLICE]} slices; allowed: one or the "
            "other. Write one volume per file."
        )
        raise ShapeError(msg)
    read, *plane = (dims[axis] for axis in _SPATIAL)
    refuse_other_axes(dims[_COIL], *plane, name=name)
    spectrum = torch.empty(read, dims[_COIL], *plane, dtype=torch.complex64)
    for number, coil in enumerate(cfl_coils(path, dims)):
        spectrum[:, number] = as_complex64(coil.numpy(), name=f"{name}: coil {number}")
    data, said = planes_along_readout(spectrum, name=name)
    note = (
        f"BART volume split into {data.shape[0]} slices by the inverse transform along read; "
        "phase1 and phase2 taken as height and width."
    )
    return Volume(data, notes=(*said, note))


def _plane_axes(lengths: list[int], *, name: str) -> tuple[int, int]:
    long = [axis for axis in _SPATIAL if lengths[axis] > 1]
    if len(long) != 2:
        msg = (
            f"{name} has spatial dimensions {lengths}; allowed: exactly one of the first three "
            "dimensions 1 (a plane), or for k-space none of them (a volume)."
        )
        raise ShapeError(msg)
    return long[0], long[1]


def _refuse_long_axes(dims: Sequence[int], *, allowed: tuple[int, ...], name: str) -> None:
    extra = [
        f"{BART_AXES[axis]} (axis {axis}) = {length}"
        for axis, length in enumerate(dims)
        if length > 1 and axis not in allowed
    ]
    if extra:
        names = ", ".join(BART_AXES[axis] for axis in allowed)
        msg = f"{name} is longer than 1 along {'; '.join(extra)}; allowed: only along {names}."
        raise ShapeError(msg)


def _others(*, without: tuple[int, ...] = ()) -> list[int]:
    kept = (*_SPATIAL, _COIL, _SLICE, *without)
    return [axis for axis in range(len(BART_AXES)) if axis not in kept]
