"""What a loader reads: items of one shape, each decoded into memory that the loader owns."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Source"]


class Source(ABC):
    """Items in a fixed order; safe to read from several threads at once.

    Examples
    --------
    >>> class Squares(Source):
    ...     shape, dtype = (1,), np.dtype(np.uint8)
    ...     def __len__(self): return 4
    ...     def read(self, position, out): out[:] = position**2
    >>> Squares().all().ravel().tolist()
    [0, 1, 4, 9]
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items."""

    @abstractmethod
    def read(self, position: int, out: npt.NDArray[Any]) -> None:
        """Decode item ``position`` into ``out``, an array of `shape` and `dtype`."""

    def all(self) -> npt.NDArray[Any]:
        """Return every item, read one after the other: the plain loop that loaders must equal."""
        items = np.empty((len(self), *self.shape), self.dtype)
        for position in range(len(self)):
            self.read(position, items[position])
        return items
