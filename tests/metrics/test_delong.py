"""DeLong's variance: its direct definition, the bootstrap, coverage, and degenerate data."""

import json
from dataclasses import asdict
from itertools import pairwise

import pytest
import torch
from torch import Generator, Tensor

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.delong import delong_covariance, delong_interval, delong_test
from medconsist.metrics.report import exact_binomial_interval
from medconsist.metrics.resampling import Resampling, Units, bootstrap, bootstrap_difference

Data = tuple[Tensor, Tensor]


def kernel(high: float, low: float) -> float:
    """The paper's psi: 1, 1/2, 0 for a pair in order, tied, reversed."""
    return 1.0 if high > low else 0.5 if high == low else 0.0


def direct_covariance(scores: Tensor, positive: Tensor) -> list[list[float]]:
    """DeLong's estimator by its own double sums, as the paper writes it."""
    highs, lows = scores[:, positive].tolist(), scores[:, ~positive].tolist()
    m, n = len(highs[0]), len(lows[0])
    pairs = list(zip(highs, lows, strict=True))
    areas = [sum(kernel(x, y) for x in h for y in w) / (m * n) for h, w in pairs]
    v10 = [[sum(kernel(x, y) for y in w) / n for x in h] for h, w in pairs]
    v01 = [[sum(kernel(x, y) for x in h) / m for y in w] for h, w in pairs]

    def entry(r: int, s: int) -> float:
        first = sum((a - areas[r]) * (b - areas[s]) for a, b in zip(v10[r], v10[s], strict=True))
        second = sum((a - areas[r]) * (b - areas[s]) for a, b in zip(v01[r], v01[s], strict=True))
        return first / (m - 1) / m + second / (n - 1) / n

    return [[entry(r, s) for s in range(len(scores))] for r in range(len(scores))]


@pytest.fixture(scope="module")
def known() -> Data:
    """Two columns of Wolberg's real breast cytology data, which scikit-learn ships."""
    bunch = require("sklearn.datasets", extra="wsi").load_breast_cancer()
    rows = torch.arange(0, 569, 3)
    scores = torch.from_numpy(bunch.data[:, [1, 5]]).T[:, rows].contiguous()
    return scores, torch.from_numpy(bunch.target)[rows] == 0


def test_covariance_is_that_of_the_direct_definition_with_ties(generator: Generator) -> None:
    scores = torch.randint(0, 6, (3, 23), generator=generator).double()
    positive = torch.arange(23) % 3 == 0
    areas, covariance = delong_covariance(scores, positive)
    assert areas.tolist() == pytest.approx([area_under_roc(s, positive) for s in scores])
    for row, expected in zip(covariance.tolist(), direct_covariance(scores, positive), strict=True):
        assert row == pytest.approx(expected, abs=1e-15)


def test_delong_and_bootstrap_agree_on_known_data(known: Data, generator: Generator) -> None:
    scores, positive = known
    units = Units(of_row=torch.arange(190), name="patient", stratum=positive.long())
    plan = Resampling(resamples=999)
    by_law = delong_interval(scores[0], positive, unit="patient")
    drawn = bootstrap(
        lambda r: area_under_roc(scores[0][r], positive[r]), units, generator=generator, plan=plan
    )
    assert by_law.mean == drawn.mean
    # 999 resamples leave about .002 of Monte Carlo error in a limit with a standard error of .03
    assert (by_law.ci_low, by_law.ci_high) == pytest.approx((drawn.ci_low, drawn.ci_high), abs=0.01)
    paired = delong_test(scores[0], scores[1], positive, unit="patient")
    both = bootstrap_difference(
        lambda r: area_under_roc(scores[0][r], positive[r]),
        lambda r: area_under_roc(scores[1][r], positive[r]),
        units,
        generator=generator,
        plan=plan,
    )
    assert paired.mean == pytest.approx(both.mean, abs=1e-12)
    assert (paired.ci_low, paired.ci_high) == pytest.approx((both.ci_low, both.ci_high), abs=0.012)


def test_p_value_is_below_alpha_exactly_where_the_interval_excludes_zero(known: Data) -> None:
    scores, positive = known
    free = delong_test(scores[0], scores[1], positive, unit="patient")
    assert free.p is not None
    for confidence in (1 - free.p * 1.01, 1 - free.p * 0.99):
        found = delong_test(scores[0], scores[1], positive, unit="patient", confidence=confidence)
        assert found.ci_low is not None
        assert found.ci_high is not None
        assert (found.ci_low > 0 or found.ci_high < 0) == (free.p < 1 - confidence)
    assert free.mean == pytest.approx(free.first - free.second)


