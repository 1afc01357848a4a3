"""Embeddings of any model as windows that the evaluator takes: patient, trial, label, features.

==================  =====================================================================
``*.npz``           Arrays ``patient``, ``trial``, ``label`` (N,) and ``features`` (N, D).
``*.h5``            Datasets of the same names in the root.
``*.safetensors``   Tensors of the same names; the first three hold whole numbers.
``*.csv``           Columns ``patient``, ``trial``, ``label``; all others are the features.
==================  =====================================================================

Patients, trials and labels are text or whole numbers, taken as text; an empty label is one that is
not known. A trial belongs to its patient: two patients may both have a trial 1. Nothing here runs
what a file may hold: no pickle, no HDF5 that reaches outside its file.
"""

import csv
import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import safetensors
from safetensors.numpy import load_file

from medconsist._atomic import storage_errors
from medconsist._digests import canonical_json
from medconsist._hdf5_guard import check_links, hdf5_errors
from medconsist.errors import (
    CorruptInputError,
    MissingInputError,
    RefusedInputError,
    UnsafeFileError,
    UnsupportedInputError,
)
from medconsist.timeseries.readers.files import require_budget
from medconsist.timeseries.window_set import UNKNOWN, WindowSet, WindowTable

__all__ = ["read_features"]

_IDS = ("patient", "trial", "label")
_NAMES = (*_IDS, "features")
_BUDGET_BYTES = 2**33
_FILTERS = frozenset({1, 2, 3})  # deflate, shuffle, fletcher32

_Columns = Mapping[str, npt.NDArray[Any]]


def read_features(
    path: Path, *, classes: Sequence[str] | None = None, budget_bytes: int = _BUDGET_BYTES
) -> WindowSet:
    """Return the rows of a file as windows of one time step, for `fixed.GivenFeatures`.

    Parameters
    ----------
    path
        See the head of this module.
    classes
        Names in the file, the positive one last; None takes them sorted.
    budget_bytes
        Most that the file may claim.

    Raises
    ------
    MissingInputError
        There is no such file.
    UnsupportedInputError
        Another kind of file.
    UnsafeFileError, CorruptInputError, BudgetError
        It holds pickled content or links, is damaged, or claims more than the budget.
    RefusedInputError
        A column is missing or of another length, rows have another number of features, features
        are not finite numbers, a patient has two labels, or a label is none of ``classes``.
    """
    if not path.is_file():
        msg = f"there are no features {path}; name a file."
        raise MissingInputError(msg)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        msg = f"{path}: features are read from {', '.join(_READERS)}; write them as one of these."
        raise UnsupportedInputError(msg)
    require_budget(path.name, path.stat().st_size, budget_bytes)
    with storage_errors(path, doing="read"):
        columns = reader(path, budget_bytes)
    lacking = [name for name in _NAMES if name not in columns]
    if lacking:
        msg = f"{path.name}: {', '.join(lacking)} missing; it needs {', '.join(_NAMES)}."
        raise RefusedInputError(msg)
    features = _numbers(path, columns["features"])
    ids = {name: _text(path, name, columns[name], len(features)) for name in _IDS}
    table = _table(path, ids, classes)
    digest = hashlib.sha256(canonical_json(ids))
    digest.update(np.ascontiguousarray(features).tobytes())
    return WindowSet(
        features[:, None, :],
        table,
        rate=1.0,
        channels=tuple(f"feature {n}" for n in range(features.shape[1])),
        units=(None,) * features.shape[1],
        fingerprint=digest.hexdigest(),
    )


def _table(path: Path, ids: Mapping[str, list[str]], classes: Sequence[str] | None) -> WindowTable:
    names = tuple(classes) if classes else tuple(sorted(set(ids["label"]) - {""}))
    strange = sorted(set(ids["label"]) - {"", *names})
    if strange:
        msg = f"{path.name}: label {strange[0]!r} is none of the classes {list(names)}."
        raise RefusedInputError(msg)
    patients = tuple(dict.fromkeys(ids["patient"]))
    place = {name: number for number, name in enumerate(patients)}
    trials = list(zip(ids["patient"], ids["trial"], strict=True))
    trial_of = {name: number for number, name in enumerate(dict.fromkeys(trials))}
    label_of = {"": UNKNOWN} | {name: number for number, name in enumerate(names)}
    try:
        return WindowTable(
            patient=np.array([place[name] for name in ids["patient"]], np.int64),
            trial=np.array([trial_of[name] for name in trials], np.int64),
            start=np.arange(len(trials)),
            label=np.array([label_of[name] for name in ids["label"]], np.int64),
            patients=patients,
            classes=names,
            sites=(None,) * len(patients),
        )
    except RefusedInputError as error:
        msg = f"{path.name}: {error}"
        raise RefusedInputError(msg) from error


