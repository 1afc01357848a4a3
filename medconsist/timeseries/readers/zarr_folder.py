"""Recordings in Zarr v3, in the layout of `stored_header`; a span reads the chunks that it needs.

The fill value of ``signal`` is NaN, and every chunk must be there: Zarr would give the fill value
for a chunk that was lost, and nobody could tell it from samples.
"""

import json
import shutil
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from jaxtyping import Float32

from medconsist._library_errors import library_errors
from medconsist.errors import (
    CorruptInputError,
    MissingInputError,
    StorageError,
    TruncatedFileError,
    UnsafeFileError,
    UnsupportedInputError,
)
from medconsist.timeseries.readers.files import as_float32
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.readers.raw_header import info_of
from medconsist.timeseries.readers.stored_header import header_text, parsed_header
from medconsist.timeseries.recording import Recording, RecordingInfo

__all__ = ["ZarrRecording", "is_zarr", "open_zarr", "write_zarr"]

_MOST_CHUNK = 2**26  # bytes
_CHUNK = 2**16  # samples


class ZarrRecording(Recording):
    """A recording in Zarr.

    Parameters
    ----------
    info
        Of the recording.
    signal
        The array, open.

    Examples
    --------
    >>> issubclass(ZarrRecording, Recording)
    True
    """

    def __init__(self, info: RecordingInfo, signal: Any) -> None:  # noqa: ANN401  a zarr array
        super().__init__(info)
        self._signal = signal

    def read(
        self, start: int = 0, stop: int | None = None
    ) -> Float32[npt.NDArray[np.float32], "time channels"]:
        """Return samples as they are stored."""
        span = self._span(start, stop)
        with library_errors(self.info.source, "zarr"):
            return as_float32(np.asarray(self._signal[span]), self.info.source)


def is_zarr(folder: Path) -> bool:
    """Say whether a folder is a Zarr v3 group or array."""
    return (folder / "zarr.json").is_file()


def open_zarr(folder: Path, options: ReadOptions) -> Recording:
    """Open a recording in Zarr.

    Raises
    ------
    UnsafeFileError
        A file in it is a link.
    UnsupportedInputError
        It is of another layout.
    TruncatedFileError
        A chunk is not there.
    CorruptInputError
        The header is not that of a recording.
    """
    if not folder.is_dir():
        msg = f"{folder} does not exist. Check the path of the recording."
        raise MissingInputError(msg)
    link = next((path for path in folder.rglob("*") if path.is_symlink()), None)
    if link is not None:
        msg = f"{folder.name} holds the link {link.name}, which can name other files."
        raise UnsafeFileError(msg)
    if not (folder / "signal" / "zarr.json").is_file():
        msg = (
            f"{folder.name} holds no array 'signal'; allowed: signal and the attribute medconsist, "
            "as medconsist.timeseries.readers.stored_header describes them."
        )
        raise UnsupportedInputError(msg)
    with library_errors(folder.name, "zarr"):
        group = zarr.open_group(folder, mode="r", zarr_format=3)
        signal: Any = group["signal"]
        header = dict(group.attrs).get("medconsist")
        raw = parsed_header(header, kind="Zarr", shape=signal.shape, path=folder)
        _refuse_chunks(signal, folder.name)
    return ZarrRecording(info_of(raw, folder, options), signal)


def write_zarr(recording: Recording, folder: Path) -> None:
    """Write a recording as Zarr v3, float32, with every chunk; ``folder`` must not be there.

    Raises
    ------
    StorageError
        The folder is there already, or the disk is full.
    """
    if folder.exists():
        msg = f"{folder.name} is there already, and a recording is written once; take another name."
        raise StorageError(msg)
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        _write(recording, partial)
        partial.replace(folder)
    except OSError as error:
        msg = f"{folder.name} cannot be written: {error}. Make room, or choose another folder."
        raise StorageError(msg) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(recording: Recording, folder: Path) -> None:
    info = recording.info
    shape = info.samples, len(info.channels)
    with zarr.config.set({"array.write_empty_chunks": True}):
        group = zarr.open_group(folder, mode="w", zarr_format=3)
        group.attrs["medconsist"] = json.loads(header_text(info))
        signal: Any = group.create_array(
            "signal",
            shape=shape,
            chunks=(min(_CHUNK, info.samples), shape[1]),
            dtype="float32",
            fill_value=np.nan,
        )
        for start in range(0, info.samples, _CHUNK):
            stop = min(info.samples, start + _CHUNK)
            signal[start:stop] = recording.read(start, stop)


def _refuse_chunks(signal: Any, name: str) -> None:  # noqa: ANN401  a zarr array
    if signal.dtype.kind not in "fiu":
        msg = f"{name}: signal holds {signal.dtype}; allowed: numbers."
        raise CorruptInputError(msg)
    stored = signal.shards or signal.chunks
    if prod(stored) * signal.dtype.itemsize > _MOST_CHUNK:
        msg = f"{name}: one chunk is {stored}; allowed: at most {_MOST_CHUNK} bytes."
        raise UnsupportedInputError(msg)
    wanted = prod(-(-n // each) for n, each in zip(signal.shape, stored, strict=True))
    there = signal._nshards_initialized if signal.shards else signal.nchunks_initialized
    if there != wanted:
        msg = f"{name}: {there} of {wanted} chunks are there; copy the folder again, whole."
        raise TruncatedFileError(msg)
