"""Where the inputs of results were last seen: a hint for the viewer, never part of a result.

A result names its inputs by sha256 and knows no path. The viewer needs the slide itself to show
what no result stores. A hint is believed only if the file still has that sha256.
"""

import fcntl
import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from medconsist._atomic import make_folder, storage_errors
from medconsist._digests import sha256_of_path
from medconsist._records import Record
from medconsist.results.append_only import append_line, locked

__all__ = ["InputPlaces"]

_SHA256 = r"^[0-9a-f]{64}$"
_MOST = 64 * 2**20  # bytes of the file that are read


class _Place(Record):
    schema_version: Literal[1] = 1
    sha256: str = Field(pattern=_SHA256)
    path: str
    file_sha256: str | None = Field(default=None, pattern=_SHA256)


class InputPlaces:
    """The append-only file ``inputs.jsonl`` of one study.

    Parameters
    ----------
    path
        Of the file.

    Examples
    --------
    >>> import tempfile
    >>> places = InputPlaces(Path(tempfile.mkdtemp()) / "inputs.jsonl")
    >>> places.find("0" * 64) is None
    True
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._verified: dict[tuple[str, int, int, int, int], str] = {}

    def add(self, sha256: str, path: Path, *, file_sha256: str | None = None) -> None:
        """Write down where an input lies; what is known already adds nothing.

        Parameters
        ----------
        sha256, path
            Of an input as its result names it, and where it lies.
        file_sha256
            Of the bytes of the file, where the result names its input by something else: signals
            are named by what was recorded, not by the bytes of a file.

        Raises
        ------
        StorageError
            If the disk is full or not writable; the file stays as it was.
        """
        place = _Place(sha256=sha256, path=str(path.resolve()), file_sha256=file_sha256)
        make_folder(self.path.parent)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        with storage_errors(self.path), locked(self.path, flags, fcntl.LOCK_EX) as descriptor:
            if place not in self._read():
                line = place.model_dump_json(exclude_none=True)
                append_line(descriptor, line.encode() + b"\n")

    def find(self, sha256: str, *, most_bytes: int | None = None) -> Path | None:
        """Return a file with these bytes, the one that was named last first; None if there is none.

        Every byte of it is read once, and again whenever its size or time changes.

        Parameters
        ----------
        sha256
            Of an input.
        most_bytes
            A larger file is passed over, unless it was read before.
        """
        named = [one for one in self._read() if one.sha256 == sha256]
        return next(
            (
                Path(one.path)
                for one in reversed(named)
                if self._is(Path(one.path), one.file_sha256 or sha256, most_bytes)
            ),
            None,
        )

    def unchecked(self, sha256: str) -> list[Path]:
        """Return the files that were named, whatever lies there now, the last one first.

        What such a file says is no word on the result, unless `find` returns that file too.
        """
        named = [Path(one.path) for one in self._read() if one.sha256 == sha256]
        return [path for path in reversed(named) if _is_plain_file(path)]

    def _is(self, path: Path, sha256: str, most_bytes: int | None) -> bool:
        try:
            if not _is_plain_file(path):
                return False
            seen = path.stat()
            # st_ctime_ns: the time of a change can be set back, that of setting it back cannot
            known = (str(path), seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino)
            if known not in self._verified:
                if most_bytes is not None and seen.st_size > most_bytes:
                    return False
                self._verified[known] = sha256_of_path(path)
        except OSError:  # it was moved, or its disk is gone
            return False
        return self._verified[known] == sha256

    def _read(self) -> list[_Place]:
        """Return all whole lines; a torn or foreign one is no hint."""
        if not self.path.is_file():
            return []
        with storage_errors(self.path, doing="read"), self.path.open("rb") as file:
            lines = file.read(_MOST).split(b"\n")
        found = []
        for line in lines:
            try:
                found.append(_Place.model_validate_json(line))
            except ValidationError:
                continue
        return found


def _is_plain_file(path: Path) -> bool:
    try:
        return path.is_file() and not path.is_symlink()
    except OSError:  # its folder may no longer be read
        return False
