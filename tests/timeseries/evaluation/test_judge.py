"""The judge: labels stay hidden, patients stay apart, figures are those of naive loops."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.timeseries.evaluation.candidate import Asking, Candidate, Probed, answers_of
from medconsist.timeseries.evaluation.contrast import pair_contrast, pair_detectable
from medconsist.timeseries.evaluation.figures import fold_scores
from medconsist.timeseries.evaluation.fixed import FixedRepresentation, GivenFeatures
from medconsist.timeseries.evaluation.fixed_model import judge_model
from medconsist.timeseries.evaluation.judge import Contrast, JudgeSettings, judge
from medconsist.timeseries.evaluation.majority import Majority
from medconsist.timeseries.evaluation.permuted import Labelling
from medconsist.timeseries.evaluation.probes import LogisticProbe, NaiveBayesProbe
from medconsist.timeseries.evaluation.rounds import RoundsPlan, make_rounds
from medconsist.timeseries.method import Encode, Predict, Representation, Supervised
from medconsist.timeseries.window_set import WindowSet
from tests.timeseries.evaluation.patients import VALUES, of, simulated

NAIVE = Probed(GivenFeatures("values"), NaiveBayesProbe())
PAIRS, FOLDS = RoundsPlan(kind="pairs"), RoundsPlan(folds=4, validation=0.25)
FEW = JudgeSettings(permutations=2)


@dataclass
class Spy(Representation):
    """Gives the values, and keeps whom it learned from."""

    name: str = "spy"
    seen: list[set[int]] = field(default_factory=list)

    def learn(self, windows: WindowSet, *, generator: Generator) -> Encode:
        assert set(windows.table.label.tolist()) == {-1}
        assert generator.initial_seed() >= 0
        self.seen.append(set(windows.table.patient.tolist()))
        return self._encode

    @staticmethod
    def _encode(windows: WindowSet) -> npt.NDArray[np.float64]:
        assert set(windows.table.label.tolist()) == {-1}
        return windows.features().astype(np.float64)


@dataclass
class Peeker(Supervised):
    """Says what the training patients' labels were; of others it knows nothing."""

    name: str = "peeker"
    parts: list[tuple[set[int], set[int]]] = field(default_factory=list)

    def fit(
        self, train: WindowSet, validation: WindowSet | None, *, generator: Generator
    ) -> Predict:
        assert generator.initial_seed() >= 0
        known = train.table.patient_labels
        chosen = set() if validation is None else set(validation.table.patient.tolist())
        self.parts.append((set(train.table.patient.tolist()), chosen))

        def predict(windows: WindowSet) -> Tensor:
            assert set(windows.table.label.tolist()) == {-1}
            said = known[windows.table.patient]
            return torch.tensor(np.stack([said == 0, said == 1], 1)).double()

        return predict


class Broken(FixedRepresentation):
    name = "broken"

    def features(self, windows: WindowSet) -> npt.NDArray[np.float64]:
        found = windows.features().astype(np.float64)
        found[2, 1] = np.nan
        return found


def test_a_learned_representation_sees_training_patients_once_and_no_label() -> None:
    windows, spy = simulated(), Spy()
    rounds = make_rounds(windows.table, RoundsPlan(folds=4))
    judge(windows, [Probed(spy, NaiveBayesProbe())], rounds, FEW)
    assert len(spy.seen) == 4  # permutations learn nothing anew
    for seen, one in zip(spy.seen, rounds.rounds, strict=True):
        assert seen == {windows.table.patients.index(name) for name in one.learn}


def test_blocks_need_few_representations_for_all_pairs_and_permutations() -> None:
    windows, spy = simulated(), Spy()
    rounds = make_rounds(windows.table, RoundsPlan(kind="pairs", blocks=4))
    judge(windows, [Probed(spy, NaiveBayesProbe())], rounds, FEW)
    assert len(spy.seen) <= 6


def test_a_supervised_model_sees_no_test_patient() -> None:
    windows, peeker = simulated(), Peeker()
    rounds = make_rounds(windows.table, FOLDS)
    report = judge(windows, [peeker], rounds, JudgeSettings(supervised_permutations=2))
    assert len(peeker.parts) == 4 * 3
    for train, validation in peeker.parts:
        assert train
        assert validation
        assert not train & validation
        assert len(train | validation) == 6
    # it knows nothing of the test, whatever the labels
    assert report.rows[0].figures["AUC"].mean == 0.5


