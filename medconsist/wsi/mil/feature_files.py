"""Embeddings of any model, from the files in which people keep them: names, and their rows.

==================  =====================================================================
``*.h5`` or folder  One file a slide: ``features`` (N, D) or (D,), as CLAM and TRIDENT write;
                    the name of the file is the name.
``*.npz``           ``names`` (N,) and ``features`` (N, D); or one array (N, D) or (D,) a name.
``*.safetensors``   One tensor (N, D) or (D,) a name; its file needs no metadata of ours.
``*.csv, .parquet`` A column ``case`` (or ``slide``, ``item``, ``name``); all others are numbers,
                    the features in their order.
==================  =====================================================================

Nothing here runs what a file may hold: no pickle, no HDF5 outside its guard.
"""

import csv
import io
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import torch
from jaxtyping import Float
from torch import Tensor

from medconsist._atomic import storage_errors
from medconsist._extras import require
from medconsist.errors import (
    CorruptInputError,
    MissingInputError,
    RefusedInputError,
    UnsafeFileError,
    UnsupportedInputError,
)
from medconsist.manifests.problem import HEADER_ROW, problem_at
from medconsist.wsi.bags.guarded_hdf5 import (
    BUDGET_BYTES,
    GuardedHdf5,
    open_guarded,
    require_budget,
)

__all__ = ["NAME_COLUMNS", "NamedRows", "named_rows"]

NAME_COLUMNS = ("case", "slide", "item", "name")
_HDF5 = (".h5", ".hdf5")
_SETTINGS = ("encoder", "patch_size", "target_magnification", "overlap")
_FLOATS = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8}


@dataclass(frozen=True, eq=False)
class NamedRows:
    """Some rows of features under one name.

    Parameters
    ----------
    name
        Of a case or a slide.
    read
        Returns (N, D) floats, each time it is called.
    made_by
        What the file says of encoder and tiling; empty if it says nothing.

    Examples
    --------
    >>> NamedRows("c1", lambda: torch.zeros(1, 4)).read().shape
    torch.Size([1, 4])
    """

    name: str
    read: Callable[[], Float[Tensor, "rows dim"]]
    made_by: str = ""


def named_rows(path: Path, *, budget_bytes: int = BUDGET_BYTES) -> list[NamedRows]:
    """Return what a file, or a folder of HDF5 files, holds; tables are read, others on demand.

    Parameters
    ----------
    path
        See the head of this module.
    budget_bytes
        Most that one array, or one table, may claim.

    Raises
    ------
    MissingInputError
        There is no such file, or no .h5 in the folder.
    UnsupportedInputError
        Another kind of file.
    UnsafeFileError, CorruptInputError, BudgetError
        It holds pickled content or links, is damaged, or claims more than the budget.
    RefusedInputError
        Another layout; names array, or row and column.
    """
    if path.is_dir():
        return _folder(path, budget_bytes)
    if not path.is_file():
        msg = f"there are no features {path}; name a file, or a folder of .h5 files."
        raise MissingInputError(msg)
    kind = path.suffix.lower()
    if kind in _HDF5:
        return [_hdf5(path, budget_bytes)]
    if kind not in _READERS:
        known = ", ".join([*_HDF5, *_READERS])
        msg = f"{path}: features are read from {known}; write them as one of these."
        raise UnsupportedInputError(msg)
    require_budget(path.name, path.stat().st_size, budget_bytes)
    with storage_errors(path, doing="read"):
        return _READERS[kind](path, budget_bytes)


def _folder(path: Path, budget_bytes: int) -> list[NamedRows]:
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in _HDF5)
    if not files:
        msg = f"there is no .h5 file in {path}; name CLAM's h5_files, or TRIDENT's features folder."
        raise MissingInputError(msg)
    return [_hdf5(file, budget_bytes) for file in files]


