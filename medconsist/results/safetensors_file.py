"""The head of a safetensors file of ours: checked before any tensor, written with one entry."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from medconsist._digests import canonical_json
from medconsist.errors import (
    MissingInputError,
    RefusedInputError,
    TruncatedFileError,
    UnsafeFileError,
)

__all__ = [
    "METADATA_KEY",
    "FileKind",
    "Head",
    "Place",
    "head_bytes",
    "read_head",
    "require_regular",
]

# One entry only: safetensors writes several in an order that changes from run to run.
METADATA_KEY = "medconsist"
_PICKLED = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_LENGTH = struct.Struct("<Q")
_LONGEST = 100_000_000  # of a header, as safetensors itself allows


@dataclass(frozen=True)
class FileKind:
    """What a file of ours calls itself, and the words of a refusal.

    Parameters
    ----------
    format
        Value of ``format`` in the metadata, e.g. ``"medconsist-weights-1"``.
    holds
        E.g. ``"weights"``.
    unknown
        What cannot be known without the metadata, e.g. ``"its network"``.
    remedy
        What to do with a foreign file; a sentence.

    Examples
    --------
    >>> FileKind("medconsist-bag-1", "a bag", "its slide", "Import it.").holds
    'a bag'
    """

    format: str
    holds: str
    unknown: str
    remedy: str

    def refusal(self, path: Path) -> RefusedInputError:
        """Return the error for a sound safetensors file without our metadata."""
        msg = (
            f"{path} is a safetensors file without the metadata {self.format!r}, so that "
            f"{self.unknown} is unknown; allowed: {self.holds} that medconsist wrote. {self.remedy}"
        )
        return RefusedInputError(msg)


@dataclass(frozen=True)
class Place:
    """Type, shape and bytes (begin and end after the head) of one tensor, as the file claims.

    Examples
    --------
    >>> Place("F16", (2, 3), (0, 12)).shape
    (2, 3)
    """

    dtype: str
    shape: tuple[int, ...]
    offsets: tuple[int, int]


@dataclass(frozen=True)
class Head:
    """What stands before the tensors.

    Parameters
    ----------
    metadata
        Our own entry; ``format`` is the wanted one.
    tensors
        Name to place, in the order of the file.
    size
        Bytes of the head: where the tensors begin.

    Examples
    --------
    >>> Head({"format": "x"}, {}, 16).size
    16
    """

    metadata: dict[str, Any]
    tensors: dict[str, Place]
    size: int


def require_regular(path: Path, *, what: str, allowed: str = "a .safetensors file of ours") -> None:
    """Refuse what is not a regular file.

    Raises
    ------
    MissingInputError
        There is no such file.
    RefusedInputError
        It is a folder, a pipe or a device.
    """
    if not path.exists():
        msg = f"{path} does not exist. Check the path of the {what}."
        raise MissingInputError(msg)
    if not path.is_file():
        msg = f"{path} is not a regular file; allowed: {allowed}."
        raise RefusedInputError(msg)


def read_head(path: Path, file: BufferedIOBase, *, kind: FileKind) -> Head:
    """Return the head of a file after its claims were checked; no tensor is read.

    Parameters
    ----------
    path
        For the sentences.
    file
        Its bytes, at any position.
    kind
        What is expected.

    Raises
    ------
    UnsafeFileError
        It holds pickled content (``.pt``, ``.ckpt``).
    TruncatedFileError
        It ends before its own claim.
    RefusedInputError
        Another kind of file, or no metadata of ours.
    """
    size = file.seek(0, 2)
    file.seek(0)
    start = file.read(_LENGTH.size + 1)
    # a header of 640, 896 ... bytes begins like a pickle; its ninth byte tells
    if start.startswith(_PICKLED) and start[_LENGTH.size :] != b"{":
        msg = (
            f"{path} holds pickled content, which can run programs; allowed: a .safetensors file "
            "of ours. Import foreign files with the importer for their program."
        )
        raise UnsafeFileError(msg)
    length = _header_length(path, start, size, kind)
    file.seek(_LENGTH.size)
    raw, tensors = _parse(path, file.read(length), kind)
    held = size - _LENGTH.size - length
    claimed = max((place.offsets[1] for place in tensors.values()), default=0)
    if held < claimed:
        msg = f"{path} claims {claimed} bytes of {kind.holds} and holds {held}. Copy it again."
        raise TruncatedFileError(msg)
    return Head(_metadata(path, raw, kind), tensors, _LENGTH.size + length)


def head_bytes(tensors: Mapping[str, Place], metadata: Mapping[str, Any]) -> bytes:
    """Return the bytes that stand before the tensors, as safetensors itself writes them.

    Parameters
    ----------
    tensors
        Name to place, in the order of the file.
    metadata
        Plain JSON values, ``format`` among them.

    Raises
    ------
    RefusedInputError
        The metadata is not JSON.
    """
    header: dict[str, Any] = {"__metadata__": {METADATA_KEY: canonical_json(metadata).decode()}}
    for name, place in tensors.items():
        header[name] = {
            "dtype": place.dtype,
            "shape": list(place.shape),
            "data_offsets": list(place.offsets),
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH.size)
    return _LENGTH.pack(len(text)) + text


def _header_length(path: Path, start: bytes, size: int, kind: FileKind) -> int:
    if size < _LENGTH.size:
        msg = f"{path} ends after {size} bytes, before any header. Copy it again."
        raise TruncatedFileError(msg)
    (length,) = _LENGTH.unpack_from(start)
    if start[_LENGTH.size :] not in (b"{", b""):
        raise _foreign(path, kind)
    if size < _LENGTH.size + length:
        msg = f"{path} claims a header of {length} bytes and holds {size} in all. Copy it again."
        raise TruncatedFileError(msg)
    if length > _LONGEST:
        raise _foreign(path, kind)
    return int(length)


def _parse(path: Path, text: bytes, kind: FileKind) -> tuple[dict[str, Any], dict[str, Place]]:
    try:
        raw = dict(json.loads(text))
        tensors = {name: _place(entry) for name, entry in raw.items() if name != "__metadata__"}
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise _foreign(path, kind) from error
    return raw, tensors


def _place(entry: Mapping[str, Any]) -> Place:
    begin, end = entry["data_offsets"]
    return Place(str(entry["dtype"]), tuple(map(int, entry["shape"])), (int(begin), int(end)))


def _metadata(path: Path, raw: Mapping[str, Any], kind: FileKind) -> dict[str, Any]:
    try:
        metadata = json.loads(raw["__metadata__"][METADATA_KEY])
        sound = metadata["format"] == kind.format
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise kind.refusal(path) from error
    if not sound:
        raise kind.refusal(path)
    return dict(metadata)


def _foreign(path: Path, kind: FileKind) -> RefusedInputError:
    msg = f"{path} is not a safetensors file; allowed: {kind.holds} that medconsist wrote."
    return RefusedInputError(msg)
