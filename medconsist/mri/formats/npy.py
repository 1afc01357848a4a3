"""NumPy ``.npy`` files from outside: header checked against length and budget, never unpickled."""

import ast
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Shaped

from medconsist.errors import RefusedInputError, TruncatedFileError, UnsafeFileError
from medconsist.mri.formats.files import check_budget, require_file

__all__ = ["read_npy"]

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}  # by major version
_LONGEST_HEADER = 10_000  # NumPy's own limit for headers that are not trusted


def read_npy(path: Path, *, budget_bytes: int) -> Shaped[np.ndarray, "..."]:
    """Read one ``.npy`` array.

    Parameters
    ----------
    path
        The file.
    budget_bytes
        Most bytes that the header may claim; checked before the samples are read.

    Raises
    ------
    MissingInputError
        If the file does not exist.
    UnsafeFileError
        If it holds pickled Python objects.
    TruncatedFileError
        If it is shorter than its header claims.
    RefusedInputError
        If the header cannot be understood, or the file is longer than it claims.
    BudgetError
        If the header claims more than the budget.
    """
    require_file(path)
    with path.open("rb") as file:
        shape, fortran_order, dtype = _read_header(path, file)
        if dtype.hasobject:
            msg = (
                f"{path.name} holds pickled Python objects, which can run code and are never "
                "loaded; save a plain complex array with numpy.save."
            )
            raise UnsafeFileError(msg)
        claimed = prod(shape) * dtype.itemsize
        check_budget(path, claimed, budget_bytes)
        present = path.stat().st_size - file.tell()
        if present != claimed:
            kind = TruncatedFileError if present < claimed else RefusedInputError
            msg = (
                f"{path.name} holds {present} bytes of samples, but its header claims {claimed} "
                f"(shape {shape}, {dtype}). Copy or save the file again."
            )
            raise kind(msg)
        flat = np.fromfile(file, dtype=dtype, count=prod(shape))
    return flat.reshape(shape, order="F" if fortran_order else "C")


def _read_header(path: Path, file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Parse the header by the format's definition; NumPy's own parser guesses at broken ones."""
    text = _header_text(path, file)
    try:
        fields = ast.literal_eval(text.decode("utf-8").strip())
        shape, order = fields["shape"], fields["fortran_order"]
        dtype = np.dtype(str(fields["descr"]))
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError) as error:
        msg = f"{path.name} has no readable npy header ({text[:60]!r}); save the array again."
        raise RefusedInputError(msg) from error
    whole = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if not whole or type(order) is not bool or dtype.itemsize == 0:
        msg = (
            f"{path.name} claims shape {shape} of {dtype}; allowed: a tuple of whole numbers of at "
            "least 0. Save the array again."
        )
        raise RefusedInputError(msg)
    return shape, order, dtype


def _header_text(path: Path, file: BinaryIO) -> bytes:
    start = file.read(len(_MAGIC) + 2)
    if not (_MAGIC.startswith(start) or start.startswith(_MAGIC)):
        msg = f"{path.name} does not begin as a .npy file; save the array with numpy.save."
        raise RefusedInputError(msg)
    version = start[len(_MAGIC) :]
    if len(version) == 2 and version[0] not in _LENGTH_BYTES:
        msg = f"{path.name} is version {version[0]} of the npy format; allowed: 1, 2, 3."
        raise RefusedInputError(msg)
    length_bytes = _LENGTH_BYTES.get(version[0], 2) if version else 2
    length = file.read(length_bytes)
    claimed = int.from_bytes(length, "little")
    if claimed > _LONGEST_HEADER:
        msg = f"{path.name} claims a header of {claimed} bytes; allowed: {_LONGEST_HEADER}."
        raise RefusedInputError(msg)
    text = file.read(claimed)
    if len(length) < length_bytes or len(text) < claimed:
        msg = f"{path.name} ends within its header; copy the file again."
        raise TruncatedFileError(msg)
    return text
