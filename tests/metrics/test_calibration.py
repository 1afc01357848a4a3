"""Calibration: a calibrated toy, scikit-learn as oracle, the best temperature, bad input."""

import json
import math
from dataclasses import asdict
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.metrics.calibration import (
    Temperature,
    brier_score,
    fit_temperature,
    log_loss,
    reliability,
    top_label,
)

ORACLE = require("sklearn.metrics", extra="wsi")


def test_a_calibrated_toy_has_no_error_and_a_shifted_one_its_shift(generator: Generator) -> None:
    said = torch.rand(40_000, generator=generator, dtype=torch.float64)
    came = torch.rand(40_000, generator=generator, dtype=torch.float64) < said
    lower = (said - 0.1).clamp(min=0)
    kinds: tuple[Literal["width", "mass"], ...] = ("width", "mass")
    for by in kinds:
        # 15 shares of 2,667 units scatter by about .008 each
        assert reliability(said, came, unit="draw", by=by).expected_error < 0.012
        wrong = reliability(lower, came, unit="draw", by=by)
        assert wrong.expected_error == pytest.approx(0.095, abs=0.012)


def test_a_table_by_hand_has_closed_upper_edges() -> None:
    said = torch.tensor([0.0, 0.25, 0.5, 0.5, 0.75, 1.0], dtype=torch.float64)
    came = torch.tensor([0, 0, 1, 0, 1, 1]).bool()
    table = reliability(said, came, unit="patient", bins=2)
    rows = [(b.low, b.high, b.n, b.mean_probability, b.share) for b in table.bins]
    assert rows == [(0.0, 0.5, 4, 0.3125, 0.25), (0.5, 1.0, 2, 0.875, 1.0)]
    assert table.expected_error == pytest.approx(4 / 6 * 0.0625 + 2 / 6 * 0.125)
    assert table.largest_error == 0.125
    assert json.loads(json.dumps(asdict(table)))["n"] == 6


@given(
    st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 12),
    st.sampled_from(["width", "mass"]),
)
@settings(max_examples=40, deadline=None)
def test_bins_hold_every_unit_once_in_any_order(
    units: list[tuple[int, bool]], bins: int, by: Literal["width", "mass"]
) -> None:
    said = torch.tensor([u[0] / 10 for u in units], dtype=torch.float64)
    came = torch.tensor([u[1] for u in units])
    table = reliability(said, came, unit="draw", bins=bins, by=by)
    turned = reliability(said.flip(0), came.flip(0), unit="draw", bins=bins, by=by)
    assert sum(b.n for b in table.bins) == len(units)
    assert all(b.low <= b.mean_probability + 1e-12 <= b.high + 2e-12 for b in table.bins)
    assert 0 <= table.expected_error <= table.largest_error + 1e-12
    assert turned.expected_error == pytest.approx(table.expected_error, abs=1e-12)


def test_bins_of_equal_mass_hold_as_many_units_each(generator: Generator) -> None:
    said = torch.rand(120, generator=generator).square()
    table = reliability(said, said > 0.3, unit="draw", bins=6, by="mass")
    assert [b.n for b in table.bins] == [20] * 6


def test_proper_scores_equal_sklearn(generator: Generator) -> None:
    logits = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    label = torch.arange(50) % 3
    p = logits.softmax(1)
    assert log_loss(logits, label) == pytest.approx(ORACLE.log_loss(label.numpy(), p.numpy()))
    two = p[:, :2] / p[:, :2].sum(1, keepdim=True)
    half = ORACLE.brier_score_loss((label % 2).numpy(), two[:, 1].numpy())
    assert brier_score(two, label % 2) == pytest.approx(2 * half)
    truth = torch.nn.functional.one_hot(label, 3)
    assert brier_score(p, label) == pytest.approx(float((p - truth).square().sum(1).mean()))


def test_top_label_is_the_likeliest_class_and_whether_it_is_true() -> None:
    p = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    said, right = top_label(p, torch.tensor([0, 1]))
    assert said.tolist() == pytest.approx([0.7, 0.6])
    assert right.tolist() == [True, False]


def test_the_temperature_that_spoiled_the_logits_is_found(generator: Generator) -> None:
    logits = 2 * torch.randn(20_000, 3, generator=generator, dtype=torch.float64)
    label = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    for factor in (0.25, 1.0, 5.0):
        found = fit_temperature(factor * logits, label, fitted_on="validation")
        assert found.value == pytest.approx(factor, rel=0.04)
        assert found.log_loss_after <= found.log_loss_before
        said, right = top_label(found.apply(factor * logits).softmax(1), label)
        assert reliability(said, right, unit="draw").expected_error < 0.015


def test_no_other_temperature_has_a_lower_loss(generator: Generator) -> None:
    logits = 3 * torch.randn(80, 2, generator=generator)
    label = torch.where(torch.rand(80, generator=generator) < 0.7, logits.argmax(1), 0)
    found = fit_temperature(logits, label, fitted_on="validation")
    least = min(log_loss(logits.double() / t, label) for t in torch.linspace(0.2, 30, 800).tolist())
    assert found.log_loss_after <= least + 1e-9
    assert found.note == ""
    json.dumps(asdict(found))


def test_a_temperature_keeps_the_order_of_the_classes(generator: Generator) -> None:
    logits = torch.randn(30, 4, generator=generator)
    label = torch.arange(30) % 4
    found = fit_temperature(logits, label, fitted_on="validation")
    assert torch.equal(found.apply(logits).argsort(1), logits.argsort(1))
    assert found.apply(logits).dtype == logits.dtype


def test_where_no_best_temperature_exists_it_stays_one_and_says_so() -> None:
    logits = torch.tensor([[3.0, 0.0], [0.0, 2.0]])
    sure = fit_temperature(logits, torch.tensor([0, 1]), fitted_on="validation")
    assert (sure.value, sure.log_loss_after) == (1.0, sure.log_loss_before)
    assert "best temperature is 0; left at 1" in sure.note
    wrong = fit_temperature(logits, torch.tensor([1, 0]), fitted_on="validation")
    assert wrong.value == 1.0
    assert "infinite; left at 1" in wrong.note


def test_unfit_probabilities_and_logits_are_refused() -> None:
    label = torch.tensor([0, 1])
    with pytest.raises(RefusedInputError, match=r"1 outside \[0, 1\], and 15 bins"):
        reliability(torch.tensor([0.2, 1.2]), label.bool(), unit="patient")
    with pytest.raises(RefusedInputError, match="2 of 2 rows over 2 classes are no distributions"):
        brier_score(torch.ones(2, 2), label)
    with pytest.raises(RefusedInputError, match="logits hold NaN"):
        log_loss(torch.full((2, 2), math.inf), label)
    with pytest.raises(RefusedInputError, match="a temperature is fitted to validation"):
        fit_temperature(torch.eye(2), label, fitted_on="test")
    with pytest.raises(RefusedInputError, match=r"got labels \[0, 1\] of 2 units; allowed: 0 to 0"):
        log_loss(torch.zeros(2, 1), label)
    with pytest.raises(RefusedInputError, match="must be positive and finite, got 0"):
        Temperature(value=0.0, fitted_on="v", n=1, log_loss_before=1.0, log_loss_after=1.0)
