"""From the JPEG stream of a stored tile to pixels, exactly as OpenSlide sees them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medconsist._extras import require
from medconsist.errors import CorruptInputError, UnsupportedInputError

__all__ = ["APP14", "StreamFacts", "TileDecoder", "inspect", "prefix_of", "standalone"]

# Adobe marker, version 100, transform 0: "these three channels are RGB as they are".
APP14 = bytes.fromhex("ffee000e41646f626500640000000000")
_SOI, _EOI, _SOS = b"\xff\xd8", b"\xff\xd9", 0xDA
_RGB = 2
_FRAMES = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive", 0xC3: "lossless"}
_BARE = {0x01, *range(0xD0, 0xDA)}


@dataclass(frozen=True)
class StreamFacts:
    """What the header of a JPEG stream says.

    Parameters
    ----------
    width, height
        [px].
    components
        Channels.
    precision
        Bits a channel.
    process
        ``"baseline"``, ``"extended"``, ``"progressive"``, ``"lossless"``; others by their code.

    Examples
    --------
    >>> StreamFacts(256, 256, 3, 8, "baseline").components
    3
    """

    width: int
    height: int
    components: int
    precision: int
    process: str


def prefix_of(tables: bytes, photometric: int) -> bytes:
    r"""Return what goes before the streams of a level, after each has lost its first two bytes.

    The Adobe marker comes first, if the photometric tag says RGB: without any marker libjpeg takes
    three channels for YCbCr, and the tiles of an Aperio scanner come out up to 254/255 wrong. As
    the first marker it is only a default; one that the tables or the stream bring overrules it.

    Parameters
    ----------
    tables
        JPEGTables of the level; may be empty.
    photometric
        Of the level: 2 for RGB.

    Examples
    --------
    >>> prefix_of(b"", 6)
    b'\xff\xd8'
    """
    inner = tables.removeprefix(_SOI).removesuffix(_EOI)
    return _SOI + (APP14 if photometric == _RGB else b"") + inner


def standalone(prefix: bytes, data: bytes | memoryview) -> bytes:
    r"""Return a stored stream as a JPEG that any program can decode.

    Parameters
    ----------
    prefix
        See `prefix_of`.
    data
        The stored bytes, from SOI on.

    Raises
    ------
    CorruptInputError
        The bytes do not begin like a JPEG stream.

    Examples
    --------
    >>> standalone(b"\xff\xd8tables", b"\xff\xd8scan")
    b'\xff\xd8tablesscan'
    """
    if data[:2] != _SOI:
        msg = f"a JPEG stream begins with ff d8, this one with {bytes(data[:2]).hex(' ')}."
        raise CorruptInputError(msg)
    return prefix + data[2:]


def inspect(stream: bytes) -> StreamFacts:
    """Return what the header of a standalone stream says, without decoding it.

    Raises
    ------
    CorruptInputError
        No frame header is found before the scan.
    """
    at = _frame(stream)
    high, wide = (int.from_bytes(stream[at + n : at + n + 2]) for n in (5, 7))
    process = _FRAMES.get(stream[at + 1], f"SOF{stream[at + 1] - 0xC0}")
    return StreamFacts(wide, high, stream[at + 9], stream[at + 4], process)


def _frame(stream: bytes | memoryview) -> int:
    """Return where the frame header of a standalone stream begins."""
    at = 2
    while at + 9 < len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xFF or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            return at
        if marker == _SOS:
            break
        at += 2 + int.from_bytes(stream[at + 2 : at + 4])
    msg = "the JPEG stream has no frame header."
    raise CorruptInputError(msg)


class TileDecoder:
    """Decodes the stored tiles of one level at one scale, into memory that is given.

    The exact transform and the smooth upsampling of libjpeg-turbo, as OpenSlide uses them; a
    warning of the decoder counts as an error. The decoder keeps nothing between calls (simplejpeg
    makes a new handle for each), so what follows a broken stream is not touched by it, and threads
    may share the object. The stream is trusted, not the tags: subsampling and colour are what it
    says, and its size must be that of a tile.

    Parameters
    ----------
    width, height
        Of a stored tile [px].
    prefix
        See `prefix_of`.
    shrink
        1, 2, 4 or 8: decoded at 1/shrink by the scaled DCT. Width and height must divide by it:
        the scaled size is a ceiling, and tiles of odd size would no longer lie side by side.
    name
        For error messages, e.g. ``"level 0"``.

    Examples
    --------
    >>> decoder = TileDecoder(240, 240, prefix=prefix_of(b"", 2), shrink=2, name="level 0")
    >>> decoder.shape
    (120, 120, 3)
    """

    def __init__(self, width: int, height: int, *, prefix: bytes, shrink: int, name: str) -> None:
        if shrink not in {1, 2, 4, 8} or width % shrink or height % shrink:
            msg = f"stored tiles of {width} x {height} pixels cannot be decoded at 1/{shrink}."
            raise UnsupportedInputError(msg)
        codec = require("simplejpeg", extra="wsi")
        self.shape = (height // shrink, width // shrink, 3)
        self._decode: Callable[..., npt.NDArray[np.uint8]] = codec.decode_jpeg
        self._header: Callable[..., tuple[Any, ...]] = codec.decode_jpeg_header
        self._stored, self._prefix, self._name = (height, width), prefix, name
        self._options: dict[str, Any] = {"fastdct": False, "fastupsample": False, "strict": True}
        if shrink > 1:
            small = {"min_height": self.shape[0], "min_width": self.shape[1]}
            self._options |= {**small, "min_factor": float(shrink)}
        self._shrink, self._alike = shrink, b""

    def into(
        self, data: bytes | memoryview, out: npt.NDArray[np.uint8], *, tile: tuple[int, int]
    ) -> None:
        """Decode the stored bytes of a tile into ``out``, contiguous and of `shape`.

        Parameters
        ----------
        data
            As stored.
        out
            uint8, C-contiguous.
        tile
            Row and column of the stored tile, for messages.

        Raises
        ------
        CorruptInputError
            The bytes cannot be decoded, or are an image of another size.
        """
        try:
            # A stream that lacks nothing is not copied.
            complete = self._prefix == _SOI and data[:2] == _SOI
            stream = data if complete else standalone(self._prefix, data)
            right = self._shrink == 1 or self._of_size(stream)
            made = self._decode(stream, buffer=out, **self._options)
        except (ValueError, RuntimeError) as error:
            msg = f"stored tile (row {tile[0]}, column {tile[1]}) of {self._name} cannot be "
            msg += f"decoded: {error}"
            raise CorruptInputError(msg) from error
        if not right or made.shape != self.shape:
            msg = f"stored tile (row {tile[0]}, column {tile[1]}) of {self._name} is an image of "
            msg += f"another size than its level's tiles, {self._stored[1]} x {self._stored[0]}."
            raise CorruptInputError(msg)

    def _of_size(self, stream: bytes | memoryview) -> bool:
        """Return whether a stream has the size of a tile.

        To be asked at a reduced scale, at which one of another size could come out at the right
        one. A stream that begins like the last one has its size; so nearly all of a level do.
        """
        if self._alike and stream[: len(self._alike)] == self._alike:
            return True
        if self._header(stream)[:2] != self._stored:
            return False
        self._alike = bytes(stream[: _frame(stream) + 9])
        return True
