"""What a batch was asked to do: the list that `status` compares the results with."""

from collections.abc import Sequence
from pathlib import Path

from medconsist._atomic import atomic_write_bytes, storage_errors
from medconsist._records import Record, read_record
from medconsist.batch.work import Case
from medconsist.errors import MissingInputError

__all__ = ["Plan", "PlannedCase", "read_plan", "write_plan"]

_NAME = "plan.json"


class PlannedCase(Record):
    """A case of a batch, and by what its result is known.

    Parameters
    ----------
    id, digest
        Of `Case`.
    case, item, config_sha256
        From the spec; a result of that case, item and configuration is the one.

    Examples
    --------
    >>> PlannedCase(id="c7", digest="", case="c7").item is None
    True
    """

    id: str
    digest: str
    case: str
    item: str | None = None
    config_sha256: str = ""


class Plan(Record):
    """All cases of the last batch of a study.

    Examples
    --------
    >>> Plan(cases=()).cases
    ()
    """

    cases: tuple[PlannedCase, ...]


def write_plan(folder: Path, cases: Sequence[Case]) -> None:
    """Write the plan over that of the batch before.

    Raises
    ------
    StorageError
        The disk is full or not writable.
    """
    planned = tuple(
        PlannedCase(
            id=case.id,
            digest=case.digest,
            case=case.spec.get("case", case.id),
            item=case.spec.get("item"),
            config_sha256=case.spec.get("config_sha256", ""),
        )
        for case in cases
    )
    atomic_write_bytes(folder / _NAME, Plan(cases=planned).model_dump_json(indent=1).encode())


def read_plan(folder: Path) -> Plan:
    """Return the plan of the last batch.

    Raises
    ------
    MissingInputError
        No batch has run on this study.
    """
    path = folder / _NAME
    if not path.is_file():
        msg = (
            f"no batch has run on study {folder.parent.name} of {folder.parent.parent}; begin one, "
            "e.g. medconsist wsi embed MANIFEST --out RESULTS --engine local."
        )
        raise MissingInputError(msg)
    with storage_errors(path, doing="read"):
        data = path.read_bytes()
    return read_record(Plan, data, source=str(path))
