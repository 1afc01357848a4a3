"""From windows to trials to patients: each trial weighs the same, and so does each patient."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.timeseries.window_set import WindowTable

__all__ = ["Aggregation", "Answers", "aggregated"]

Aggregation = Literal["probability", "logit"]
"""What is averaged: probabilities, or their logarithms (the geometric mean, then normalised)."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Probabilities of units, by the round in which they were judged.

    Parameters
    ----------
    probabilities
        Sum 1 in each row.
    label
        The true class of each row.
    patient
        Whose a row is.
    round_of
        Place of the round among all rounds.

    Examples
    --------
    >>> one = torch.tensor([1])
    >>> Answers(torch.tensor([[0.25, 0.75]]).double(), one, one, one).score.tolist()
    [0.75]
    """

    probabilities: Float64[Tensor, "rows classes"]
    label: Int64[Tensor, " rows"]
    patient: Int64[Tensor, " rows"]
    round_of: Int64[Tensor, " rows"]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.probabilities.shape[1]

    @property
    def score(self) -> Float64[Tensor, " rows"]:
        """Probability of the last class."""
        return self.probabilities[:, -1]

    @property
    def decided(self) -> Int64[Tensor, " rows"]:
        """The most probable class; of equal ones the first."""
        return self.probabilities.argmax(1)

    def of_round(self, number: int) -> "Answers":
        """Return the rows of one round."""
        here = self.round_of == number
        return Answers(
            self.probabilities[here], self.label[here], self.patient[here], self.round_of[here]
        )

    @staticmethod
    def joined(parts: "list[Answers]") -> "Answers":
        """Return the rows of several, in their order."""
        return Answers(
            torch.cat([one.probabilities for one in parts]),
            torch.cat([one.label for one in parts]),
            torch.cat([one.patient for one in parts]),
            torch.cat([one.round_of for one in parts]),
        )


def aggregated(
    logits: Float64[Tensor, "windows classes"],
    table: WindowTable,
    labels: Int64[npt.NDArray[np.int64], " patients"],
    *,
    round_of: int,
    how: Aggregation,
) -> tuple[Answers, Answers, Answers]:
    """Return the answers of windows, of trials and of patients of one round.

    A trial is the mean of its windows, a patient the mean of their trials: a patient with sixty
    trials counts as much as one with a single trial.

    Parameters
    ----------
    logits
        Of the windows of a test set; finite.
    table
        Of the same windows.
    labels
        True classes of the patients, as they are or as they were permuted.
    round_of
        Place of the round.
    how
        See `Aggregation`.

    Raises
    ------
    RefusedInputError
        A logit that is not finite, or another number of rows.

    Examples
    --------
    >>> table = WindowTable(patient=np.zeros(3, np.int64), trial=np.array([0, 0, 1]), sites=(None,),
    ...                     start=np.arange(3), label=np.ones(3, np.int64), patients=("a",),
    ...                     classes=("control", "case"))
    >>> logits = torch.tensor([[0.0, 9.0], [0.0, 9.0], [9.0, 0.0]]).double()
    >>> _, _, patients = aggregated(logits, table, np.ones(1, np.int64), round_of=0, how="logit")
    >>> patients.score.tolist()
    [0.5]
    """
    if len(logits) != len(table) or not bool(logits.isfinite().all()):
        bad = int((~logits.isfinite()).any(1).sum())
        msg = (
            f"{len(logits)} rows of logits for {len(table)} windows, {bad} of them not finite; "
            "allowed: one finite row a window. Look at the features and at the model."
        )
        raise RefusedInputError(msg)
    values = logits.log_softmax(1) if how == "logit" else logits.softmax(1)
    trial_of = torch.from_numpy(table.trial)
    trials, first = _means(values, trial_of)
    owner = torch.from_numpy(table.patient)[first]
    patients, first_trial = _means(trials, owner)
    truth = torch.from_numpy(labels)
    window_owner = torch.from_numpy(table.patient)
    return (
        _answers(values, window_owner, truth, round_of, how),
        _answers(trials, owner, truth, round_of, how),
        _answers(patients, owner[first_trial], truth, round_of, how),
    )


def _means(
    values: Float64[Tensor, "rows classes"], unit: Int64[Tensor, " rows"]
) -> tuple[Float64[Tensor, "units classes"], Int64[Tensor, " units"]]:
    """Return the mean of each unit, units by ascending number, and one row of each."""
    numbers, place, counts = torch.unique(unit, return_inverse=True, return_counts=True)
    sums = torch.zeros(len(numbers), values.shape[1], dtype=values.dtype)
    sums.index_add_(0, place, values)
    first = torch.full((len(numbers),), len(unit), dtype=torch.int64)
    first.scatter_reduce_(0, place, torch.arange(len(unit)), "amin")
    return sums / counts[:, None], first


def _answers(
    values: Tensor, patient: Tensor, truth: Tensor, round_of: int, how: Aggregation
) -> Answers:
    said = values.softmax(1) if how == "logit" else values
    where = torch.full((len(values),), round_of)
    return Answers(said, truth[patient], patient, where)
