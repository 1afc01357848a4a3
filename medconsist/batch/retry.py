"""Forget failures, so that the next run tries their cases again."""

from collections.abc import Collection
from pathlib import Path

from medconsist._ids import nearest
from medconsist.batch.driver import one_driver
from medconsist.batch.plan import read_plan
from medconsist.batch.states import FailureFolder, batch_folder
from medconsist.errors import RefusedInputError

__all__ = ["forget_failures"]

_REASONS = ("corrupt", "no mpp", "no tissue", "unsupported", "out of memory", "failed")


def forget_failures(root: Path, study: str, *, reasons: Collection[str] = ()) -> list[str]:
    """Remove the failure records of a study and return the ids of their cases.

    Parameters
    ----------
    root, study
        Of the results.
    reasons
        Only those of these classes; empty for all.

    Raises
    ------
    MissingInputError
        No batch has run on this study.
    RefusedInputError
        There is no such class, or a batch is at work on the study.
    StorageError
        The folder is not writable.
    """
    for reason in reasons:
        if reason not in _REASONS:
            msg = f"There is no reason {reason!r}. {nearest(reason, _REASONS)}"
            raise RefusedInputError(msg)
    folder = batch_folder(root, study)
    read_plan(folder)
    with one_driver(folder):
        records = FailureFolder(folder)
        cases = [one.case for one in records.all() if not reasons or one.reason in reasons]
        for case in cases:
            records.forget(case)
    return cases
