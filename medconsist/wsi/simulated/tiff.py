"""A TIFF or BigTIFF container whose pictures may share their bytes.

Reference: TIFF 6.0 (Adobe 1992); BigTIFF design (Aware Systems 2004). ``tifffile`` writes neither
repeated tile offsets nor abbreviated streams without an Adobe marker, hence these lines.
"""

import io
import struct
from fractions import Fraction
from types import TracebackType
from typing import Literal

from medconsist.errors import RefusedInputError

__all__ = ["Tag", "TiffFile", "rational"]

Kind = Literal["ascii", "short", "long", "long8", "rational", "bytes"]
Tag = tuple[int, Kind, tuple[int, ...] | bytes]
"""Number of the tag, its type, and its values (bytes for ``ascii`` and ``bytes``)."""

_CODES = {
    "bytes": (7, "B"),
    "ascii": (2, "B"),
    "short": (3, "H"),
    "long": (4, "I"),
    "rational": (5, "I"),
    "long8": (16, "Q"),
}
_LARGEST = 2**32 - 1


class TiffFile:
    r"""Write data blocks first and directories last, so that memory stays bounded.

    Parameters
    ----------
    file
        Opened for writing, empty.
    big
        BigTIFF, needed beyond 4 GiB.

    Examples
    --------
    >>> import io
    >>> buffer = io.BytesIO()
    >>> with TiffFile(buffer, big=False) as tiff:
    ...     offset = tiff.add_data(b"pixels")
    ...     tiff.add_directory([(256, "long", (1,)), (273, "long8", (offset,))])
    >>> buffer.getvalue()[:4]
    b'II*\x00'
    """

    def __init__(self, file: io.BufferedIOBase, *, big: bool) -> None:
        self._file = file
        self._big = big
        self._directories: list[list[Tag]] = []
        header = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if big else b"II*\0\0\0\0\0"
        self._end = file.write(header)

    def __enter__(self) -> "TiffFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._finish()

    def add_data(self, data: bytes) -> int:
        """Append ``data`` and return its offset."""
        offset = self._end
        self._end += self._file.write(data)
        return offset

    def add_directory(self, tags: list[Tag]) -> None:
        """Add one picture; directories are linked in the order in which they are added."""
        self._directories.append(sorted(tags, key=lambda tag: tag[0]))

    def _finish(self) -> None:
        link = 8 if self._big else 4
        for tags in self._directories:
            entries = [self._entry(tag) for tag in tags]
            self.add_data(b"\0" * (self._end % 2))
            start = self._end
            self._check(start)
            self._file.seek(link)
            self._file.write(struct.pack("<Q" if self._big else "<I", start))
            self._file.seek(start)
            self.add_data(struct.pack("<Q" if self._big else "<H", len(tags)) + b"".join(entries))
            link = self._end
            self.add_data(b"\0" * (8 if self._big else 4))

    def _entry(self, tag: Tag) -> bytes:
        number, kind, values = tag
        if kind == "long8" and not self._big:
            self._check(max(values))
            kind = "long"
        code, letter = _CODES[kind]
        data = struct.pack(f"<{len(values)}{letter}", *values)
        count = len(values) // 2 if kind == "rational" else len(values)
        inline = 8 if self._big else 4
        if len(data) > inline:
            self.add_data(b"\0" * (self._end % 2))
            data = struct.pack("<Q" if self._big else "<I", self.add_data(data))
        head = struct.pack("<HHQ" if self._big else "<HHI", number, code, count)
        return head + data.ljust(inline, b"\0")

    def _check(self, offset: int) -> None:
        if not self._big and offset > _LARGEST:
            msg = (
                f"The file grew to {offset} bytes, allowed in a classic TIFF: {_LARGEST}. "
                "Write it with big_tiff=True."
            )
            raise RefusedInputError(msg)


def rational(value: Fraction) -> tuple[int, int]:
    """Return the nearest numerator and denominator that fit 32 bits; value above 0.

    Examples
    --------
    >>> rational(10_000 / Fraction("0.2498"))
    (50000000, 1249)
    """
    if max(value.numerator, value.denominator) > _LARGEST:
        value = value.limit_denominator(_LARGEST // (int(value) + 1))
    return value.numerator, value.denominator
