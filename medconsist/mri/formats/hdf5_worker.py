"""The disposable process that opens a foreign HDF5 file and streams named datasets to its parent.

Run by `foreign_hdf5` beside it as ``python -m medconsist.mri.formats.hdf5_worker``; it imports
neither torch nor anything that the parent holds. The first line names the file and is answered
with a list of its datasets, further ones ask for datasets (`Request`) or for ISMRMRD rows. Answers
are one line of JSON, ``{"arrays": [{name, dtype, shape}...], ...}``, then the bytes of the arrays.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from medconsist._hdf5_guard import check_links, hdf5_errors
from medconsist.errors import BudgetError, RefusedInputError
from medconsist.mri.formats.files import check_budget
from medconsist.mri.formats.ismrmrd_rows import read_heads, read_samples
from medconsist.mri.formats.worker_process import Answer, serve

__all__ = ["Request", "open_file"]

_MOST_TEXT = 2**20
_PIECE_BYTES = 2**25
_MOST_LISTED = 1000
_READABLE_KINDS = "biufc"
_COMPLEX = {("<f4", "<f4"): "<c8", ("<f8", "<f8"): "<c16"}


@dataclass(frozen=True)
class Request:
    """Which datasets (arrays, texts) and root attributes to read, and how much they may claim.

    Names may be paths inside the file, such as ``"group/name"``. ``picks`` gives for an array the
    axis and the index along it that alone is read, ``spans`` a start and a stop along the first
    axis (then no pick of that one). Compounds of real and imag are read as complex.

    Examples
    --------
    >>> Request("scan.h5", arrays=("kspace",)).budget_bytes // 2**30
    8
    """

    path: str
    arrays: tuple[str, ...]
    texts: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    budget_bytes: int = 2**33
    picks: dict[str, tuple[int, int]] = field(default_factory=dict)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Wanted:
    """One dataset, or the part of it at one index of one axis, or of a span of the first."""

    name: str
    dataset: h5py.Dataset
    pick: tuple[int, int] | None
    span: tuple[int, int] | None

    @property
    def dtype(self) -> "np.dtype[Any]":
        return _complex_of(self.dataset.dtype) or self.dataset.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.dataset.shape
        if self.span is not None:
            shape = (self.span[1] - self.span[0], *shape[1:])
        return shape if self.pick is None else shape[: self.pick[0]] + shape[self.pick[0] + 1 :]


@dataclass(frozen=True)
class _Header:
    arrays: list[dict[str, object]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str | float] = field(default_factory=dict)
    present: list[str] = field(default_factory=list)


@contextmanager
def open_file(first: dict[str, Any]) -> Iterator[Answer]:
    """Open the file that the first request names; give what answers it and all others.

    Raises
    ------
    MedconsistError
        If the file is unsafe, truncated, over budget or not understood.
    """
    path, budget_bytes = Path(first["path"]), int(first["budget_bytes"])
    try:
        with hdf5_errors(path.name), h5py.File(path, "r", locking=False) as file:
            check_links(file, name=path.name)

            def answer(asked: dict[str, Any]) -> Iterator[bytes]:
                if "path" in asked:
                    listing = {"arrays": [], "datasets": _listed(file)}
                    return iter((json.dumps(listing).encode() + b"\n",))
                if "heads" in asked:
                    return read_heads(file[asked["heads"]], path=path, budget_bytes=budget_bytes)
                if "samples" in asked:
                    rows = np.asarray(asked["rows"], dtype=np.int64)
                    dataset = file[asked["samples"]]
                    return read_samples(dataset, rows, path=path, budget_bytes=budget_bytes)
                return _read(file, _parse(asked, path=path, budget_bytes=budget_bytes))

            yield answer
    except BudgetError:  # a MemoryError too
        raise
    except MemoryError as error:
        msg = f"{path.name} needs more memory than budget_bytes = {budget_bytes} allows."
        raise BudgetError(msg) from error


def _read(file: h5py.File, request: Request) -> Iterator[bytes]:
    path = Path(request.path)
    found = [(name, file[name]) for name in request.arrays if name in file]
    for _, dataset in found:
        _check_dataset(path, dataset)
    wanted = [_wanted(path, name, dataset, request) for name, dataset in found]
    check_budget(path, sum(map(_claimed_bytes, wanted)), request.budget_bytes)
    header = _Header(
        arrays=[{"name": w.name, "dtype": w.dtype.str, "shape": list(w.shape)} for w in wanted],
        texts={name: _text(file[name]) for name in request.texts if name in file},
        attributes=_attributes(file, request.attributes),
        present=sorted(file)[:20],
    )
    yield json.dumps(asdict(header)).encode() + b"\n"
    for one in wanted:
        yield from _pieces(one)


def _listed(file: h5py.File) -> list[tuple[str, list[int], list[str], str]]:
    """Return name, shape, fields and kind of the datasets of the root and of its groups."""
    groups = [("", file), *((f"{name}/", file[name]) for name in sorted(file)[:_MOST_LISTED])]
    found = []
    for prefix, group in groups:
        if not isinstance(group, h5py.Group):
            continue
        for name in sorted(group)[:_MOST_LISTED]:
            item = group[name]
            if isinstance(item, h5py.Dataset) and item.shape is not None:
                found.append((prefix + name, list(item.shape), *_fields_and_kind(item)))
    return found[:_MOST_LISTED]


def _fields_and_kind(dataset: h5py.Dataset) -> tuple[list[str], str]:
    try:
        return list(dataset.dtype.names or ()), dataset.dtype.kind
    except (TypeError, ValueError):  # a type that NumPy does not know, on a dataset nobody asks for
        return [], ""


def _wanted(path: Path, name: str, dataset: h5py.Dataset, request: Request) -> _Wanted:
    pick, span = request.picks.get(name), request.spans.get(name)
    if pick is not None and not (pick[0] < dataset.ndim and pick[1] < dataset.shape[pick[0]]):
        msg = f"{path.name}: {name} has axes {dataset.shape}, no index {pick[1]} on axis {pick[0]}."
        raise RefusedInputError(msg)
    fits = span is None or (
        (pick is None or pick[0] > 0) and 0 <= span[0] <= span[1] <= (dataset.shape or (0,))[0]
    )
    if not fits:
        msg = f"{path.name}: {name} has axes {dataset.shape}, not {span} of the first one."
        raise RefusedInputError(msg)
    return _Wanted(name, dataset, pick, span)


def _check_dataset(path: Path, dataset: h5py.HLObject) -> None:
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        msg = f"{path.name}: {dataset.name} is no array; allowed: an HDF5 dataset with samples."
        raise RefusedInputError(msg)
    if dataset.dtype.kind not in _READABLE_KINDS and _complex_of(dataset.dtype) is None:
        msg = f"{path.name}: {dataset.name} holds {dataset.dtype}; allowed: numbers."
        raise RefusedInputError(msg)


def _complex_of(dtype: "np.dtype[Any]") -> "np.dtype[Any] | None":
    """Return the complex type that MATLAB's compound of real and imag stands for, else None."""
    if dtype.names != ("real", "imag") or dtype.fields is None:
        return None
    kind = _COMPLEX.get((dtype["real"].str, dtype["imag"].str))
    packed = kind is not None and dtype.itemsize == np.dtype(kind).itemsize
    return np.dtype(kind) if packed and dtype.fields["real"][1] == 0 else None


