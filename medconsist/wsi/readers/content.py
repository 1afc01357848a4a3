"""What a file is by its first bytes, whatever its name says."""

from enum import Enum
from pathlib import Path

__all__ = ["Content", "content_of"]


class Content(Enum):
    """Kinds of bytes; the value is said in messages.

    Examples
    --------
    >>> Content.TIFF.value
    'a TIFF'
    """

    EMPTY = "an empty file"
    TIFF = "a TIFF"
    DICOM = "a DICOM file"
    JPEG = "a JPEG picture"
    PNG = "a PNG picture"
    PDF = "a PDF document"
    ZIP = "a ZIP archive"
    GZIP = "a gzip archive"
    HDF5 = "an HDF5 file"
    CZI = "a Zeiss CZI"
    OLE = "an OLE document"
    TEXT = "a text"
    OTHER = "a file of no known kind"


_STARTS = (
    (b"II*\0", Content.TIFF),
    (b"MM\0*", Content.TIFF),
    (b"II+\0", Content.TIFF),
    (b"MM\0+", Content.TIFF),
    (b"\xff\xd8\xff", Content.JPEG),
    (b"\x89PNG", Content.PNG),
    (b"%PDF", Content.PDF),
    (b"PK\x03\x04", Content.ZIP),
    (b"\x1f\x8b", Content.GZIP),
    (b"\x89HDF", Content.HDF5),
    (b"ZISRAWFILE", Content.CZI),
    (b"\xd0\xcf\x11\xe0", Content.OLE),
)
_DICOM_AT = 128


def content_of(path: Path) -> Content:
    """Return what the first bytes of a file say it is."""
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        return Content.EMPTY
    for start, content in _STARTS:
        if head[: len(start)] == start[: len(head)]:  # also of a file that ends within its start
            return content
    if head[_DICOM_AT : _DICOM_AT + 4] == b"DICM":
        return Content.DICOM
    if head.isascii() and b"\0" not in head:
        return Content.TEXT
    return Content.OTHER
