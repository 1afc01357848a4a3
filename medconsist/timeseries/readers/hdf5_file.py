"""Recordings in HDF5, in the layout of `stored_header`; opened for each span, never held open."""

from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from medconsist._atomic import atomic_replace
from medconsist._hdf5_guard import check_links, hdf5_errors
from medconsist.errors import CorruptInputError, TruncatedFileError, UnsupportedInputError
from medconsist.timeseries.readers.files import as_float32, require_budget, require_file
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.readers.raw_header import info_of
from medconsist.timeseries.readers.stored_header import header_text, parsed_header
from medconsist.timeseries.recording import Recording, RecordingInfo

__all__ = ["HDF5_MAGIC", "Hdf5Recording", "open_hdf5", "write_hdf5"]

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_MOST_HEADER = 2**26
_PIECE = 2**20  # samples


class Hdf5Recording(Recording):
    """A recording in HDF5; each span is read from its place in the file.

    Parameters
    ----------
    info
        Of the recording.
    path
        The file.

    Examples
    --------
    >>> issubclass(Hdf5Recording, Recording)
    True
    """

    def __init__(self, info: RecordingInfo, path: Path) -> None:
        super().__init__(info)
        self._path = path

    def read(
        self, start: int = 0, stop: int | None = None
    ) -> Float32[npt.NDArray[np.float32], "time channels"]:
        """Return samples as they are stored."""
        span = self._span(start, stop)
        require_file(self._path)
        with hdf5_errors(self._path.name), h5py.File(self._path, "r", locking=False) as file:
            check_links(file, name=self._path.name)
            signal = _plain(file, "signal", self._path)
            if signal.shape != (self.info.samples, len(self.info.channels)):
                msg = f"{self._path.name} has changed since it was opened: {signal.shape} samples."
                raise CorruptInputError(msg)
            return as_float32(signal[span], self._path.name)


def open_hdf5(path: Path, options: ReadOptions) -> Recording:
    """Open a recording in HDF5.

    Raises
    ------
    UnsafeFileError
        It holds links, external storage or a virtual dataset.
    UnsupportedInputError
        It is of another layout, or compressed.
    TruncatedFileError, CorruptInputError
        As their names say.
    """
    require_file(path)
    with hdf5_errors(path.name), h5py.File(path, "r", locking=False) as file:
        check_links(file, name=path.name)
        signal, header = _plain(file, "signal", path), _plain(file, "header", path)
        if header.dtype != np.uint8 or signal.dtype.kind not in "fiu":
            msg = (
                f"{path.name}: signal holds {signal.dtype}, header {header.dtype}; allowed: "
                "numbers and uint8."
            )
            raise UnsupportedInputError(msg)
        require_budget(f"{path.name}: header", int(header.size), _MOST_HEADER)
        text = header[...].tobytes()
        raw = parsed_header(text, kind="HDF5", shape=signal.shape, path=path)
    return Hdf5Recording(info_of(raw, path, options), path)


def write_hdf5(recording: Recording, path: Path) -> None:
    """Write a recording as HDF5, float32, a span at a time.

    Raises
    ------
    StorageError
        The disk is full or not writable; ``path`` stays as it was.
    """
    info = recording.info
    with atomic_replace(path) as temporary, h5py.File(temporary, "x") as file:
        text = header_text(info).encode()
        file.create_dataset("header", data=np.frombuffer(text, np.uint8))
        signal = file.create_dataset("signal", (info.samples, len(info.channels)), np.float32)
        for start in range(0, info.samples, _PIECE):
            stop = min(info.samples, start + _PIECE)
            signal[start:stop] = recording.read(start, stop)


def _plain(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """Return a dataset without filters, whose bytes are all in the file."""
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        msg = (
            f"{path.name} holds no array {name!r} (found: {sorted(file)[:20]}); allowed: signal "
            "and header, as medconsist.timeseries.readers.stored_header describes them."
        )
        raise UnsupportedInputError(msg)
    if dataset.id.get_create_plist().get_nfilters():
        # A filter inflates a chunk whole before anybody can look at its size.
        msg = f"{path.name}: {name} is compressed; allowed: not. Write it again without filters."
        raise UnsupportedInputError(msg)
    stored, claimed = dataset.id.get_storage_size(), dataset.size * dataset.dtype.itemsize
    if stored < claimed:
        msg = f"{path.name}: {name} claims {claimed} bytes and {stored} are there. Copy it again."
        raise TruncatedFileError(msg)
    return dataset
