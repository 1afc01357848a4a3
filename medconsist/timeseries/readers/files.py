"""What every reader asks of a file."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from medconsist.errors import (
    BudgetError,
    CorruptInputError,
    TruncatedFileError,
)
from medconsist.results.safetensors_file import require_regular

__all__ = ["as_float32", "require_budget", "require_bytes", "require_file"]

_MIB = 2**20


def require_file(path: Path) -> int:
    """Return the length of a regular file in bytes.

    Raises
    ------
    MissingInputError
        Nothing is there.
    TruncatedFileError
        It is empty.
    RefusedInputError
        It is a folder, a pipe or a device.
    """
    require_regular(path, what="recording", allowed="a file on disk")
    size = path.stat().st_size
    if not size:
        msg = f"{path.name} is empty (0 bytes). Copy the file again."
        raise TruncatedFileError(msg)
    return size


def require_bytes(name: str, *, found: int, claimed: int, slack: int = 0) -> None:
    """Refuse samples of another length than their header claims.

    Parameters
    ----------
    name
        Of the file.
    found, claimed
        Bytes of samples.
    slack
        So many bytes more than claimed are padding.

    Raises
    ------
    TruncatedFileError
        Fewer than claimed.
    CorruptInputError
        More.
    """
    if claimed <= found <= claimed + slack:
        return
    kind = TruncatedFileError if found < claimed else CorruptInputError
    msg = (
        f"{name} holds {found} bytes of samples, but its header claims {claimed}. Copy the file "
        "again, with the header that belongs to it."
    )
    raise kind(msg)


def require_budget(name: str, claimed: int, budget: int) -> None:
    """Refuse what needs more memory than allowed, before it is read.

    Raises
    ------
    BudgetError
        Names both.
    """
    if claimed > budget:
        msg = (
            f"{name} claims {claimed / _MIB:.6g} MiB, more than the memory budget of "
            f"{budget / _MIB:.6g} MiB. If the file is sound, raise budget_bytes."
        )
        raise BudgetError(msg)


def as_float32(values: npt.ArrayLike, name: str) -> Float32[npt.NDArray[np.float32], "..."]:
    """Return values as float32; NaN stays, as a missing sample.

    Raises
    ------
    CorruptInputError
        One is infinite, or larger than float32 holds.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        samples = np.asarray(values).astype(np.float32)
    # A signalling NaN, as damaged bytes give it, would warn in each later conversion.
    np.copyto(samples, np.nan, where=np.isnan(samples))
    wrong = int(np.isinf(samples).sum())
    if wrong:
        msg = (
            f"{name} holds {wrong} values that are infinite or larger than float32 can hold; "
            "allowed: finite samples, and NaN for a missing one."
        )
        raise CorruptInputError(msg)
    return samples
