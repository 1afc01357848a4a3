"""Files that are there whole or not at all: write beside, fsync, rename, fsync the folder."""

import errno
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medconsist._writers import is_abandoned, writer_tag
from medconsist.errors import MedconsistError, StorageError

__all__ = [
    "atomic_replace",
    "atomic_write_bytes",
    "make_folder",
    "storage_errors",
    "sweep",
    "sync",
    "sync_tree",
    "write_new",
]

_SPACE = "Free space on that disk or choose a folder on another one, then run again"
_RIGHTS = "Choose a folder that you have the right to use, then run again"
_REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "Raise the limit on file size (ulimit -f) or choose another disk, then run again",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
}


@contextmanager
def storage_errors(path: Path, *, doing: str = "write") -> Iterator[None]:
    """Turn an error of the operating system while reading or writing into one sentence.

    Parameters
    ----------
    path
        What is read or written.
    doing
        ``"write"`` or ``"read"``, for the sentence.

    Raises
    ------
    StorageError
        Exit code 1; names the path, the reason and what to do.
    """
    try:
        yield
    except MedconsistError:
        raise
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "Check the disk, then run again")
        reason = error.strerror or str(error)
        msg = f"Could not {doing} {path}: {reason}. {remedy}."
        if doing == "write":
            msg += " Nothing half-written is left."
        raise StorageError(msg) from error


@contextmanager
def atomic_replace(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder that becomes ``path`` when the block ends.

    A reader sees the old file or the new one, never a part. If the block raises, the temporary
    file is removed and ``path`` stays as it was. Temporary files of dead writers are cleaned.

    Raises
    ------
    StorageError
        If the disk is full or not writable; ``path`` stays as it was.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with atomic_replace(target) as temporary:
    ...     size = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    sweep(path.parent, f".{glob.escape(path.name)}.*.tmp")
    temporary = path.with_name(f".{path.name}.{writer_tag()}.tmp")
    try:
        with storage_errors(path):
            yield temporary
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
    finally:
        with suppress(OSError):  # below a file, or of a name too long: it was never there
            temporary.unlink(missing_ok=True)


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old bytes or the new, never a part.

    Raises
    ------
    StorageError
        If the disk is full or not writable; ``path`` stays as it was.
    """
    with atomic_replace(path) as temporary:
        write_new(temporary, data)


def write_new(path: Path, data: bytes) -> None:
    """Write ``data`` to a file that does not exist yet, with the rights that the umask leaves."""
    with path.open("xb") as file:
        file.write(data)


def make_folder(path: Path) -> None:
    """Make ``path`` and its missing parents, so that they survive a loss of power.

    Raises
    ------
    StorageError
        If a folder cannot be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            sync(folder.parent)


def sync_tree(folder: Path) -> None:
    """Flush every file and folder under ``folder`` to the disk, itself included."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def sweep(folder: Path, pattern: str) -> None:
    """Remove what dead writers of this machine left in ``folder`` under names of ``pattern``."""
    for path in folder.glob(pattern):
        if not is_abandoned(path.name):
            continue
        # Another process may sweep at the same time, or another user own what is left.
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def sync(path: Path) -> None:
    """Flush one file or folder to the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        # Some network disks refuse to flush a folder, as PostgreSQL found too; a file must obey.
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.EBADF, errno.EACCES)):
            raise
