"""Areas, precision and confusion: scikit-learn as oracle, properties, what is refused."""

import json
from dataclasses import asdict

import pytest
import torch
from torch import Generator

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import (
    Confusion,
    area_under_roc,
    average_precision,
    confusion,
    one_vs_rest_auc,
)

ORACLE = require("sklearn.metrics", extra="wsi")


def test_area_and_average_precision_equal_sklearn_with_ties(generator: Generator) -> None:
    for units in (5, 40, 200):
        score = torch.randint(0, 8, (units,), generator=generator).float() / 8
        positive = torch.arange(units) % 3 == 0
        truth, said = positive.numpy(), score.numpy()
        assert area_under_roc(score, positive) == pytest.approx(
            ORACLE.roc_auc_score(truth, said), abs=1e-12
        )
        assert average_precision(score, positive) == ORACLE.average_precision_score(truth, said)


def test_one_vs_rest_equals_sklearn_macro(generator: Generator) -> None:
    probabilities = torch.rand(60, 4, generator=generator, dtype=torch.float64).softmax(1)
    label = torch.arange(60) % 4
    expected = ORACLE.roc_auc_score(
        label.numpy(), probabilities.numpy(), multi_class="ovr", average="macro"
    )
    assert one_vs_rest_auc(probabilities, label) == pytest.approx(expected, abs=1e-12)


def test_a_rising_transform_of_the_scores_changes_no_area(generator: Generator) -> None:
    score = torch.randn(50, generator=generator, dtype=torch.float64)
    positive = torch.arange(50) < 20
    assert area_under_roc(score, positive) == area_under_roc(score.exp(), positive)
    assert area_under_roc(-score, positive) == pytest.approx(1 - area_under_roc(score, positive))


def test_confusion_figures_equal_sklearn(generator: Generator) -> None:
    label = torch.arange(90) % 3
    decided = torch.where(torch.rand(90, generator=generator) < 0.6, label, (label + 1) % 3)
    table = confusion(decided, label, classes=3)
    truth, said = label.numpy(), decided.numpy()
    assert [list(row) for row in table.counts] == ORACLE.confusion_matrix(truth, said).tolist()
    assert table.accuracy == pytest.approx(ORACLE.accuracy_score(truth, said))
    assert table.balanced_accuracy == pytest.approx(ORACLE.balanced_accuracy_score(truth, said))
    assert table.f1_macro == pytest.approx(ORACLE.f1_score(truth, said, average="macro"))
    each = ORACLE.f1_score(truth, said, average=None).tolist()
    assert [table.f1(c) for c in range(3)] == pytest.approx(each)
    assert json.loads(json.dumps(asdict(table)))["counts"][0] == list(table.counts[0])


def test_figures_that_do_not_exist_are_refused() -> None:
    label = torch.tensor([0, 0, 1])
    with pytest.raises(RefusedInputError, match=r"classes \[2\] have no unit"):
        one_vs_rest_auc(torch.zeros(3, 3), label)
    with pytest.raises(RefusedInputError, match="got 0 positive of 3 units"):
        average_precision(torch.zeros(3), torch.zeros(3).bool())
    table = confusion(label, label, classes=3)
    with pytest.raises(RefusedInputError, match=r"balanced accuracy does not exist"):
        _ = table.balanced_accuracy
    with pytest.raises(RefusedInputError, match="class 2 neither occurs nor is decided"):
        table.f1(2)
    with pytest.raises(RefusedInputError, match="got class 3; allowed: 0 to 2"):
        table.f1(3)
    with pytest.raises(RefusedInputError, match="allowed: a square table"):
        Confusion(counts=((1, 2),))
    with pytest.raises(RefusedInputError, match="counts no unit"):
        Confusion(counts=((0, 0), (0, 0)))
    with pytest.raises(RefusedInputError, match=r"got labels \[0, 1, 5\] of 3 units"):
        confusion(torch.tensor([0, 1, 5]), label, classes=3)
