"""Permutation tests: which labellings there are, and p-values that are never too small."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.evaluation.permuted import permutation_test, relabelled
from medconsist.timeseries.evaluation.rounds import RoundsPlan, make_rounds
from tests.timeseries.evaluation.patients import simulated

SMALL = simulated(patients=6).table
LARGE = simulated(patients=16).table


def test_all_labellings_of_few_patients_are_listed_once() -> None:
    rounds = make_rounds(SMALL, RoundsPlan(kind="pairs"))
    found, exact = relabelled(rounds, SMALL, permutations=19, generator=torch.Generator())
    assert exact
    assert len({tuple(one.labels) for one in found}) == math.comb(6, 3) - 1
    assert all(not np.array_equal(one.labels, SMALL.patient_labels) for one in found)
    assert all(len(one.rounds) == 9 for one in found)


def test_the_first_of_all_labellings_are_a_fair_sample(generator: torch.Generator) -> None:
    rounds = make_rounds(SMALL, RoundsPlan(kind="pairs"))
    firsts = [
        relabelled(rounds, SMALL, permutations=19, generator=generator)[0][0].labels
        for _ in range(60)
    ]
    share = np.mean(firsts, axis=0)
    assert np.abs(share - 0.5).max() < 0.33  # five standard errors


def test_within_folds_the_balance_of_each_fold_stays(generator: torch.Generator) -> None:
    rounds = make_rounds(LARGE, RoundsPlan(folds=4, repeats=2))
    found, exact = relabelled(rounds, LARGE, permutations=50, generator=generator)
    assert not exact
    assert len(found) == 50
    for one in found:
        assert len(one.rounds) == 4
        for fold in one.rounds:
            labels = [one.labels[LARGE.patients.index(name)] for name in fold.test]
            assert Counter(labels) == {0: 2, 1: 2}
    every, exact = relabelled(rounds, LARGE, permutations=1295, generator=generator)
    assert exact
    assert len(every) == 6**4 - 1


def test_p_counts_ties_and_is_never_zero() -> None:
    assert permutation_test(0.7, [0.7, 0.1, 0.9], exact=True).p == 3 / 4
    assert permutation_test(0.99, [0.5] * 19, exact=False).p == 1 / 20
    assert permutation_test(0.99, [0.5] * 18, exact=False).p is None
    with pytest.raises(RefusedInputError, match="permute labels once"):
        permutation_test(0.5, [], exact=False)


def test_p_is_uniform_where_there_is_nothing(generator: torch.Generator) -> None:
    small = 0
    for _ in range(400):
        values = torch.rand(20, generator=generator).tolist()
        p = permutation_test(values[0], values[1:], exact=False).p
        assert p is not None
        small += p <= 0.1
    assert binomtest(small, 400, 0.1).pvalue > 0.01
