"""How many labels a model may see: so many patients of each class, or a share of all windows."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int64

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist._records import Record
from medconsist.errors import RefusedInputError
from medconsist.timeseries.window_set import WindowSet

__all__ = ["DrawnLabels", "LabelBudget", "drawn_labels"]

Rows = Int64[npt.NDArray[np.int64], " rows"]


@dataclass(frozen=True, kw_only=True)
class LabelBudget:
    """A budget of labels; nothing given is all of them.

    Parameters
    ----------
    patients_per_class
        Labelled patients of each class, such as 1, 2, 4 or 8, each with all of their windows.
    share_of_windows
        In (0, 1]: as published, where one label in a hundred is spread over all patients. That is
        never scarcity of patients, and is said so wherever the figure stands.

    Raises
    ------
    RefusedInputError
        Both, fewer than one patient, or a share out of range.

    Examples
    --------
    >>> LabelBudget(patients_per_class=4).unit
    'patients'
    """

    patients_per_class: int | None = None
    share_of_windows: float | None = None

    def __post_init__(self) -> None:
        patients, share = self.patients_per_class, self.share_of_windows
        few = patients is not None and patients < 1
        if few or (share is not None and (patients is not None or not 0 < share <= 1)):
            msg = (
                f"a budget got {patients} patients a class and a share of windows of {share}; "
                "allowed: 1 patient or more, or a share in (0, 1], not both."
            )
            raise RefusedInputError(msg)

    @property
    def unit(self) -> Literal["patients", "windows", "all"]:
        """What is counted."""
        if self.patients_per_class is not None:
            return "patients"
        return "all" if self.share_of_windows is None else "windows"


class DrawnLabels(Record):
    """What was drawn, frozen: it goes into the card of the model.

    Parameters
    ----------
    unit
        ``"patients"``, ``"windows"`` (the published protocol), or ``"all"``.
    patients
        Whose labels were used, sorted.
    windows
        How many labels.
    rows_sha256
        Of the rows among the training windows.

    Examples
    --------
    >>> DrawnLabels(unit="all", patients=("a",), windows=3, rows_sha256="0" * 64).windows
    3
    """

    unit: Literal["patients", "windows", "all"]
    patients: tuple[str, ...]
    windows: int
    rows_sha256: str

    @property
    def sentence(self) -> str:
        """What a reader of a figure must know of its labels."""
        count = f"{self.windows} labels of {len(self.patients)} patients"
        if self.unit == "windows":
            return (
                f"Published protocol: {count}; a share of windows, spread over patients, is no "
                "scarcity of labelled patients."
            )
        return f"Labels: {count}{', all there are' if self.unit == 'all' else ''}."


def drawn_labels(
    windows: WindowSet, budget: LabelBudget, *, generator: torch.Generator
) -> tuple[Rows, DrawnLabels]:
    """Return the rows of windows whose labels may be used, ascending, and whose they are.

    Parameters
    ----------
    windows
        Of the training patients, labelled.
    budget
        See `LabelBudget`.
    generator
        Draws patients, or windows.

    Raises
    ------
    RefusedInputError
        Too few patients of a class, or a share that leaves fewer than two classes.
    """
    match budget.unit:
        case "patients":
            rows = _of_patients(windows, budget.patients_per_class or 0, generator)
        case "windows":
            count = max(1, round((budget.share_of_windows or 0) * len(windows)))
            rows = torch.randperm(len(windows), generator=generator)[:count].sort().values.numpy()
        case _:
            rows = np.arange(len(windows))
    kept = windows.take(rows)
    if budget.unit == "windows" and len(np.unique(kept.table.label)) < 2:
        msg = f"{len(rows)} of {len(windows)} windows are of one class; take a larger share."
        raise RefusedInputError(msg)
    names = sorted(windows.table.patients[number] for number in np.unique(kept.table.patient))
    said = DrawnLabels(
        unit=budget.unit,
        patients=tuple(names),
        windows=len(rows),
        rows_sha256=sha256_of_bytes(canonical_json(rows.tolist())),
    )
    return rows, said


def _of_patients(windows: WindowSet, wanted: int, generator: torch.Generator) -> Rows:
    labels = windows.table.patient_labels
    chosen = []
    for number, name in enumerate(windows.table.classes):
        there = np.flatnonzero(labels == number)
        if len(there) < wanted:
            msg = (
                f"{wanted} labelled patients of each class were asked for, of {name!r} there are "
                f"{len(there)}; ask for at most {len(there)}."
            )
            raise RefusedInputError(msg)
        places = torch.randperm(len(there), generator=generator)[:wanted].numpy()
        chosen.append(there[places])
    return np.flatnonzero(np.isin(windows.table.patient, np.concatenate(chosen)))
