"""HDF5 files from outside, read in a disposable child process with resource limits.

The HDF5 library has had memory errors that a crafted file can reach (DESIGN: no HDF5 from outside
is opened in the viewer process). A crash of the library ends the child, not the caller; dynamic
filter plug-ins are switched off in it. The file system is not fenced off: the child refuses links
and external storage before it reads anything.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Shaped

import medconsist
from medconsist import errors
from medconsist.errors import MedconsistError, RefusedInputError, TruncatedFileError
from medconsist.mri.formats.files import check_budget, require_file
from medconsist.mri.formats.hdf5_worker import Request

__all__ = ["Contents", "Request", "read_foreign_hdf5"]

_WORKER = "medconsist.mri.formats.hdf5_worker"
_LONGEST_HEADER = 2**24
_PIECE_BYTES = 2**25
_BASE_SECONDS = 60
_BYTES_PER_SECOND = 2**24


@dataclass(frozen=True, eq=False)
class Contents:
    """What the child found: arrays and texts by dataset name, attributes of the root.

    ``present`` are the first twenty names in the root, for a message that says what is there.

    Examples
    --------
    >>> Contents({}, {}, {"acquisition": "AXFLAIR"}, ("kspace",)).present
    ('kspace',)
    """

    arrays: dict[str, Shaped[np.ndarray, "..."]]
    texts: dict[str, str]
    attributes: dict[str, str | float]
    present: tuple[str, ...]


def read_foreign_hdf5(request: Request) -> Contents:
    """Read the named datasets of a file that is not trusted.

    Parameters
    ----------
    request
        Path, names of datasets and attributes, memory budget. Names that the file does not have
        are left out of the answer.

    Raises
    ------
    MissingInputError
        If the file does not exist.
    UnsafeFileError
        If it holds links, external storage or a virtual dataset.
    TruncatedFileError
        If it is damaged, or the library crashed on it.
    BudgetError
        If the datasets, or one chunk of them, claim more than the budget.
    """
    path = Path(request.path)
    require_file(path)
    with _child(request) as stream:
        header = _read_header(stream, path)
        arrays = {
            str(item["name"]): _read_array(stream, item, path, request.budget_bytes)
            for item in header["arrays"]
        }
    return Contents(
        arrays, header["texts"], header["attributes"], tuple(map(str, header["present"]))
    )


@contextmanager
def _child(request: Request) -> Iterator[IO[bytes]]:
    environment = dict(os.environ)
    environment["PYTHONPATH"] = str(Path(medconsist.__file__).resolve().parents[1])
    environment["HDF5_PLUGIN_PRELOAD"] = "::"  # HDF5's own way to switch plug-ins off
    environment["OPENBLAS_NUM_THREADS"] = "1"  # threads reserve address space
    asked = asdict(request) | {"path": str(Path(request.path).resolve())}
    with subprocess.Popen(  # noqa: S603  our own interpreter and module, no shell
        [sys.executable, "-P", "-m", _WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        seconds = _BASE_SECONDS + request.budget_bytes // _BYTES_PER_SECOND
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            if process.stdin is None or process.stdout is None:
                msg = "the pipes of the reading process were not opened"
                raise RuntimeError(msg)
            with contextlib.suppress(BrokenPipeError), process.stdin as request_line:
                request_line.write(json.dumps(asked).encode() + b"\n")
            yield process.stdout
        finally:
            timer.cancel()
            process.kill()


def _read_header(stream: IO[bytes], path: Path) -> dict[str, Any]:
    line = stream.readline(_LONGEST_HEADER)
    if not line.endswith(b"\n"):
        raise _crashed(path)
    header: dict[str, Any] = json.loads(line)
    if "error" in header:
        kind = getattr(errors, header["error"], RefusedInputError)
        good = isinstance(kind, type) and issubclass(kind, MedconsistError)
        raise (kind if good else RefusedInputError)(header["message"])
    return header


def _read_array(
    stream: IO[bytes], item: dict[str, Any], path: Path, budget_bytes: int
) -> Shaped[np.ndarray, "..."]:
    """Read one array; the child is not trusted either, so size and type are checked again."""
    dtype = np.dtype(item["dtype"])
    shape = tuple(int(n) for n in item["shape"])
    check_budget(path, prod(shape) * dtype.itemsize, budget_bytes)
    array = np.empty(shape, dtype=dtype)
    bytes_of_array = array.reshape(-1).view(np.uint8)
    filled = 0
    while filled < array.nbytes:
        piece = stream.read(min(_PIECE_BYTES, array.nbytes - filled))
        if not piece:
            raise _crashed(path)
        bytes_of_array[filled : filled + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
        filled += len(piece)
    return array


def _crashed(path: Path) -> TruncatedFileError:
    msg = (
        f"{path.name} could not be read: the process that opened it with the HDF5 library ended "
        "early, so the file is damaged or hostile. Copy it again from its source."
    )
    return TruncatedFileError(msg)
