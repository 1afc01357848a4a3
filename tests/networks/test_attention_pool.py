"""Attention scores: the two published forms by hand, one number an instance, bad settings."""

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.networks.attention_pool import AttentionScore


def test_gated_scores_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    score, rows = AttentionScore(5, hidden=3, gated=True), torch.randn(4, 5)
    assert score.gates is not None
    for row, found in zip(rows, score(rows), strict=True):
        inner = torch.tanh(score.values.weight @ row + score.values.bias)
        gate = torch.sigmoid(score.gates.weight @ row + score.gates.bias)
        torch.testing.assert_close(
            found, score.weights.weight @ (inner * gate) + score.weights.bias
        )


def test_plain_scores_have_no_gate_and_take_either_activation() -> None:
    torch.manual_seed(0)
    rows = torch.randn(4, 5)
    score = AttentionScore(5, hidden=3, activation="relu", bias=False, columns=2)
    assert score.gates is None
    expected = (rows @ score.values.weight.T).relu() @ score.weights.weight.T
    torch.testing.assert_close(score(rows), expected)
    assert score(rows).shape == (4, 2)


def test_a_score_does_not_depend_on_other_instances() -> None:
    score, rows = AttentionScore(5, gated=True), torch.randn(4, 5)
    torch.testing.assert_close(score(rows)[2:3], score(rows[2:3]))


def test_an_activation_of_the_gated_form_and_no_rows_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="'relu' and 128 hidden rows, gated True; allowed"):
        AttentionScore(5, gated=True, activation="relu")
    with pytest.raises(RefusedInputError, match="0 hidden rows"):
        AttentionScore(5, hidden=0)