def test_swapping_the_scores_turns_the_sign_only(known: Data) -> None:
    scores, positive = known
    one = delong_test(scores[0], scores[1], positive, unit="patient")
    two = delong_test(scores[1], scores[0], positive, unit="patient")
    assert (one.mean, one.p) == pytest.approx((-two.mean, two.p))


def test_the_logit_interval_stays_within_zero_and_one() -> None:
    score = torch.arange(12.0)
    positive = torch.tensor([0, 0, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1]).bool()
    found = delong_interval(score, positive, unit="patient")
    plain = delong_interval(score, positive, unit="patient", scale="plain")
    assert found.ci_high is not None
    assert plain.ci_high is not None
    assert found.ci_high < 1 < plain.ci_high
    assert "only 7 positive and 5 negative" in found.note


def test_wider_confidence_gives_nested_intervals(known: Data) -> None:
    scores, positive = known
    found = [
        delong_interval(scores[0], positive, unit="patient", confidence=c) for c in (0.5, 0.9, 0.99)
    ]
    for narrow, wide in pairwise(found):
        assert narrow.ci_low is not None
        assert wide.ci_low is not None
        assert wide.ci_low < narrow.ci_low


def test_perfect_separation_has_no_interval_and_says_so() -> None:
    score, positive = torch.arange(20.0), torch.arange(20) >= 10
    for values, area in ((score, 1.0), (-score, 0.0), (torch.zeros(20), 0.5)):
        found = delong_interval(values, positive, unit="patient")
        assert (found.mean, found.ci_low, found.ci_high, found.standard_error) == (
            area,
            None,
            None,
            None,
        )
        assert "variance of zero: no interval" in found.note
    alone = delong_interval(score, torch.arange(20) == 3, unit="patient")
    assert (alone.ci_low, alone.note) == (None, "one unit of a kind (patient): no interval")
    json.dumps(asdict(alone))


def test_equal_orders_have_no_p_value_and_say_so(known: Data) -> None:
    scores, positive = known
    same = delong_test(scores[0], scores[0].exp(), positive, unit="patient")
    assert (same.mean, same.p, same.ci_low) == (0.0, None, None)
    assert "neither interval nor p-value" in same.note


def test_intervals_cover_the_area_about_as_often_as_they_say(generator: Generator) -> None:
    trials, inside, shift = 200, 0, 1.812  # an area of .9 for normal scores
    positive = torch.arange(45) < 20
    for _ in range(trials):
        score = torch.randn(45, generator=generator, dtype=torch.float64) + shift * positive
        found = delong_interval(score, positive, unit="draw", confidence=0.9)
        assert found.ci_low is not None
        assert found.ci_high is not None
        inside += found.ci_low <= 0.9 <= found.ci_high
    seen = exact_binomial_interval(inside, trials, unit="trial", confidence=0.999)
    assert seen.ci_low < 0.9 < seen.ci_high


def test_the_paired_test_rejects_equal_methods_about_as_often_as_it_says(
    generator: Generator,
) -> None:
    trials, rejected = 200, 0
    positive = torch.arange(60) < 30
    for _ in range(trials):
        shared = torch.randn(60, generator=generator, dtype=torch.float64) + positive
        noise = torch.randn(2, 60, generator=generator, dtype=torch.float64)
        p = delong_test(shared + noise[0], shared + noise[1], positive, unit="draw").p
        assert p is not None
        rejected += p < 0.1
    seen = exact_binomial_interval(rejected, trials, unit="trial", confidence=0.999)
    assert seen.ci_low < 0.1 < seen.ci_high


def test_unfit_scores_are_refused() -> None:
    score, positive = torch.arange(6.0), torch.arange(6) < 3
    with pytest.raises(RefusedInputError, match="got 6 positive of 6 units"):
        delong_interval(score, torch.ones(6).bool(), unit="patient")
    with pytest.raises(RefusedInputError, match="1 scores not finite"):
        delong_test(score, score.log(), positive, unit="patient")
    with pytest.raises(RefusedInputError, match="a variance needs two or more of each"):
        delong_covariance(score[None], torch.arange(6) < 1)
    with pytest.raises(RefusedInputError, match="confidence must be in"):
        delong_interval(score, positive, unit="patient", confidence=95.0)
