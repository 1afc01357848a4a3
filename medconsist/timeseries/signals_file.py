"""The samples of many windows in one NumPy file that is written piece by piece, then mapped."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from medconsist._atomic import atomic_replace, storage_errors
from medconsist.errors import CorruptResultError, RefusedInputError

__all__ = ["SignalsWriter", "mapped_signals", "write_signals"]


class SignalsWriter:
    """Appends windows to an open file; made by `write_signals`.

    Parameters
    ----------
    file
        Empty.
    shape
        Samples and channels of a window.

    Examples
    --------
    >>> import io
    >>> writer = SignalsWriter(io.BytesIO(), (4, 1))
    >>> writer.add(np.zeros((3, 4, 1), np.float32))
    >>> writer.windows
    3
    """

    def __init__(self, file: BufferedIOBase, shape: tuple[int, int]) -> None:
        self.windows = 0
        self._file = file
        self._shape = shape
        self._head()

    def add(self, signals: Float32[npt.NDArray[np.float32], "windows time channels"]) -> None:
        """Append windows.

        Raises
        ------
        RefusedInputError
            Windows of another size.
        """
        if signals.shape[1:] != self._shape:
            msg = f"windows of {signals.shape[1:]} cannot follow windows of {self._shape}."
            raise RefusedInputError(msg)
        self._file.write(np.ascontiguousarray(signals, "<f4").data)
        self.windows += len(signals)

    def finish(self) -> None:
        """Write the number of windows into the head."""
        self._file.seek(0)
        self._head()

    def _head(self) -> None:
        # NumPy leaves room in a head for the first axis to grow, so that it can be written again.
        fields = {"descr": "<f4", "fortran_order": False, "shape": (self.windows, *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, fields)


@contextmanager
def write_signals(path: Path, *, samples: int, channels: int) -> Iterator[SignalsWriter]:
    """Yield a writer; ``path`` is there when the block ends, or stays as it was if it raises.

    Parameters
    ----------
    path
        ``*.npy``.
    samples, channels
        Of a window.

    Raises
    ------
    StorageError
        The disk is full or not writable.
    """
    with atomic_replace(path) as temporary, temporary.open("xb") as file:
        writer = SignalsWriter(file, (samples, channels))
        yield writer
        writer.finish()


def mapped_signals(
    path: Path, *, shape: tuple[int, int, int]
) -> Float32[npt.NDArray[np.float32], "windows time channels"]:
    """Return the samples of a file that `write_signals` wrote, mapped and read-only.

    Parameters
    ----------
    path
        ``*.npy``.
    shape
        What it must hold.

    Raises
    ------
    CorruptResultError
        It holds something else.
    """
    try:
        with storage_errors(path, doing="read"):
            signals = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        msg = f"{path} is no NumPy file of plain numbers ({error}). Prepare the recordings again."
        raise CorruptResultError(msg) from error
    if signals.shape != shape or signals.dtype != np.float32:
        msg = (
            f"{path} holds {signals.dtype} of shape {signals.shape}, its record says float32 of "
            f"shape {shape}. Prepare the recordings again."
        )
        raise CorruptResultError(msg)
    return signals