def _numbers(path: Path, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if features.ndim != 2 or features.dtype.kind not in "fiu" or not features.size:
        msg = (
            f"{path.name}: features are {features.dtype} of shape {features.shape}; allowed: "
            "numbers, one row a window and one column or more."
        )
        raise RefusedInputError(msg)
    with np.errstate(over="ignore"):
        found = features.astype(np.float32)
    bad = int((~np.isfinite(found)).any(1).sum())
    if bad:
        msg = f"{path.name}: {bad} of {len(found)} rows hold NaN or infinity; allowed: finite ones."
        raise RefusedInputError(msg)
    return found


def _text(path: Path, name: str, column: npt.NDArray[Any], count: int) -> list[str]:
    if column.ndim != 1 or len(column) != count or column.dtype.kind not in "iuUSO":
        msg = (
            f"{path.name}: {name} is {column.dtype} of shape {column.shape}; allowed: text or "
            f"whole numbers, one for each of {count} rows of features."
        )
        raise RefusedInputError(msg)
    return [one.decode() if isinstance(one, bytes) else str(one) for one in column.tolist()]


def _npz(path: Path, budget_bytes: int) -> _Columns:
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(entry.file_size for entry in archive.infolist())
        require_budget(path.name, claimed, budget_bytes)
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in _NAMES if name in stored.files}
    except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        if "pickle" in str(error):
            msg = f"{path.name} holds pickled content, which can run programs; save text as text."
            raise UnsafeFileError(msg) from error
        msg = f"{path.name} cannot be read as .npz ({error}); write it again."
        raise CorruptInputError(msg) from error


def _hdf5(path: Path, budget_bytes: int) -> _Columns:
    with hdf5_errors(path.name), h5py.File(path, "r", locking=False) as file:
        check_links(file, name=path.name)
        held = {name: file[name] for name in _NAMES if isinstance(file.get(name), h5py.Dataset)}
        for name, stored in held.items():
            _require_plain(path, name, stored)
        require_budget(path.name, sum(int(one.nbytes) for one in held.values()), budget_bytes)
        return {name: stored[()] for name, stored in held.items()}


def _require_plain(path: Path, name: str, stored: h5py.Dataset) -> None:
    settings = stored.id.get_create_plist()
    filters = {settings.get_filter(n)[0] for n in range(settings.get_nfilters())}
    text = h5py.check_string_dtype(stored.dtype) is not None
    # other filters load a plug-in of the machine; other objects are references
    if filters - _FILTERS or (stored.dtype.kind == "O" and not text):
        msg = (
            f"{path.name}: {name} holds {stored.dtype} with the filters {sorted(filters)}; allowed:"
            " numbers or text, plain or with gzip."
        )
        raise UnsafeFileError(msg)


def _safetensors(path: Path, _: int) -> _Columns:
    try:
        return load_file(path)
    except (safetensors.SafetensorError, TypeError) as error:
        msg = f"{path.name} cannot be read as safetensors ({error}); write float32 and int64."
        raise CorruptInputError(msg) from error


def _csv(path: Path, _: int) -> _Columns:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        msg = f"{path.name} cannot be read as CSV ({error}); save it as CSV with UTF-8 and commas."
        raise CorruptInputError(msg) from error
    header = lines[0] if lines else []
    places = {name: header.index(name) for name in _IDS if name in header}
    others = [place for place in range(len(header)) if place not in places.values()]
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) != len(header):
            msg = f"{path.name}: row {number} has {len(cells)} cells, the header {len(header)}."
            raise RefusedInputError(msg)
    try:
        features = [[float(cells[place]) for place in others] for cells in lines[1:]]
    except ValueError as error:
        msg = f"{path.name}: a feature is no number ({error}); leave such columns out."
        raise RefusedInputError(msg) from error
    found: dict[str, npt.NDArray[Any]] = {
        name: np.array([cells[place] for cells in lines[1:]], np.str_)
        for name, place in places.items()
    }
    shape = (len(lines[1:]), len(others))
    return found | {"features": np.asarray(features, np.float64).reshape(shape)}


_READERS: dict[str, Callable[[Path, int], _Columns]] = {
    ".npz": _npz,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".safetensors": _safetensors,
    ".csv": _csv,
}
