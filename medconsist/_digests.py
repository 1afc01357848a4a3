"""The sha256 of values, files and folders."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medconsist.errors import CorruptResultError, RefusedInputError

__all__ = ["canonical_json", "plain_json", "sha256_of_bytes", "sha256_of_path"]


def canonical_json(value: Any) -> bytes:  # noqa: ANN401  any JSON value
    """Return the one UTF-8 spelling of a JSON value: sorted keys, no blanks, no NaN.

    Raises
    ------
    RefusedInputError
        If a value is not JSON; the message names the place.
    """
    text = json.dumps(
        plain_json(value),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )
    return text.encode()


def plain_json(value: Any, place: str = "config") -> Any:  # noqa: ANN401  any JSON value
    """Return ``value`` with mappings as dict and sequences as list; refuse what is not JSON.

    Raises
    ------
    RefusedInputError
        For NaN, infinity, keys that are no strings, and objects; names the ``place``.
    """
    if isinstance(value, Mapping):
        return {_text(key, place): plain_json(v, f"{place}.{key}") for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item, f"{place}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, str):
        return _text(value, place)
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"Got {value} at {place}, which JSON cannot hold. Use null for unknown."
        raise RefusedInputError(msg)
    if value is None or isinstance(value, bool | int | float):
        return value
    msg = f"Got a {type(value).__name__} at {place}. Allowed are numbers, text, lists and dicts."
    raise RefusedInputError(msg)


def sha256_of_bytes(data: bytes) -> str:
    """Return the sha256 of ``data`` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_path(path: Path) -> str:
    r"""Return the sha256 of a file, or of the listing of a folder.

    The digest of a folder is the sha256 of what ``sha256sum`` prints for its files in byte order
    of their relative paths, one line ``<sha256>  <path>\n`` each::

        find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum

    Raises
    ------
    CorruptResultError
        If the path is missing, no ordinary file, or a link: a caller resolves the links that it
        trusts.
    """
    if path.is_symlink():
        msg = f"{path} is a link, and a sha256 is of a file's own bytes. Put the file itself there."
        raise CorruptResultError(msg)
    if path.is_dir():
        return sha256_of_bytes(_listing(path))
    if not path.is_file():
        msg = f"{path} is missing, or no ordinary file. Copy it there again."
        raise CorruptResultError(msg)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listing(folder: Path) -> bytes:
    files = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    # Names are bytes: a name of another encoding is hashed as it is.
    named = sorted((os.fsencode(path.relative_to(folder)), path) for path in files)
    return b"".join(b"%b  %b\n" % (sha256_of_path(path).encode(), name) for name, path in named)


def _text(value: object, place: str) -> str:
    if not isinstance(value, str):
        msg = f"Got the key {value!r} at {place}. Keys of JSON are text: write {str(value)!r}."
        raise RefusedInputError(msg)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        msg = f"Text at {place} is not valid Unicode ({error.reason}). Store it as UTF-8."
        raise RefusedInputError(msg) from error
    return value
