"""Weights as one safetensors file that says what network they belong to; no pickle."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from medconsist.errors import (
    ConvergenceError,
    MissingInputError,
    RefusedInputError,
    TruncatedFileError,
    UnsafeFileError,
)
from medconsist.results.atomic import atomic_write_bytes, storage_errors
from medconsist.results.digests import canonical_json, sha256_of_bytes

__all__ = ["StoredWeights", "load_state", "read_weights", "save_weights"]

FORMAT = "medconsist-weights-1"
# One entry only: safetensors writes several in an order that changes from run to run.
METADATA_KEY = "medconsist"
_PICKLED = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class StoredWeights:
    """What a weights file holds.

    Parameters
    ----------
    state
        Name to tensor, on the CPU.
    architecture
        What builds the network, plain JSON values.
    about
        What a reader should know.
    sha256
        Of the bytes of the file.

    Examples
    --------
    >>> StoredWeights({}, {"features": 64}, {}, "0" * 64).architecture["features"]
    64
    """

    state: dict[str, Tensor]
    architecture: dict[str, Any]
    about: dict[str, str]
    sha256: str


def save_weights(
    path: Path,
    state_dict: Mapping[str, Tensor],
    *,
    architecture: Mapping[str, Any],
    about: Mapping[str, str],
) -> str:
    """Write weights atomically; the same content gives the same bytes.

    Parameters
    ----------
    path
        ``*.safetensors``; replaced if it exists.
    state_dict
        Name to tensor; copied to the CPU.
    architecture
        Plain JSON values that build the network again.
    about
        Text by name: what made the weights, on which data, under which licence.

    Returns
    -------
    str
        sha256 of the bytes of the file.

    Raises
    ------
    ConvergenceError
        A weight is not finite.
    RefusedInputError
        The metadata is not JSON.
    StorageError
        The disk is full or not writable.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.safetensors"
    >>> digest = save_weights(path, {"w": torch.ones(2)}, architecture={"n": 2}, about={})
    >>> read_weights(path).sha256 == digest
    True
    """
    state = {
        name: tensor.detach().cpu().clone().contiguous() for name, tensor in state_dict.items()
    }
    if bad := _not_finite(state):
        msg = f"{path.name} is not written: {bad} is not finite. Train with a lower learning rate."
        raise ConvergenceError(msg)
    header = {"about": dict(about), "architecture": dict(architecture), "format": FORMAT}
    metadata = {METADATA_KEY: canonical_json(header).decode()}
    data = safetensors.torch.save(state, metadata=metadata)
    atomic_write_bytes(path, data)
    return sha256_of_bytes(data)


def read_weights(path: Path) -> StoredWeights:
    """Read a weights file that :func:`save_weights` wrote, and nothing else.

    Parameters
    ----------
    path
        ``*.safetensors``.

    Raises
    ------
    MissingInputError
        There is no such file.
    UnsafeFileError
        It holds pickled content (``.pt``, ``.ckpt``).
    TruncatedFileError
        It ends before its own claim.
    RefusedInputError
        Another kind of file, no metadata of ours, or a weight that is not finite.
    """
    data = _bytes(path)
    header = _header(path, data)
    try:
        state = safetensors.torch.load(data)
    except (SafetensorError, KeyError) as error:
        msg = f"{path} is not a sound safetensors file: {error}. Copy it again from its source."
        raise RefusedInputError(msg) from error
    if bad := _not_finite(state):
        msg = f"{path}: {bad} holds values that are not finite. These weights cannot be used."
        raise RefusedInputError(msg)
    digest = sha256_of_bytes(data)
    return StoredWeights(state, header["architecture"], header["about"], digest)


def load_state(network: nn.Module, state: Mapping[str, Tensor], source: Path | str) -> None:
    """Load ``state`` into ``network``, or refuse it and name the first tensor that differs.

    Parameters
    ----------
    network
        Changed in place.
    state
        Name to tensor.
    source
        Where the state is from, for the sentence.

    Raises
    ------
    RefusedInputError
        A name is missing or unknown, or a shape differs; the network is then unchanged.
    """
    held = {name: tuple(tensor.shape) for name, tensor in state.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    for name in {**wanted, **held}:
        if held.get(name) != wanted.get(name):
            msg = (
                f"{source} belongs to another network: {name} has the shape "
                f"{held.get(name, 'none')} there, {wanted.get(name, 'none')} here. "
                "Choose another folder."
            )
            raise RefusedInputError(msg)
    network.load_state_dict(state)


def _bytes(path: Path) -> bytes:
    if not path.exists():
        msg = f"{path} does not exist. Check the path of the weights."
        raise MissingInputError(msg)
    if not path.is_file():
        msg = f"{path} is not a regular file; allowed: a .safetensors file of ours."
        raise RefusedInputError(msg)
    with storage_errors(path, doing="read"):
        return path.read_bytes()


def _header(path: Path, data: bytes) -> dict[str, Any]:
    """Return our own metadata out of the bytes, after the claims of the file were checked."""
    # a header of 640, 896 ... bytes begins like a pickle; its ninth byte tells
    if data.startswith(_PICKLED) and data[_LENGTH.size : _LENGTH.size + 1] != b"{":
        msg = (
            f"{path} holds pickled content, which can run programs; allowed: a .safetensors file "
            "of ours. Import foreign weights with the importer for their program."
        )
        raise UnsafeFileError(msg)
    raw = _raw_header(path, data)
    try:
        header = json.loads(raw["__metadata__"][METADATA_KEY])
        sound = header["format"] == FORMAT
        sound &= isinstance(header["architecture"], dict)
        sound &= all(isinstance(text, str) for text in dict(header["about"]).values())
    except (KeyError, RecursionError, TypeError, ValueError):
        sound = False
    if not sound:
        msg = (
            f"{path} is a safetensors file without the metadata {FORMAT!r}, so that its network "
            "is unknown; allowed: weights that medconsist wrote. Import foreign ones first."
        )
        raise RefusedInputError(msg)
    return dict(header)


def _raw_header(path: Path, data: bytes) -> dict[str, Any]:
    kind = f"{path} is not a safetensors file; allowed: weights that medconsist wrote."
    if len(data) < _LENGTH.size:
        msg = f"{path} ends after {len(data)} bytes, before any header. Copy it again."
        raise TruncatedFileError(msg)
    (length,) = _LENGTH.unpack_from(data)
    if data[_LENGTH.size : _LENGTH.size + 1] not in (b"{", b""):
        raise RefusedInputError(kind)
    if len(data) < _LENGTH.size + length:
        msg = (
            f"{path} claims a header of {length} bytes and holds {len(data)} in all. Copy it again."
        )
        raise TruncatedFileError(msg)
    try:
        raw = json.loads(data[_LENGTH.size : _LENGTH.size + length])
        entries = [value for name, value in raw.items() if name != "__metadata__"]
        claimed = max((int(entry["data_offsets"][1]) for entry in entries), default=0)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise RefusedInputError(kind) from error
    if len(data) < _LENGTH.size + length + claimed:
        held = len(data) - _LENGTH.size - length
        msg = f"{path} claims {claimed} bytes of weights and holds {held}. Copy it again."
        raise TruncatedFileError(msg)
    return dict(raw)


def _not_finite(state: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor that is not finite."""
    for name, tensor in state.items():
        # numbers of 8 bits know no isfinite
        values = tensor.float() if tensor.itemsize == 1 else tensor
        if not bool(torch.isfinite(values).all()):
            return name
    return None
