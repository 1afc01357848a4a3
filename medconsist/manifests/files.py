"""Files below folders by pattern, in one order, each once."""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from medconsist._atomic import storage_errors
from medconsist.errors import MissingInputError, RefusedInputError

__all__ = ["KINDS", "files_below", "is_zarr"]

KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "slides": (
            *("*.svs", "*.tif", "*.tiff", "*.ndpi", "*.mrxs", "*.scn", "*.bif", "*.svslide"),
            *("*.vms", "*.vmu"),
        ),
        "kspace": ("*.h5", "*.hdf5", "*.npy", "*.cfl", "*.dat", "*.mat"),
        "recordings": (
            *("*.hea", "*.edf", "*.bdf", "*.csv", "*.tsv", "*.mat", "*.npy", "*.dcm"),
            *("*.h5", "*.hdf5", "*.zarr"),
        ),
    }
)


def files_below(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """Yield the files whose name fits a pattern, by name, those of a folder before its folders'.

    A folder of Zarr v3 counts as a file and is not entered. Upper and lower case are alike. Hidden
    files and folders are left out. Links are followed, and a folder is entered once, so that links
    in a circle end.

    Raises
    ------
    MissingInputError, RefusedInputError
        The folder is not there, or is no folder.
    StorageError
        A folder cannot be read.
    """
    if not folder.exists():
        msg = f"there is no folder {folder}; name one that holds files."
        raise MissingInputError(msg)
    if not folder.is_dir():
        msg = f"{folder} is no folder; name the folder that it lies in."
        raise RefusedInputError(msg)
    yield from _walk(folder, [pattern.lower() for pattern in patterns], set())


def is_zarr(path: Path) -> bool:
    """Say whether a path is a Zarr v3 group or array, a folder that is listed like a file."""
    return (path / "zarr.json").is_file()


def _walk(folder: Path, patterns: Sequence[str], seen: set[tuple[int, int]]) -> Iterator[Path]:
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        with storage_errors(here, doing="read"):
            about = here.stat()
            entries = sorted(here.iterdir(), key=lambda entry: entry.name)
            visible = [entry for entry in entries if not entry.name.startswith(".")]
            listed = [entry for entry in visible if entry.is_file() or is_zarr(entry)]
            folders = [entry for entry in visible if entry.is_dir() and not is_zarr(entry)]
        if (about.st_dev, about.st_ino) in seen:
            continue
        seen.add((about.st_dev, about.st_ino))
        waiting += reversed(folders)
        for entry in listed:
            name = entry.name.lower()
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                yield entry
