"""A TIFF's claims about places and lengths, against the length of the file."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt

from medconsist.errors import CorruptInputError, TruncatedFileError

__all__ = ["check_tiff"]

Values = npt.NDArray[np.uint64]

_WIDTH, _HEIGHT, _SAMPLES, _ROWS_PER_STRIP, _PLANAR = 256, 257, 277, 278, 284
_TILES = (322, 323, 324, 325)  # width, height, offsets, byte counts
_STRIPS = (273, 279)  # offsets, byte counts
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TYPE_BYTES |= {16: 8, 17: 8, 18: 8}
_UNSIGNED = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_MAX_DIRECTORIES = 2**16
_SPARE = 2**20  # tables that a small file may share among its directories
_MAX_SIDE = 2**31 - 1
_CLASSIC_LIMIT = 2**32  # a classic TIFF beyond it is an NDPI, whose offsets have hidden high words


@dataclass(frozen=True)
class _Layout:
    """Widths of the fields: classic TIFF or BigTIFF."""

    order: str
    header: int
    offset: str
    count: str
    entry: int

    def read(self, file: BinaryIO, kind: str) -> int:
        size = struct.calcsize(kind)
        return int(struct.unpack(self.order + kind, file.read(size))[0])

    @property
    def inline(self) -> int:
        return struct.calcsize(self.offset)


@dataclass(frozen=True)
class _Entry:
    kind: int
    count: int
    at: int

    @property
    def bytes(self) -> int:
        return _TYPE_BYTES.get(self.kind, 0) * self.count


def check_tiff(path: Path, *, strict: bool = False) -> None:
    """Check directories, values and tables of tiles or strips; no pixel is decoded.

    Parameters
    ----------
    path
        The file.
    strict
        Also ask for what TIFF 6.0 demands and readers forgive: entries in ascending order, field
        types that exist, every directory an image of tiles or strips.

    Raises
    ------
    TruncatedFileError
        A directory, a value, a tile or a strip ends beyond the file.
    CorruptInputError
        Directories form a loop or overlap, a size is 0, a table has not one entry for each tile, or
        an entry points into the header.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        layout, first = _header(file, path.name, size)
        if layout.header == 8 and size >= _CLASSIC_LIMIT:
            return
        _Walk(file, path.name, size, layout, strict=strict).run(first)


def _header(file: BinaryIO, name: str, size: int) -> tuple[_Layout, int]:
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    if size < (16 if big else 8):
        msg = f"{name} ends within its header, after {size} bytes. Copy it again from its source."
        raise TruncatedFileError(msg)
    if big:
        if struct.unpack(order + "HH", head[4:8]) != (8, 0):
            msg = f"{name} is a BigTIFF without offsets of 8 bytes; its header is damaged."
            raise CorruptInputError(msg)
        layout = _Layout(order, header=16, offset="Q", count="Q", entry=20)
        return layout, int(struct.unpack(order + "Q", head[8:16])[0])
    layout = _Layout(order, header=8, offset="I", count="H", entry=12)
    return layout, int(struct.unpack(order + "I", head[4:8])[0])


