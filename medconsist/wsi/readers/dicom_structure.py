"""A DICOM file's elements must end where the file ends."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from medconsist.errors import CorruptInputError, TruncatedFileError

__all__ = ["check_dicom"]

_PREAMBLE = 132
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR"))
_LONG |= {b"UT", b"UV"}
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_CLASS, _SYNTAX, _PIXELS = (0x0002, 0x0002), (0x0002, 0x0010), (0x7FE0, 0x0010)
_SLIDE_CLASS = b"1.2.840.10008.5.1.4.1.1.77.1.6"  # VL Whole Slide Microscopy Image Storage
# Implicit, big-endian and deflated files are not walked; OpenSlide refuses them anyhow.
_OTHER_SYNTAXES = (b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99")
_MAX_DEPTH = 16


def check_dicom(path: Path) -> None:
    """Follow the lengths of the elements of an explicit little-endian file (PS3.5, 7.1.2).

    Raises
    ------
    TruncatedFileError
        An element ends beyond the file, or a slide ends before its pixels.
    CorruptInputError
        What stands where an element must begin is none.
    """
    with path.open("rb") as file:
        walk = _Walk(file.fileno(), path.name, path.stat().st_size)
        walk.elements(_PREAMBLE, depth=0)
    if walk.size == _PREAMBLE or (walk.slide and not walk.pixels):
        msg = f"{path.name} ends before its pixel data. Copy it again from its source."
        raise TruncatedFileError(msg)


@dataclass
class _Walk:
    descriptor: int
    name: str
    size: int
    slide: bool = False
    pixels: bool = False

    def elements(self, at: int, *, depth: int) -> int:
        """Walk to the end of the file, or of the item whose elements these are."""
        while at < self.size or depth:
            tag, kind, length, at = self._element(at)
            if tag == _ITEM_END:
                return at
            self.pixels |= tag == _PIXELS and not depth
            if length == _UNDEFINED:
                at = self._items(at, nested=kind != b"OB" and kind != b"OW", depth=depth + 1)
                continue
            if tag == _SYNTAX and self._text(at, length) in _OTHER_SYNTAXES:
                self.pixels = True
                return self.size
            self.slide |= tag == _CLASS and self._text(at, length) == _SLIDE_CLASS
            at = self._after(at, length)
        return at

    def _element(self, at: int) -> tuple[tuple[int, int], bytes, int, int]:
        head = self._bytes(at, 8)
        group, number, kind, short = struct.unpack("<HH2sH", head)
        if group == _ITEM[0]:
            return (group, number), b"", 0, at + 8
        if not (kind.isalpha() and kind.isupper()):
            msg = f"{self.name}: byte {at} begins no element. Copy the file again from its source."
            raise CorruptInputError(msg)
        if kind in _LONG:
            (length,) = struct.unpack("<I", self._bytes(at + 8, 4))
            return (group, number), kind, length, at + 12
        return (group, number), kind, short, at + 8

    def _items(self, at: int, *, nested: bool, depth: int) -> int:
        if depth > _MAX_DEPTH:
            msg = f"{self.name}: sequences lie more than {_MAX_DEPTH} deep; the file is damaged."
            raise CorruptInputError(msg)
        while True:
            group, number, length = struct.unpack("<HHI", self._bytes(at, 8))
            at += 8
            if (group, number) == _SEQUENCE_END:
                return at
            if (group, number) != _ITEM:
                msg = f"{self.name}: byte {at - 8} begins no item; the file is damaged."
                raise CorruptInputError(msg)
            if length == _UNDEFINED and nested:
                at = self.elements(at, depth=depth)
            else:
                at = self._after(at, length)

    def _text(self, at: int, count: int) -> bytes:
        return self._bytes(at, count).rstrip(b"\0 ")

    def _bytes(self, at: int, count: int) -> bytes:
        self._after(at, count)
        return os.pread(self.descriptor, count, at)

    def _after(self, at: int, count: int) -> int:
        if at + count > self.size:
            msg = (
                f"{self.name}: the element at byte {at} ends at {at + count}, the file at "
                f"{self.size}. Copy it again from its source."
            )
            raise TruncatedFileError(msg)
        return at + count
