"""The linear probe is a logistic regression on mean features, whatever form it is stored in."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags
from medconsist.wsi.mil.probe import PENALTIES, fit_probe


def cohort(count: int, *, seed: int, classes: int = 2) -> Cohort:
    generator = torch.Generator().manual_seed(seed)
    bags = []
    for number in range(count):
        bag = 3 + 2 * torch.randn(7, 5, generator=generator)
        bag[:, 0] += number % classes
        bags.append(bag)
    infos = [
        BagInfo(case=f"{seed}-{n}", patient=f"{seed}-{n}", label=n % classes) for n in range(count)
    ]
    return Cohort.of(InMemoryBags(bags), infos, classes=[f"class {n}" for n in range(classes)])


@pytest.mark.parametrize("classes", [2, 3])
def test_the_probe_says_what_scikit_learn_says(classes: int) -> None:
    train, validation = (cohort(30, seed=seed, classes=classes) for seed in (0, 1))
    model, scores = fit_probe(train, validation)
    x, z = (
        np.stack([part.rows(bag).double().mean(0).numpy() for bag in range(len(part))])
        for part in (train, validation)
    )
    centre, spread = x.mean(0), x.std(0)
    oracle = LogisticRegression(C=1 / scores["penalty"], max_iter=5000)
    oracle.fit((x - centre) / spread, train.labels.numpy())
    wanted = oracle.predict_proba((z - centre) / spread)
    with torch.no_grad():
        said = torch.cat(
            [model(BagBatch.of([validation.rows(bag)])).probabilities for bag in range(30)]
        )
    np.testing.assert_allclose(said.numpy(), wanted, atol=2e-4)  # float32, and two stopping points
    assert scores["penalty"] in PENALTIES


def test_the_penalty_is_the_best_of_all_on_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    train, validation = cohort(30, seed=0), cohort(30, seed=1)
    chosen = fit_probe(train, validation)[1]
    alone = {}
    for penalty in PENALTIES:
        monkeypatch.setattr("medconsist.wsi.mil.probe.PENALTIES", (penalty,))
        alone[penalty] = fit_probe(train, validation)[1]["log_loss"]
    assert len(set(alone.values())) > 1
    best = min(alone, key=alone.__getitem__)
    assert chosen == {"penalty": best, "log_loss": alone[best]}


def test_training_with_one_class_is_refused() -> None:
    part = cohort(4, seed=0)
    with pytest.raises(RefusedInputError, match="1 of 2 classes"):
        fit_probe(part.part([0, 2]), cohort(4, seed=1))