class _Walk:
    """One pass over the directories; every place is checked before it is read."""

    def __init__(
        self, file: BinaryIO, name: str, size: int, layout: _Layout, *, strict: bool
    ) -> None:
        self.file, self.name, self.size, self.layout = file, name, size, layout
        self.strict = strict
        self.read_bytes = 0

    def run(self, at: int) -> None:
        seen: set[int] = set()
        while at or not seen:
            if at in seen or len(seen) >= _MAX_DIRECTORIES:
                self._fail(f"directory {len(seen)} leads back to byte {at}")
            seen.add(at)
            at = self._directory(at, number=len(seen) - 1)

    def _directory(self, at: int, *, number: int) -> int:
        layout, what = self.layout, f"directory {number}"
        if at < layout.header:
            self._fail(f"{what} is said to begin in the header, at byte {at}")
        self._inside(what, at, struct.calcsize(layout.count))
        self.file.seek(at)
        entries = layout.read(self.file, layout.count)
        body = at + struct.calcsize(layout.count)
        self._inside(what, body, entries * layout.entry + layout.inline)
        self._spend(entries * layout.entry)
        raw = self.file.read(entries * layout.entry)
        following = layout.read(self.file, layout.offset)
        self._check(self._entries(raw, body, what), what)
        return following

    def _entries(self, raw: bytes, body: int, what: str) -> dict[int, _Entry]:
        layout = self.layout
        found = {}
        head = struct.Struct(f"{layout.order}HH{layout.offset}{layout.offset}")
        for index, (tag, kind, count, value) in enumerate(head.iter_unpack(raw)):
            entry = _Entry(kind, count, value)
            if entry.bytes > layout.inline:
                self._inside(f"tag {tag} of {what}", value, entry.bytes)
            else:
                place = body + index * layout.entry + head.size - layout.inline
                entry = _Entry(kind, count, place)
            found[tag] = entry
            if self.strict and entry.kind not in _TYPE_BYTES:
                self._fail(f"tag {tag} of {what} has the type {entry.kind}, which does not exist")
        if self.strict and list(found) != sorted(found):
            self._fail(f"the tags of {what} are not in order")
        return found

    def _check(self, entries: dict[int, _Entry], what: str) -> None:
        tiled = all(tag in entries for tag in _TILES)
        if not tiled and not all(tag in entries for tag in _STRIPS):
            if self.strict:
                self._fail(f"{what} has neither tiles nor strips")
            return
        width, height = (self._one(entries, tag, what) for tag in (_WIDTH, _HEIGHT))
        if tiled:
            across, down = (self._one(entries, tag, what) for tag in _TILES[:2])
            expected = -(-width // across) * -(-height // down)
        else:
            rows = min(self._one(entries, _ROWS_PER_STRIP, what, default=height), height)
            expected = -(-height // rows)
        if self._one(entries, _PLANAR, what, default=1) == 2:
            expected *= self._one(entries, _SAMPLES, what, default=1)
        self._ranges(entries, _TILES[2:] if tiled else _STRIPS, expected, what)

    def _ranges(
        self, entries: dict[int, _Entry], tags: tuple[int, ...], expected: int, what: str
    ) -> None:
        numbers = [entries[tag].count for tag in tags]
        if numbers != [expected, expected]:
            msg = f"{what} needs {expected} tiles or strips for its size, its tables list "
            self._fail(msg + f"{numbers[0]} offsets and {numbers[1]} byte counts")
        offsets, counts = (self._values(entries[tag], what) for tag in tags)
        stored = counts > 0
        if bool((offsets[stored] < self.layout.header).any()):
            self._fail(f"a tile or strip of {what} is said to begin in the header")
        room = np.uint64(self.size) - np.minimum(offsets, np.uint64(self.size))
        beyond = np.flatnonzero(counts > room)
        if len(beyond):
            at, count = int(offsets[beyond[0]]), int(counts[beyond[0]])
            self._inside(f"tile or strip {int(beyond[0])} of {what}", at, count)

    def _one(
        self, entries: dict[int, _Entry], tag: int, what: str, *, default: int | None = None
    ) -> int:
        if tag not in entries:
            if default is None:
                self._fail(f"{what} has no tag {tag}")
            return default
        values = self._values(entries[tag], what)
        value = int(values[0]) if len(values) else 0
        if not 1 <= value <= _MAX_SIDE and not (tag == _ROWS_PER_STRIP and value > _MAX_SIDE):
            self._fail(f"tag {tag} of {what} says {value}, allowed are 1 to {_MAX_SIDE}")
        return value

    def _values(self, entry: _Entry, what: str) -> Values:
        if entry.kind not in _UNSIGNED:
            self._fail(f"a size or table of {what} is no unsigned number")
        self._spend(entry.bytes)
        self.file.seek(entry.at)
        raw = self.file.read(entry.bytes)
        return np.frombuffer(raw, self.layout.order + _UNSIGNED[entry.kind]).astype(np.uint64)

    def _spend(self, count: int) -> None:
        """Bound the time: tables that do not overlap are not longer than the file."""
        self.read_bytes += count
        if self.read_bytes > 2 * self.size + _SPARE:
            self._fail("its directories and tables overlap")

    def _inside(self, what: str, at: int, count: int) -> None:
        if at + count > self.size:
            msg = (
                f"{self.name}: {what} takes bytes {at} to {at + count}, the file ends at "
                f"{self.size}. Copy it again from its source."
            )
            raise TruncatedFileError(msg)

    def _fail(self, why: str) -> NoReturn:
        msg = f"{self.name}: {why}. Copy the file again from its source."
        raise CorruptInputError(msg)
