"""Tensors by name out of a weights file that another program wrote; no program is ever run."""

import pickle
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors import SafetensorError
from torch import Tensor

from medconsist._atomic import storage_errors
from medconsist._digests import sha256_of_path
from medconsist.errors import (
    MissingInputError,
    RefusedInputError,
    TruncatedFileError,
    UnsafeFileError,
)

__all__ = ["ForeignWeights", "read_foreign", "read_torch_file"]

_CONTAINERS = ("state_dict", "model")  # of Lightning's and of many other checkpoints
_ZIP = b"PK\x03\x04"
# Protocols that torch never writes outside an archive.
_PICKLED = (b"\x80\x03", b"\x80\x04", b"\x80\x05")
# What torch's reader raises on bytes that are no archive, or half of one.
_UNREADABLE = (
    *(EOFError, OSError, RuntimeError, ValueError, LookupError, AttributeError, TypeError),
    *(AssertionError, ArithmeticError, struct.error),
)


@dataclass(frozen=True)
class ForeignWeights:
    """What a weights file of another program holds.

    Parameters
    ----------
    state
        Name to tensor, on the CPU, as stored.
    left_out
        Names of what lay beside the tensors (optimiser, epoch).
    metadata
        Text by name that a safetensors file carries.
    sha256
        Of the bytes of the file.

    Examples
    --------
    >>> ForeignWeights({}, ("epoch",), {}, "0" * 64).left_out
    ('epoch',)
    """

    state: dict[str, Tensor]
    left_out: tuple[str, ...]
    metadata: dict[str, str]
    sha256: str


def read_foreign(path: Path) -> ForeignWeights:
    """Read the tensors of a safetensors file or of a torch file that holds plain values alone.

    Parameters
    ----------
    path
        ``*.safetensors``, or what ``torch.save`` wrote of a state dict, perhaps under
        ``state_dict`` or ``model``. A link is followed: Hugging Face's cache is made of links.

    Raises
    ------
    MissingInputError
        There is no such file.
    UnsafeFileError
        It holds pickled content that could run programs.
    TruncatedFileError
        It ends before its own claim.
    RefusedInputError
        Another kind of file, more than tensors by name, or a tensor that is not dense.
    """
    if not path.is_file():
        msg = f"{path} does not exist or is no file. Check the path of the weights."
        raise MissingInputError(msg)
    held: Any
    metadata: dict[str, str] = {}
    if path.suffix == ".safetensors":
        held, metadata = _safetensors(path)
    else:
        held = read_torch_file(path)
    left_out: tuple[str, ...] = ()
    for container in _CONTAINERS:
        if isinstance(held, Mapping) and isinstance(held.get(container), Mapping):
            left_out = tuple(sorted(str(name) for name in held if name != container))
            held = held[container]
            break
    if not isinstance(held, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in held.items()
    ):
        msg = f"{path} holds more than tensors by name; allowed: the state dict of a network."
        raise RefusedInputError(msg)
    for name, tensor in held.items():
        if not _is_plain(tensor):
            msg = (
                f"{path}: {name} is no plain tensor (sparse, quantised, without values, or larger "
                "than what is stored). Save dense tensors with safetensors, and use that file."
            )
            raise RefusedInputError(msg)
    return ForeignWeights(dict(held), left_out, metadata, sha256_of_path(path.resolve()))


def _safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with storage_errors(path, doing="read"), safetensors.safe_open(path, "pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no Mapping
            return state, dict(file.metadata() or {})
    except SafetensorError as error:
        msg = f"{path} is not a sound safetensors file: {error}. Copy it again from its source."
        raise TruncatedFileError(msg) from error


def read_torch_file(path: Path) -> Any:  # noqa: ANN401 - judged by the caller
    """Return what ``torch.save`` wrote, tensors on the CPU; no program in it is ever run.

    Tensors may be mapped from the file: copy what outlives it.

    Raises
    ------
    UnsafeFileError
        It holds pickled content that could run programs.
    TruncatedFileError
        It is empty, or ends before its own claim.
    RefusedInputError
        Another kind of file, or an archive that another program packed anew.
    """
    with storage_errors(path, doing="read"), path.open("rb") as file:
        start = file.read(len(_ZIP))
        whole = zipfile.is_zipfile(file)
    if whole and _is_compressed(path):
        msg = f"{path} is a compressed archive; torch compresses none. Use the file as it was made."
        raise RefusedInputError(msg)
    if start.startswith(_PICKLED):
        raise UnsafeFileError(_could_run(path))
    try:
        # mapped, a network of 3 GB is not read twice; the format before zip cannot be
        return torch.load(path, map_location="cpu", weights_only=True, mmap=whole)
    except pickle.UnpicklingError as error:
        raise UnsafeFileError(_could_run(path)) from error
    except _UNREADABLE as error:
        if _ZIP.startswith(start) and not whole:
            msg = f"{path} is a torch file that ends before its own claim. Copy it again from its "
            msg += "source."
            raise TruncatedFileError(msg) from error
        msg = f"{path} is neither safetensors nor a torch file of tensors: {_first_line(error)}."
        raise RefusedInputError(msg) from error


def _is_compressed(path: Path) -> bool:
    """Return whether mapped bytes would be packed ones, taken for numbers without a word."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist())
    except (zipfile.BadZipFile, *_UNREADABLE):
        return False  # for torch to refuse


def _is_plain(tensor: Tensor) -> bool:
    if tensor.is_nested or tensor.is_quantized or tensor.layout is not torch.strided:
        return False
    return tensor.device.type == "cpu" and tensor.nbytes <= tensor.untyped_storage().nbytes()


def _could_run(path: Path) -> str:
    return (
        f"{path} holds more than tensors and plain values, and reading it could run programs. "
        "Save its tensors alone with safetensors, where it was made, and use that file."
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
