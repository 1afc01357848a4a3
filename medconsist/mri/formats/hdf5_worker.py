"""The disposable process that opens a foreign HDF5 file and streams named datasets to its parent.

Run by `foreign_hdf5` beside it as ``python -m medconsist.mri.formats.hdf5_worker``; it imports
neither torch nor anything that the parent holds. Protocol on standard output: one line of JSON,
either ``{"error": class, "message": text}`` or ``{"arrays": [{name, dtype, shape}...], "texts":
{...}, "attributes": {...}, "present": [...]}``, then the raw bytes of the arrays in that order.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from medconsist.errors import (
    BudgetError,
    MedconsistError,
    RefusedInputError,
    TruncatedFileError,
    UnsafeFileError,
)
from medconsist.mri.formats.files import check_budget

__all__ = ["Request", "answer", "check_links"]

_MOST_OBJECTS = 10_000
_MOST_TEXT = 2**20
_PIECE_BYTES = 2**25
_BASE_MEMORY = 2**30
_BASE_SECONDS = 30
_BYTES_PER_SECOND = 2**25  # slow gzip on a busy core
_READABLE_KINDS = "biufc"


@dataclass(frozen=True)
class Request:
    """Which datasets (arrays, texts) and root attributes to read, and how much they may claim.

    Names may be paths inside the file, such as ``"group/name"``.

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


@dataclass(frozen=True)
class _Header:
    arrays: list[dict[str, object]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str | float] = field(default_factory=dict)
    present: list[str] = field(default_factory=list)


def answer(request: Request) -> Iterator[bytes]:
    """Yield the header line, then the bytes of the wanted datasets piece by piece.

    Raises
    ------
    MedconsistError
        If the file is unsafe, truncated, over budget or not understood.
    """
    path = Path(request.path)
    try:
        with h5py.File(path, "r", locking=False) as file:
            check_links(file, name=path.name)
            datasets = [file[name] for name in request.arrays if name in file]
            for dataset in datasets:
                _check_dataset(path, dataset)
            claimed = sum(_claimed_bytes(dataset) for dataset in datasets)
            check_budget(path, claimed, request.budget_bytes)
            header = _Header(
                arrays=[_describe(dataset) for dataset in datasets],
                texts={name: _text(file[name]) for name in request.texts if name in file},
                attributes=_attributes(file, request.attributes),
                present=sorted(file)[:20],
            )
            yield json.dumps(asdict(header)).encode() + b"\n"
            for dataset in datasets:
                yield from _pieces(dataset)
    except MedconsistError:
        raise
    except MemoryError as error:
        msg = f"{path.name} needs more memory than budget_bytes = {request.budget_bytes} allows."
        raise BudgetError(msg) from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        msg = (
            f"{path.name} is truncated or damaged: the HDF5 library says {reason!r}. "
            "Copy the file again."
        )
        raise TruncatedFileError(msg) from error


def check_links(file: h5py.File, *, name: str) -> None:
    """Refuse a file that reaches outside itself, without following any link.

    Raises
    ------
    UnsafeFileError
        If it holds a soft or external link, external storage or a virtual dataset.
    RefusedInputError
        If it holds more than 10 000 objects.
    """
    seen: set[int] = set()
    waiting: list[h5py.Group] = [file["/"]]
    while waiting:
        group = waiting.pop()
        for key in group:
            link = group.get(key, getlink=True)
            if not isinstance(link, h5py.HardLink):
                msg = (
                    f"{name} holds the {type(link).__name__} {key!r}; links can name other files "
                    "and are refused. Copy the data themselves into one file."
                )
                raise UnsafeFileError(msg)
            item = group[key]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > _MOST_OBJECTS:
                msg = f"{name} holds more than {_MOST_OBJECTS} objects; k-space files hold a few."
                raise RefusedInputError(msg)
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                msg = (
                    f"{name} keeps the samples of {key!r} in other files (external storage or a "
                    "virtual dataset), which is refused. Copy the data themselves into one file."
                )
                raise UnsafeFileError(msg)


def _check_dataset(path: Path, dataset: h5py.HLObject) -> None:
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        msg = f"{path.name}: {dataset.name} is no array; allowed: an HDF5 dataset with samples."
        raise RefusedInputError(msg)
    if dataset.dtype.kind not in _READABLE_KINDS:
        msg = f"{path.name}: {dataset.name} holds {dataset.dtype}; allowed: numbers."
        raise RefusedInputError(msg)


def _claimed_bytes(dataset: h5py.Dataset) -> int:
    """Bytes of the dataset or of one of its chunks, whichever is more: a chunk is read whole."""
    points: int = max(prod(dataset.shape), prod(dataset.chunks or (0,)))
    return points * int(dataset.dtype.itemsize)


def _describe(dataset: h5py.Dataset) -> dict[str, object]:
    return {
        "name": dataset.name.lstrip("/"),
        "dtype": dataset.dtype.str,
        "shape": list(dataset.shape),
    }


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


def _pieces(dataset: h5py.Dataset) -> Iterator[bytes]:
    if dataset.ndim == 0:
        yield np.asarray(dataset[()]).tobytes()
        return
    step = max(1, _PIECE_BYTES // max(1, prod(dataset.shape[1:]) * dataset.dtype.itemsize))
    for start in range(0, dataset.shape[0], step):
        yield np.ascontiguousarray(dataset[start : start + step]).tobytes()


def _limit_resources(budget_bytes: int) -> None:
    """Bound memory, time, files and core dumps of this process, where the system can."""
    with contextlib.suppress(ImportError):
        import resource

        seconds = _BASE_SECONDS + budget_bytes // _BYTES_PER_SECOND
        for what, most in (
            (resource.RLIMIT_AS, 2 * budget_bytes + _BASE_MEMORY),
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_NOFILE, 64),
            (resource.RLIMIT_CORE, 0),
        ):
            # Some systems refuse single limits (macOS: address space); the others still hold.
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(what, (most, most))


def main() -> None:
    """Read the request from standard input, answer on standard output."""
    request = _parse(json.loads(sys.stdin.readline()))
    _limit_resources(request.budget_bytes)
    out = sys.stdout.buffer
    started = False
    try:
        for piece in answer(request):
            out.write(piece)
            started = True
    except MedconsistError as error:
        if started:  # text must not pass for samples: the parent counts bytes and misses some
            sys.exit(1)
        said = {"error": type(error).__name__, "message": str(error)}
        out.write(json.dumps(said).encode() + b"\n")
    out.flush()


def _parse(asked: dict[str, Any]) -> Request:
    return Request(
        path=str(asked["path"]),
        arrays=tuple(asked["arrays"]),
        texts=tuple(asked["texts"]),
        attributes=tuple(asked["attributes"]),
        budget_bytes=int(asked["budget_bytes"]),
    )


if __name__ == "__main__":
    main()
