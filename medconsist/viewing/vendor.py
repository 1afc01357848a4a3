"""The JavaScript libraries that the viewer serves: which files, with which bytes, from where.

``apps/viewer/vendor.lock.json`` is committed and names every file with its sha256. The files
themselves come from npm at build time (``make vendor``, :mod:`medconsist.viewing.vendor_build`)
and lie beside the page in ``vendor/``, which git ignores and a wheel carries. There, each file is
stored under a name that holds its sha256, next to a gzip copy, and ``vendor.json``, written last,
is a copy of the lock that the folder was built from.
"""

import gzip
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medconsist._atomic import storage_errors
from medconsist._digests import sha256_of_bytes
from medconsist.errors import CorruptResultError, MedconsistError, MissingInputError
from medconsist.viewing.launch import page

__all__ = [
    "LIBRARIES",
    "PREFIX",
    "VendorFile",
    "VendorLock",
    "Vendored",
    "missing_vendor",
    "read_lock",
    "read_vendor",
    "stored_name",
    "vendor_folder",
    "vendor_urls",
]

PREFIX = "/vendor"
LIBRARIES = ("openseadragon.min.js", "niivue.js")
"""A classic script that sets ``window.OpenSeadragon``, and an ES module."""

_REMEDY = (
    "Run `make vendor` in the checkout, or `python -m medconsist.viewing.vendor_build` where npm "
    "is installed, and start the viewer again. Until then images are drawn as plain pictures."
)


class VendorFile(BaseModel):
    """One served file: where npm puts it, and the sha256 that it must have.

    Examples
    --------
    >>> lock = read_lock(vendor_folder().parent / "vendor.lock.json")
    >>> lock.files[0].file, lock.files[0].version
    ('openseadragon.min.js', '6.1.1')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Annotated[str, Field(pattern=r"^[\w-]+(\.[\w-]+)+$")]
    """Name in the address, ``/vendor/<file>``."""
    source: str
    """Path below the page's folder after ``npm ci``."""
    package: str
    version: str
    licence: str
    bytes: int
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class VendorLock(BaseModel):
    """All served files; ``vendor.lock.json`` as committed.

    Examples
    --------
    >>> VendorLock(schema_version=1, files=()).files
    ()
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1]
    files: tuple[VendorFile, ...]


@dataclass(frozen=True)
class Vendored:
    """A file with its verified bytes, plain and compressed by gzip.

    Examples
    --------
    >>> file = VendorFile(
    ...     file="a.js", source="a.js", package="a", version="1", licence="MIT", bytes=0,
    ...     sha256="0" * 64)
    >>> Vendored(file, b"", b"").url[:20]
    '/vendor/a.js?v=00000'
    """

    file: VendorFile
    content: bytes
    compressed: bytes

    @property
    def url(self) -> str:
        """The address with the sha256 of its bytes, so that a browser may keep it for ever."""
        return f"{PREFIX}/{self.file.file}?v={self.file.sha256}"


def vendor_folder() -> Path:
    """Return the folder of the built files beside the page; it need not exist."""
    return page().parent / "vendor"


def stored_name(file: VendorFile) -> str:
    """Return the name of the file in the vendor folder; a new version never overwrites an old."""
    return f"{file.sha256[:12]}.{file.file}"


def read_lock(path: Path) -> VendorLock:
    """Return the list of files of a ``vendor.lock.json`` or ``vendor.json``.

    Raises
    ------
    MissingInputError
        If there is no such file: the build was not run.
    CorruptResultError
        If it is not such a list.
    """
    try:
        return VendorLock.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        msg = f"The viewer's JavaScript was not built: there is no {path.name}. {_REMEDY}"
        raise MissingInputError(msg) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the top"
        msg = f"{path.name} is no list of vendored files: {first['msg']} at {place}. {_REMEDY}"
        raise CorruptResultError(msg) from error


def read_vendor(folder: Path) -> tuple[Vendored, ...]:
    """Return the built files, every byte verified against its sha256.

    The result is kept in memory (about 5 MB), and read again when the build was run again.

    Raises
    ------
    MissingInputError
        If the build was not run.
    CorruptResultError
        If a file is missing or its bytes differ from those recorded.
    """
    lock = read_lock(folder / "vendor.json")
    paths = [folder / name for file in lock.files for name in _names(file)]
    stamps = tuple(_stamp(path) for path in [folder / "vendor.json", *paths])
    return _verified(folder, lock, stamps)


def missing_vendor(folder: Path) -> str | None:
    """Return why deep zoom and 3-D views cannot run, in a sentence for the page; None if they can.

    Examples
    --------
    >>> missing_vendor(Path("absent"))[:38]
    "The viewer's JavaScript was not built:"
    """
    try:
        read_vendor(folder)
    except MedconsistError as error:
        return str(error)
    return None


def vendor_urls(folder: Path) -> dict[str, str]:
    """Return the address of each built file by name, ``/vendor/<file>?v=<sha256>``.

    JavaScript of a component resolves it with ``new URL(address, location.origin)``, with the
    server's base path before it where there is one.

    Raises
    ------
    MissingInputError, CorruptResultError
        As :func:`read_vendor`.
    """
    return {vendored.file.file: vendored.url for vendored in read_vendor(folder)}


@lru_cache(maxsize=4)
def _verified(
    folder: Path, lock: VendorLock, stamps: tuple[tuple[int, int], ...]
) -> tuple[Vendored, ...]:
    del stamps  # they are the name in the cache
    return tuple(_read(folder, file) for file in lock.files)


def _read(folder: Path, file: VendorFile) -> Vendored:
    plain, packed = (folder / name for name in _names(file))
    with storage_errors(plain, doing="read"):
        content, compressed = plain.read_bytes(), packed.read_bytes()
    if sha256_of_bytes(content) != file.sha256 or _unpacked(compressed) != content:
        msg = f"{plain.name} is damaged: its bytes are not those of sha256 {file.sha256}. {_REMEDY}"
        raise CorruptResultError(msg)
    return Vendored(file, content, compressed)


def _unpacked(compressed: bytes) -> bytes | None:
    try:
        return gzip.decompress(compressed)
    except (OSError, EOFError, zlib.error):
        return None


def _names(file: VendorFile) -> tuple[str, str]:
    return stored_name(file), f"{stored_name(file)}.gz"


def _stamp(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except FileNotFoundError as error:
        msg = f"The built file {path.name} of the viewer's JavaScript is missing. {_REMEDY}"
        raise CorruptResultError(msg) from error
    return facts.st_mtime_ns, facts.st_size