def _hdf5(path: Path, budget_bytes: int) -> NamedRows:
    def read() -> Tensor:
        with open_guarded(path, budget_bytes=budget_bytes) as file:
            return _matrix(file.array("features", kinds="f", axes=(1, 2)), path, "features")

    with open_guarded(path, budget_bytes=budget_bytes) as file:
        return NamedRows(path.stem, read, _made_by(file))


def _made_by(file: GuardedHdf5) -> str:
    said = dict(file.attributes("features").values)
    if file.holds("coords"):
        said |= file.attributes("coords").values
    wanted = [name for name in _SETTINGS if name in said]
    return ", ".join(f"{name} {said[name]}" for name in wanted)


def _npz(path: Path, budget_bytes: int) -> list[NamedRows]:
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(entry.file_size for entry in archive.infolist())
        require_budget(path.name, claimed, budget_bytes)
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        if "pickle" in str(error):
            msg = f"{path} holds pickled content, which can run programs; save arrays of numbers."
            raise UnsafeFileError(msg) from error
        msg = f"{path} cannot be read as .npz ({error}); write it again."
        raise CorruptInputError(msg) from error
    if set(arrays) == {"names", "features"}:
        return _table(path, arrays["names"].astype(str).tolist(), arrays["features"])
    return [_held(name, _matrix(array, path, name)) for name, array in arrays.items()]


def _safetensors(path: Path, budget_bytes: int) -> list[NamedRows]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            heads = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  no mapping
            shapes = {name: (head.get_dtype(), head.get_shape()) for name, head in heads.items()}
    except safetensors.SafetensorError as error:
        msg = f"{path} cannot be read as safetensors ({error}); write it again."
        raise CorruptInputError(msg) from error
    found = list[NamedRows]()
    for name, (dtype, shape) in sorted(shapes.items()):
        if dtype not in _FLOATS or len(shape) not in (1, 2):
            raise _refusal(path, name, dtype, tuple(shape))
        require_budget(f"{path.name}: {name}", math.prod(shape) * _FLOATS[dtype], budget_bytes)
        found.append(NamedRows(name, _tensor_reader(path, name)))
    return found


def _tensor_reader(path: Path, name: str) -> Callable[[], Tensor]:
    def read() -> Tensor:
        with safetensors.safe_open(path, framework="pt") as file:
            return _two_axes(file.get_tensor(name))

    return read


def _csv(path: Path, _: int) -> list[NamedRows]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        msg = f"{path} cannot be read as CSV ({error}); save it as CSV with UTF-8 and commas."
        raise CorruptInputError(msg) from error
    header = lines[0] if lines else []
    column = _name_column(path, header)
    names, values = list[str](), list[list[float]]()
    for number, cells in enumerate(lines[1:], start=HEADER_ROW + 1):
        if not any(cells):
            continue
        if len(cells) != len(header):
            fault = f"{len(cells)} cells, but the header has {len(header)} columns."
            raise _at(path, number, None, fault)
        names.append(cells[column])
        values.append(list(_numbers(path, number, header, cells, column)))
    return _table(path, names, np.asarray(values, np.float64).reshape(len(names), len(header) - 1))


def _parquet(path: Path, budget_bytes: int) -> list[NamedRows]:
    parquet, arrow = (require(name, extra="wsi") for name in ("pyarrow.parquet", "pyarrow"))
    try:
        file = parquet.ParquetFile(io.BytesIO(path.read_bytes()))
        header = list(file.schema_arrow.names)
        # a compressed file of 40 kB can claim 20 million rows
        claimed = file.metadata.num_rows * len(header) * 8
        require_budget(path.name, claimed, budget_bytes)
        stored = file.read()
        stored.validate(full=True)
    except (arrow.ArrowException, OSError) as error:
        msg = f"{path} cannot be read as Parquet ({' '.join(str(error).split())[:200]})."
        raise CorruptInputError(msg) from error
    column = _name_column(path, header)
    names = [_text(path, row, name) for row, name in enumerate(stored.column(column).to_pylist())]
    others = [place for place in range(len(header)) if place != column]
    kinds = {place: stored.schema.field(place).type for place in others}
    if len(others) == 1 and arrow.types.is_nested(kinds[others[0]]):
        return _table(path, names, _lists(path, header[others[0]], stored.column(others[0])))
    wrong = [header[place] for place in others if not _is_number(kinds[place], arrow)]
    if wrong:
        fault = "is no number; leave this column out."
        raise _at(path, HEADER_ROW, wrong[0], fault)
    columns = [np.asarray(stored.column(place).to_numpy(), np.float64) for place in others]
    return _table(path, names, np.stack(columns, axis=1) if columns else np.zeros((len(names), 0)))


