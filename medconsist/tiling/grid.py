"""One grid of equal windows for every domain: windows of a signal, tiles of a slide, slabs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.tiling.affine import Affine

__all__ = ["Edge", "Grid", "Items"]

Edge = Literal["drop", "keep", "shift"]
Items = Sequence[int] | npt.NDArray[np.integer]
# A window that ends less than this share of a step beyond the extent ends at it: float64 noise.
_SLACK = 1e-9


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Equal windows at equal steps over an extent, row-major, never held as a list.

    Along each axis window ``k`` covers ``[k * step, k * step + window)``; lengths may be fractions
    (a tile of 256 px at 0.5 um/px covers 512.4 px of a slide scanned at 0.2498).

    Parameters
    ----------
    size
        Extent along each axis, above 0.
    window
        Length of a window along each axis, above 0.
    step
        From one window to the next; above 0, at most the window unless gaps are wanted.
    edge
        What becomes of the rest at the end of an axis: ``"drop"`` leaves windows out that do not
        fit, ``"keep"`` lets the last one stick out (whoever reads it fills it), ``"shift"`` moves
        the last one back until it fits.

    Raises
    ------
    ShapeError
        The three have not one entry for each axis.
    RefusedInputError
        A length is not finite or not above 0; or ``"shift"`` and the window is longer than the
        extent.

    Examples
    --------
    >>> grid = Grid(size=(1000, 700), window=(256, 256), step=(192, 192), edge="drop")
    >>> grid.shape, len(grid), grid.index(4), grid.starts([4]).tolist()
    ((4, 3), 12, (1, 1), [[192.0, 192.0]])
    """

    size: tuple[float | int, ...]
    window: tuple[float | int, ...]
    step: tuple[float | int, ...]
    edge: Edge = "drop"

    def __post_init__(self) -> None:
        lengths = (self.size, self.window, self.step)
        if len({len(part) for part in lengths}) != 1 or not self.size:
            msg = f"size {self.size}, window {self.window} and step {self.step} need one entry "
            msg += "for each axis."
            raise ShapeError(msg)
        for name, part in zip(("size", "window", "step"), lengths, strict=True):
            if not all(math.isfinite(value) and value > 0 for value in part):
                msg = f"{name} must be finite and above 0 along each axis, got {part}."
                raise RefusedInputError(msg)
        if self.edge == "shift" and any(
            window > size for window, size in zip(self.window, self.size, strict=True)
        ):
            msg = f"a window {self.window} does not fit into {self.size}; use edge='keep'."
            raise RefusedInputError(msg)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of windows along each axis."""
        return tuple(self._count(axis) for axis in range(len(self.size)))

    def __len__(self) -> int:
        """Return the number of windows."""
        return math.prod(self.shape)

    @property
    def affine(self) -> Affine:
        """From window index to the start of that window (of a shifted last one: where it was)."""
        return Affine(offset=(0.0,) * len(self.step), scale=tuple(map(float, self.step)))

    def index(self, item: int) -> tuple[int, ...]:
        """Return the index along each axis of window ``item`` in row-major order."""
        if not 0 <= item < len(self):
            msg = f"there is no window {item}; allowed are 0 to {len(self) - 1}."
            raise RefusedInputError(msg)
        return tuple(int(part) for part in np.unravel_index(item, self.shape))

    def indices(self, items: Items) -> npt.NDArray[np.int64]:
        """Return the index along each axis of many windows, shape ``(n, axes)``.

        Raises
        ------
        RefusedInputError
            An item is no whole number of 0 to ``len(grid) - 1``.
        """
        asked = np.asarray(items)
        if asked.size == 0:
            return np.empty((0, len(self.size)), np.int64)
        if asked.dtype.kind not in "iu" or asked.min() < 0 or asked.max() >= len(self):
            msg = f"windows are whole numbers from 0 to {len(self) - 1}, got {asked.dtype} within "
            msg += f"{asked.min()} to {asked.max()}."
            raise RefusedInputError(msg)
        return np.stack(np.unravel_index(asked.astype(np.int64), self.shape), axis=-1)

    def starts(self, items: Items) -> npt.NDArray[np.float64]:
        """Return where windows begin along each axis, shape ``(n, axes)``."""
        starts = self.affine.to_place(self.indices(items))
        if self.edge != "shift":
            return starts
        return np.minimum(starts, np.asarray(self.size) - np.asarray(self.window))

    def spans(self, axis: int) -> npt.NDArray[np.int64]:
        """Return begin and end of every window along one axis, shape ``(windows, 2)``.

        An end beyond the extent says how far a kept window sticks out.

        Raises
        ------
        RefusedInputError
            A length is no whole number: an array cannot be cut there without resampling.
        """
        self._need_whole_numbers()
        begins = np.arange(self.shape[axis]) * int(self.step[axis])
        if self.edge == "shift":
            begins = np.minimum(begins, int(self.size[axis]) - int(self.window[axis]))
        return np.stack([begins, begins + int(self.window[axis])], axis=1)

    def slices(self, item: int) -> tuple[slice, ...]:
        """Return the part of an array that window ``item`` covers; for whole numbers only.

        Raises
        ------
        RefusedInputError
            A length is no whole number: an array cannot be cut there without resampling.
        """
        self._need_whole_numbers()
        (start,) = self.starts([item])
        rows = zip(start, self.window, self.size, strict=True)
        return tuple(slice(int(at), min(int(at + n), int(size))) for at, n, size in rows)

    def _need_whole_numbers(self) -> None:
        lengths = (*self.size, *self.window, *self.step)
        if not all(float(value).is_integer() for value in lengths):
            msg = f"an array can only be cut at whole numbers, got {self}."
            raise RefusedInputError(msg)

    def _count(self, axis: int) -> int:
        size, window, step = self.size[axis], self.window[axis], self.step[axis]
        steps = (size - window) / step
        if self.edge == "drop":
            return max(0, math.floor(steps + _SLACK) + 1)
        count = max(1, math.ceil(steps - _SLACK) + 1)
        if self.edge == "shift":
            return count
        # With gaps between the windows the next one may begin at or behind the end: it holds none.
        return min(count, max(1, math.ceil(size / step - _SLACK)))
