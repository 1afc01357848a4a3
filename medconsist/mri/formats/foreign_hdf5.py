"""HDF5 files from outside, read in a disposable child process with resource limits.

The HDF5 library has had memory errors that a crafted file can reach (DESIGN: no HDF5 from outside
is opened in the viewer process). A crash of the library ends the child, not the caller; dynamic
filter plug-ins are switched off in it. The file system is not fenced off: the child refuses links
and external storage before it reads anything.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from medconsist.mri.formats.child import Child, open_in_child
from medconsist.mri.formats.hdf5_worker import Request

__all__ = ["Contents", "ForeignHdf5", "Listed", "Request", "open_foreign_hdf5", "read_foreign_hdf5"]

_WORKER = "medconsist.mri.formats.hdf5_worker"


@dataclass(frozen=True, eq=False)
class Contents:
    """What the child found: arrays and texts by dataset name, attributes of the root.

    ``present`` are the first twenty names in the root, for a message that says what is there.

    Examples
    --------
    >>> Contents({}, {}, {"acquisition": "AXFLAIR"}, ("kspace",)).present
    ('kspace',)
    """

    arrays: dict[str, Shaped[np.ndarray, "..."]]
    texts: dict[str, str]
    attributes: dict[str, str | float]
    present: tuple[str, ...]


@dataclass(frozen=True)
class Listed:
    """Shape of a dataset, the names of its fields if it is a compound, and NumPy's kind of number.

    Examples
    --------
    >>> Listed((12, 3), ("real", "imag")).fields[0]
    'real'
    """

    shape: tuple[int, ...]
    fields: tuple[str, ...] = ()
    kind: str = ""


class ForeignHdf5:
    """A file that is not trusted, held open by its child: look what is there, then read it.

    ``datasets`` lists the datasets of the root and of its groups, e.g. ``"dataset/data"``.

    Examples
    --------
    >>> import h5py, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scan.h5"
    >>> with h5py.File(path, "w") as file:
    ...     file["kspace"] = np.ones((2, 3))
    >>> with open_foreign_hdf5(path, budget_bytes=2**20) as foreign:
    ...     foreign.datasets["kspace"].shape
    (2, 3)
    """

    def __init__(self, child: Child) -> None:
        self.path = child.path
        self.budget_bytes = child.budget_bytes
        self._child = child
        # A link to this file must be resolved here: the child refuses nothing that it names.
        opening = {"path": str(child.path.resolve()), "budget_bytes": child.budget_bytes}
        header, _ = child.ask(opening)
        self.datasets = {
            str(name): Listed(tuple(map(int, shape)), tuple(map(str, fields)), str(kind))
            for name, shape, fields, kind in header["datasets"]
        }

    def read(
        self,
        *,
        arrays: tuple[str, ...] = (),
        texts: tuple[str, ...] = (),
        attributes: tuple[str, ...] = (),
        picks: dict[str, tuple[int, int]] | None = None,
        spans: dict[str, tuple[int, int]] | None = None,
    ) -> Contents:
        """Read datasets; those that the file does not have are left out.

        Parameters
        ----------
        arrays, texts, attributes
            Names.
        picks
            For single arrays the axis and the index along it: only that part is read, and the
            axis is gone.
        spans
            For single arrays a start and a stop along the first axis: only that part is read.
        """
        request = {
            "arrays": arrays,
            "texts": texts,
            "attributes": attributes,
            "picks": picks or {},
            "spans": spans or {},
        }
        return _contents(*self._child.ask(request))

    def read_acquisition_heads(self, name: str) -> dict[str, Shaped[np.ndarray, "..."]]:
        """Read the fixed part of ISMRMRD rows, one array per field, first axis rows."""
        return self._child.ask({"heads": name})[1]

    def read_acquisition_samples(
        self, name: str, rows: Shaped[np.ndarray, " rows"]
    ) -> Shaped[np.ndarray, " samples"]:
        """Read the samples of these ISMRMRD rows, one after the other as they lie, complex64."""
        return self._child.ask({"samples": name, "rows": rows.tolist()})[1]["samples"]


@contextmanager
def open_foreign_hdf5(path: Path, *, budget_bytes: int) -> Iterator[ForeignHdf5]:
    """Open a file that is not trusted and list what it holds.

    Raises
    ------
    MissingInputError
        If the file does not exist.
    UnsafeFileError
        If it holds links, external storage or a virtual dataset.
    TruncatedFileError
        If it is damaged, or the library crashed on it.
    """
    with open_in_child(_WORKER, path, budget_bytes=budget_bytes) as child:
        yield ForeignHdf5(child)


def read_foreign_hdf5(request: Request) -> Contents:
    """Read the named datasets of a file that is not trusted.

    Parameters
    ----------
    request
        Path, names of datasets and attributes, memory budget. Names that the file does not have
        are left out of the answer.

    Raises
    ------
    MissingInputError
        If the file does not exist.
    UnsafeFileError
        If it holds links, external storage or a virtual dataset.
    TruncatedFileError
        If it is damaged, or the library crashed on it.
    BudgetError
        If the datasets, or one chunk of them, claim more than the budget.
    """
    asked = asdict(request)
    path, budget_bytes = Path(asked.pop("path")), asked.pop("budget_bytes")
    with open_foreign_hdf5(path, budget_bytes=budget_bytes) as file:
        return file.read(**asked)


def _contents(header: dict[str, Any], arrays: dict[str, Shaped[np.ndarray, "..."]]) -> Contents:
    return Contents(
        arrays, header["texts"], header["attributes"], tuple(map(str, header["present"]))
    )
