"""BART's file pair: ``.hdr`` (text, 16 dimensions) and ``.cfl`` (complex64, first axis fastest)."""

import logging
from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Complex, Shaped
from torch import Tensor

from medconsist._atomic import atomic_write_bytes
from medconsist.errors import RefusedInputError, ShapeError, TruncatedFileError
from medconsist.mri.formats.files import check_budget, require_file

__all__ = [
    *("BART_AXES", "cfl_coils", "cfl_dimensions", "cfl_pair", "kspace_to_bart", "maps_to_bart"),
    *("read_cfl", "write_cfl"),
]

BART_AXES = (
    *("read", "phase1", "phase2", "coil", "maps", "te", "coeff", "coeff2"),
    *("iter", "cshift", "time", "time2", "level", "slice", "avg", "batch"),
)
_COIL = 3
_ITEM_BYTES = 8
_HEADER_BYTES = 65536  # BART writes a command line and file names below the dimensions

_log = logging.getLogger(__name__)


def cfl_pair(path: Path) -> tuple[Path, Path]:
    """Return the ``.hdr`` and the ``.cfl`` of a pair named with or without either suffix.

    Raises
    ------
    MissingInputError
        If one of the two files is not there.
    """
    base = str(path.with_suffix("") if path.suffix in (".cfl", ".hdr") else path)
    header, samples = Path(f"{base}.hdr"), Path(f"{base}.cfl")
    require_file(header, hint="A BART array is a pair: copy the .hdr beside its .cfl.")
    require_file(samples, hint="A BART array is a pair: copy the .cfl beside its .hdr.")
    return header, samples


def read_cfl(path: Path, *, budget_bytes: int) -> Complex[Tensor, "..."]:
    """Read a BART array with its 16 axes in BART's order (`BART_AXES`), complex64.

    Parameters
    ----------
    path
        Path of the pair, with or without suffix.
    budget_bytes
        Most bytes that the header may claim; checked before anything is read.

    Raises
    ------
    MissingInputError
        If one file of the pair is not there.
    RefusedInputError
        If the header cannot be understood or does not fit the length of the data.
    BudgetError
        If the header claims more than the budget.
    """
    dims = cfl_dimensions(path, budget_bytes=budget_bytes)
    return _samples(path, dims)


def cfl_dimensions(path: Path, *, budget_bytes: int) -> tuple[int, ...]:
    """Return the 16 lengths of a BART array, checked against its data; no sample is read.

    Raises
    ------
    MedconsistError
        As `read_cfl`.
    """
    header, samples = cfl_pair(path)
    dims = _read_dimensions(header)
    claimed = prod(dims) * _ITEM_BYTES
    check_budget(header, claimed, budget_bytes)
    present = samples.stat().st_size
    if present != claimed:
        kind = TruncatedFileError if present < claimed else RefusedInputError
        msg = (
            f"{samples.name} holds {present} bytes, but {header.name} claims {claimed} "
            f"(dimensions {' '.join(map(str, dims))}). Copy both files again."
        )
        raise kind(msg)
    return dims


def cfl_coils(
    path: Path, dims: tuple[int, ...]
) -> Iterator[Complex[Tensor, "read phase1 phase2 ..."]]:
    """Yield the samples of one coil after the other, so that there is never a second whole copy.

    Parameters
    ----------
    path
        Path of the pair, with or without suffix.
    dims
        Its `cfl_dimensions`; all behind the coils are 1.
    """
    for coil in range(dims[_COIL]):
        yield _samples(path, dims[:_COIL], first=coil * prod(dims[:_COIL]))


def _samples(path: Path, dims: tuple[int, ...], *, first: int = 0) -> Complex[Tensor, "..."]:
    _, samples = cfl_pair(path)
    flat = np.fromfile(samples, dtype="<c8", count=prod(dims), offset=first * _ITEM_BYTES)
    return torch.from_numpy(flat.astype(np.complex64, copy=False).reshape(dims, order="F"))


def write_cfl(path: Path, array: Shaped[Tensor, "..."]) -> None:
    """Write an array whose axes are in BART's order; missing trailing axes are 1.

    The data are replaced before the header, each atomically, so that a header never stands beside
    samples that were cut short.

    Parameters
    ----------
    path
        Path of the pair, with or without suffix.
    array
        At most 16 axes; stored as complex64.

    Raises
    ------
    ShapeError
        If the array has more than 16 axes, or an empty one.
    StorageError
        If the disk is full or read-only; nothing half-written is left.
    """
    if array.ndim > len(BART_AXES) or array.numel() == 0:
        msg = f"a BART array has 1 to 16 axes, none empty; got shape {tuple(array.shape)}."
        raise ShapeError(msg)
    base = str(path.with_suffix("") if path.suffix in (".cfl", ".hdr") else path)
    dims = (*array.shape, *(1,) * (len(BART_AXES) - array.ndim))
    samples = array.detach().cpu().to(torch.complex64).resolve_conj().numpy()
    atomic_write_bytes(Path(f"{base}.cfl"), samples.astype("<c8", copy=False).tobytes(order="F"))
    atomic_write_bytes(Path(f"{base}.hdr"), f"# Dimensions\n{' '.join(map(str, dims))}\n".encode())
    _log.debug("wrote %s.cfl, dimensions %s", base, dims)


def kspace_to_bart(
    samples: Complex[Tensor, "slices coils height width"],
) -> Complex[Tensor, "..."]:
    """Return k-space in BART's order: plane on (phase1, phase2), coils on 3, slices on 13."""
    spread = samples.permute(2, 3, 1, 0)
    return spread.reshape(1, *spread.shape[:3], *(1,) * 9, spread.shape[3])


def maps_to_bart(
    maps: Complex[Tensor, "slices sets coils height width"],
) -> Complex[Tensor, "..."]:
    """Return coil maps in BART's order: plane on (phase1, phase2), coils 3, sets 4, slices 13."""
    spread = maps.permute(3, 4, 2, 1, 0)
    return spread.reshape(1, *spread.shape[:4], *(1,) * 8, spread.shape[4])


def _read_dimensions(header: Path) -> tuple[int, ...]:
    with header.open("rb") as file:
        text = file.read(_HEADER_BYTES).decode("ascii", errors="replace")
    lines = [line.strip() for line in text.splitlines()]
    if "# Dimensions" not in lines[:-1]:
        msg = (
            f"{header.name} has no line '# Dimensions' with the sizes below it; write the pair "
            "again with BART or with write_cfl."
        )
        raise TruncatedFileError(msg) if not text.strip() else RefusedInputError(msg)
    line = lines[lines.index("# Dimensions") + 1]
    words = line.split()
    # Nine digits: longer numbers exceed any budget, and int() of huge text is slow.
    good = all(word.isascii() and word.isdigit() and 0 < len(word) <= 9 for word in words)
    if not good or not 0 < len(words) <= len(BART_AXES) or min(map(int, words)) < 1:
        msg = (
            f"{header.name} gives the dimensions {line[:80]!r}; allowed: 1 to 16 positive whole "
            "numbers of at most nine digits."
        )
        raise RefusedInputError(msg)
    return tuple(map(int, words)) + (1,) * (len(BART_AXES) - len(words))
