"""Intervals cover what the report says they cover: judged by exact binomial tests."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, norm

from medconsist.timeseries.evaluation.coverage import (
    CONTRAST_INFLATION,
    PAIR_INFLATION,
    contrast_size,
    coverage_table,
    fixed_area_coverage,
    fold_area_coverage,
    pair_area_coverage,
)
from medconsist.timeseries.evaluation.fixed_model import judge_model
from medconsist.timeseries.window_set import WindowSet, WindowTable
from tests.timeseries.evaluation.patients import of

REPEATS = 400


def fresh_patients(area: float, rng: np.random.Generator) -> WindowSet:
    """Two trials of two windows of 8 + 8 patients; windows say the patient's score exactly."""
    label = np.arange(16) % 2
    score = rng.standard_normal(16) + np.sqrt(2) * norm.ppf(area) * label
    patient = np.repeat(np.arange(16), 4)
    table = WindowTable(
        patient=patient,
        trial=np.repeat(np.arange(32), 2),
        start=np.tile(np.arange(2), 32),
        label=label[patient],
        patients=tuple(f"p{n}" for n in range(16)),
        classes=("control", "case"),
        sites=(None,) * 16,
    )
    return of(score[patient][:, None, None], table)


def told(windows: WindowSet) -> torch.Tensor:
    score = windows.batch()[:, 0, 0].double()
    return torch.stack([torch.zeros_like(score), score], 1)


@pytest.mark.parametrize("area", [0.8])
def test_a_fixed_model_on_fresh_patients_is_covered_as_stated(area: float) -> None:
    rng = np.random.default_rng(int(100 * area))
    held = 0
    for _ in range(REPEATS):
        row = judge_model(told, fresh_patients(area, rng), name="fixed").rows[0]
        low, high = row.figures["AUC"].ci_low, row.figures["AUC"].ci_high
        assert low is not None
        assert high is not None
        held += low <= area <= high
    stated = fixed_area_coverage(8, 8).by_truth[area]
    assert binomtest(held, REPEATS, stated).pvalue > 0.01


def test_the_fixed_interval_covers_what_it_claims_for_few_patients() -> None:
    for sizes in ((5, 5), (8, 8), (4, 12)):
        # 10,000 draws: standard error .0022
        assert fixed_area_coverage(*sizes).lowest > 0.94
    assert "covers 0.9" in fixed_area_coverage(8, 8).sentence


def test_models_trained_for_each_pair_need_the_inflation() -> None:
    plain = pair_area_coverage(8, 8, inflation=1.0)
    assert plain.by_truth[0.5] < 0.88
    for sizes in ((5, 5), (8, 8), (12, 12)):
        # 2,000 draws: standard error .005
        assert pair_area_coverage(*sizes).lowest > 0.94
    assert PAIR_INFLATION == 2


def test_the_contrast_errs_as_often_as_it_says() -> None:
    for shift in (0.0, 1.0):
        assert contrast_size(8, 8, shift=shift) < 0.065  # .05 and 3 standard errors
    assert contrast_size(8, 8, shift=0.0, inflation=1.0) > 0.15
    assert CONTRAST_INFLATION == 3


def test_the_simulated_orders_are_those_of_naive_loops() -> None:
    from medconsist.timeseries.evaluation import coverage

    orders, truth = coverage._left_out(3, 4, 1.5, 50, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    high, low = coverage._features(3, 1.5, 50, rng), coverage._features(4, 0.0, 50, rng)
    areas = []
    for draw in range(50):
        for i in range(3):
            for j in range(4):
                weight = np.delete(high[draw], i, 0).mean(0) - np.delete(low[draw], j, 0).mean(0)
                assert orders[draw, i, j] == (weight @ high[draw, i] > weight @ low[draw, j])
                if i == j == 0:
                    shift = weight[0] * 1.5 / np.linalg.norm(weight)
                    areas.append(norm.cdf(shift / np.sqrt(2)))
    assert truth == pytest.approx(np.mean(areas), abs=1e-12)


def test_folds_of_few_patients_are_said_to_lack_intervals() -> None:
    found = fold_area_coverage(((2, 2),) * 4)
    assert found.missing > 0.3
    assert "have no interval" in found.sentence
    assert found.lowest > 0.88


def test_the_table_has_a_row_for_each_interval_and_truth() -> None:
    rows = coverage_table(((5, 5),), draws=200)
    assert {row["interval"] for row in rows} == {
        "fixed",
        "pairs, inflation 1",
        "pairs, inflation 2",
        "folds",
    }
    assert all(0 <= float(row["coverage"]) <= 1 for row in rows)
