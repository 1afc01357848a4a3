"""Weights as one safetensors file that says what network they belong to; no pickle."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from medconsist._atomic import atomic_write_bytes, storage_errors
from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.errors import ConvergenceError, RefusedInputError
from medconsist.results.safetensors_file import METADATA_KEY, FileKind, read_head, require_regular

__all__ = ["StoredWeights", "load_state", "read_weights", "save_weights"]

FORMAT = "medconsist-weights-1"
_KIND = FileKind(FORMAT, "weights", "its network", "Import foreign ones first.")


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
    require_regular(path, what="weights")
    with storage_errors(path, doing="read"):
        return path.read_bytes()


def _header(path: Path, data: bytes) -> dict[str, Any]:
    """Return our own metadata out of the bytes, after the claims of the file were checked."""
    header = read_head(path, io.BytesIO(data), kind=_KIND).metadata
    try:
        sound = isinstance(header["architecture"], dict)
        sound &= all(isinstance(text, str) for text in dict(header["about"]).values())
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise _KIND.refusal(path)
    return header


def _not_finite(state: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor that is not finite."""
    for name, tensor in state.items():
        # numbers of 8 bits know no isfinite
        values = tensor.float() if tensor.itemsize == 1 else tensor
        if not bool(torch.isfinite(values).all()):
            return name
    return None
