"""Arrays on disk: Zarr v3 with the sharding codec, bit for bit what was given."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medconsist.errors import CorruptResultError, RefusedInputError

__all__ = ["read_array", "write_array"]

_CHUNK_BYTES = 1 << 20  # one 512 x 256 complex64 plane: read in milliseconds
_SHARD_BYTES = 1 << 29  # few files for file systems that count them, yet one fits in memory
_KINDS = "biufc"  # bool, integers, floats, complex: the numeric types of the Zarr v3 core


def write_array(path: Path, array: npt.NDArray[Any], *, axes: Sequence[str]) -> None:
    """Write an array as one Zarr v3 folder; complex stays complex.

    Parameters
    ----------
    path
        A folder that does not exist yet.
    array
        Bool, integer, float or complex; one axis or more, none of length 0.
    axes
        Names of the axes, stored as ``dimension_names``.

    Raises
    ------
    RefusedInputError
        For other types, empty arrays and scalars.
    """
    import zarr  # heavy: 0.4 s

    if array.dtype.kind not in _KINDS or array.dtype.itemsize > 16 or 0 in (array.size, array.ndim):
        msg = (
            f"Cannot store an array of type {array.dtype} and shape {array.shape}: "
            "bool, integer, float and complex arrays with at least one element and axis can be."
        )
        raise RefusedInputError(msg)
    chunks = _chunks(array.shape, array.dtype.itemsize)
    stored = zarr.create_array(
        path,
        shape=array.shape,
        dtype=array.dtype.newbyteorder("="),
        chunks=chunks,
        shards=_shards(array.shape, chunks, array.dtype.itemsize),
        dimension_names=tuple(axes),
        zarr_format=3,
        # A chunk of -0.0 equals the fill value 0.0; left out, it would come back as +0.0.
        config={"write_empty_chunks": True},
    )
    stored[...] = array


def read_array(path: Path, *, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    """Return the array of a Zarr folder if it has the recorded shape and type.

    Raises
    ------
    CorruptResultError
        If its own header says otherwise; nothing is read then.
    """
    import zarr  # heavy: 0.4 s

    stored = zarr.open_array(path, mode="r")
    if stored.shape != shape or str(stored.dtype) != dtype:
        msg = (
            f"{path} holds {stored.dtype} {stored.shape}, but its result says {dtype} {shape}. "
            "Quarantine this result."
        )
        raise CorruptResultError(msg)
    return np.asarray(stored[...])


def _chunks(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    room = _CHUNK_BYTES // itemsize
    chunks: list[int] = []
    for length in reversed(shape):
        chunks.insert(0, max(1, min(length, room)))
        room //= chunks[0]
    return tuple(chunks)


def _shards(shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    room = max(1, _SHARD_BYTES // (itemsize * math.prod(chunks)))  # chunks in a shard
    shards: list[int] = []
    for length, chunk in zip(reversed(shape), reversed(chunks), strict=True):
        count = max(1, min(math.ceil(length / chunk), room))
        shards.insert(0, count * chunk)
        room //= count
    return tuple(shards)
