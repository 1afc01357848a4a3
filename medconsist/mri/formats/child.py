"""Foreign files are parsed in a disposable process; this is the side of the parent.

A crash of a parser, or what a crafted file makes of it, ends the child and not the caller. The
file system is not fenced off: the workers refuse what reaches outside the file.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Shaped

import medconsist
from medconsist import errors
from medconsist.errors import MedconsistError, RefusedInputError, TruncatedFileError
from medconsist.mri.formats.files import check_budget, require_file

__all__ = ["Child", "open_in_child"]

_LONGEST_HEADER = 2**24
_PIECE_BYTES = 2**22
_BASE_SECONDS = 60
_BYTES_PER_SECOND = 2**24


class Child:
    """The process that holds one file open; what it says is checked before it is believed.

    Examples
    --------
    >>> Child.__name__
    'Child'
    """

    def __init__(
        self, process: "subprocess.Popen[bytes]", *, path: Path, budget_bytes: int
    ) -> None:
        self.path = path
        self.budget_bytes = budget_bytes
        self._process = process

    def ask(
        self, request: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Shaped[np.ndarray, "..."]]]:
        """Send one request; return the line of the answer and its arrays by name.

        Raises
        ------
        MedconsistError
            What the child refuses with, by its own class.
        TruncatedFileError
            If the child ended early.
        BudgetError
            If it announces more than the budget.
        """
        to_child, stream = self._process.stdin, self._process.stdout
        if to_child is None or stream is None:
            msg = "the pipes of the reading process were not opened"
            raise RuntimeError(msg)
        with contextlib.suppress(BrokenPipeError):
            to_child.write(json.dumps(request).encode() + b"\n")
            to_child.flush()
        try:
            header = self._header(stream)
            kinds = [_kind(item) for item in header["arrays"]]
            claimed = sum(prod(shape) * dtype.itemsize for _, dtype, shape in kinds)
            check_budget(self.path, claimed, self.budget_bytes)
            arrays = {name: self._array(stream, dtype, shape) for name, dtype, shape in kinds}
        except MedconsistError:
            raise
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise _crashed(self.path) from error
        return header, arrays

    def _header(self, stream: IO[bytes]) -> dict[str, Any]:
        line = stream.readline(_LONGEST_HEADER)
        if not line.endswith(b"\n"):
            raise _crashed(self.path)
        header: dict[str, Any] = json.loads(line)
        if "error" in header:
            kind = getattr(errors, header["error"], RefusedInputError)
            good = isinstance(kind, type) and issubclass(kind, MedconsistError)
            raise (kind if good else RefusedInputError)(header["message"])
        return header

    def _array(
        self, stream: IO[bytes], dtype: "np.dtype[Any]", shape: tuple[int, ...]
    ) -> Shaped[np.ndarray, "..."]:
        array = np.empty(shape, dtype=dtype)
        bytes_of_array = array.reshape(-1).view(np.uint8)
        filled = 0
        while filled < array.nbytes:
            piece = stream.read(min(_PIECE_BYTES, array.nbytes - filled))
            if not piece:
                raise _crashed(self.path)
            bytes_of_array[filled : filled + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
            filled += len(piece)
        return array


@contextmanager
def open_in_child(worker: str, path: Path, *, budget_bytes: int) -> Iterator[Child]:
    """Start ``python -m worker`` and hold it for as long as the block lasts.

    Raises
    ------
    MissingInputError
        If the file does not exist.
    RefusedInputError
        If it is no regular file.
    """
    require_file(path)
    environment = dict(os.environ)
    environment["PYTHONPATH"] = str(Path(medconsist.__file__).resolve().parents[1])
    environment["HDF5_PLUGIN_PRELOAD"] = "::"  # HDF5's own way to switch plug-ins off
    environment["OPENBLAS_NUM_THREADS"] = "1"  # threads reserve address space
    with subprocess.Popen(  # noqa: S603  our own interpreter and module, no shell
        [sys.executable, "-P", "-m", worker],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        seconds = _BASE_SECONDS + budget_bytes // _BYTES_PER_SECOND
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            yield Child(process, path=path, budget_bytes=budget_bytes)
        finally:
            timer.cancel()
            process.kill()
            # A dead child leaves the last request in the buffer, which closing would send.
            with contextlib.suppress(BrokenPipeError):
                if process.stdin is not None:
                    process.stdin.close()


def _kind(item: dict[str, Any]) -> tuple[str, "np.dtype[Any]", tuple[int, ...]]:
    """Return name, type and shape of an announced array; the child is not trusted either."""
    dtype, shape = np.dtype(item["dtype"]), tuple(int(n) for n in item["shape"])
    if dtype.hasobject or min(shape, default=0) < 0:
        msg = f"no array is of {dtype} and {shape}"
        raise ValueError(msg)
    return str(item["name"]), dtype, shape


def _crashed(path: Path) -> TruncatedFileError:
    msg = (
        f"{path.name} could not be read: the process that parsed it ended early or ran out of "
        "time, so the file is damaged or hostile. Copy it again from its source."
    )
    return TruncatedFileError(msg)
