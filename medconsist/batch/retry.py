"""Forget failures and set damaged results aside, so that the next run tries their cases again."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from medconsist._atomic import make_folder
from medconsist._ids import is_id, nearest
from medconsist.batch.damaged import set_damaged_aside
from medconsist.batch.driver import one_driver
from medconsist.batch.plan import read_plan
from medconsist.batch.states import FailureFolder, batch_folder
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.results.store import ResultStore

__all__ = ["Retried", "prepare_retry"]

_REASONS = ("corrupt", "no mpp", "no tissue", "unsupported", "out of memory", "failed")


@dataclass(frozen=True)
class Retried:
    """What the next run will try again.

    Parameters
    ----------
    cases
        Ids of the cases whose failures were forgotten.
    set_aside
        ``case/key`` of the damaged results that were set aside.

    Examples
    --------
    >>> Retried(cases=("c7",)).set_aside
    ()
    """

    cases: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()


def prepare_retry(
    root: Path,
    study: str,
    *,
    reasons: Collection[str] = (),
    cases: Collection[str] = (),
    verify: bool = False,
) -> Retried:
    """Remove the failure records of a study, and set aside what is damaged of their results.

    Parameters
    ----------
    root, study
        Of the results.
    reasons
        Only failures of these classes; empty for all.
    cases
        Only these cases of the study, whose results are looked at whether they failed or not.
    verify
        Look at the results of all cases: reads every byte of them.

    Raises
    ------
    MissingInputError
        No batch has run on this study, and neither ``cases`` nor ``verify`` is given; or there is
        no such study.
    RefusedInputError
        There is no such class, or a batch is at work on the study.
    StorageError
        The folder is not readable or not writable.
    """
    for reason in reasons:
        if reason not in _REASONS:
            msg = f"There is no reason {reason!r}. {nearest(reason, _REASONS)}"
            raise RefusedInputError(msg)
    folder, store = batch_folder(root, study), ResultStore(root, study)
    of_study = _cases_of_batch(folder, must_have_run=not (cases or verify))
    with one_driver(folder):
        records = FailureFolder(folder)
        chosen = [
            one.case
            for one in records.all()
            if (not reasons or one.reason in reasons)
            and (not cases or of_study.get(one.case) in cases)
        ]
        failed = [of_study[case] for case in chosen if case in of_study]
        set_aside = set_damaged_aside(store, cases or (_all_cases(store) if verify else failed))
        for case in chosen:
            records.forget(case)
    return Retried(cases=tuple(chosen), set_aside=tuple(set_aside))


def _cases_of_batch(folder: Path, *, must_have_run: bool) -> dict[str, str]:
    """Return id in the batch to case of the study, for the cases of the last batch."""
    if must_have_run or folder.exists():
        return {case.id: case.case for case in read_plan(folder).cases}
    if not folder.parent.is_dir():
        msg = f"there is no study {folder.parent.name} in {folder.parent.parent}; see --study."
        raise MissingInputError(msg)
    make_folder(folder)
    return {}


def _all_cases(store: ResultStore) -> list[str]:
    folder = store.root / store.study
    return [path.name for path in folder.iterdir() if path.is_dir() and is_id(path.name)]
