"""Folds of a cohort as the program itself splits a manifest: by patient or site, balanced."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medconsist.manifests.cases import CaseRow
from medconsist.manifests.split import make_split
from medconsist.manifests.split_record import SplitPlan
from medconsist.wsi.mil.cohort import Cohort

__all__ = ["Parts", "folds_of"]


@dataclass(frozen=True, eq=False)
class Parts:
    """One way to train, validate and test.

    Parameters
    ----------
    train, validation, test
        Of different patients.

    Examples
    --------
    >>> from medconsist.wsi.mil.simulate import BagRecipe, simulate_bags
    >>> cohort = simulate_bags(BagRecipe(bags=24, instances=(2, 4)), draw=1).cohort
    >>> len(list(folds_of(cohort, seed=0, folds=3)))
    3
    """

    train: Cohort
    validation: Cohort
    test: Cohort

    def known(self, cohort: Cohort) -> Cohort:
        """Return training and validation of this cohort as one, for what chooses nothing."""
        infos = (*self.train.infos, *self.validation.infos)
        return cohort.of_cases([info.case for info in infos])


def folds_of(
    cohort: Cohort, *, seed: int, folds: int, group: Literal["patient", "site"] = "patient"
) -> Iterator[Parts]:
    """Yield the folds of one repeat; each case is in one test.

    Parameters
    ----------
    cohort
        With labels.
    seed, folds, group
        As of `SplitPlan`.
    """
    rows = [
        CaseRow(
            row=number + 2,
            path=Path(f"/{info.case}"),
            item=info.case,
            case=info.case,
            patient=info.patient,
            site=info.site,
            label=str(info.label),
        )
        for number, info in enumerate(cohort.infos)
    ]
    split = make_split(rows, SplitPlan(seed=seed, group=group, folds=folds))
    for number in range(folds):
        yield Parts(
            *(cohort.of_cases(split.cases(number, p)) for p in ("train", "validation", "test"))
        )
