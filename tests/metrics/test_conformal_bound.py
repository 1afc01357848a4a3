"""Bounds for the next unit, against every order in which exchangeable units can come."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.metrics.conformal_bound import (
    conformal_bound,
    conformal_rank,
    coverage_test,
    risk_bound,
)

ALPHAS = (0.05, 0.1, 0.25, 0.5)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("n", [1, 9, 19, 20, 99])
def test_the_rank_is_the_least_one_that_keeps_the_promise(n: int, alpha: float) -> None:
    exact = Fraction(str(alpha))
    kept = [k for k in range(n + 2) if Fraction(k, n + 1) >= 1 - exact]
    assert conformal_rank(n, alpha) == kept[0]


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_next_score_keeps_the_bound_as_often_as_promised(
    alpha: float, generator: torch.Generator
) -> None:
    scores = torch.rand(24, generator=generator)
    places = range(len(scores))
    kept = [
        float(scores[i]) <= conformal_bound(scores[[j for j in places if j != i]], alpha=alpha)
        for i in places
    ]
    share = sum(kept) / len(kept)
    assert 1 - alpha <= share + 1e-12
    assert share <= 1 - alpha + 1 / len(scores) + 1e-12


def test_a_promise_of_nothing_takes_the_least_score() -> None:
    assert conformal_bound(torch.tensor([3.0, 1.0, 2.0]), alpha=1 - 1e-12) == 1.0


def test_too_few_units_give_no_bound() -> None:
    assert conformal_bound(torch.rand(8), alpha=0.1) == math.inf
    assert risk_bound([torch.rand(3)] * 8, alpha=0.1) == math.inf
    assert risk_bound([], alpha=0.1) == math.inf


def by_search(units: list[Tensor], alpha: float) -> float:
    """Try every value at which a loss changes, from below."""
    n = len(units)
    for bound in sorted({0.0, *(float(value) for unit in units for value in unit)}):
        if sum(float((unit > bound).double().mean()) for unit in units) + 1 <= alpha * (n + 1):
            return bound
    return math.inf


@pytest.mark.parametrize("alpha", [0.2, 0.35, 0.7])
@pytest.mark.parametrize("levels", [3, 10_000])  # with ties and without
def test_risk_bound_is_the_least_that_the_formula_allows(
    alpha: float, levels: int, generator: torch.Generator
) -> None:
    units = [
        torch.randint(levels, (size,), generator=generator).double() for size in (3, 7, 1, 5, 9, 4)
    ]
    assert risk_bound(units, alpha=alpha) == by_search(units, alpha)


@pytest.mark.parametrize("alpha", [0.1, 0.3])
def test_the_mean_loss_of_the_next_unit_is_controlled(
    alpha: float, generator: torch.Generator
) -> None:
    units = [
        torch.rand(30, generator=generator) * (1 + torch.rand((), generator=generator))
        for _ in range(40)
    ]
    losses = [
        float((unit > risk_bound(units[:i] + units[i + 1 :], alpha=alpha)).double().mean())
        for i, unit in enumerate(units)
    ]
    mean = sum(losses) / len(losses)
    assert mean <= alpha + 1e-12
    assert mean >= alpha - 2 / len(units)


def test_a_vanishing_loss_needs_no_bound() -> None:
    assert risk_bound([torch.zeros(4)] * 5, alpha=0.3) == 0.0


def test_the_number_covered_follows_the_exact_law() -> None:
    n, m, alpha = 3, 2, 0.25
    counts = [0] * (m + 1)
    for order in itertools.permutations(range(n + m)):
        bound = conformal_bound(torch.tensor(order[:n], dtype=torch.float64), alpha=alpha)
        counts[sum(rank <= bound for rank in order[n:])] += 1
    total = sum(counts)
    for covered in range(m + 1):
        test = coverage_test(covered, m, n=n, alpha=alpha)
        low, high = sum(counts[: covered + 1]) / total, sum(counts[covered:]) / total
        assert test.p_low == pytest.approx(low)
        assert test.p_two_sided == pytest.approx(min(1, 2 * min(low, high)))


def test_the_exact_law_allows_for_the_luck_of_the_calibration() -> None:
    stats = pytest.importorskip("scipy.stats")
    binomial = float(stats.binom.cdf(870, 1000, 901 / 1001))
    assert coverage_test(870, 1000, n=1000, alpha=0.1).p_low > 5 * binomial
    assert coverage_test(830, 1000, n=1000, alpha=0.1).p_two_sided < 1e-4
    assert coverage_test(960, 1000, n=1000, alpha=0.1).p_two_sided < 1e-4


def test_what_has_no_rank_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="1 of 2 scores are NaN"):
        conformal_bound(torch.tensor([1.0, math.nan]), alpha=0.5)
    with pytest.raises(RefusedInputError, match=r"alpha must be in \(0, 1\)"):
        conformal_bound(torch.rand(3), alpha=1.0)
    with pytest.raises(RefusedInputError, match="one or more entries of each unit"):
        risk_bound([torch.rand(3), torch.rand(0)], alpha=0.5)
    with pytest.raises(RefusedInputError, match="got 3 of 2 covered"):
        coverage_test(3, 2, n=9, alpha=0.1)
    with pytest.raises(RefusedInputError, match="n of at least 1 / alpha - 1"):
        coverage_test(1, 2, n=8, alpha=0.1)
