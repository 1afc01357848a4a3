"""Memory of batches: a block is used again when nobody holds it any more."""

import weakref
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from medconsist.tiling.huge_pages import huge

__all__ = ["Buffers"]


class Buffers:
    """A pool of equal blocks; a block comes back when the last tensor on it is gone.

    So a batch stays valid for as long as it is held, a loop that lets go of each batch runs in a
    fixed number of blocks, and one that collects every batch gets new memory instead of wrong
    pixels.

    Parameters
    ----------
    items
        Of a block.
    shape
        Of an item.
    dtype
        Of an item.
    pinned
        ``"pinned"`` for page-locked memory, from which a GPU copies by itself.

    Examples
    --------
    >>> pool = Buffers(2, (3,), np.dtype(np.uint8))
    >>> pool.tensor(pool.take(), 1).shape
    torch.Size([1, 3])
    """

    def __init__(
        self, items: int, shape: tuple[int, ...], dtype: np.dtype[Any], *, kind: str = "plain"
    ) -> None:
        self.items = items
        self._shape, self._dtype, self._pinned = (items, *shape), dtype, kind == "pinned"
        self._free: deque[npt.NDArray[Any]] = deque()

    def take(self) -> npt.NDArray[Any]:
        """Return a block, with whatever it held before."""
        try:
            return self._free.pop()
        except IndexError:
            if self._pinned:
                kind = torch.from_numpy(np.empty(0, self._dtype)).dtype
                return torch.empty(self._shape, dtype=kind, pin_memory=True).numpy()
            return huge(self._shape, self._dtype)

    def tensor(self, block: npt.NDArray[Any], items: int) -> Tensor:
        """Return the first items of a block; when that tensor is gone the block comes back."""
        # The finalizer hangs on this very view: views of it would have the block as their base.
        view = block[:items]
        weakref.finalize(view, self._free.append, block).atexit = False
        return torch.from_numpy(view)
