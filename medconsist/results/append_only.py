"""Files that only grow: one writer at a time, whole lines, flushed to the disk."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["append_line", "locked"]


@contextmanager
def locked(path: Path, flags: int, lock: int) -> Iterator[int]:
    """Yield the descriptor of a file under ``flock``, which network disks may not carry.

    Parameters
    ----------
    path
        Made if the flags say so.
    flags
        Of `os.open`.
    lock
        `fcntl.LOCK_EX` for writers, `fcntl.LOCK_SH` for readers.
    """
    descriptor = os.open(path, flags, 0o666)
    try:
        fcntl.flock(descriptor, lock)
        yield descriptor
    finally:
        os.close(descriptor)


def append_line(descriptor: int, data: bytes) -> None:
    """Add bytes that end with a line break, flushed; a full disk leaves the file as it was."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        # A writer was killed within its line; end it, so that only that line is lost.
        data = b"\n" + data
    try:
        written = os.write(descriptor, data)
        while written < len(data):  # a nearly full disk takes a part, then raises
            written += os.write(descriptor, data[written:])
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise
