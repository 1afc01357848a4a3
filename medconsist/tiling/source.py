"""What a loader reads: items of one shape, each decoded into memory that the loader owns."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Job", "Place", "Source"]

Place = Callable[[int], npt.NDArray[Any]]
_GROUP = 16


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Job:
    """A part of the work on a source: bytes that are fetched, and memory that they decode into.

    Jobs come in an order; each may write to parts of items that other jobs write other parts of,
    so a stored piece that many items share is decoded once. Items are named by their *rank*: the
    place in `Source.order`.

    Parameters
    ----------
    ranks
        Every item that this job writes to.
    complete
        So many items, from rank 0 on, are whole once this job and all before it are done.
    decode
        Takes what ``fetch`` returned and a function from rank to the memory of that item.
    fetch
        Reads bytes and does nothing else, so that many may wait at once; None if there is nothing
        to wait for.

    Examples
    --------
    >>> job = Job(ranks=np.arange(2), complete=2, decode=lambda _, place: place(1).fill(7))
    >>> items = np.zeros((2, 3), np.uint8)
    >>> job.decode(None, items.__getitem__)
    >>> items.tolist()
    [[0, 0, 0], [7, 7, 7]]
    """

    ranks: npt.NDArray[np.int64]
    complete: int
    decode: Callable[[Any, Place], None]
    fetch: Callable[[], Any] | None = None


class Source(ABC):
    """Items in a fixed order; safe to read from several threads at once.

    A reader that only knows how to decode one item implements `read`. One that can do better on
    many (read neighbours at once, decode a shared piece once) also gives `jobs`, and says by
    `order` in which order items then come; content never depends on it. If items are first
    gathered in another shape (a region that is then resampled), `canvas` is that shape and
    `finish` makes the item.

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
    canvas: tuple[int, ...] | None = None

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items."""

    @abstractmethod
    def read(self, position: int, out: npt.NDArray[Any]) -> None:
        """Decode item ``position`` into ``out``, an array of `shape` and `dtype`."""

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """The positions in the order in which a loader delivers them."""
        return np.arange(len(self), dtype=np.int64)

    def jobs(self) -> Iterator[Job]:
        """Yield the work on all items; here, groups of items that are read one after the other."""
        order = self.order
        for start in range(0, len(order), _GROUP):
            stop = min(start + _GROUP, len(order))
            ranks = np.arange(start, stop, dtype=np.int64)
            yield Job(ranks=ranks, complete=stop, decode=self._reader(ranks, order[start:stop]))

    def finish(self, rank: int, canvas: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        """Make item ``rank`` of what was gathered in ``canvas``; only called if `canvas` is set."""
        msg = f"{type(self).__name__} gathers rank {rank} in a canvas and does not say what of it."
        raise NotImplementedError(msg)

    def all(self) -> npt.NDArray[Any]:
        """Return every item, read one after the other: the plain loop that loaders must equal."""
        items = np.empty((len(self), *self.shape), self.dtype)
        for position in range(len(self)):
            self.read(position, items[position])
        return items

    def _reader(
        self, ranks: npt.NDArray[np.int64], positions: npt.NDArray[np.int64]
    ) -> Callable[[Any, Place], None]:
        pairs = list(zip(ranks.tolist(), positions.tolist(), strict=True))

        def decode(_: object, place: Place) -> None:
            for rank, position in pairs:
                self.read(position, place(rank))

        return decode
