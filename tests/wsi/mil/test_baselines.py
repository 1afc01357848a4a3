"""Classifiers of single instances: the bar below MIL and the ceiling above it."""

from dataclasses import replace

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.wsi.mil.baselines import (
    Instances,
    InstanceScorer,
    LogisticScorer,
    MlpScorer,
    copied_label_scores,
    mean_instance_auc,
    true_label_scores,
)
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags
from medconsist.wsi.mil.simulate import BagRecipe, SimulatedBags, simulate_bags

QUICK = MlpScorer(steps=200, batch=256)


@pytest.fixture(scope="module")
def bags() -> SimulatedBags:
    recipe = BagRecipe(bags=80, instances=(60, 100), sites=2)
    return simulate_bags(replace(recipe, patient_shift=0.0, easy=1.0, hard_only=0.0), draw=9005)


def _halves(bags: SimulatedBags) -> tuple[Cohort, Cohort]:
    return bags.cohort.part(range(40)), bags.cohort.part(range(40, 80))


def test_truth_beats_copied_labels_and_a_network_beats_a_line(bags: SimulatedBags) -> None:
    train, test = _halves(bags)
    truth, known = bags.truth_of(test), bags.truth_of(train)
    logistic = mean_instance_auc(copied_label_scores(train, test, scorer=LogisticScorer()), truth)
    copied = mean_instance_auc(copied_label_scores(train, test, scorer=QUICK), truth)
    ceiling = mean_instance_auc(true_label_scores(train, known, test, scorer=QUICK), truth)
    line = mean_instance_auc(true_label_scores(train, known, test, scorer=LogisticScorer()), truth)
    assert logistic < copied < ceiling
    assert line < ceiling > 0.9


@pytest.mark.parametrize("scorer", [LogisticScorer(), QUICK])
def test_scores_are_one_an_instance_bag_by_bag(bags: SimulatedBags, scorer: InstanceScorer) -> None:
    train, test = _halves(bags)
    scores = copied_label_scores(train, test, scorer=scorer)
    again = copied_label_scores(train, test.part([1, 0]), scorer=scorer)
    assert [len(one) for one in scores] == [test.instances(bag) for bag in range(len(test))]
    # sums of another order in one product of matrices
    torch.testing.assert_close(again[1], scores[0], rtol=1e-4, atol=1e-5)


def test_both_classes_weigh_the_same_however_rare_one_is() -> None:
    nothing = Instances(torch.zeros(400, 2), torch.arange(400) < 40)
    (score,) = replace(QUICK, lr=0.1)(nothing, torch.zeros(1, 2)).tolist()
    # of even odds; unweighted, the odds of 1 to 9 would give -2.2. Batches of 256 vary by .2
    assert abs(score) < 0.5


def test_labels_of_the_test_are_not_read(bags: SimulatedBags) -> None:
    train, test = _halves(bags)
    sealed = replace(test, infos=tuple(replace(info, label=None) for info in test.infos))
    scores = copied_label_scores(train, sealed, scorer=LogisticScorer())
    assert len(scores) == len(test)


def test_mean_instance_auc_is_that_of_each_bag_in_turn() -> None:
    scores = [torch.tensor([0.1, 0.9, 0.3]), torch.tensor([5.0, 4.0]), torch.tensor([1.0])]
    truth = [torch.tensor([False, False, True]), torch.tensor([True, False]), torch.tensor([True])]
    by_hand = [area_under_roc(s, t) for s, t in zip(scores[:2], truth[:2], strict=True)]
    assert mean_instance_auc(scores, truth) == pytest.approx(sum(by_hand) / 2)


def test_truth_of_other_bags_is_refused(bags: SimulatedBags) -> None:
    train, test = _halves(bags)
    with pytest.raises(RefusedInputError, match="bag by bag"):
        true_label_scores(train, bags.truth_of(test), test, scorer=LogisticScorer())


@pytest.mark.parametrize("scorer", [LogisticScorer(), QUICK])
def test_one_kind_of_label_is_refused(scorer: InstanceScorer) -> None:
    source = InMemoryBags([torch.ones(2, 4), torch.zeros(3, 4)])
    infos = [BagInfo(case=f"c{n}", patient=f"p{n}", label=1) for n in range(2)]
    cohort = Cohort.of(source, infos)
    with pytest.raises(RefusedInputError, match="both kinds"):
        copied_label_scores(cohort, cohort, scorer=scorer)
