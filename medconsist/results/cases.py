"""Whose case a result goes into, and how a finished one becomes the one to show."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from medconsist.errors import CorruptResultError, RefusedInputError
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore, StoredResult

__all__ = ["Outcome", "finished_results", "owner_of_case", "publish", "same_file"]


@dataclass(frozen=True)
class Outcome:
    """A finished result, and whether this run made it.

    Parameters
    ----------
    stored
        The result.
    fresh
        False if it was done before and nothing was computed.

    Examples
    --------
    >>> Outcome.__dataclass_params__.frozen
    True
    """

    stored: StoredResult
    fresh: bool


def finished_results(store: ResultStore, case: str) -> Iterator[Result]:
    """Yield every result of a case that can be read; broken ones are dealt with when written."""
    for key in store.keys(case):
        with contextlib.suppress(CorruptResultError):
            yield store.read(case, key).result


def owner_of_case(
    store: ResultStore,
    case: str,
    *,
    patient: str | None,
    refuse: Callable[[Result], None] | None = None,
) -> str:
    """Return the patient of a case; refuse to put another patient's result into it.

    Parameters
    ----------
    store, case
        Where the result will go.
    patient
        As given; None takes the patient of the case's other results, else the case id.
    refuse
        Called with each finished result of the case; raises where the two cannot be one case.

    Raises
    ------
    RefusedInputError
        The case belongs to another patient, or ``refuse`` said so.
    """
    earlier = list(finished_results(store, case))
    for result in earlier:
        if patient not in (None, result.patient):
            msg = (
                f"case {result.case} is done and belongs to patient {result.patient}, got "
                f"--patient {patient}; what is written stays. Give another --case, or leave "
                "--patient out."
            )
            raise RefusedInputError(msg)
        if refuse is not None:
            refuse(result)
    known = [result.patient for result in earlier if result.patient is not None]
    return patient or next(iter(known), case)


def same_file(
    inputs: Mapping[str, str], *, role: str, what: str, name: str
) -> Callable[[Result], None]:
    """Return a check that a case named after its file holds results of no other file.

    The name of a file is no identity: ``a/scan.h5`` and ``b/scan.h5`` would be one case.

    Parameters
    ----------
    inputs
        Role to sha256 of the files that are read now.
    role
        Roles that begin so are compared, e.g. ``"kspace"``.
    what, name
        For the sentence: ``"k-space file"`` and the path.
    """

    def refuse(result: Result) -> None:
        theirs = _of_role(result.inputs, role)
        # a result made of other results, as a prediction is, says nothing of the file
        if theirs and theirs != _of_role(inputs, role):
            msg = (
                f"case {result.case} of study {result.study} holds results of another {what}, "
                f"and {name} is named alike. Give this one a name of its own by --case NAME; if "
                f"it is the same case, say so by --case {result.case}."
            )
            raise RefusedInputError(msg)

    return refuse


def publish(
    store: ResultStore, result: Result, *, group: str, files: Mapping[str, Path] | None = None
) -> None:
    """Show this key and remember its scores; both do nothing where they are done already.

    Parameters
    ----------
    store, result
        Where it lies, and what.
    group
        What later cases are compared within.
    files
        Role of an input to where it lies, for the viewer to find it again.
    """
    for role, path in (files or {}).items():
        store.inputs.add(result.inputs[role], path)
    store.remember(result, group=group)
    if store.current(result.case) != result.key:
        store.set_current(result.case, result.key)


def _of_role(inputs: Mapping[str, str], role: str) -> dict[str, str]:
    return {name: digest for name, digest in inputs.items() if name.startswith(role)}