def test_a_learned_and_a_fixed_representation_of_the_same_values_agree() -> None:
    windows = simulated()
    for plan in (PAIRS, FOLDS):
        rounds = make_rounds(windows.table, plan)
        one, other = judge(windows, [NAIVE, Probed(Spy(), NaiveBayesProbe())], rounds, FEW).rows
        assert one.figures == other.figures
        assert one.permuted == other.permuted


def test_the_area_over_pairs_is_that_of_a_naive_loop() -> None:
    windows = simulated(effect=1.0, seed=3)
    table, values = windows.table, windows.features().astype(np.float64)
    probe, order = LogisticProbe(), []
    for positive in range(1, 8, 2):
        for negative in range(0, 8, 2):
            train = ~np.isin(table.patient, (positive, negative))
            ask = probe.fit(values[train], table.label[train], 2)
            said = [
                np.mean(
                    [
                        ask(values[table.trial == trial]).softmax(1)[:, 1].mean()
                        for trial in np.unique(table.trial[table.patient == patient])
                    ]
                )
                for patient in (positive, negative)
            ]
            order.append(said[0] > said[1])
    candidate = Probed(GivenFeatures("values"), probe)
    report = judge(windows, [candidate], make_rounds(table, PAIRS), FEW)
    assert report.rows[0].figures["AUC"].mean == np.mean(order)


def test_areas_of_folds_are_never_pooled() -> None:
    windows = simulated(effect=1.0, seed=3)
    table = windows.table
    rounds = make_rounds(table, RoundsPlan(folds=2))
    areas, values = [], windows.features().astype(np.float64)
    for one in rounds.rounds:
        train, test = (
            np.isin(table.patient, [table.patients.index(name) for name in names])
            for names in (one.train, one.test)
        )
        ask = LogisticProbe().fit(values[train], table.label[train], 2)
        score = ask(values[test]).softmax(1)[:, 1].numpy()
        owner = table.patient[test]
        people = np.unique(owner)
        areas.append(roc_auc_score(people % 2, [score[owner == one].mean() for one in people]))
    candidate = Probed(GivenFeatures("values"), LogisticProbe())
    assert judge(windows, [candidate], rounds, FEW).rows[0].figures["AUC"].mean == np.mean(areas)


@pytest.mark.parametrize("plan", [PAIRS, RoundsPlan(folds=3)], ids=["pairs", "folds"])
def test_an_effect_is_found_and_its_absence_too(plan: RoundsPlan) -> None:
    # all labellings of six patients: 20, or 8 within folds; exchanged classes are told as well
    least = 2 / 20 if plan.kind == "pairs" else 2 / 8
    for effect, found in ((8.0, True), (0.0, False)):
        windows = simulated(patients=6, trials=2, effect=effect, seed=1)
        rounds = make_rounds(windows.table, plan)
        row, trivial = judge(windows, [NAIVE, Majority()], rounds, JudgeSettings()).rows
        assert row.permuted is not None
        assert row.permuted.exact
        assert (row.permuted.p == least) == found
        assert trivial.figures["AUC"].mean == 0.5


def test_the_table_says_what_must_be_read() -> None:
    windows = simulated()
    other = Probed(GivenFeatures("values"), LogisticProbe())
    settings = JudgeSettings(permutations=2, contrast=Contrast(first=NAIVE.name, second=other.name))
    report = judge(windows, [NAIVE, other], make_rounds(windows.table, PAIRS), settings)
    for said in (
        "Research use only",
        "8 patients (4 control, 4 case)",
        "unit of analysis: patient",
        "permuted labels",
        "leave-pair-out interval of the AUC with 4 + 4 patients covers",
        "secondary, windows",
        "Only 4 patients are of class",
    ):
        assert said in report.text
    assert report.contrast is not None
    assert report.contrast.first in report.text
    assert report.as_json()["rows"][0]["permuted"]["permutations"] == 2
    alone = judge(windows, [NAIVE], make_rounds(windows.table, FOLDS), FEW)
    assert "no row may be called better" in alone.text
    assert "in 4 folds" in alone.text


