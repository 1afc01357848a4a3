"""Attention over trials: it begins as the evaluator's mean, and learns what the mean cannot."""

import numpy as np
import pytest
import torch

from medconsist.metrics.calibration import log_loss
from medconsist.timeseries.evaluation.answers import aggregated
from medconsist.timeseries.pooling import (
    AttentionConfig,
    Bags,
    Evidence,
    TrialAttention,
    train_attention,
)
from medconsist.timeseries.window_set import WindowTable


def table_of(patient: list[int], trial: list[int], label: list[int]) -> WindowTable:
    count = max(patient) + 1
    return WindowTable(
        patient=np.array(patient),
        trial=np.array(trial),
        start=np.arange(len(patient)),
        label=np.array(label),
        patients=tuple(f"p{n}" for n in range(count)),
        classes=("control", "case"),
        sites=(None,) * count,
    )


def mixed() -> Evidence:
    """Two patients, their windows in no order, trials of unequal length."""
    generator = torch.Generator().manual_seed(0)
    table = table_of([1, 0, 1, 0, 1, 1], [5, 2, 5, 3, 4, 5], [1, 0, 1, 0, 1, 1])
    features = torch.randn(6, 3, generator=generator)
    return Evidence(features, torch.randn(6, 2, generator=generator).double(), table)


def one_window_tells(patients: int, *, seed: int) -> Evidence:
    """Feature 0 marks the one window of ten whose logit tells the class; the others mislead."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), 10)
    label = patient % 2
    features = rng.normal(size=(len(patient), 4)).astype(np.float32)
    told = np.arange(len(patient)) % 10 == 0
    features[:, 0] = told
    margin = np.where(told, 3.0, rng.normal(scale=2.0, size=len(patient))) * np.where(label, 1, -1)
    margin[~told] = rng.normal(scale=2.0, size=int((~told).sum()))
    logits = torch.from_numpy(np.stack([-margin / 2, margin / 2], 1))
    table = table_of(patient.tolist(), patient.tolist(), label.tolist())
    return Evidence(torch.from_numpy(features), logits, table)


def test_untrained_it_is_the_mean_of_trials_as_the_evaluator_takes_it() -> None:
    evidence = mixed()
    _, _, patients = aggregated(
        evidence.logits, evidence.table, evidence.table.patient_labels, round_of=0, how="logit"
    )
    pooled = evidence.pooled(TrialAttention(3)).softmax(1)
    torch.testing.assert_close(pooled, patients.probabilities)
    assert evidence.labels.tolist() == patients.label.tolist()


def test_pooled_logits_follow_the_formula_window_by_window() -> None:
    evidence, pool = mixed(), TrialAttention(3, hidden=2)
    torch.nn.init.normal_(pool.score.weights.weight, generator=torch.Generator().manual_seed(1))
    scores = pool(evidence.features).detach().double()
    table = evidence.table
    for number, found in enumerate(evidence.pooled(pool).detach()):
        rows = np.flatnonzero(table.patient == number)
        weights = [scores[r].exp() / int((table.trial == table.trial[r]).sum()) for r in rows]
        total = torch.stack(weights).sum()
        expected = sum(w / total * evidence.logits[r] for w, r in zip(weights, rows, strict=True))
        torch.testing.assert_close(found, expected)


def test_weights_of_each_patient_sum_to_one() -> None:
    bags = Bags.of(mixed().table)
    weights = bags.weights(torch.randn(6, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(bags.segments.sum(weights), torch.ones(2))


def test_a_longer_trial_has_no_more_say() -> None:
    evidence = mixed()
    doubled = np.array([0, 1, 2, 3, 4, 5, 0, 2, 5])  # trial 5 once more
    torch.testing.assert_close(
        evidence.take(doubled).pooled(TrialAttention(3)), evidence.pooled(TrialAttention(3))
    )


def test_a_constant_feature_is_left_out() -> None:
    pool = TrialAttention(2)
    pool.standardise_by(torch.tensor([[1.0, 7.0], [3.0, 7.0]]))
    assert pool.centre.tolist() == [2.0, 7.0]
    assert pool.inverse.tolist() == [1.0, 0.0]


def test_it_finds_the_one_window_that_tells_the_class() -> None:
    train, validation = one_window_tells(24, seed=0), one_window_tells(16, seed=1)
    fresh = one_window_tells(40, seed=2)
    pool = train_attention(
        train, validation, AttentionConfig(), generator=torch.Generator().manual_seed(0)
    )

    def right(with_pool: TrialAttention) -> float:
        called = fresh.pooled(with_pool).argmax(1)
        return float((called == fresh.labels).double().mean())

    assert right(pool) > right(TrialAttention(4)) + 0.1


@pytest.mark.parametrize("steps", [0, 5])
def test_on_validation_it_is_never_worse_than_the_mean(steps: int) -> None:
    train, validation = mixed(), mixed()
    config = AttentionConfig(steps=steps, lr=10.0, check_every=1)  # a rate that ruins it
    pool = train_attention(train, validation, config, generator=torch.Generator().manual_seed(0))
    mean = log_loss(validation.pooled(TrialAttention(3)).detach(), validation.labels)
    assert log_loss(validation.pooled(pool), validation.labels) <= mean
