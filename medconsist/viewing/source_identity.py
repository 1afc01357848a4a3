"""Whose case this is: what its results say, against one another and against the source file.

A result stores the opaque id of its patient and the sha256 of its inputs; the id that a file
carries is a default of the task and is not stored beside it. So the file is asked again, where it
still lies with the same bytes: ``patient_id`` of a fastMRI file. Other layouts name nobody here.
"""

from collections.abc import Iterable
from pathlib import Path

from medconsist.errors import MedconsistError
from medconsist.mri.formats.foreign_hdf5 import open_foreign_hdf5
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore

__all__ = ["case_conflicts", "identity_of_file", "source_conflicts"]

_SUFFIXES = frozenset({".h5", ".hdf5"})
_BUDGET = 2**20  # bytes: one attribute is read, in a child process
_ID = "patient_id"


def case_conflicts(result: Result, others: Iterable[Result]) -> list[str]:
    """Return one sentence for each patient that another result of the case names.

    Parameters
    ----------
    result
        On the screen.
    others
        All results of its case that can be read.
    """
    named = {other.patient for other in others if other.patient is not None}
    if result.patient is None:
        named = named if len(named) > 1 else set()
    return [
        f"this result is of patient {result.patient or 'unknown'}, another one of case "
        f"{result.case} of patient {other}"
        for other in sorted(named - {result.patient})
    ]


def source_conflicts(store: ResultStore, result: Result, *, names: bool = False) -> list[str]:
    """Return one sentence for each source file that names another patient than the result.

    A file that is not where it was, or that cannot be read, says nothing. Files of slides and
    signals are not asked: to find one, every byte of it is read.

    Parameters
    ----------
    store, result
        What is asked about.
    names
        Whether the sentence repeats what the file says: the id that a hospital gave is for roles
        that may see identity.
    """
    if not result.kind.startswith("mri"):
        return []
    found = []
    for role, digest in result.inputs.items():
        path = store.inputs.find(digest)
        said = None if path is None else identity_of_file(path)
        if said is not None and said != result.patient:
            shown = result.patient or "nothing"
            who = f"patient {said[:64]}" if names else "another patient"
            found.append(f"the file of {role} says {who}, the result says {shown}")
    return found


def identity_of_file(path: Path) -> str | None:
    """Return the patient that a source file names, None where it names none that can be read."""
    if path.suffix.lower() not in _SUFFIXES:
        return None
    try:
        with open_foreign_hdf5(path, budget_bytes=_BUDGET) as file:
            said = file.read(attributes=(_ID,)).attributes.get(_ID)
    except MedconsistError:
        return None
    return said.strip() or None if isinstance(said, str) else None
