"""The smallest detectable difference is found as often as the power says."""

import json
import math
from dataclasses import asdict

import pytest
import torch
from torch import Generator

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.metrics.delong import delong_test
from medconsist.metrics.power import (
    smallest_area_difference,
    smallest_fold_difference,
    smallest_mean_difference,
)
from medconsist.metrics.repeated_folds import FoldScores, corrected_test
from medconsist.metrics.report import exact_binomial_interval

STATS = require("scipy.stats", extra="wsi")


def test_a_t_test_finds_the_difference_as_often_as_said(generator: Generator) -> None:
    found = smallest_mean_difference(n=12, sd=2.0, unit="patient")
    draws = 2 * torch.randn(4000, 12, generator=generator, dtype=torch.float64) + found.difference
    p = STATS.ttest_1samp(draws.numpy(), 0, axis=1).pvalue
    seen = exact_binomial_interval(int((p < 0.05).sum()), 4000, unit="draw", confidence=0.999)
    assert seen.ci_low < 0.8 < seen.ci_high
    json.dumps(asdict(found))


def test_many_pairs_give_the_normal_formula() -> None:
    found = smallest_mean_difference(n=10_000, sd=1.0, unit="patient")
    expected = (STATS.norm.ppf(0.975) + STATS.norm.ppf(0.8)) / 100
    assert found.difference == pytest.approx(expected, rel=1e-3)
    area = delong_test(
        torch.arange(40.0), torch.arange(40.0).roll(9), torch.arange(40) % 3 > 0, unit="patient"
    )
    assert area.standard_error is not None
    small = smallest_area_difference(area)
    assert small.difference / area.standard_error == pytest.approx(2.8016, abs=1e-3)
    assert (small.n, small.test) == (40, "paired DeLong")


def test_more_units_less_spread_and_less_power_detect_smaller_differences() -> None:
    base = smallest_mean_difference(n=20, sd=1.0, unit="patient").difference
    assert smallest_mean_difference(n=40, sd=1.0, unit="patient").difference < base
    assert smallest_mean_difference(n=20, sd=0.5, unit="patient").difference == pytest.approx(
        base / 2
    )
    assert smallest_mean_difference(n=20, sd=1.0, unit="patient", power=0.5).difference < base
    assert smallest_mean_difference(n=20, sd=1.0, unit="patient", alpha=0.2).difference < base


def test_folds_use_the_corrected_error() -> None:
    first = FoldScores(values=((0.8, 0.9, 0.7, 0.6),), units=40, unit="patient")
    second = FoldScores(values=((0.7, 0.88, 0.7, 0.65),), units=40, unit="patient")
    compared = corrected_test(first, second)
    assert compared.standard_error is not None
    found = smallest_fold_difference(compared)
    # one sample of four has the same three degrees of freedom
    alone = smallest_mean_difference(n=4, sd=2 * compared.standard_error, unit="patient")
    assert found.difference == pytest.approx(alone.difference)


def test_three_values_and_a_high_power_have_an_answer_too() -> None:
    found = smallest_mean_difference(n=3, sd=1.0, unit="patient", power=0.95)
    shift = found.difference * math.sqrt(3)
    upper = STATS.nct.sf(STATS.t.isf(0.025, 2), 2, shift)  # the lower tail is below 1e-6 here
    assert upper == pytest.approx(0.95, abs=1e-6)


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="got n = 1 and sd = 1"):
        smallest_mean_difference(n=1, sd=1.0, unit="patient")
    with pytest.raises(RefusedInputError, match="sd = inf"):
        smallest_mean_difference(n=5, sd=math.inf, unit="patient")
    with pytest.raises(RefusedInputError, match=r"got power 0\.05 and alpha 0\.8"):
        smallest_mean_difference(n=5, sd=1.0, unit="patient", power=0.05, alpha=0.8)
    same = delong_test(torch.arange(6.0), torch.arange(6.0), torch.arange(6) > 2, unit="patient")
    with pytest.raises(RefusedInputError, match="no standard error"):
        smallest_area_difference(same)
