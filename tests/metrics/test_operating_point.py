"""Thresholds: exhaustive search as oracle, ties, where they come from, exact intervals."""

import json
from dataclasses import asdict
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.metrics.operating_point import OperatingPoint, at_least, judge_at, youden
from medconsist.metrics.report import exact_binomial_interval

Scores = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=25).filter(
    lambda rows: 0 < sum(positive for _, positive in rows) < len(rows)
)


def split(rows: list[tuple[int, bool]]) -> tuple[Tensor, Tensor]:
    return torch.tensor([float(s) for s, _ in rows]), torch.tensor([p for _, p in rows])


def shares(score: Tensor, positive: Tensor, threshold: float) -> tuple[float, float]:
    called = score.double() >= threshold
    return float(called[positive].double().mean()), float((~called)[~positive].double().mean())


@given(Scores)
@settings(max_examples=60, deadline=None)
def test_youden_beats_every_threshold_and_takes_the_lowest_of_equals(
    rows: list[tuple[int, bool]],
) -> None:
    score, positive = split(rows)
    point = youden(score, positive, chosen_on="validation", unit="patient")
    assert (point.sensitivity, point.specificity) == shares(score, positive, point.threshold)
    best = point.sensitivity + point.specificity
    for threshold in range(8):
        other = sum(shares(score, positive, threshold))
        assert other <= best + 1e-12
        assert (
            threshold >= point.threshold or other < best - 1e-12 or not (score == threshold).any()
        )


@given(Scores, st.sampled_from([0.01, 0.5, 0.8, 0.95, 1.0]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_promised_share_is_kept_with_the_most_of_the_other(
    rows: list[tuple[int, bool]], share: float, first: bool
) -> None:
    score, positive = split(rows)
    kind: Literal["sensitivity", "specificity"] = "sensitivity" if first else "specificity"
    point = at_least(kind, share, score, positive, chosen_on="validation", unit="patient")
    own, other = point.sensitivity, point.specificity
    assert (own, other) == shares(score, positive, point.threshold)
    assert (own if first else other) >= share - 1e-12
    for threshold in range(8):
        a, b = shares(score, positive, threshold)
        if (a if first else b) >= share - 1e-12:
            assert (b if first else a) <= (other if first else own) + 1e-12


def test_a_specificity_of_one_calls_no_validation_negative_in_any_dtype() -> None:
    score = torch.tensor([0.1, 0.7, 0.9, 0.9], dtype=torch.float32)
    positive = torch.tensor([False, True, True, False])
    point = at_least("specificity", 1.0, score, positive, chosen_on="validation", unit="patient")
    assert (point.sensitivity, point.specificity) == (0.0, 1.0)
    elsewhere = judge_at(point, score, positive, judged_on="held-out")
    assert elsewhere.specificity.proportion == 1.0
    assert elsewhere.ppv is None
    assert elsewhere.npv is not None
    assert elsewhere.npv.n == 4


def test_the_threshold_depends_on_validation_only(generator: Generator) -> None:
    score, positive = torch.rand(30, generator=generator), torch.arange(30) % 2 == 0
    point = youden(score, positive, chosen_on="validation", unit="patient")
    for _ in range(3):
        other = torch.rand(20, generator=generator)
        report = judge_at(point, other, torch.arange(20) < 9, judged_on="held-out")
        assert report.point == point


def test_figures_elsewhere_are_counts_with_exact_intervals() -> None:
    point = youden(
        torch.tensor([0.0, 0.5, 1.0, 0.4]),
        torch.tensor([0, 1, 1, 0]).bool(),
        chosen_on="validation",
        unit="patient",
    )
    assert point.threshold == 0.5
    score = torch.tensor([0.5, 0.6, 0.4, 0.2, 0.7, 0.1, 0.3, 0.0])
    positive = torch.tensor([1, 1, 1, 0, 0, 0, 0, 0]).bool()
    report = judge_at(point, score, positive, judged_on="held-out", confidence=0.9)
    counts = {"sensitivity": (2, 3), "specificity": (4, 5), "ppv": (2, 3), "npv": (4, 5)}
    for name, (k, n) in counts.items():
        expected = exact_binomial_interval(k, n, unit="patient", confidence=0.9)
        assert getattr(report, name) == expected
    assert report.prevalence == 3 / 8
    kept = json.loads(json.dumps(asdict(report)))
    assert (kept["point"]["chosen_on"], kept["judged_on"]) == ("validation", "held-out")


def test_test_units_cannot_choose_or_be_their_own_judge() -> None:
    score, positive = torch.arange(4.0), torch.arange(4) >= 2
    with pytest.raises(RefusedInputError, match="a threshold is fitted to validation units only"):
        youden(score, positive, chosen_on="Test", unit="patient")
    point = youden(score, positive, chosen_on="validation", unit="patient")
    with pytest.raises(RefusedInputError, match="judge it on units that it has not seen"):
        judge_at(point, score, positive, judged_on=" Validation")


def test_unfit_scores_and_shares_are_refused() -> None:
    score, positive = torch.arange(4.0), torch.arange(4) >= 2
    with pytest.raises(RefusedInputError, match=r"sensitivity must be in \(0, 1\].* got 95"):
        at_least("sensitivity", 95.0, score, positive, chosen_on="validation", unit="patient")
    with pytest.raises(RefusedInputError, match="got 0 positive of 4 units"):
        youden(score, torch.zeros(4).bool(), chosen_on="validation", unit="patient")
    point = OperatingPoint(
        threshold=0.5,
        rule="youden",
        chosen_on="validation",
        sensitivity=1.0,
        specificity=1.0,
        n_positive=1,
        n_negative=1,
        unit_of_analysis="patient",
    )
    with pytest.raises(RefusedInputError, match="1 scores not finite"):
        judge_at(point, score.log(), positive, judged_on="held-out")
