"""Cross-validation: the corrected interval by hand, its coverage, and no pooled areas."""

import json
import math
from dataclasses import asdict, replace
from statistics import mean, variance

import pytest
import torch
from torch import Generator, Tensor

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.repeated_folds import (
    FoldScores,
    corrected_interval,
    corrected_test,
    fold_areas,
    leave_pair_out_area,
)

T = require("scipy.stats", extra="wsi").t


def scores(*repeats: tuple[float, ...]) -> FoldScores:
    return FoldScores(values=repeats, units=60, unit="patient")


def test_the_interval_is_the_formula_of_nadeau_and_bengio() -> None:
    repeats = ((0.8, 0.9, 0.7, 0.85), (0.75, 0.9, 0.8, 0.8))
    found = corrected_interval(scores(*repeats), confidence=0.9)
    values = [v for repeat in repeats for v in repeat]
    half = T.ppf(0.95, 7) * math.sqrt((1 / 8 + 1 / 3) * variance(values))
    assert found.mean == pytest.approx(mean(values))
    assert (found.ci_low, found.ci_high) == pytest.approx((found.mean - half, found.mean + half))
    assert (found.n, found.unit_of_analysis) == (60, "patient")
    assert found.note.startswith("2 x 4 folds, corrected")
    json.dumps(asdict(found))


def test_units_that_are_not_trained_on_widen_the_interval() -> None:
    repeat = (0.8, 0.9, 0.7, 0.85)
    part = FoldScores(values=(repeat,), units=60, unit="patient", trained=0.75)
    found = corrected_test(part, replace(part, values=((0.0,) * 4,)))
    assert found.standard_error == pytest.approx(
        math.sqrt((1 / 4 + 1 / 3 / 0.75) * variance(repeat))
    )
    with pytest.raises(RefusedInputError, match="a paired test needs the same folds"):
        corrected_test(part, scores(repeat))
    with pytest.raises(RefusedInputError, match="trained got 0"):
        replace(part, trained=0)


def test_more_repeats_of_the_same_folds_cannot_shrink_the_interval_to_nothing() -> None:
    repeat = (0.8, 0.9, 0.7, 0.85, 0.6)
    widths = []
    for repeats in (1, 4, 400):
        found = corrected_interval(scores(*[repeat] * repeats))
        assert found.ci_low is not None
        widths.append(found.mean - found.ci_low)
    # the part of the overlap, 1 / (folds - 1), stays: z * sqrt(s^2 / 4)
    assert widths[0] > widths[1] > widths[2] > 0.9 * 1.96 * math.sqrt(variance(repeat) / 4 * 0.8)


def test_the_paired_test_is_the_interval_of_the_differences() -> None:
    first, second = (0.8, 0.9, 0.7, 0.85), (0.7, 0.88, 0.7, 0.8)
    found = corrected_test(scores(first), scores(second))
    differences = scores(tuple(a - b for a, b in zip(first, second, strict=True)))
    alone = corrected_interval(differences)
    assert (found.mean, found.ci_low, found.ci_high) == (alone.mean, alone.ci_low, alone.ci_high)
    assert found.standard_error is not None
    assert found.p == pytest.approx(2 * T.sf(found.mean / found.standard_error, 3))
    assert found.degrees == 3


def centred_difference(x: Tensor, generator: Generator) -> FoldScores:
    """Squared error of the mean less that of the mean of another column, by 3 x 5 folds."""
    repeats = []
    for _ in range(3):
        fold = torch.randperm(len(x), generator=generator) % 5
        values = [
            float(
                (x[fold == f, 0] - x[fold != f, 0].mean()).square().mean()
                - (x[fold == f, 1] - x[fold != f, 1].mean()).square().mean()
            )
            for f in range(5)
        ]
        repeats.append(tuple(values))
    return FoldScores(values=tuple(repeats), units=len(x), unit="draw")


def test_equal_methods_are_rejected_far_less_often_than_without_the_correction(
    generator: Generator,
) -> None:
    trials, corrected, naive = 150, 0, 0
    for _ in range(trials):
        folds = centred_difference(
            torch.randn(40, 2, generator=generator, dtype=torch.float64), generator
        )
        zero = FoldScores(values=((0.0,) * 5,) * 3, units=40, unit="draw")
        found = corrected_test(folds, zero)
        assert found.p is not None
        corrected += found.p < 0.1
        values = [v for repeat in folds.values for v in repeat]
        naive += 2 * T.sf(abs(mean(values)) / math.sqrt(variance(values) / 15), 14) < 0.1
    assert corrected / trials < 0.15  # nominal .1
    assert naive / trials > 0.2


def test_fold_areas_are_the_areas_within_folds(generator: Generator) -> None:
    score, positive = torch.randn(40, generator=generator), torch.arange(40) % 2 == 0
    fold = torch.arange(40) // 8
    expected = [area_under_roc(score[fold == f], positive[fold == f]) for f in range(5)]
    assert list(fold_areas(score, positive, fold)) == expected


def test_pooling_folds_of_different_scales_would_hide_a_perfect_order() -> None:
    fold, positive = torch.arange(40) // 20, torch.arange(40) % 2 == 0
    score = positive + 10.0 * fold
    assert fold_areas(score, positive, fold) == (1.0, 1.0)
    assert area_under_roc(score, positive) == 0.75


def test_leave_pair_out_counts_ties_half() -> None:
    high, low = torch.tensor([1.0, 2.0, 3.0, 0.0]), torch.tensor([0.0, 2.0, 5.0, -1.0])
    assert leave_pair_out_area(high, low) == 2.5 / 4


def test_equal_folds_have_no_interval() -> None:
    found = corrected_test(scores((0.5, 0.75)), scores((0.25, 0.5)))
    assert (found.mean, found.ci_low, found.p) == (0.25, None, None)
    assert "all 2 values are equal: no interval" in found.note


def test_pooled_or_unfit_folds_are_refused() -> None:
    score, positive = torch.arange(8.0), torch.arange(8) >= 4
    with pytest.raises(RefusedInputError, match=r"got 1 fold; allowed: two or more.*no common"):
        fold_areas(score, positive, torch.zeros(8).long())
    with pytest.raises(RefusedInputError, match="fold 0 has 0 positive of 4 units"):
        fold_areas(score, positive, torch.arange(8) // 4)
    with pytest.raises(RefusedInputError, match=r"repeats of \[1\] folds.*pooled folds"):
        scores((0.8,))
    with pytest.raises(RefusedInputError, match=r"repeats of \[2, 3\] folds"):
        scores((0.8, 0.9), (0.8, 0.9, 0.7))
    with pytest.raises(RefusedInputError, match="a figure that is not finite"):
        scores((0.8, math.nan))
    with pytest.raises(RefusedInputError, match="got 2 units in 3 folds"):
        FoldScores(values=((0.8, 0.9, 0.7),), units=2, unit="patient")
    with pytest.raises(RefusedInputError, match="a paired test needs the same folds"):
        corrected_test(scores((0.8, 0.9)), scores((0.8, 0.9, 0.7)))
    with pytest.raises(RefusedInputError, match="got 0 pairs"):
        leave_pair_out_area(torch.zeros(0), torch.zeros(0))
