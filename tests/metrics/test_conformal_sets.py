"""Sets of classes: the promised coverage, by class too, its check, and too few units."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.metrics.conformal_sets import calibrate_sets, check_coverage
from medconsist.metrics.report import exact_binomial_interval

Drawn = tuple[Tensor, Tensor]


def drawn(count: int, generator: Generator, *, rare: float = 0.5, doubt: float = 0.0) -> Drawn:
    """Probabilities of an over-sure model that doubts class 1 more and more, and the labels."""
    label = (torch.rand(count, generator=generator) < rare).long()
    logit = 3 * (
        torch.randn(count, generator=generator, dtype=torch.float64) + 1.2 * label - 0.6 - doubt
    )
    return torch.stack([-logit, logit], 1).softmax(1), label


def test_new_units_are_covered_as_often_as_promised(generator: Generator) -> None:
    trials, covered, total = 250, 0, 0
    for _ in range(trials):
        rule = calibrate_sets(
            *drawn(29, generator), alpha=0.1, calibrated_on="calibration", unit="draw"
        )
        p, label = drawn(1, generator)
        covered += bool(rule.predict(p)[0, label[0]])
        total += 1
    seen = exact_binomial_interval(covered, total, unit="draw", confidence=0.999)
    assert seen.ci_low < 0.9 < seen.ci_high


def test_sets_by_class_cover_a_rare_class_too(generator: Generator) -> None:
    calibration, new = (drawn(n, generator, rare=0.05, doubt=1.0) for n in (3000, 20_000))
    shares = []
    for by_class in (False, True):
        rule = calibrate_sets(
            *calibration, alpha=0.1, calibrated_on="calibration", unit="draw", by_class=by_class
        )
        held = rule.predict(new[0]).gather(1, new[1][:, None])[:, 0]
        shares.append([float(held[new[1] == c].double().mean()) for c in (0, 1)])
    assert shares[0][1] < 0.85
    # 150 rare calibration units leave about .025 of spread
    assert shares[1] == pytest.approx([0.9, 0.9], abs=0.08)


def test_the_limit_is_the_stated_order_statistic() -> None:
    p = torch.arange(1, 20, dtype=torch.float64) / 20
    rows, label = torch.stack([1 - p, p], 1), torch.ones(19).long()
    rule = calibrate_sets(rows, label, alpha=0.2, calibrated_on="calibration", unit="draw")
    assert rule.limits == pytest.approx((0.8, 0.8))  # the 16th smallest of 1 - p
    assert rule.n == (0, 19)
    json.dumps(asdict(rule))


def test_too_few_units_rule_nothing_out() -> None:
    p, label = torch.tensor([[0.9, 0.1], [0.2, 0.8]] * 4), torch.tensor([0, 1] * 4)
    few = calibrate_sets(p, label, alpha=0.1, calibrated_on="calibration", unit="draw")
    assert few.limits == (None, None)
    assert bool(few.predict(p).all())
    assert check_coverage(few, p, label).p_exchangeable == 1.0
    rows = torch.cat([p, p[:1]])
    nine = calibrate_sets(
        rows, torch.cat([label, label[:1]]), alpha=0.1, calibrated_on="calibration", unit="draw"
    )
    assert None not in nine.limits


def test_the_check_accepts_exchangeable_units_as_often_as_it_says(generator: Generator) -> None:
    trials, low = 200, {"exchangeable": 0, "binomial": 0}
    for _ in range(trials):
        rule = calibrate_sets(
            *drawn(29, generator), alpha=0.1, calibrated_on="calibration", unit="draw"
        )
        found = check_coverage(rule, *drawn(200, generator))
        assert found.p_exchangeable is not None
        low["exchangeable"] += found.p_exchangeable <= 0.1
        low["binomial"] += found.p_binomial <= 0.1
    seen = exact_binomial_interval(low["exchangeable"], trials, unit="draw", confidence=0.999)
    assert seen.ci_low < 0.1
    # a binomial law blames the rule for the luck of 29 calibration units
    assert low["binomial"] > 1.5 * low["exchangeable"]


def test_the_check_finds_units_that_are_drawn_otherwise(generator: Generator) -> None:
    rule = calibrate_sets(
        *drawn(199, generator), alpha=0.1, calibrated_on="calibration", unit="draw"
    )
    p, label = drawn(200, generator)
    flipped = torch.where(torch.arange(200) % 2 == 0, 1 - label, label)
    found = check_coverage(rule, p, flipped)
    assert found.p_exchangeable is not None
    assert found.p_exchangeable < 1e-3
    assert found.p_binomial < 1e-3
    assert found.covered.n == 200
    assert (found.empty, found.mean_size > 0) == (int((~rule.predict(p).any(1)).sum()), True)
    assert check_coverage(replace(rule, by_class=True), p, label).p_exchangeable is None


def test_unfit_input_is_refused(generator: Generator) -> None:
    p, label = drawn(20, generator)
    with pytest.raises(RefusedInputError, match="a limit is fitted to validation"):
        calibrate_sets(p, label, alpha=0.1, calibrated_on="test", unit="draw")
    with pytest.raises(RefusedInputError, match=r"alpha must be in .* got 10"):
        calibrate_sets(p, label, alpha=10.0, calibrated_on="calibration", unit="draw")
    with pytest.raises(RefusedInputError, match="20 of 20 rows over 2 classes"):
        calibrate_sets(2 * p, label, alpha=0.1, calibrated_on="calibration", unit="draw")
    rule = calibrate_sets(p, label, alpha=0.1, calibrated_on="calibration", unit="draw")
    with pytest.raises(RefusedInputError, match="got 3 classes; calibrated for 2"):
        rule.predict(torch.full((1, 3), 1 / 3))
