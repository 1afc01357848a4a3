"""What is asked of every HDF5 file of another program before an array of it is read."""

from collections.abc import Iterator
from contextlib import contextmanager

import h5py

from medconsist.errors import (
    MedconsistError,
    RefusedInputError,
    TruncatedFileError,
    UnsafeFileError,
)

__all__ = ["check_links", "hdf5_errors"]

_MOST_OBJECTS = 10_000


@contextmanager
def hdf5_errors(name: str) -> Iterator[None]:
    """Turn what the HDF5 library says while a file is open into one sentence.

    Raises
    ------
    TruncatedFileError
        Names the file and the reason.
    """
    try:
        yield
    except MedconsistError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        msg = (
            f"{name} is truncated, damaged or no HDF5: the library says {reason!r}. "
            "Copy the file again."
        )
        raise TruncatedFileError(msg) from error


def check_links(file: h5py.File, *, name: str) -> None:
    """Refuse a file that reaches outside itself, without following any link.

    Raises
    ------
    UnsafeFileError
        If it holds a soft or external link, external storage or a virtual dataset.
    RefusedInputError
        If it holds more than 10 000 objects.
    """
    seen: set[int] = set()
    waiting: list[h5py.Group] = [file["/"]]
    while waiting:
        group = waiting.pop()
        for key in group:
            link = group.get(key, getlink=True)
            if not isinstance(link, h5py.HardLink):
                msg = (
                    f"{name} holds the {type(link).__name__} {key!r}; links can name other files "
                    "and are refused. Copy the data themselves into one file."
                )
                raise UnsafeFileError(msg)
            item = group[key]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > _MOST_OBJECTS:
                msg = f"{name} holds more than {_MOST_OBJECTS} objects; measured data need a few."
                raise RefusedInputError(msg)
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                msg = (
                    f"{name} keeps the values of {key!r} in other files (external storage or a "
                    "virtual dataset), which is refused. Copy the data themselves into one file."
                )
                raise UnsafeFileError(msg)
