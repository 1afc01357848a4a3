"""Intervals: what they say, what they refuse, and how often they are right."""

import math

import pytest
import torch
from scipy.stats import ttest_1samp
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.metrics.report import (
    exact_binomial_interval,
    interval,
    paired_difference,
    t_interval,
)


def test_mean_and_unit_are_reported(generator: Generator) -> None:
    values = [float(v) for v in range(20)]
    estimate = interval(values, unit="scan", generator=generator)
    assert (estimate.mean, estimate.n, estimate.unit_of_analysis) == (9.5, 20, "scan")
    assert estimate.ci_low is not None
    assert estimate.ci_high is not None
    assert estimate.ci_low < 9.5 < estimate.ci_high
    assert estimate.note == ""


def test_same_generator_gives_the_same_interval() -> None:
    values = [0.3, 0.9, 0.1, 0.5, 0.44, 0.2]
    first, second = (
        interval(values, unit="scan", generator=torch.Generator().manual_seed(4)) for _ in range(2)
    )
    assert first == second


def test_one_unit_or_equal_values_have_no_interval(generator: Generator) -> None:
    single = interval([0.7], unit="scan", generator=generator)
    equal = interval([0.7] * 12, unit="scan", generator=generator)
    for estimate, said in ((single, "one scan: no interval"), (equal, "values are equal")):
        assert estimate.mean == pytest.approx(0.7)
        assert estimate.ci_low is None
        assert estimate.ci_high is None
        assert said in estimate.note


def test_few_units_are_said_to_be_few(generator: Generator) -> None:
    for n in (2, 3, 9):
        estimate = interval([float(v**2) for v in range(n)], unit="scan", generator=generator)
        assert f"only {n} units" in estimate.note
        assert estimate.ci_low is not None
        assert math.isfinite(estimate.ci_low)


def test_a_constant_shift_between_methods_is_found_despite_their_spread(
    generator: Generator,
) -> None:
    first = (10 * torch.randn(30, generator=generator)).tolist()
    second = [a - 1 + 0.01 * (-1) ** i for i, a in enumerate(first)]
    difference = paired_difference(first, second, unit="scan", generator=generator)
    assert difference.ci_low is not None
    assert difference.ci_low > 0.9
    assert difference.mean == pytest.approx(1.0, abs=1e-3)


def test_intervals_cover_the_mean_about_as_often_as_they_say(generator: Generator) -> None:
    trials, inside = 150, 0
    for _ in range(trials):
        values = torch.randn(25, generator=generator, dtype=torch.float64).tolist()
        estimate = interval(values, unit="draw", generator=generator, confidence=0.9)
        assert estimate.ci_low is not None
        assert estimate.ci_high is not None
        inside += estimate.ci_low < 0 < estimate.ci_high
    # nominal 0.9, about 0.88 at n = 25; the exact interval of 150 trials must contain that
    seen = exact_binomial_interval(inside, trials, unit="trial", confidence=0.999)
    assert seen.ci_low < 0.88 < seen.ci_high


def test_clopper_pearson_solves_its_tail_equations() -> None:
    estimate = exact_binomial_interval(3, 12, unit="site")
    upper = sum(
        math.comb(12, k) * estimate.ci_high**k * (1 - estimate.ci_high) ** (12 - k)
        for k in range(4)
    )
    lower = sum(
        math.comb(12, k) * estimate.ci_low**k * (1 - estimate.ci_low) ** (12 - k)
        for k in range(3, 13)
    )
    assert (upper, lower) == pytest.approx((0.025, 0.025), rel=1e-6)
    assert (estimate.proportion, estimate.n, estimate.k) == (0.25, 12, 3)


def test_all_or_nothing_has_one_sided_limits() -> None:
    assert exact_binomial_interval(0, 5, unit="site").ci_low == 0
    assert exact_binomial_interval(5, 5, unit="site").ci_high == 1


def test_unfit_values_are_refused(generator: Generator) -> None:
    with pytest.raises(RefusedInputError, match="got 0 values"):
        interval([], unit="scan", generator=generator)
    with pytest.raises(RefusedInputError, match="1 of them not finite"):
        interval([1.0, math.nan], unit="scan", generator=generator)
    with pytest.raises(RefusedInputError, match="confidence must be in"):
        interval([1.0], unit="scan", generator=generator, confidence=95.0)
    with pytest.raises(RefusedInputError, match="same units: got 2 and 1"):
        paired_difference([1.0, 2.0], [1.0], unit="scan", generator=generator)
    with pytest.raises(RefusedInputError, match="got k=6 out of n=5"):
        exact_binomial_interval(6, 5, unit="site")


def test_t_interval_is_that_of_scipy() -> None:
    values = [0.1, 0.4, 0.2, 0.9]
    limits = ttest_1samp(values, 0.0).confidence_interval(0.9)
    found = t_interval(values, unit="draw", confidence=0.9)
    assert (found.ci_low, found.ci_high) == pytest.approx((limits.low, limits.high))
    assert found.mean == pytest.approx(0.4)


@pytest.mark.parametrize(("values", "note"), [([0.5], "one draw"), ([0.5, 0.5], "all 2 values")])
def test_t_interval_of_what_does_not_vary_is_not_made_up(values: list[float], note: str) -> None:
    found = t_interval(values, unit="draw")
    assert found.ci_low is None
    assert found.note.startswith(note)
