"""HDF5 of other programs: named arrays and attributes, nothing that reaches outside the file.

Read in the command line and in a batch only, never in the viewer process: the HDF5 library itself
has had memory errors that a crafted file can reach.
"""

import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from jaxtyping import Int64

from medconsist._atomic import atomic_replace
from medconsist._hdf5_guard import check_links, hdf5_errors
from medconsist.errors import BudgetError, RefusedInputError, UnsafeFileError
from medconsist.results.safetensors_file import require_regular

__all__ = [
    "BUDGET_BYTES",
    "Attribute",
    "Attributes",
    "Dataset",
    "GuardedHdf5",
    "open_guarded",
    "require_budget",
    "write_datasets",
]

BUDGET_BYTES = 2**33
Attribute = str | int | float | tuple[int, ...] | tuple[float, ...]
_MIB = 2**20
_MOST_VALUES = 16  # of one attribute
_MOST_TEXT = 4096
_LARGEST = 2**53
_WIDEST = 8  # bytes of a number; the long double of a machine has no meaning on another
_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3
# Others would load a plug-in from the machine, or (szip, lzf) trust a size that the file claims.
_FILTERS = frozenset({_DEFLATE, _SHUFFLE, _FLETCHER32})
_CHECKSUM_BYTES = 4


@dataclass(frozen=True, eq=False)
class Dataset:
    """One array with its attributes, as another program wants it.

    Parameters
    ----------
    values
        Stored contiguously, in their own type.
    attributes
        By name; text is stored with variable length.

    Examples
    --------
    >>> Dataset(np.zeros((2, 2)), {"patch_size": 256}).attributes["patch_size"]
    256
    """

    values: npt.NDArray[Any]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class Attributes:
    """The attributes of one dataset, each asked for with its type.

    Parameters
    ----------
    source
        Name of file and dataset, for the sentence.
    values
        As found.

    Examples
    --------
    >>> Attributes("a.h5: coords", {"patch_size": 256}).whole("patch_size")
    256
    """

    source: str
    values: Mapping[str, Attribute]

    def whole(self, name: str) -> int:
        """Return a whole number."""
        value = self.number(name)
        if not value.is_integer():
            raise self._refusal(name, value, "a whole number")
        return int(value)

    def text(self, name: str) -> str:
        """Return a text."""
        value = self._get(name)
        if not isinstance(value, str):
            raise self._refusal(name, value, "a text")
        return value

    def number(self, name: str) -> float:
        """Return a number, finite and at most 2^53, beyond which whole numbers have gaps."""
        value = self._get(name)
        if not isinstance(value, int | float) or not _is_sound(value):
            raise self._refusal(name, value, "a number")
        return float(value)

    def pair(self, name: str) -> tuple[float, float]:
        """Return two such numbers."""
        value = self._get(name)
        if not isinstance(value, tuple) or len(value) != 2 or not all(map(_is_sound, value)):
            raise self._refusal(name, value, "two numbers")
        return float(value[0]), float(value[1])

    def whole_pair(self, name: str) -> tuple[int, int]:
        """Return two whole numbers."""
        x, y = self.pair(name)
        if not (x.is_integer() and y.is_integer()):
            raise self._refusal(name, (x, y), "two whole numbers")
        return int(x), int(y)

    def _get(self, name: str) -> Attribute:
        if name not in self.values:
            msg = (
                f"{self.source} has no attribute {name!r}; it has {sorted(self.values)[:20]}. Is "
                "the file of another layout?"
            )
            raise RefusedInputError(msg)
        return self.values[name]

    def _refusal(self, name: str, value: Attribute, allowed: str) -> RefusedInputError:
        msg = f"{self.source}: the attribute {name!r} is {value!r}; allowed: {allowed}."
        return RefusedInputError(msg)


class GuardedHdf5:
    """An open file whose links and sizes were looked at.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.h5"
    >>> write_datasets(path, {"coords": Dataset(np.zeros((3, 2)))})
    >>> with open_guarded(path) as file:
    ...     file.array("coords", kinds="f").shape
    (3, 2)
    """

    def __init__(self, path: Path, file: h5py.File, budget_bytes: int) -> None:
        self._path, self._file, self._budget = path, file, budget_bytes

    def holds(self, name: str) -> bool:
        """Say whether there is a dataset of this name in the root of the file."""
        return isinstance(self._file.get(name), h5py.Dataset)

    def array(self, name: str, *, kinds: str, axes: tuple[int, ...] = (2,)) -> npt.NDArray[Any]:
        """Return a dataset of two axes, in the byte order of this machine.

        Parameters
        ----------
        name
            In the root of the file.
        kinds
            Allowed kinds of numbers, e.g. ``"iu"``.
        axes
            Allowed numbers of axes, where it is other than two.

        Raises
        ------
        RefusedInputError
            It is not there, not of so many axes, of another kind or wider than 64 bits.
        BudgetError
            It, or one chunk of it, claims more than the budget.
        UnsafeFileError
            It is compressed by other means than gzip, or a chunk inflates beyond its claim.
        """
        dataset = self._dataset(name)
        kind, width = dataset.dtype.kind, dataset.dtype.itemsize
        if dataset.ndim not in axes or kind not in kinds or width > _WIDEST:
            allowed = " or ".join(map(str, axes)).replace("2", "two")
            msg = (
                f"{self._path.name}: {name} holds {dataset.dtype} of shape {dataset.shape}; "
                f"allowed: {allowed} axes, kinds {kinds!r} of at most {8 * _WIDEST} bits."
            )
            raise RefusedInputError(msg)
        claimed = max(math.prod(dataset.shape), math.prod(dataset.chunks or (0,)))
        claimed *= width
        require_budget(f"{self._path.name}: {name}", claimed, self._budget)
        _require_filters(self._path, dataset)
        _require_honest_chunks(self._path, dataset)
        return np.asarray(dataset[...], dtype=dataset.dtype.newbyteorder("="))

    def places(self, name: str) -> Int64[np.ndarray, "places 2"]:
        """Return a dataset of whole numbers x, y.

        Raises
        ------
        RefusedInputError, BudgetError, UnsafeFileError
            As :meth:`array`; or it is not of two columns.
        """
        found = self.array(name, kinds="iu")
        if found.shape[1] != 2:
            msg = f"{self._path.name}: {name} has the shape {found.shape}; allowed: (N, 2), x, y."
            raise RefusedInputError(msg)
        return found.astype(np.int64)

    def attributes(self, name: str) -> Attributes:
        """Return the short attributes of a dataset; long and odd ones are left out.

        Raises
        ------
        RefusedInputError
            There is no such dataset.
        """
        found: dict[str, Attribute] = {}
        attributes = self._dataset(name).attrs
        for key in attributes:
            shape = attributes.get_id(key).shape
            if shape is not None and math.prod(shape) <= _MOST_VALUES:
                value = _plain(attributes[key])
                if value is not None:
                    found[str(key)] = value
        return Attributes(f"{self._path.name}: {name}", found)

    def _dataset(self, name: str) -> h5py.Dataset:
        if not self.holds(name):
            msg = (
                f"{self._path.name} has no array {name!r}; it holds {sorted(self._file)[:20]}. "
                "Is it of another layout?"
            )
            raise RefusedInputError(msg)
        return self._file[name]


