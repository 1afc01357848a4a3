"""The files of a data set as Croissant's ``distribution``."""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from medconsist.manifests.cases import CaseManifest
from medconsist.manifests.dataset import Dataset, DatasetFile

__all__ = ["NAMED_FILES", "TABLE", "file_set", "listed_files", "table_file"]

NAMED_FILES = "files"
TABLE = "case-table"

_UNKNOWN = "application/octet-stream"
_FORMATS = {
    **dict.fromkeys((".h5", ".hdf5"), "application/x-hdf5"),
    **dict.fromkeys((".svs", ".tif", ".tiff"), "image/tiff"),
    ".csv": "text/csv",
    ".hea": "text/plain",
    ".mat": "application/x-matlab-data",
    ".parquet": "application/vnd.apache.parquet",
    ".tsv": "text/tab-separated-values",
    ".zip": "application/zip",
}


def file_set(dataset: Dataset) -> dict[str, Any]:
    """Return the set of the files that a data set's names fit, in any folder.

    It lies in no container: sources publish many archives, or a client of their own.
    """
    formats = {_format(name) for name in dataset.patterns}
    return {
        "@type": "cr:FileSet",
        "@id": NAMED_FILES,
        "name": NAMED_FILES,
        "description": "Below the folder that the data were fetched into, at any depth.",
        "encodingFormat": formats.pop() if len(formats) == 1 else _UNKNOWN,
        "includes": [part for name in dataset.patterns for part in (name, f"**/{name}")],
    }


def listed_files(files: Iterable[DatasetFile]) -> Iterator[dict[str, Any]]:
    """Yield the files that can be fetched; of two digests the stronger."""
    for file in files:
        digest = {"sha256": file.sha256} if file.sha256 else {"md5": file.md5}
        values = {
            "@type": "cr:FileObject",
            "@id": f"{NAMED_FILES}/{file.path}",
            "name": PurePosixPath(file.path).name,
            "contentUrl": file.url,
            "contentSize": None if file.bytes is None else f"{file.bytes} B",
            "encodingFormat": _format(file.path),
            **digest,
        }
        yield {name: value for name, value in values.items() if value is not None}


def table_file(cases: CaseManifest) -> dict[str, Any]:
    """Return the file of a case manifest, by its name alone: it lies beside the description."""
    return {
        "@type": "cr:FileObject",
        "@id": TABLE,
        "name": cases.path.name,
        "description": " ".join(("One row a file.", *cases.notes)),
        "contentUrl": cases.path.name,
        "encodingFormat": _format(cases.path.name),
        "sha256": cases.sha256,
    }


def _format(name: str) -> str:
    return _FORMATS.get(PurePosixPath(name).suffix.lower(), _UNKNOWN)
