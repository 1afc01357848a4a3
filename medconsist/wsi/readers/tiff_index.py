"""Where the stored JPEG tiles of a TIFF lie, as arrays; parsed once, bounded by the file's size.

The few tags that matter are read here rather than by a TIFF library: a level of 80,000 pixels holds
97,656 offsets, which belong into one array, and a file that claims 2^40 of them must be refused
before anything is allocated.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medconsist.errors import CorruptInputError, TruncatedFileError, UnsupportedInputError
from medconsist.wsi.slide import Level

__all__ = ["StoredLevel", "stored_levels"]

# dtype of each TIFF field type that a tag of ours may have: BYTE, SHORT, LONG, UNDEFINED, LONG8
_TYPES = {1: "u1", 3: "u2", 4: "u4", 7: "u1", 13: "u4", 16: "u8", 18: "u8"}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_ORIENTATION, _SAMPLES, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT = 274, 277, 284, 322, 323
_OFFSETS, _COUNTS, _TABLES, _DEPTH, _NDPI = 324, 325, 347, 32997, 65420
_KNOWN = {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _PLANAR}
_KNOWN |= {_TILE_WIDTH, _TILE_HEIGHT, _OFFSETS, _COUNTS, _TABLES, _DEPTH, _NDPI}
_MAX_DIRECTORIES = 256
_MAX_ENTRIES = 4096
_MAX_TILE = 4096
_JPEG = 7
_OTHERS = {
    1: "no compression",
    5: "LZW",
    6: "old-style JPEG",
    8: "deflate",
    32946: "deflate",
    33003: "JPEG 2000 (YCbCr)",
    33005: "JPEG 2000 (RGB)",
    34712: "JPEG 2000",
    34892: "lossy DNG",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
}

Tags = dict[int, npt.NDArray[np.unsignedinteger]]


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredLevel:
    """One level: tiles row by row, each an abbreviated or whole JPEG stream in the file.

    Parameters
    ----------
    level
        Width and height of the image [px].
    tile_width, tile_height
        Of every stored tile, also of those at the right and lower edge [px].
    offsets, counts
        Where each tile begins and its length [bytes], int64, row-major. A count of 0 is a tile
        that was never stored.
    tables
        The JPEG tables that the streams share, empty if each brings its own.
    photometric
        2 for RGB, 6 for YCbCr; what the tag says, which the stream may contradict.

    Examples
    --------
    >>> blank = np.zeros(4, np.int64)
    >>> StoredLevel(level=Level(300, 250), tile_width=256, tile_height=128, offsets=blank,
    ...             counts=blank, tables=b"", photometric=6).shape
    (2, 2)
    """

    level: Level
    tile_width: int
    tile_height: int
    offsets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    tables: bytes
    photometric: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of stored tiles."""
        rows = -(-self.level.height // self.tile_height)
        return rows, -(-self.level.width // self.tile_width)


def stored_levels(path: Path, levels: Sequence[Level]) -> tuple[StoredLevel, ...]:
    """Return where the tiles of each level lie, or say why they cannot be decoded directly.

    The levels are those that OpenSlide reports: a directory belongs to a level if it is tiled and
    has its width and height, the first one in the file where several do. So thumbnail, label and
    macro images are never taken for a level, and images in SubIFDs (OME-TIFF) are not looked for.
    NDPI is left to OpenSlide: it stores one JPEG a level, cut by restart markers, with offsets
    beyond 4 GB in a way of its own.

    Parameters
    ----------
    path
        A TIFF or BigTIFF file.
    levels
        As OpenSlide names them, level 0 first.

    Raises
    ------
    UnsupportedInputError
        Not TIFF, or of a kind that is not stored as plain 8-bit three-channel JPEG tiles.
    CorruptInputError
        The structure contradicts itself; `TruncatedFileError` where it points beyond the file.

    Notes
    -----
    TIFF 6.0 (Adobe, 1992), TIFF Technical Note 2 (JPEG in TIFF), BigTIFF (libtiff, 2007).
    """
    with path.open("rb", buffering=0) as file:
        parser = _Parser(file.fileno())
        directories = [tags for tags in parser.directories() if _TILE_WIDTH in tags]
        return tuple(_stored(parser, directories, number, one) for number, one in enumerate(levels))


class _Parser:
    """Reads directories of a TIFF by their tags; every read is checked against the file's size."""

    def __init__(self, descriptor: int) -> None:
        self._fd = descriptor
        self.size = os.fstat(descriptor).st_size
        header = os.pread(descriptor, 16, 0)
        order = {b"II": "<", b"MM": ">"}.get(header[:2])
        version = 0 if order is None else int(np.frombuffer(header[2:4], f"{order}u2", 1)[0])
        if order is None or version not in (42, 43) or len(header) < 16:
            msg = f"direct decoding reads TIFF; this file begins with {header[:4]!r}."
            raise UnsupportedInputError(msg)
        self._order, self._big = order, version == 43
        self._word = f"{order}u8" if self._big else f"{order}u4"
        at = 8 if self._big else 4
        self._first = int(np.frombuffer(header, self._word, 1, at)[0])

    def take(self, offset: int, size: int, what: str) -> bytes:
        if size < 0 or offset < 0 or offset + size > self.size:
            msg = f"{what} at byte {offset} reaches beyond the end of the file ({self.size} bytes)."
            raise TruncatedFileError(msg)
        return os.pread(self._fd, size, offset)

    def directories(self) -> Iterator[Tags]:
        seen: set[int] = set()
        at = self._first
        while at:
            if at in seen or len(seen) >= _MAX_DIRECTORIES:
                msg = f"the TIFF directories run in a circle, or are more than {_MAX_DIRECTORIES}."
                raise CorruptInputError(msg)
            seen.add(at)
            tags, at = self._directory(at)
            yield tags

    def _directory(self, at: int) -> tuple[Tags, int]:
        head, entry = (8, 20) if self._big else (2, 12)
        raw = self.take(at, head, "a TIFF directory")
        count = int(np.frombuffer(raw, self._order + ("u8" if self._big else "u2"), 1)[0])
        if count > _MAX_ENTRIES:
            msg = f"a TIFF directory claims {count} entries; {_MAX_ENTRIES} are the most."
            raise CorruptInputError(msg)
        word = int(self._word[-1])
        raw = self.take(at + head, count * entry + word, "a TIFF directory")
        tags = {}
        for position in range(0, len(raw) - word, entry):
            tag, kind = np.frombuffer(raw, self._order + "u2", 2, position).tolist()
            if tag in _KNOWN:
                tags[tag] = self._values(tag, kind, raw[position + 4 : position + entry])
        return tags, int(np.frombuffer(raw[-word:], self._word, 1)[0])

    def _values(self, tag: int, kind: int, field: bytes) -> npt.NDArray[np.unsignedinteger]:
        if kind not in _TYPES:
            msg = f"TIFF tag {tag} has the field type {kind}, which its meaning does not allow."
            raise CorruptInputError(msg)
        dtype = np.dtype(self._order + _TYPES[kind])
        word = int(self._word[-1])
        count = int(np.frombuffer(field, self._word, 1)[0])
        size = count * dtype.itemsize
        if size <= word:
            raw = field[word : word + size]
        else:
            offset = int(np.frombuffer(field[word:], self._word, 1)[0])
            raw = self.take(offset, size, f"TIFF tag {tag} of {count} values")
        return np.frombuffer(raw, dtype, count)


def _stored(parser: _Parser, directories: Sequence[Tags], number: int, level: Level) -> StoredLevel:
    size = (level.width, level.height)
    found = [tags for tags in directories if (_one(tags, _WIDTH), _one(tags, _HEIGHT)) == size]
    if not found:
        msg = f"level {number} ({level.width} x {level.height}) is not stored as tiles of its own."
        raise UnsupportedInputError(msg)
    tags = found[0]
    reason = _declined(tags)
    if reason:
        msg = f"level {number} is not decoded directly: {reason}."
        raise UnsupportedInputError(msg)
    return StoredLevel(
        level=level,
        tile_width=_one(tags, _TILE_WIDTH),
        tile_height=_one(tags, _TILE_HEIGHT),
        tables=tags[_TABLES].tobytes() if _TABLES in tags else b"",
        photometric=_one(tags, _PHOTOMETRIC),
        **_places(parser, tags, number),
    )


def _one(tags: Tags, tag: int, default: int = 0) -> int:
    return int(tags[tag][0]) if tag in tags and len(tags[tag]) else default


def _declined(tags: Tags) -> str:
    """Return why a directory is not plain 8-bit RGB or YCbCr in JPEG tiles, empty if it is."""
    compression = _one(tags, _COMPRESSION, 1)
    samples, bits = _one(tags, _SAMPLES, 1), set(tags.get(_BITS, np.ones(1, np.uint8)).tolist())
    sides = _one(tags, _TILE_WIDTH), _one(tags, _TILE_HEIGHT)
    checks = (
        (_NDPI in tags, "NDPI keeps its tiles in a way of its own"),
        (compression != _JPEG, f"compression {_OTHERS.get(compression, 'code')} ({compression})"),
        (_one(tags, _PLANAR, 1) != 1, "the colours are stored apart (planar)"),
        (samples != 3, f"{samples} channels, 3 are needed"),
        (bits != {8}, f"{sorted(bits)} bits a channel, 8 are needed"),
        (_one(tags, _PHOTOMETRIC) not in (2, 6), f"photometric {_one(tags, _PHOTOMETRIC)}"),
        (_one(tags, _ORIENTATION, 1) != 1, f"orientation {_one(tags, _ORIENTATION)}"),
        (_one(tags, _DEPTH, 1) != 1, f"{_one(tags, _DEPTH)} planes in depth"),
        (not 8 <= min(sides) <= max(sides) <= _MAX_TILE, f"stored tiles of {sides} pixels"),
    )
    return next((reason for wrong, reason in checks if wrong), "")


def _places(parser: _Parser, tags: Tags, number: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return offsets and counts, one for each tile, all within the file."""
    rows = -(-_one(tags, _HEIGHT) // _one(tags, _TILE_HEIGHT))
    wanted = rows * -(-_one(tags, _WIDTH) // _one(tags, _TILE_WIDTH))
    found = len(tags.get(_OFFSETS, ())), len(tags.get(_COUNTS, ()))
    if min(found) < wanted:
        msg = f"level {number} needs {wanted} tiles; the file lists {found[0]} offsets and "
        msg += f"{found[1]} lengths."
        raise CorruptInputError(msg)
    offsets, counts = (tags[tag][:wanted].astype(np.int64) for tag in (_OFFSETS, _COUNTS))
    beyond = (counts > 0) & ((offsets < 0) | (counts > parser.size - offsets))
    if (counts < 0).any() or beyond.any():
        tile = int(np.flatnonzero(beyond | (counts < 0))[0])
        msg = f"tile {tile} of level {number} ends at byte {int(offsets[tile] + counts[tile])}; "
        msg += f"the file has {parser.size}."
        raise TruncatedFileError(msg)
    return {"offsets": offsets, "counts": counts}
