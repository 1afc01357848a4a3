"""How the levels of a slide are stored: compression, colours, tiles, as the file itself says."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medconsist._extras import require
from medconsist.errors import MedconsistError
from medconsist.wsi.readers.content import Content
from medconsist.wsi.readers.probe import check_file

__all__ = ["StoredAs", "storage_of"]

_SENSELESS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


@dataclass(frozen=True)
class StoredAs:
    """One image of a TIFF file.

    Parameters
    ----------
    width, height
        [px].
    compression, photometric
        By their names in TIFF: ``"JPEG"``, ``"RGB"``, ``"YCBCR"`` ...
    tile
        Width and height of a stored tile [px]; None for strips.

    Examples
    --------
    >>> StoredAs(300, 200, "JPEG", "RGB", (240, 240)).words
    '300 x 200: JPEG, RGB, tiles of 240 x 240'
    """

    width: int
    height: int
    compression: str
    photometric: str
    tile: tuple[int, int] | None

    @property
    def words(self) -> str:
        """One line."""
        stored = "strips" if self.tile is None else f"tiles of {self.tile[0]} x {self.tile[1]}"
        return f"{self.width} x {self.height}: {self.compression}, {self.photometric}, {stored}"


def storage_of(path: Path) -> tuple[StoredAs, ...]:
    """Return every image of a TIFF file in its order; none if it is broken or no TIFF.

    What the tags say; the JPEG streams decide how they are decoded.
    """
    tifffile = require("tifffile", extra="wsi")
    try:
        if check_file(path) is not Content.TIFF:
            return ()
        with tifffile.TiffFile(path) as tiff:
            return tuple(_stored(page) for page in tiff.pages)
    # A structure that adds up may still hold a tag of the wrong type, or of no sense.
    except (MedconsistError, tifffile.TiffFileError, struct.error, *_SENSELESS):
        return ()


def _stored(page: Any) -> StoredAs:  # noqa: ANN401  a page of tifffile, imported when needed
    return StoredAs(
        width=page.imagewidth,
        height=page.imagelength,
        compression=_name(page.compression),
        photometric=_name(page.photometric),
        tile=(page.tilewidth, page.tilelength) if page.is_tiled else None,
    )


def _name(value: object) -> str:
    return str(getattr(value, "name", value))
