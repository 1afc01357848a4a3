"""One DICOM file, opened in doubt: what it is, which syntax, how many pixels it claims."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from medconsist._extras import require
from medconsist._library_errors import library_errors
from medconsist.errors import (
    TruncatedFileError,
    UnsupportedInputError,
)

__all__ = ["DicomFile", "dicom_errors", "open_dicom"]

_PREAMBLE = 128
_MAGIC = b"DICM"
_SYNTAXES = {
    "1.2.840.10008.1.2": "implicit little endian",
    "1.2.840.10008.1.2.1": "explicit little endian",
    "1.2.840.10008.1.2.2": "explicit big endian",
    "1.2.840.10008.1.2.5": "RLE",
}
_NATIVE = {name for name in _SYNTAXES if not name.endswith(".5")}
_FLOAT32_BYTES = 4
_UIDS = ("StudyInstance", "SeriesInstance", "SOPClass", "SOPInstance")
_UID = re.compile(r"[0-9][0-9.]{0,63}")


@dataclass(frozen=True, eq=False)
class DicomFile:
    """A parsed file whose pixels are decoded when they are asked for.

    Parameters
    ----------
    name
        Of the file, for messages.
    header
        The dataset of pydicom.
    shape
        Frames, rows, columns.
    study, series, sop_class, sop_instance
        UIDs.

    Examples
    --------
    >>> DicomFile("a.dcm", None, (4, 2, 3), study="1", series="2").claimed_bytes
    96
    """

    name: str
    header: Any
    shape: tuple[int, int, int]
    study: str = ""
    series: str = ""
    sop_class: str = ""
    sop_instance: str = ""

    @property
    def claimed_bytes(self) -> int:
        """What its pixels take as float32."""
        frames, rows, columns = self.shape
        return frames * rows * columns * _FLOAT32_BYTES

    def stored(self) -> Shaped[np.ndarray, "frames rows columns"]:
        """Return the stored values of all frames.

        Raises
        ------
        TruncatedFileError
            If there are fewer bytes than the header claims.
        CorruptInputError
            If they cannot be decoded.
        """
        frames, rows, columns = self.shape
        wanted = frames * rows * columns * int(self.header.BitsAllocated) // 8
        native = str(self.header.file_meta.TransferSyntaxUID) in _NATIVE
        present = len(self.header.PixelData or b"")
        if native and present < wanted:
            msg = (
                f"{self.name} holds {present} bytes of pixels, but claims {wanted} ({frames} x "
                f"{rows} x {columns}). Copy the file again."
            )
            raise TruncatedFileError(msg)
        with dicom_errors(self.name):
            array: Shaped[np.ndarray, ...] = self.header.pixel_array
            return array.reshape(frames, rows, columns)


def open_dicom(path: Path) -> DicomFile:
    """Parse a file and refuse what is no uncompressed MR image of one grey channel.

    Raises
    ------
    UnsupportedInputError, CorruptInputError, TruncatedFileError
        As their names say.
    """
    with path.open("rb") as opened:
        head = opened.read(_PREAMBLE + len(_MAGIC))
    if head[_PREAMBLE:] != _MAGIC:
        msg = (
            f"{path.name} is no DICOM file (no DICM after 128 bytes); allowed: a folder that holds "
            "one DICOM series alone. Take the other files out."
        )
        raise UnsupportedInputError(msg)
    pydicom = require("pydicom", extra="dicom")
    # pydicom ends silently in the middle of a header, or raises one of many errors.
    with dicom_errors(path.name):
        header = pydicom.dcmread(path)
        syntax = header.file_meta.TransferSyntaxUID
        _refuse_syntax(path.name, str(syntax), str(syntax.name))
        _refuse_kind(path.name, header)
        frames = int(header.get("NumberOfFrames", 1) or 1)
        shape = frames, int(header.Rows), int(header.Columns)
        if min(shape) < 1:
            msg = f"frames, rows and columns {shape}"
            raise ValueError(msg)
        uids = (_uid(header, f"{word}UID") for word in _UIDS)
        return DicomFile(path.name, header, shape, *uids)


def _uid(header: Any, word: str) -> str:  # noqa: ANN401  a class of pydicom
    value = str(header[word].value)
    if _UID.fullmatch(value) is None:
        msg = f"{word} {value[:64]!r}"
        raise ValueError(msg)
    return value


def _refuse_syntax(name: str, syntax: str, said: str) -> None:
    if syntax not in _SYNTAXES:
        msg = (
            f"{name} is stored as {said[:60]}, which needs a decoder that is no part of this "
            f"program; allowed: {', '.join(_SYNTAXES.values())}. Expand it first, e.g. with "
            "dcmdjpeg of DCMTK or gdcmconv --raw."
        )
        raise UnsupportedInputError(msg)


def _refuse_kind(name: str, header: Any) -> None:  # noqa: ANN401  a class of pydicom
    needed = (*(f"{word}UID" for word in _UIDS), "Rows", "Columns", "PixelData")
    missing = [word for word in needed if word not in header]
    if missing:
        msg = f"{name} has no {', '.join(missing)}: it holds no image, or ends before it."
        raise TruncatedFileError(msg)
    grey = header.get("SamplesPerPixel", 1) == 1 and header.get("BitsAllocated") in (8, 16, 32)
    grey = grey and header.get("PhotometricInterpretation") == "MONOCHROME2"
    if header.get("Modality") != "MR" or not grey:
        msg = (
            f"{name} is a {str(header.get('Modality', 'nameless'))[:16]!r} image "
            f"({str(header.get('PhotometricInterpretation', '?'))[:16]}); allowed: MR images of "
            "one grey channel (MONOCHROME2, 8, 16 or 32 bits)."
        )
        raise UnsupportedInputError(msg)


@contextmanager
def dicom_errors(name: str) -> Iterator[None]:
    """Turn what pydicom says of a damaged file into one sentence; see `library_errors`.

    Raises
    ------
    CorruptInputError
        Names the file and the reason.
    """
    errors = require("pydicom.errors", extra="dicom")
    own = (errors.InvalidDicomError, errors.BytesLengthException)
    with library_errors(name, "pydicom", also=own):
        yield
