"""Overlap-add: windows of a grid back into the array that they were cut from."""

import math
from collections.abc import Iterable, Iterator
from types import EllipsisType
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.shapes import Array
from medconsist.tiling.grid import Grid, Items

__all__ = ["BlendMode", "OverlapAdd", "blend", "blend_parts"]

BlendMode = Literal["crop", "mean", "linear", "hann"]
Index = tuple[EllipsisType | slice, ...]


def blend(windows: Array, grid: Grid, *, mode: BlendMode = "hann") -> Tensor:
    r"""Return the array that all windows of a grid make together.

    .. math:: y(i) = \sum_k w_k(i) x_k(i), \qquad \sum_k w_k(i) = 1 \text{ for every } i

    ======== =====================================================================
    crop     each place from the one window whose centre is nearest (the first of two)
    mean     all windows that cover a place count the same
    linear   weights fall linearly from the centre of a window to its ends
    hann     weights :math:`\sin^2(\pi (i + 1/2) / n)`, smooth where windows end
    ======== =====================================================================

    Parameters
    ----------
    windows
        ``windows *channels *window``, all of the grid, in its order. Float or complex; with
        ``crop`` any type.
    grid
        In whole numbers, without gaps.
    mode
        See the table.

    Returns
    -------
    ``*channels *size``, of the type and on the device of the windows. What windows say alike is
    returned bit for bit; half precision is added up in float32.

    Raises
    ------
    ShapeError
        The windows have not the shape of the grid's.
    RefusedInputError
        A window is missing, the grid leaves places uncovered, or whole numbers would be averaged.
    """
    whole = OverlapAdd(grid, mode=mode)
    whole.add(range(len(windows)), windows)
    return whole.finish()


def blend_parts(
    batches: Iterable[tuple[Items, Tensor]], grid: Grid, *, mode: BlendMode = "hann"
) -> Iterator[Tensor]:
    """Yield the blended array in parts along the first axis of the grid, as they are finished.

    With batches in the order of the grid no more than one row of windows is held.

    Parameters
    ----------
    batches
        Numbers of windows, and the windows, ``windows *channels *window``.
    grid, mode
        See `blend`.

    Yields
    ------
    ``*channels part *rest``; put together along the first axis of the grid: `blend`.

    Raises
    ------
    ShapeError, RefusedInputError
        See `blend`.
    """
    whole = OverlapAdd(grid, mode=mode)
    for items, windows in batches:
        whole.add(items, windows)
        if whole.n_finished:
            yield whole.take()
    if whole.n_left:
        yield whole.finish()