@contextmanager
def open_guarded(path: Path, *, budget_bytes: int = BUDGET_BYTES) -> Iterator[GuardedHdf5]:
    """Open an HDF5 file that is not trusted.

    Raises
    ------
    MissingInputError
        There is no such file.
    UnsafeFileError
        It holds links, external storage or a virtual dataset (`check_links`).
    TruncatedFileError
        It is truncated, damaged or no HDF5.
    """
    require_regular(path, what="features", allowed="an HDF5 file")
    with hdf5_errors(path.name), h5py.File(path.resolve(), "r", locking=False) as file:
        check_links(file, name=path.name)
        yield GuardedHdf5(path, file, budget_bytes)


def require_budget(source: str, claimed_bytes: int, budget_bytes: int) -> None:
    """Refuse what claims more memory than the budget, before it is read.

    Raises
    ------
    BudgetError
        Names the source and both sizes.
    """
    if claimed_bytes > budget_bytes:
        msg = (
            f"{source} claims {claimed_bytes / _MIB:.6g} MiB, more than the budget of "
            f"{budget_bytes / _MIB:.6g} MiB. If the file is sound, raise budget_bytes."
        )
        raise BudgetError(msg)


def write_datasets(path: Path, datasets: Mapping[str, Dataset]) -> None:
    """Write contiguous datasets with their attributes, beside and renamed.

    Raises
    ------
    StorageError
        The disk is full or not writable; ``path`` stays as it was.
    """
    with atomic_replace(path) as temporary, h5py.File(temporary, "x") as file:
        for name, given in datasets.items():
            # Contiguous: one-row chunks, as both programs write them, cost ten times more.
            dataset = file.create_dataset(name, data=given.values)
            for key, value in given.attributes.items():
                dataset.attrs[key] = value


def _is_sound(value: float | int) -> bool:
    return abs(value) <= _LARGEST  # false for NaN


def _require_filters(path: Path, dataset: h5py.Dataset) -> None:
    codes = _filters(dataset)
    behind = codes[codes.index(_DEFLATE) + 1 :] if _DEFLATE in codes else []
    if not _FILTERS.issuperset(codes) or not {_FLETCHER32}.issuperset(behind):
        msg = (
            f"{path.name}: {dataset.name} is compressed with the filters {codes}; allowed: gzip, "
            "once and last but for a checksum. Write it again with gzip or without compression."
        )
        raise UnsafeFileError(msg)


def _filters(dataset: h5py.Dataset) -> list[int]:
    plist = dataset.id.get_create_plist()
    return [int(plist.get_filter(number)[0]) for number in range(plist.get_nfilters())]


def _require_honest_chunks(path: Path, dataset: h5py.Dataset) -> None:
    """Refuse what the library would inflate whole before it looks at the size of a chunk."""
    if _DEFLATE not in _filters(dataset):
        return
    claimed = math.prod(dataset.chunks) * dataset.dtype.itemsize + _CHECKSUM_BYTES
    for number in range(dataset.id.get_num_chunks()):
        place = dataset.id.get_chunk_info(number).chunk_offset
        _, stored = dataset.id.read_direct_chunk(place)
        with suppress(zlib.error):  # stored as it is, or damaged, which the library says
            if len(zlib.decompressobj().decompress(stored, claimed + 1)) > claimed:
                msg = (
                    f"{path.name}: {dataset.name} inflates beyond the {claimed} bytes that a chunk "
                    "claims. The file is damaged or hostile; get it again from its source."
                )
                raise UnsafeFileError(msg)


def _plain(value: Any) -> Attribute | None:  # noqa: ANN401  whatever h5py gives
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, str):
        return value[:_MOST_TEXT]
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iuf":
        return tuple(value.tolist())
    if isinstance(value, np.integer | np.floating):
        return int(value) if isinstance(value, np.integer) else float(value)
    return None
