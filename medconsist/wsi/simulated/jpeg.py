"""JPEG streams as TIFF wants them: with or without their tables, with or without an Adobe marker.

Reference: TIFF Technical Note 2 (JPEG in TIFF, 1995): the tables of all tiles of a level may be
kept once in the tag JPEGTables, and the tiles are then abbreviated streams.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from medconsist._extras import require
from medconsist.errors import RefusedInputError

__all__ = ["JpegEncoder"]

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_TABLES = (0xDB, 0xC4)
_FRAME, _SCAN, _JFIF, _ADOBE = 0xC0, 0xDA, 0xE0, 0xEE


@dataclass(frozen=True, kw_only=True)
class JpegEncoder:
    """Turn pixels into the JPEG stream of a tile.

    Rgb streams get component numbers 0, 1, 2 as libtiff and Aperio write them: without an Adobe
    marker a decoder takes them for YCbCr, and nothing in the stream contradicts it.

    Parameters
    ----------
    photometric
        Components that are stored.
    sampling
        Chroma sampling; rgb takes 444 only.
    quality
        1 to 100.
    shared_tables
        Leave the tables out of the stream; ``tables`` returns them.
    adobe_marker
        Keep the APP14 marker of an rgb stream.

    Examples
    --------
    >>> white = np.full((16, 16, 3), 255, np.uint8)
    >>> encoder = JpegEncoder(photometric="ycbcr", sampling="420", quality=80)
    >>> len(encoder.encode(white)) < len(encoder.tables) < 700
    True
    """

    photometric: Literal["ycbcr", "rgb"]
    sampling: str
    quality: int
    shared_tables: bool = True
    adobe_marker: bool = False

    def encode(self, pixels: UInt8[np.ndarray, "rows columns 3"]) -> bytes:
        """Return the stream of one tile or strip."""
        stream = self._whole(np.ascontiguousarray(pixels))
        if not self.shared_tables:
            return stream
        return _SOI + b"".join(part for marker, part in _segments(stream) if marker not in _TABLES)

    @property
    def tables(self) -> bytes:
        """The tag JPEGTables that belongs to ``encode``: the same for every tile."""
        stream = self._whole(np.zeros((16, 16, 3), np.uint8))
        parts = (part for marker, part in _segments(stream) if marker in _TABLES)
        return _SOI + b"".join(parts) + _EOI

    def _whole(self, pixels: UInt8[np.ndarray, "rows columns 3"]) -> bytes:
        if self.photometric == "ycbcr":
            stream = require("simplejpeg", extra="wsi").encode_jpeg(
                pixels, self.quality, "RGB", self.sampling, fastdct=False
            )
        else:
            stream = require("imagecodecs", extra="wsi").jpeg8_encode(
                pixels, self.quality, colorspace="RGB", outcolorspace="RGB", subsampling="444"
            )
        dropped = {_JFIF} if self.adobe_marker else {_JFIF, _ADOBE}
        kept = (
            _number_components(marker, part) if self.photometric == "rgb" else part
            for marker, part in _segments(bytes(stream))
            if marker not in dropped
        )
        return _SOI + b"".join(kept)


def _segments(stream: bytes) -> list[tuple[int, bytes]]:
    """Split a stream after its SOI; the last part is the scan with all that follows."""
    found, at = [], 2
    while stream[at + 1] != _SCAN:
        if stream[at] != 0xFF:
            msg = f"Not a JPEG stream: byte {at} is {stream[at]:#x}, allowed: a marker (0xff)."
            raise RefusedInputError(msg)
        end = at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
        found.append((stream[at + 1], stream[at:end]))
        at = end
    return [*found, (_SCAN, stream[at:])]


def _number_components(marker: int, part: bytes) -> bytes:
    first, step = {_FRAME: (10, 3), _SCAN: (5, 2)}.get(marker, (0, 0))
    if not step:
        return part
    numbered = bytearray(part)
    for component in range(3):
        numbered[first + component * step] = component
    return bytes(numbered)
