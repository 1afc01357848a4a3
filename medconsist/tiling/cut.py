"""Windows cut out of an array, as views where they fit; what sticks out is filled by name."""

from collections.abc import Sequence
from types import EllipsisType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.tiling.grid import Grid, Items
from medconsist.tiling.source import Source

__all__ = ["ArraySource", "Padding", "cut", "window"]

Padding = Literal["zero", "reflect"]


def window(array: Tensor, grid: Grid, item: int, *, padding: Padding = "zero") -> Tensor:
    """Return one window of an array: a view, except where it sticks out.

    Parameters
    ----------
    array
        ``*channels *axes``: the last axes are those of the grid.
    grid
        In whole numbers; its size is that of the last axes.
    item
        Number of the window in row-major order.
    padding
        What fills the part of a window that sticks out (``edge="keep"``): 0, or the array
        mirrored about its last sample (which is not repeated).

    Returns
    -------
    ``*channels *window``.

    Raises
    ------
    ShapeError
        The array has not the size of the grid.
    RefusedInputError
        The grid has fractions, or there is no such window.
    """
    _check_size(tuple(array.shape), grid)
    index: tuple[EllipsisType | slice, ...] = (..., *grid.slices(item))
    part = array[index]
    for axis, missing in enumerate(_missing(part.shape, grid)):
        if missing:
            part = _padded(part, axis - len(grid.size), missing, padding)
    return part


def cut(
    array: Tensor, grid: Grid, *, items: Items | None = None, padding: Padding = "zero"
) -> Tensor:
    """Return windows of an array, ``windows *channels *window``; `blend` puts them together.

    Parameters
    ----------
    array, grid, padding
        See `window`.
    items
        Which windows, None for all.

    Raises
    ------
    ShapeError
        The array has not the size of the grid.
    RefusedInputError
        The grid has fractions, no window at all is asked for, or one that there is not.
    """
    chosen = range(len(grid)) if items is None else [int(item) for item in items]
    if not chosen:
        msg = f"no window to cut: {len(grid)} windows in {grid}."
        raise RefusedInputError(msg)
    return torch.stack([window(array, grid, item, padding=padding) for item in chosen])


class ArraySource(Source):
    """Windows of an array as a loader reads them: a signal, a volume, or a picture in memory.

    Whatever is sliced like a NumPy array will do, also a data set of HDF5 or Zarr: one window is
    read at a time.

    Parameters
    ----------
    array
        ``*channels *axes``: the last axes are those of the grid.
    grid, padding
        See `window`.
    items
        Which windows, in this order; None for all.

    Raises
    ------
    ShapeError
        The array has not the size of the grid.
    RefusedInputError
        The grid has fractions, or there is no such window.

    Examples
    --------
    >>> signal = np.arange(7.0)[None]
    >>> source = ArraySource(signal, Grid(size=(7,), window=(4,), step=(3,), edge="keep"))
    >>> source.all().tolist()
    [[[0.0, 1.0, 2.0, 3.0]], [[3.0, 4.0, 5.0, 6.0]]]
    """

    def __init__(
        self,
        array: Any,  # noqa: ANN401  anything with shape, dtype and slices
        grid: Grid,
        *,
        items: Items | None = None,
        padding: Padding = "zero",
    ) -> None:
        _check_size(tuple(array.shape), grid)
        self._array, self._grid, self._padding = array, grid, padding
        self._items = np.arange(len(grid)) if items is None else np.asarray(items)
        grid.spans(0), grid.indices(self._items)
        channels = tuple(array.shape)[: -len(grid.size)]
        self.shape = (*channels, *(int(length) for length in grid.window))
        self.dtype = np.dtype(array.dtype)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._items)

    def read(self, position: int, out: npt.NDArray[Any]) -> None:
        """Copy window ``position`` into ``out``."""
        slices = self._grid.slices(int(self._items[position]))
        part = np.asarray(self._array[(..., *slices)])
        missing = _missing(part.shape, self._grid)
        if any(missing):
            widths = [(0, 0)] * (part.ndim - len(missing)) + [(0, rest) for rest in missing]
            mode: Literal["constant", "reflect"] = (
                "constant" if self._padding == "zero" else "reflect"
            )
            part = np.pad(part, widths, mode=mode)
        out[...] = part


def _check_size(shape: tuple[int, ...], grid: Grid) -> None:
    if shape[-len(grid.size) :] != tuple(grid.size):
        msg = f"the last axes of the array must be {grid.size}, the size of its grid; "
        msg += f"got the shape {shape}."
        raise ShapeError(msg)


def _missing(shape: Sequence[int], grid: Grid) -> list[int]:
    """Return by how much a cut window is too short along each axis of the grid."""
    lengths = shape[len(shape) - len(grid.window) :]
    return [int(want) - got for want, got in zip(grid.window, lengths, strict=True)]


def _padded(part: Tensor, axis: int, missing: int, padding: Padding) -> Tensor:
    if padding == "zero":
        shape = list(part.shape)
        shape[axis] = missing
        return torch.cat([part, part.new_zeros(shape)], dim=axis)
    order = np.pad(np.arange(part.shape[axis]), (0, missing), mode="reflect")
    return part.index_select(axis, torch.as_tensor(order, device=part.device))
