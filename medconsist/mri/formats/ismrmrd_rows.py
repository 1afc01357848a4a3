"""Rows of an ISMRMRD dataset: a fixed head and samples of any length, read inside the worker.

Inati et al. 2017, doi:10.1002/mrm.26089. ``data`` of a row are 32-bit floats, real and imaginary
part in turn, samples of one channel together. Runs in the disposable process: no torch here.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped

from medconsist.errors import RefusedInputError
from medconsist.mri.formats.files import check_budget

__all__ = ["COUNTERS", "read_heads", "read_samples"]

_INTEGERS = (
    "flags",
    "number_of_samples",
    "active_channels",
    "discard_pre",
    "discard_post",
    "center_sample",
    "encoding_space_ref",
)
_VECTORS = ("position", "read_dir", "phase_dir", "slice_dir")
_REALS = {"sample_time_us": (), **dict.fromkeys(_VECTORS, (3,))}
COUNTERS = (
    "kspace_encode_step_1",
    "kspace_encode_step_2",
    "average",
    "slice",
    "contrast",
    "phase",
    "repetition",
    "set",
)
_ROWS_AT_ONCE = 256
_MOST = 2**16 - 1  # samples and channels of a row: ISMRMRD counts them in 16 bits


def read_heads(dataset: h5py.Dataset, *, path: Path, budget_bytes: int) -> Iterator[bytes]:
    """Yield the line and the bytes of one array per field of the heads.

    Raises
    ------
    RefusedInputError
        If the rows are not those of ISMRMRD, or claim more than a row can hold.
    BudgetError
        If the heads alone claim more than the budget.
    """
    _check_rows(dataset, path)
    count = len(dataset)
    check_budget(path, count * int(dataset.dtype.itemsize), budget_bytes)
    heads = dataset.fields("head")
    arrays = _empty(count)
    for start in range(0, count, _ROWS_AT_ONCE):
        part = heads[start : start + _ROWS_AT_ONCE]
        for name, array in arrays.items():
            source = part["idx"][name] if name in COUNTERS else part[name]
            array[start : start + _ROWS_AT_ONCE] = source
    _check_lengths(arrays, path)
    items = [{"name": n, "dtype": a.dtype.str, "shape": list(a.shape)} for n, a in arrays.items()]
    yield json.dumps({"arrays": items}).encode() + b"\n"
    for array in arrays.values():
        yield array.tobytes()


def read_samples(
    dataset: h5py.Dataset, rows: Shaped[np.ndarray, " rows"], *, path: Path, budget_bytes: int
) -> Iterator[bytes]:
    """Yield the line and the bytes of the samples of these rows (ascending), one after the other.

    Raises
    ------
    RefusedInputError
        If a row holds more or fewer samples than its head claims.
    BudgetError
        If the heads of the rows claim more than the budget.
    """
    _check_rows(dataset, path)
    heads = dataset.fields("head")
    claimed = np.zeros(len(rows), dtype=np.int64)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = heads[rows[start : start + _ROWS_AT_ONCE]]
        channels = part["active_channels"].astype(np.int64)
        claimed[start : start + _ROWS_AT_ONCE] = channels * part["number_of_samples"]
    total = int(claimed.sum())
    check_budget(path, 8 * total, budget_bytes)
    item = {"name": "samples", "dtype": "<c8", "shape": [total]}
    yield json.dumps({"arrays": [item]}).encode() + b"\n"
    data = dataset.fields("data")
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        here = slice(start, start + _ROWS_AT_ONCE)
        for row, samples, points in zip(rows[here], data[rows[here]], claimed[here], strict=True):
            if len(samples) != 2 * points:
                msg = f"row {row} claims {points} samples and holds {len(samples) / 2:g}"
                raise ValueError(msg)
            yield np.ascontiguousarray(samples, dtype="<f4").tobytes()


def _empty(count: int) -> dict[str, Shaped[np.ndarray, "..."]]:
    arrays: dict[str, Shaped[np.ndarray, ...]]
    arrays = {name: np.zeros(count, "<u8" if name == "flags" else "<i8") for name in _INTEGERS}
    arrays |= {name: np.zeros(count, "<i8") for name in COUNTERS}
    return arrays | {name: np.zeros((count, *more), "<f4") for name, more in _REALS.items()}


def _check_lengths(arrays: dict[str, Shaped[np.ndarray, "..."]], path: Path) -> None:
    for name in ("number_of_samples", "active_channels"):
        if len(arrays[name]) and not 0 <= arrays[name].min() <= arrays[name].max() <= _MOST:
            msg = (
                f"{path.name}: a readout claims {name} from {arrays[name].min()} to "
                f"{arrays[name].max()}; allowed: 0 to {_MOST}. Convert the file again."
            )
            raise RefusedInputError(msg)


def _check_rows(dataset: h5py.HLObject, path: Path) -> None:
    good = isinstance(dataset, h5py.Dataset) and dataset.ndim == 1
    if good:
        dtype = dataset.dtype
        names = set(dtype.names or ())
        good = names >= {"head", "data"} and h5py.check_vlen_dtype(dtype["data"]) == np.float32
        if good:
            head = dtype["head"]
            good = set(head.names or ()) >= {"idx", *_INTEGERS, *_REALS}
            good = good and set(head["idx"].names or ()) >= set(COUNTERS)
            good = good and all(head[name].shape == shape for name, shape in _REALS.items())
    if not good:
        msg = (
            f"{path.name}: {dataset.name} has no rows of head and data as ISMRMRD defines them; "
            "convert the file with the ISMRMRD converter of its vendor."
        )
        raise RefusedInputError(msg)