def _lists(path: Path, name: str, column: Any) -> npt.NDArray[np.float64]:  # noqa: ANN401  pyarrow
    try:
        return np.asarray(column.to_pylist(), np.float64)
    except (TypeError, ValueError) as error:
        fault = "holds lists of several lengths, or of other things than numbers."
        raise _at(path, HEADER_ROW, name, fault) from error


def _is_number(kind: Any, arrow: Any) -> bool:  # noqa: ANN401  pyarrow has no annotations
    return bool(arrow.types.is_floating(kind) or arrow.types.is_integer(kind))


def _text(path: Path, row: int, name: object) -> str:
    if isinstance(name, str):
        return name
    fault = f"the name {name!r} is no text; write ids as text."
    raise _at(path, row + HEADER_ROW + 1, None, fault)


def _name_column(path: Path, header: Sequence[str]) -> int:
    found = [place for place, name in enumerate(header) if name in NAME_COLUMNS]
    if len(found) != 1:
        fault = (
            f"{len(found)} of the columns {', '.join(NAME_COLUMNS)} are there; have one of them."
        )
        raise _at(path, HEADER_ROW, None, fault)
    return found[0]


def _numbers(
    path: Path, row: int, header: Sequence[str], cells: Sequence[str], column: int
) -> Iterator[float]:
    for place, cell in enumerate(cells):
        if place == column:
            continue
        try:
            yield float(cell)
        except ValueError as error:
            fault = f"{cell[:40]!r} is no number; fill it in, or leave the column out."
            raise _at(path, row, header[place], fault) from error


def _table(path: Path, names: Sequence[str], values: npt.NDArray[Any]) -> list[NamedRows]:
    if values.ndim != 2 or values.dtype.kind != "f" or len(values) != len(names):
        raise _refusal(path, "features", values.dtype, values.shape)
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinity, and refused as such
        rows = torch.from_numpy(np.ascontiguousarray(values, np.float32))
    return [_held(name, rows[place : place + 1]) for place, name in enumerate(names)]


def _held(name: str, rows: Tensor) -> NamedRows:
    return NamedRows(name, lambda: rows)


def _matrix(array: npt.NDArray[Any], path: Path, name: str) -> Tensor:
    if array.dtype.kind != "f" or array.ndim not in (1, 2):
        raise _refusal(path, name, array.dtype, array.shape)
    with np.errstate(over="ignore"):
        kept = array if array.dtype in (np.float16, np.float32) else array.astype(np.float32)
    return _two_axes(torch.from_numpy(np.ascontiguousarray(kept)))


def _two_axes(rows: Tensor) -> Tensor:
    rows = rows.float() if rows.dtype == torch.float64 else rows
    return rows[None] if rows.ndim == 1 else rows


def _refusal(path: Path, name: str, dtype: object, shape: tuple[int, ...]) -> RefusedInputError:
    msg = (
        f"{path.name}: {name} holds {dtype} of shape {tuple(shape)}; allowed: floats, "
        "(N, D) or (D,), one row for each name of a table."
    )
    return RefusedInputError(msg)


def _at(path: Path, row: int, column: str | None, fault: str) -> RefusedInputError:
    return RefusedInputError(f"{path.name}: {problem_at(row, column, fault).sentence}")


_READERS: dict[str, Callable[[Path, int], list[NamedRows]]] = {
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".csv": _csv,
    ".parquet": _parquet,
}
