"""Coil maps of a volume in a temporary file, where the memory does not hold them."""

import contextlib
import tempfile
import weakref
from pathlib import Path
from typing import IO

import numpy as np
import torch

from medconsist.errors import StorageError
from medconsist.shapes import CoilMaps

__all__ = ["MapSpool"]


class MapSpool:
    """Maps of each slab, written once and read as often as needed.

    The file has no name, so that nothing is left of it however the process ends. It takes as much
    of the disk as the k-space, times the number of map sets.

    Parameters
    ----------
    folder
        Where the file lies; made if it is not there.
    device
        Where maps are wanted.

    Raises
    ------
    StorageError
        The folder cannot be written to, or is full.

    Examples
    --------
    >>> spool = MapSpool(Path(tempfile.gettempdir()), device="cpu")
    >>> spool.add(slice(0, 2), torch.ones(2, 1, 3, 4, 4, dtype=torch.complex64))
    >>> spool(slice(0, 2)).shape
    torch.Size([2, 1, 3, 4, 4])
    """

    def __init__(self, folder: Path, *, device: torch.device | str) -> None:
        self._folder, self._device = folder, device
        self._places: dict[int, tuple[int, torch.Size, torch.dtype]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  as long as the volume
        except OSError as error:
            raise StorageError(self._said(error)) from error
        weakref.finalize(self, _close, self._file)

    def add(self, at: slice, maps: CoilMaps) -> None:
        """Keep the maps of a slab."""
        values = np.ascontiguousarray(maps.cpu().numpy())
        try:
            place = self._file.seek(0, 2)
            self._file.write(values.data)
            self._file.flush()
        except OSError as error:
            raise StorageError(self._said(error)) from error
        self._places[at.start] = place, maps.shape, maps.dtype

    def __call__(self, at: slice) -> CoilMaps:
        """Return the maps of a slab that was added."""
        place, shape, dtype = self._places[at.start]
        self._file.seek(place)
        content = bytearray(shape.numel() * dtype.itemsize)
        self._file.readinto(content)
        return torch.frombuffer(content, dtype=dtype).reshape(shape).to(self._device)

    def _said(self, error: OSError) -> str:
        return (
            f"coil maps of the volume cannot be kept in {self._folder} ({error.strerror}); they "
            "take as much as its k-space. Make room there, or take a folder with room as --out."
        )


def _close(file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # it tries again to write what a full disk did not take
        file.close()
