"""One contract for every probe, and what is particular to each."""

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.timeseries.evaluation.probes import KnnProbe, LogisticProbe, NaiveBayesProbe
from medconsist.timeseries.method import Probe

PROBES: list[Probe] = [LogisticProbe(), NaiveBayesProbe(), KnnProbe()]


def clouds(classes: int = 2, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = np.arange(90) % classes
    features = rng.standard_normal((90, 5))
    features[np.arange(90), label] += 5
    return features, label


@pytest.mark.parametrize("probe", PROBES, ids=lambda one: one.name)
class TestEveryProbe:
    def test_separates_clouds_that_are_apart(self, probe: Probe) -> None:
        for classes in (2, 3):
            features, label = clouds(classes)
            fresh, truth = clouds(classes, seed=1)
            logits = probe.fit(features, label, classes)(fresh)
            assert logits.shape == (90, classes)
            assert logits.dtype == torch.float64
            assert float((logits.argmax(1).numpy() == truth).mean()) > 0.9

    def test_does_not_mind_units_or_offsets_of_features(self, probe: Probe) -> None:
        features, label = clouds()
        scale, offset = np.array([1e6, 1e-3, 1.0, 7.0, 2.0]), np.array([1.0, -5.0, 1e3, 0.0, 2.0])
        one = probe.fit(features, label, 2)(features)
        other = probe.fit(features * scale + offset, label, 2)(features * scale + offset)
        # the solver of the logistic stops at a gradient of 1e-4
        assert torch.allclose(one, other, atol=1e-3)

    def test_a_row_does_not_depend_on_its_mates(self, probe: Probe) -> None:
        features, label = clouds()
        ask = probe.fit(features, label, 2)
        assert torch.allclose(ask(features)[3:5], ask(features[3:5]), atol=1e-9)  # order of sums

    def test_a_class_that_no_row_has_comes_last(self, probe: Probe) -> None:
        features, label = clouds()
        logits = probe.fit(features, 2 * label, 4)(features)
        assert logits.isfinite().all()
        for absent in (1, 3):
            assert bool((logits[:, [absent]] < logits[:, [0, 2]]).all())

    def test_a_flat_feature_changes_nothing(self, probe: Probe) -> None:
        features, label = clouds()
        wide = np.hstack([features, np.full((90, 1), 3.0)])
        one, other = probe.fit(features, label, 2), probe.fit(wide, label, 2)
        assert torch.allclose(one(features), other(wide), atol=1e-6)

    def test_bad_features_are_refused(self, probe: Probe) -> None:
        features, label = clouds()
        broken = features.copy()
        broken[4, 2] = np.nan
        with pytest.raises(RefusedInputError, match=r"\(1 not finite\)"):
            probe.fit(broken, label, 2)
        with pytest.raises(RefusedInputError, match=r"of the classes \[0\]"):
            probe.fit(features, 0 * label, 2)
        ask = probe.fit(features, label, 2)
        with pytest.raises(RefusedInputError, match="fitted on 5 finite numbers"):
            ask(features[:, :4])
        with pytest.raises(RefusedInputError, match="1 values not finite"):
            ask(broken)


def test_the_logistic_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    for classes in (2, 3):
        features, label = clouds(classes)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
        said = model.fit(features, label).predict_proba(features)
        ours = LogisticProbe().fit(features, label, classes)(features).softmax(1)
        assert np.allclose(ours.numpy(), said, atol=1e-9)  # the same weights, another softmax


def test_the_nearest_neighbour_is_found_by_direction() -> None:
    features = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    ask = KnnProbe(neighbours=1).fit(features, np.array([0, 1, 2, 3]), 4)
    assert ask(5 * features).argmax(1).tolist() == [0, 1, 2, 3]
