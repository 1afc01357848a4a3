"""Patients relabelled at random, as a permutation test does: which labellings are allowed."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int64
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.timeseries.evaluation.rounds import PatientRound, Rounds, pairs_of
from medconsist.timeseries.window_set import UNKNOWN, WindowTable

__all__ = ["Labelling", "PermutationTest", "permutation_test", "relabelled"]

_TIE = 1e-12


@dataclass(frozen=True, eq=False)
class Labelling:
    """Labels of the patients, and the rounds in which they are judged.

    Parameters
    ----------
    labels
        Class of each patient; -1 where it is not known.
    rounds
        Of these labels.

    Examples
    --------
    >>> Labelling(np.array([0, 1]), ()).rounds
    ()
    """

    labels: Int64[npt.NDArray[np.int64], " patients"]
    rounds: tuple[PatientRound, ...]


@dataclass(frozen=True, kw_only=True)
class PermutationTest:
    """How a figure compares with itself under permuted labels.

    Parameters
    ----------
    seen
        With the true labels; in folds that of the first repeat.
    mean, low, high
        Of the figure under permuted labels: mean, and 2.5 and 97.5 %.
    p
        One-sided: how often a permuted figure is as large. None below 19 permutations.
    permutations
        How many were fitted, beside the true labels.
    exact
        Whether these are all labellings there are.

    Examples
    --------
    >>> permutation_test(0.9, [0.5] * 99, exact=False).p
    0.01
    """

    seen: float
    mean: float
    low: float
    high: float
    p: float | None
    permutations: int
    exact: bool


def permutation_test(seen: float, null: Sequence[float], *, exact: bool) -> PermutationTest:
    """Return ``(1 + #{null >= seen}) / (1 + n)``: never 0, and exact if these are all labellings.

    Parameters
    ----------
    seen
        With the true labels.
    null
        With each permuted labelling but the true one; one or more.
    exact
        Whether ``null`` and the true labelling are all that there are.

    References
    ----------
    B. Phipson, G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010) 39,
    doi:10.2202/1544-6115.1585.
    """
    values = np.asarray(null, np.float64)
    if not len(values):
        msg = "got no permuted figure; permute labels once at least."
        raise RefusedInputError(msg)
    # equal figures must count as equal in spite of rounding
    p = (1 + int((values >= seen - _TIE).sum())) / (1 + len(values))
    low, high = np.quantile(values, [0.025, 0.975])
    return PermutationTest(
        seen=seen,
        mean=float(values.mean()),
        low=float(low),
        high=float(high),
        p=p if exact or len(values) >= 19 else None,
        permutations=len(values),
        exact=exact,
    )


def relabelled(
    rounds: Rounds, table: WindowTable, *, permutations: int, generator: Generator
) -> tuple[list[Labelling], bool]:
    """Return labellings other than the true one, and whether these are all there are.

    Labels change places among all patients where pairs are left out (each labelling has pairs of
    its own), and within the test folds of the first repeat where there are folds: those folds
    were balanced by the true labels, so that only such permutations are exchangeable with them, and
    no representation has to be learned anew. Of one given round only labels of the test change
    places: its models stay. Blocks of pairs stay too, although the true labels balanced them; what
    is learned on them sees no label.

    Parameters
    ----------
    rounds
        As they were made.
    table
        Of the windows.
    permutations
        How many are wanted; all distinct ones are returned if there are no more than that. In
        either case the order is random, so that the first ones are a fair sample.
    generator
        Of the drawing.
    """
    truth = table.patient_labels
    place = {name: number for number, name in enumerate(table.patients)}
    if rounds.plan.kind == "pairs":
        groups = [np.flatnonzero(truth != UNKNOWN)]
    else:
        first = [one for one in rounds.rounds if one.repeat == 0]
        groups = [np.array([place[name] for name in one.test]) for one in first]
    total = math.prod(_count(truth[group].tolist()) for group in groups)
    exact = total - 1 <= permutations
    drawn = _all(truth, groups) if exact else _some(truth, groups, permutations, generator)
    kept = [labels for labels in drawn if not exact or not np.array_equal(labels, truth)]
    if exact:
        kept = [kept[n] for n in torch.randperm(len(kept), generator=generator).tolist()]
    return [Labelling(labels, _rounds_of(rounds, table, labels)) for labels in kept], exact


def _rounds_of(
    rounds: Rounds, table: WindowTable, labels: npt.NDArray[np.int64]
) -> tuple[PatientRound, ...]:
    if rounds.plan.kind == "pairs":
        return pairs_of(rounds, table, labels)
    return tuple(one for one in rounds.rounds if one.repeat == 0)


def _count(labels: Sequence[int]) -> int:
    ways = math.factorial(len(labels))
    for count in Counter(labels).values():
        ways //= math.factorial(count)
    return ways


def _arrangements(counts: Counter[int]) -> Iterator[tuple[int, ...]]:
    """Yield all orders of a multiset, each once."""
    if not counts.total():
        yield ()
    for kind in sorted(kind for kind, count in counts.items() if count):
        for rest in _arrangements(counts - Counter([kind])):
            yield (kind, *rest)


def _all(
    truth: npt.NDArray[np.int64], groups: Sequence[npt.NDArray[np.int64]]
) -> Iterator[npt.NDArray[np.int64]]:
    orders = [list(_arrangements(Counter(truth[group].tolist()))) for group in groups]
    for chosen in product(*orders):
        labels = truth.copy()
        for group, order in zip(groups, chosen, strict=True):
            labels[group] = order
        yield labels


def _some(
    truth: npt.NDArray[np.int64],
    groups: Sequence[npt.NDArray[np.int64]],
    permutations: int,
    generator: Generator,
) -> Iterator[npt.NDArray[np.int64]]:
    for _ in range(permutations):
        labels = truth.copy()
        for group in groups:
            labels[group] = truth[group[torch.randperm(len(group), generator=generator).numpy()]]
        yield labels
