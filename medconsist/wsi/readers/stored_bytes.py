"""Reading stored tiles from the file: few large reads, by position only, safe across threads."""

import os
import weakref
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medconsist.errors import MissingInputError, StorageError, TruncatedFileError

__all__ = ["Reads", "read_tiles"]

# Neighbours this far apart are read together: a gap costs less than a second read.
_GAP = 64 << 10
_RUN = 4 << 20
_BLOCK = 64 << 10


class Reads:
    """Reads by position from one file; a process that inherits it through fork opens its own.

    ``os.preadv`` moves no file position, so threads need no lock. Override `read_into` to inject
    latency or to read from elsewhere.

    Parameters
    ----------
    path
        The file; opened at the first read.

    Examples
    --------
    >>> bytes(Reads(Path(__file__)).pread(0, 3))
    b'\"\"\"'
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptors: dict[int, int] = {}
        self._free: dict[int, deque[npt.NDArray[np.uint8]]] = {}

    def read_into(self, offset: int, out: memoryview) -> int:
        """Read from ``offset`` until ``out`` is full or the file ends; return how many bytes.

        Raises
        ------
        MissingInputError
            The file is gone.
        StorageError
            The disk or the network failed.
        """
        try:
            done = os.preadv(self._descriptor(), [out], offset)
            while 0 < done < len(out) and (
                more := os.preadv(self._descriptor(), [out[done:]], offset + done)
            ):
                done += more
        except FileNotFoundError as error:
            msg = f"{self.path.name} does not exist any more."
            raise MissingInputError(msg) from error
        except OSError as error:
            msg = f"{self.path.name} cannot be read at byte {offset}: {error}"
            raise StorageError(msg) from error
        return done

    def pread(self, offset: int, size: int) -> memoryview:
        """Return exactly ``size`` bytes from ``offset``.

        The memory is used again when nobody holds it: fresh memory for every read would cost more
        than the reading itself.

        Raises
        ------
        TruncatedFileError
            The file ends before.
        """
        data = self._block(size).data
        done = self.read_into(offset, data)
        if done < size:
            msg = f"{self.path.name} ends at byte {offset + done}; {size} bytes from {offset} on "
            msg += "are needed."
            raise TruncatedFileError(msg)
        return data

    def close(self) -> None:
        """Close the file of this process; it opens again when it is read again."""
        descriptor = self._descriptors.pop(os.getpid(), None)
        if descriptor is not None:
            os.close(descriptor)

    def __reduce__(self) -> tuple[type["Reads"], tuple[Path]]:
        """Pickle the path; whoever loads it opens the file for itself."""
        return type(self), (self.path,)

    def __del__(self) -> None:
        """Close the file."""
        self.close()

    def _descriptor(self) -> int:
        known = self._descriptors.get(os.getpid())
        if known is not None:
            return known
        mine = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        # Two threads may come here at once; no lock, as a fork could copy it while it is held.
        kept = self._descriptors.setdefault(os.getpid(), mine)
        if kept != mine:
            os.close(mine)
        return kept

    def _block(self, size: int) -> npt.NDArray[np.uint8]:
        rounded = _BLOCK << max(0, (size - 1) // _BLOCK).bit_length()
        free = self._free.setdefault(rounded, deque(maxlen=32))
        try:
            block = free.pop()
        except IndexError:
            block = np.empty(rounded, np.uint8)
        view = block[:size]
        weakref.finalize(view, free.append, block).atexit = False
        return view


def read_tiles(
    reads: Reads, offsets: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> Sequence[memoryview | None]:
    r"""Return the bytes of stored tiles, neighbours in the file by one read; None for a count of 0.

    Parameters
    ----------
    reads
        Of the file.
    offsets, counts
        Of the tiles, in any order.

    Examples
    --------
    >>> offsets, counts = np.array([2, 7, 0]), np.array([1, 0, 2])
    >>> read = read_tiles(Reads(Path(__file__)), offsets, counts)
    >>> [part if part is None else bytes(part) for part in read]
    [b'"', None, b'""']
    """
    begins, lengths = offsets.tolist(), counts.tolist()
    if _one_run(offsets, counts):
        first = begins[0]
        data = reads.pread(first, begins[-1] + lengths[-1] - first)
        pairs = zip(begins, lengths, strict=True)
        return [data[at - first : at - first + size] for at, size in pairs]
    found: list[memoryview | None] = [None] * len(begins)
    run: list[int] = []
    first = end = 0
    for tile in sorted(range(len(begins)), key=begins.__getitem__):
        begin, length = begins[tile], lengths[tile]
        if not length:
            continue
        if run and (begin - end > _GAP or begin + length - first > _RUN):
            _read_run(reads, run, (first, end), begins, lengths, found)
            run = []
        if not run:
            first = end = begin
        run.append(tile)
        end = max(end, begin + length)
    if run:
        _read_run(reads, run, (first, end), begins, lengths, found)
    return found


def _one_run(offsets: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> bool:
    """Return whether tiles lie one after the other, near enough to be read at once."""
    if not len(offsets) or not counts.all():
        return False
    gaps = offsets[1:] - offsets[:-1] - counts[:-1]
    near = not len(gaps) or (gaps.min() >= 0 and gaps.max() <= _GAP)
    return bool(near and offsets[-1] + counts[-1] - offsets[0] <= _RUN)


def _read_run(
    reads: Reads,
    run: Sequence[int],
    span: tuple[int, int],
    begins: Sequence[int],
    lengths: Sequence[int],
    found: list[memoryview | None],
) -> None:
    first, end = span
    data = reads.pread(first, end - first)
    for tile in run:
        at = begins[tile] - first
        found[tile] = data[at : at + lengths[tile]]
