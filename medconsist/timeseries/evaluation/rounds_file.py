"""Rounds in a file: written once, read back unaltered, and refused for other patients."""

from pathlib import Path

from medconsist._atomic import atomic_write_bytes, make_folder, storage_errors
from medconsist._records import read_record
from medconsist.errors import BudgetError, CorruptResultError, MissingInputError, RefusedInputError
from medconsist.timeseries.evaluation.rounds import Rounds, digest_of_patients
from medconsist.timeseries.window_set import WindowTable

__all__ = ["read_rounds", "require_same_patients", "write_rounds"]

_LARGEST_BYTES = 2**30


def write_rounds(rounds: Rounds, path: Path) -> None:
    """Write rounds, whole or not at all; a file that holds other ones is never replaced.

    Raises
    ------
    RefusedInputError
        The name does not end with .json, or the file holds something else.
    StorageError
        The disk is full or not writable.
    """
    data = rounds.model_dump_json(indent=1).encode() + b"\n"
    if path.suffix.lower() != ".json":
        msg = f"{path}: rounds are written as .json; give the file a name that ends so."
        raise RefusedInputError(msg)
    if path.exists():
        if path.is_file() and path.read_bytes() == data:
            return
        msg = f"{path} is there and holds something else; it stays. Name another file."
        raise RefusedInputError(msg)
    make_folder(path.parent)
    atomic_write_bytes(path, data)


def read_rounds(path: Path, table: WindowTable | None = None) -> Rounds:
    """Return rounds that are as they were written.

    Parameters
    ----------
    path
        As `write_rounds` wrote it.
    table
        Its patients and classes must be those of the rounds; None compares nothing.

    Raises
    ------
    MissingInputError
        There is no such file.
    CorruptResultError
        It was altered.
    BudgetError
        It is larger than 1 GiB.
    RefusedInputError
        It holds no rounds, a patient is in two parts, or the patients are others.
    """
    if not path.is_file():
        msg = f"there are no rounds {path}; make them first, or name another file."
        raise MissingInputError(msg)
    with storage_errors(path, doing="read"):
        if path.stat().st_size > _LARGEST_BYTES:
            msg = f"{path} holds {path.stat().st_size} bytes, allowed are {_LARGEST_BYTES}."
            raise BudgetError(msg)
        data = path.read_bytes()
    rounds = read_record(Rounds, data, source=str(path))
    if rounds.sha256 != rounds.seal:
        msg = (
            f"{path} was altered: it says sha256 {rounds.sha256[:8]}... and has "
            f"{rounds.seal[:8]}...; take the file as it was frozen."
        )
        raise CorruptResultError(msg)
    if table is not None:
        require_same_patients(rounds, table)
    return rounds


def require_same_patients(rounds: Rounds, table: WindowTable) -> None:
    """Refuse rounds that were made of other patients or classes than these.

    Raises
    ------
    RefusedInputError
        The digests differ.
    """
    if digest_of_patients(table) != rounds.patients_sha256:
        msg = (
            f"the rounds {rounds.sha256[:8]} were made of other patients, or other classes of "
            "them, than these windows have; make rounds of these windows."
        )
        raise RefusedInputError(msg)
