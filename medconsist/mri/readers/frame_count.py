"""`count_frames`: how many images a file holds, without reading its samples."""

from pathlib import Path

from medconsist.mri.readers.hdf5_file import count_hdf5_frames
from medconsist.mri.readers.kind import kind_of
from medconsist.mri.readers.twix import count_twix_frames

__all__ = ["count_frames"]


def count_frames(path: Path, *, budget_bytes: int = 8 * 2**30) -> int:
    """Return how many frames (echoes, time frames, repetitions) a k-space file holds.

    Each can be read by ``read_kspace(path, frame=...)``, counted from 0. Only shapes or the heads
    of the readouts are looked at; that the samples can be read is not checked.

    Raises
    ------
    MedconsistError
        As `read_kspace`, as far as shapes and heads tell.

    Examples
    --------
    >>> import numpy, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scan.npy"
    >>> numpy.save(path, numpy.ones((2, 8, 6), dtype=numpy.complex64))
    >>> count_frames(path)
    1
    """
    kind = kind_of(path)
    if kind == "hdf5":
        return count_hdf5_frames(path, budget_bytes=budget_bytes)
    if kind == "twix":
        return count_twix_frames(path, budget_bytes=budget_bytes)
    return 1