def test_three_classes_are_judged_in_folds() -> None:
    rng = np.random.default_rng(0)
    base = simulated(patients=12)
    table = base.table
    label = (np.arange(12) % 3)[table.patient]
    signals = rng.standard_normal((len(table), 1, VALUES))
    signals[np.arange(len(table)), 0, label] += 5
    three = of(signals, replace(table, label=label, classes=("a", "b", "c")))
    report = judge(three, [NAIVE], make_rounds(three.table, RoundsPlan(folds=2)), FEW)
    assert report.rows[0].figures["AUC"].mean > 0.9
    assert report.rows[0].figures["accuracy"].mean > 0.9


def test_what_a_candidate_does_wrong_is_said_with_its_name() -> None:
    windows = simulated()
    rounds = make_rounds(windows.table, PAIRS)
    broken: list[Candidate] = [Probed(Broken(), NaiveBayesProbe())]
    with pytest.raises(RefusedInputError, match=r"broken, naive Bayes: .* 1 rows"):
        judge(windows, broken, rounds, FEW)
    with pytest.raises(RefusedInputError, match="twice"):
        judge(windows, [NAIVE, NAIVE], rounds, FEW)
    settings = JudgeSettings(contrast=Contrast(first=NAIVE.name, second="x"))
    with pytest.raises(RefusedInputError, match=r"not there \['x'\]"):
        judge(windows, [NAIVE], rounds, settings)
    with pytest.raises(RefusedInputError, match="other patients"):
        judge(simulated(patients=10), [NAIVE], rounds, FEW)
    with pytest.raises(RefusedInputError, match="were made for windows 12"):
        judge(windows, [NAIVE], make_rounds(windows.table, fingerprint="12"), FEW)
    with pytest.raises(RefusedInputError, match="0 or more"):
        JudgeSettings(permutations=-1)


def test_the_contrast_is_that_of_delong_over_pairs(generator: Generator) -> None:
    first = (torch.rand(5, 6, generator=generator) < 0.7).double()
    second = (torch.rand(5, 6, generator=generator) < 0.5).double()
    found = pair_contrast(first, second)
    apart = (first - second).numpy()
    variance = 3 * (apart.mean(1).var(ddof=1) / 5 + apart.mean(0).var(ddof=1) / 6)
    assert found.mean == pytest.approx(apart.mean(), abs=1e-12)
    assert found.standard_error == pytest.approx(np.sqrt(variance), abs=1e-12)
    assert pair_contrast(second, first).p == found.p
    detectable = pair_detectable(found)
    assert detectable is not None
    # of a t test with 9 degrees of freedom: 2.26 + .88 standard errors or a little more
    assert detectable.difference == pytest.approx(3.16 * np.sqrt(variance), rel=0.02)
    same = pair_contrast(first, first)
    assert same.p is None
    assert pair_detectable(same) is None
    with pytest.raises(RefusedInputError, match="the same pairs"):
        pair_contrast(first[:1], second[:1])


def test_a_fixed_model_is_refused_patients_of_one_class() -> None:
    one = simulated()
    windows = one.of_patients([1, 3, 5])
    with pytest.raises(RefusedInputError, match="one patient or more of each"):
        judge_model(lambda w: torch.zeros(len(w), 2).double(), windows, name="zero")


def test_given_features_are_told_to_come_from_a_model_that_may_have_seen_the_test() -> None:
    windows, said = simulated(), "saw patients of the test is not known"
    rounds, none = make_rounds(windows.table, PAIRS), JudgeSettings(permutations=0)
    assert any(said in one for one in judge(windows, [NAIVE], rounds, none).sentences)
    learned = Probed(Spy(), NaiveBayesProbe())
    for candidate in (learned, Majority()):
        report = judge(windows, [candidate], rounds, none)
        assert not any(said in one for one in report.sentences)


def test_validation_patients_count_as_not_trained_on_in_the_interval_of_folds() -> None:
    windows = simulated(patients=16)
    rounds = make_rounds(windows.table, FOLDS)
    asked = answers_of(
        NAIVE, windows, [Labelling(windows.table.patient_labels, rounds.rounds)], Asking()
    )
    counts = {len(one.train) / (16 - len(one.test)) for one in rounds.rounds}
    assert counts == {fold_scores(asked[0][2], rounds, "accuracy").trained} == {0.75}
