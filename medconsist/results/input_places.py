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

_MOST = 64 * 2**20  # bytes of the file that are read


class _Place(Record):
    schema_version: Literal[1] = 1
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    path: str


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

    def add(self, sha256: str, path: Path) -> None:
        """Write down where an input lies; what is known already adds nothing.

        Raises
        ------
        StorageError
            If the disk is full or not writable; the file stays as it was.
        """
        place = _Place(sha256=sha256, path=str(path.resolve()))
        make_folder(self.path.parent)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        with storage_errors(self.path), locked(self.path, flags, fcntl.LOCK_EX) as descriptor:
            if place not in self._read():
                append_line(descriptor, place.model_dump_json().encode() + b"\n")

    def find(self, sha256: str) -> Path | None:
        """Return a file with these bytes, the one that was named last first; None if there is none.

        Every byte of it is read once, and again whenever its size or time changes.
        """
        named = [Path(one.path) for one in self._read() if one.sha256 == sha256]
        return next((path for path in reversed(named) if self._is(path, sha256)), None)

    def _is(self, path: Path, sha256: str) -> bool:
        try:
            if path.is_symlink() or not path.is_file():
                return False
            seen = path.stat()
            # st_ctime_ns: the time of a change can be set back, that of setting it back cannot
            known = (str(path), seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino)
            if known not in self._verified:
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
