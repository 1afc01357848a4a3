"""Is the file whole, before a pixel of it is believed; and if not, in which way."""

import math
from pathlib import Path

from medconsist.errors import (
    CorruptInputError,
    MedconsistError,
    MissingInputError,
    StorageError,
    UnsupportedInputError,
)
from medconsist.wsi.readers.content import Content, content_of
from medconsist.wsi.readers.dicom_structure import check_dicom
from medconsist.wsi.readers.facts import stored_tile
from medconsist.wsi.readers.tiff_structure import check_tiff
from medconsist.wsi.slide import Level, Slide

_SHAPE_SLACK = 0.02  # scanners pad and trim levels by less; a wrong size misses by more

__all__ = ["check_file", "check_levels", "why_unreadable"]


def check_file(path: Path) -> Content:
    """Refuse a file that is missing, empty, or cut or broken in its structure; decode nothing.

    Every claim of a TIFF about places and lengths is checked against the length of the file:
    directories, values, tables of tiles. A DICOM file's elements must end with the file. Other
    formats are left to OpenSlide. Time and memory are bounded by what a slide of 2^24 tiles needs.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    :
        What the first bytes say the file is.

    Raises
    ------
    MissingInputError
        There is no such file.
    UnsupportedInputError
        It is a folder.
    CorruptInputError
        It is empty, or its structure contradicts itself.
    TruncatedFileError
        It claims bytes beyond its end.
    StorageError
        The system does not let it be read.
    """
    try:
        return _checked(path)
    except OSError as error:
        if isinstance(error, MedconsistError):
            raise
        msg = f"{path.name} cannot be read: {error.strerror or error}."
        raise StorageError(msg) from error


def _checked(path: Path) -> Content:
    if path.is_dir():
        msg = f"{path.name} is a folder; give the file of one slide in it."
        raise UnsupportedInputError(msg)
    if not path.is_file():
        msg = f"there is no file {path.name}."
        raise MissingInputError(msg)
    content = content_of(path)
    if content is Content.EMPTY:
        msg = f"{path.name} is empty (0 bytes). Copy it again from its source."
        raise CorruptInputError(msg)
    if content is Content.TIFF:
        check_tiff(path)
    elif content is Content.DICOM:
        check_dicom(path)
    return content


def check_levels(slide: Slide) -> None:
    """Check the shape of every level; decode a pixel of its first and of its last stored tile.

    Raises
    ------
    CorruptInputError
        A level has not the shape of level 0, or one of the tiles cannot be decoded.
    """
    base = slide.facts.levels[0]
    for number, level in enumerate(slide.facts.levels):
        if not _same_shape(level, base):
            msg = f"{slide.facts.path.name}: level {number} is {level.width} x {level.height} px, "
            msg += f"level 0 is {base.width} x {base.height}: not the same picture."
            raise CorruptInputError(msg)
        slide.read_region(number, 0, 0, 1, 1)
        tile = stored_tile(slide.facts, number)
        if tile is None or tile[0] < level.width or tile[1] < level.height:
            slide.read_region(number, level.width - 1, level.height - 1, 1, 1)


def _same_shape(level: Level, base: Level) -> bool:
    """Say whether one factor along both axes explains the sizes, a level being rounded by 1 px."""
    pairs = ((base.width, level.width), (base.height, level.height))
    least = max(size / (stored + 1) for size, stored in pairs)
    most = min(size / (stored - 1) if stored > 1 else math.inf for size, stored in pairs)
    return least <= most * (1 + _SHAPE_SLACK)


def why_unreadable(path: Path, error: Exception, *, doing: str) -> MedconsistError:
    """Return the error of ours that says why OpenSlide failed on a file.

    What the structure of the file contradicts goes first: a cut file is `TruncatedFileError`,
    whatever OpenSlide says of it. A sound one that OpenSlide does not know, or whose compression it
    does not know, is `UnsupportedInputError`; all else is `CorruptInputError`, also a TIFF unknown
    to OpenSlide that breaks the rules of TIFF.

    Parameters
    ----------
    path
        The file.
    error
        Of OpenSlide.
    doing
        For the message: ``"opening"``, ``"reading level 0 at 0, 0"``.
    """
    unknown = type(error).__name__ == "OpenSlideUnsupportedFormatError"
    try:
        content = check_file(path)
        if unknown and content is Content.TIFF:
            check_tiff(path, strict=True)
    except MedconsistError as reason:
        return reason
    if unknown:
        return UnsupportedInputError(_unknown(path, content))
    said = f"{path.name}: OpenSlide failed on {doing}: {error}."
    if doing == "opening" and str(error).startswith("Unsupported"):
        msg = f"{said} Convert the slide to a format that OpenSlide reads."
        return UnsupportedInputError(msg)
    msg = f"{said} The file is damaged; copy it again from its source."
    return CorruptInputError(msg)


def _unknown(path: Path, content: Content) -> str:
    named = f"named {path.suffix}" if path.suffix else "named without extension"
    return (
        f"{path.name} is {content.value} {named}, and no slide that OpenSlide knows. Allowed are "
        "SVS, tiled TIFF, NDPI, VMS, SCN, MRXS, BIF, DICOM, CZI and ZVI slides."
    )