def _claimed_bytes(wanted: _Wanted) -> int:
    """Bytes of what is wanted or of one chunk, whichever is more: a chunk is read whole."""
    points: int = max(prod(wanted.shape), prod(wanted.dataset.chunks or (0,)))
    return points * int(wanted.dtype.itemsize)


def _text(dataset: h5py.Dataset) -> str:
    """Return a string dataset, scalar or of one element, fixed or variable length."""
    if not isinstance(dataset, h5py.Dataset) or dataset.size != 1:
        msg = "a text dataset must hold exactly one string"
        raise ValueError(msg)
    if dataset.dtype.itemsize > _MOST_TEXT:
        msg = f"a text of {dataset.dtype.itemsize} bytes is longer than {_MOST_TEXT}"
        raise ValueError(msg)
    value = dataset[()] if dataset.shape == () else dataset[(0,) * dataset.ndim]
    text = value.decode("utf-8") if isinstance(value, bytes) else str(value)
    return text[:_MOST_TEXT].rstrip("\0")


def _attributes(file: h5py.File, names: tuple[str, ...]) -> dict[str, str | float]:
    found: dict[str, str | float] = {}
    for name in names:
        value = file.attrs.get(name)
        if isinstance(value, bytes):
            value = value.decode("utf-8", errors="replace")
        if isinstance(value, str):
            found[name] = value[:200]
        elif isinstance(value, int | float | np.integer | np.floating):
            found[name] = float(value)
    return found


def _pieces(wanted: _Wanted) -> Iterator[bytes]:
    dataset, pick = wanted.dataset, wanted.pick
    if not wanted.shape:
        yield np.asarray(dataset[() if pick is None else pick[1]]).tobytes()
        return
    step = max(1, _PIECE_BYTES // max(1, prod(wanted.shape[1:]) * wanted.dtype.itemsize))
    first, stop = wanted.span or (0, wanted.shape[0])
    for start in range(first, stop, step):
        where: tuple[int | slice, ...] = (slice(start, min(start + step, stop)),)
        if pick is not None and pick[0] == 0:
            where = (pick[1], *where)
        elif pick is not None:
            where = (*where, *(slice(None),) * (pick[0] - 1), pick[1])
        yield np.ascontiguousarray(dataset[where]).tobytes()


def _parse(asked: dict[str, Any], *, path: Path, budget_bytes: int) -> Request:
    return Request(
        path=str(path),
        arrays=tuple(asked["arrays"]),
        texts=tuple(asked["texts"]),
        attributes=tuple(asked["attributes"]),
        budget_bytes=budget_bytes,
        picks={str(name): (int(axis), int(at)) for name, (axis, at) in asked["picks"].items()},
        spans={
            str(name): (int(start), int(stop)) for name, (start, stop) in asked["spans"].items()
        },
    )


if __name__ == "__main__":
    serve(open_file)