class OverlapAdd:
    """Windows added one by one, in any order, into one array; finished parts can be taken early.

    Held is a running weighted mean, ``y += (x - y) w / (w + sum of earlier w)``: places on which
    all windows agree keep that value exactly, in every precision. Memory is that of the places
    between the first unfinished and the last one reached, along the first axis of the grid.

    Parameters
    ----------
    grid, mode
        See `blend`.

    Raises
    ------
    RefusedInputError
        The grid has fractions, or leaves places uncovered.

    Examples
    --------
    >>> whole = OverlapAdd(Grid(size=(6,), window=(4,), step=(2,)), mode="mean")
    >>> whole.add([0], torch.ones(1, 4))
    >>> whole.add([1], torch.full((1, 4), 3.0))
    >>> whole.finish().tolist()
    [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    """

    def __init__(self, grid: Grid, *, mode: BlendMode = "hann") -> None:
        self._grid, self._mode = grid, mode
        self._spans = [grid.spans(axis) for axis in range(len(grid.size))]
        for axis, spans in enumerate(self._spans):
            _check_covered(spans, int(grid.size[axis]), axis)
        self._used = [self._used_of(axis) for axis in range(len(grid.size))]
        self._shape = _product([_bell(int(length), mode) for length in grid.window])
        self._seen = np.zeros(grid.shape, dtype=bool)
        self._taken = 0  # places of the first axis that were handed out
        self._held: tuple[Tensor, Tensor] | None = None  # mean and weight, from _taken on
        self._like: Tensor | None = None

    @property
    def n_finished(self) -> int:
        """Places along the first axis that no window to come can change, not yet taken."""
        rows = self._seen.reshape(len(self._seen), -1).all(axis=1)
        size = int(self._grid.size[0])
        # The first row of windows that is not whole holds back everything from its begin on.
        end = size if rows.all() else int(self._spans[0][np.argmin(rows), 0])
        return min(end, size) - self._taken

    @property
    def n_left(self) -> int:
        """Places along the first axis that were not taken yet, finished or not."""
        return int(self._grid.size[0]) - self._taken

    def add(self, items: Items, windows: Array) -> None:
        """Add windows.

        Parameters
        ----------
        items
            Their numbers in the grid, each once.
        windows
            ``windows *channels *window``.

        Raises
        ------
        ShapeError
            Not the shape of the grid's windows, or of those before.
        RefusedInputError
            A number is not in the grid or was added before, or the type does not suit the mode.
        """
        indices = self._grid.indices(items)
        self._check(len(indices), windows)
        for index, values in zip(indices.tolist(), windows, strict=True):
            place = tuple(index)
            if self._seen[place]:
                msg = f"window {place} of the grid was added twice; add each once."
                raise RefusedInputError(msg)
            self._add_one(place, values)
            self._seen[place] = True

    def take(self) -> Tensor:
        """Return the finished part along the first axis and forget it, ``*channels part *rest``.

        Raises
        ------
        RefusedInputError
            Nothing is finished: a window at its begin is missing.
        """
        n = self.n_finished
        if not n or self._held is None or self._like is None:
            raise RefusedInputError(self._missing())
        mean, weight = self._held
        axis = -len(self._grid.size)
        # Copies, so that the memory of what was taken is given back.
        self._held = mean.narrow(axis, n, mean.shape[axis] - n).clone(), weight[n:].clone()
        self._taken += n
        return mean.narrow(axis, 0, n).to(self._like.dtype, copy=True)

    def finish(self) -> Tensor:
        """Return all that was not taken.

        Raises
        ------
        RefusedInputError
            A window is missing.
        """
        if not self._seen.all():
            raise RefusedInputError(self._missing())
        return self.take()

    def _missing(self) -> str:
        lacking = np.argwhere(~self._seen)
        if not len(lacking):
            return "everything was taken already."
        first = tuple(int(part) for part in lacking[0])
        msg = f"{len(lacking)} of {self._seen.size} windows are missing, the first is {first}; "
        return msg + "add every window of the grid."

    def _check(self, n: int, windows: Tensor) -> None:
        axes = len(self._grid.window)
        want = tuple(int(length) for length in self._grid.window)
        if len(windows) != n or windows.ndim <= axes or tuple(windows.shape[-axes:]) != want:
            msg = f"{n} windows of {want} are needed, after any channels; got the shape "
            msg += f"{tuple(windows.shape)}."
            raise ShapeError(msg)
        if self._mode != "crop" and not (windows.is_floating_point() or windows.is_complex()):
            msg = f"{windows.dtype} cannot be averaged without rounding; blend by 'crop', or turn "
            msg += "the windows into float32."
            raise RefusedInputError(msg)
        if self._like is None:
            self._like = windows.new_empty(windows.shape[1:-axes])
        like = self._like
        if (windows.dtype, windows.device, windows.shape[1:-axes]) != (
            like.dtype,
            like.device,
            like.shape,
        ):
            msg = f"all windows must be like the first, {like.dtype} on {like.device} with the "
            msg += f"channels {tuple(like.shape)}; got {windows.dtype} on {windows.device} with "
            msg += f"{tuple(windows.shape[1:-axes])}."
            raise ShapeError(msg)

    def _used_of(self, axis: int) -> npt.NDArray[np.int64]:
        """Return begin and end of the places that every window contributes to."""
        spans, size = self._spans[axis], int(self._grid.size[axis])
        if self._mode != "crop":
            return np.minimum(spans, size)
        # Halfway between the centres of neighbours, in whole numbers; the first has the middle.
        halfway = (spans[:-1, 0] + spans[1:, 1] + 1) // 2
        ends = np.minimum([*halfway, size], size)
        return np.stack([[0, *ends[:-1]], ends], axis=1)

    def _add_one(self, index: tuple[int, ...], values: Tensor) -> None:
        used = [self._used[axis][at] for axis, at in enumerate(index)]
        begins = [int(self._spans[axis][at, 0]) for axis, at in enumerate(index)]
        of = tuple(slice(int(u[0]) - b, int(u[1]) - b) for u, b in zip(used, begins, strict=True))
        shifts = (self._taken, *(0 for _ in begins[1:]))
        into = tuple(slice(int(u[0]) - s, int(u[1]) - s) for u, s in zip(used, shifts, strict=True))
        total, weight = self._room(into[0].stop, values)
        last: Index = (..., *into)
        taken: Index = (..., *of)
        if self._mode == "crop":
            total[last] = values[taken]
            return
        own = self._shape[of].to(weight)
        weight[into] += own
        mean = total[last]
        mean += (values[taken] - mean) * (own / weight[into])

    def _room(self, until: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and weight, long enough to hold places up to ``until`` of the first axis."""
        if self._held is not None and until <= len(self._held[1]):
            return self._held
        sizes = [int(length) for length in self._grid.size[1:]]
        axis = -len(self._grid.size)
        held = 0 if self._held is None else len(self._held[1])
        # Doubling, so that growing costs one copy of each place on average.
        length = min(self.n_left, max(until, 2 * held))
        shape = (*like.shape[:axis], length, *sizes)
        mean = like.new_zeros(shape, dtype=_wide(like.dtype))
        weight = torch.zeros(length, *sizes, dtype=mean.real.dtype, device=like.device)
        if self._held is not None:
            mean.narrow(axis, 0, held).copy_(self._held[0])
            weight[:held] = self._held[1]
        self._held = mean, weight
        return self._held


def _check_covered(spans: npt.NDArray[np.int64], size: int, axis: int) -> None:
    begins, ends = np.append(spans[:, 0], size), np.append(0, np.maximum.accumulate(spans[:, 1]))
    gaps = np.flatnonzero(begins > ends)
    if len(gaps):
        first = gaps[0]
        msg = (
            f"places {ends[first]} to {begins[first] - 1} of axis {axis} lie in no window. Choose "
        )
        msg += "a step of at most the window, and edge='keep' or 'shift'."
        raise RefusedInputError(msg)


def _bell(length: int, mode: BlendMode) -> Tensor:
    """Return the weight of a window along one axis; above 0 also at its ends."""
    middle = (torch.arange(length, dtype=torch.float64) + 0.5) / length
    match mode:
        case "hann":
            return torch.sin(math.pi * middle) ** 2
        case "linear":
            return 1 - (2 * middle - 1).abs()
        case _:
            return torch.ones_like(middle)


def _product(factors: list[Tensor]) -> Tensor:
    whole = factors[0]
    for factor in factors[1:]:
        whole = whole[..., None] * factor
    return whole


def _wide(dtype: torch.dtype) -> torch.dtype:
    """Return the type that is added up in: nothing below float32."""
    narrow = {torch.float16: torch.float32, torch.bfloat16: torch.float32}
    return {**narrow, torch.complex32: torch.complex64}.get(dtype, dtype)
