"""Figures of a model by patient: what counts once, what is left out, and what is said of it."""

import json

import pytest
import torch
from torch import Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.resampling import Resampling
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.card import MilCard, OperatingPointRecord, SpaceRecord
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags
from medconsist.wsi.mil.evaluate import CaseAnswers, answers_of, compare, evaluate
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.models.mean import MeanPool
from medconsist.wsi.mil.predictor import Predictor


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Resampling(resamples=100, method="percentile")
    monkeypatch.setattr("medconsist.wsi.mil.evaluate._PLAN", plan)


def card(**changes: object) -> MilCard:
    made = MilCard(
        method="abmil",
        weights_sha256="a" * 64,
        classes=("normal", "tumour"),
        space=SpaceRecord(dim=2),
        study="study wsi",
    )
    return made.model_copy(update=changes)


def answers(positive: list[float], labels: list[int], patients: str) -> CaseAnswers:
    high = torch.tensor(positive, dtype=torch.float64)
    cases = tuple(f"c{n}" for n in range(len(labels)))
    return CaseAnswers(torch.stack([1 - high, high], 1), torch.tensor(labels), (*patients,), cases)


def of_kinds(labels: list[int], patients: str, *, classes: int = 3) -> CaseAnswers:
    said = torch.eye(classes, dtype=torch.float64)[labels] * 0.7 + 0.3 / classes
    return CaseAnswers(
        said, torch.tensor(labels), (*patients,), tuple(f"c{n}" for n in range(len(labels)))
    )


def test_a_patient_is_positive_if_a_case_is_and_as_probable_as_the_most_probable() -> None:
    said = answers([0.1, 0.7, 0.4, 0.6, 0.2], [0, 0, 1, 0, 1], "abacb")
    patients = said.by_patient()
    assert patients.patients == ("a", "b", "c")
    assert patients.labels.tolist() == [1, 1, 0]
    assert patients.probabilities[:, 1].tolist() == [0.4, 0.7, 0.6]
    assert patients.cases == ("c2", "c1", "c3")


def test_the_area_is_that_of_patients_and_the_figures_are_over_cases() -> None:
    said = answers([0.1, 0.7, 0.4, 0.6, 0.2, 0.3], [0, 0, 1, 0, 1, 0], "abacbd")
    found = evaluate(said, card(), part="test")
    patients = said.by_patient()
    assert found.area is not None
    wanted = area_under_roc(patients.probabilities[:, 1], patients.labels == 1)
    assert (found.area.mean, found.area.n) == (wanted, 4)
    assert found.figures["AUC of cases"].mean == area_under_roc(
        said.probabilities[:, 1], said.labels == 1
    )
    assert {one.unit_of_analysis for one in found.figures.values()} == {"patient"}
    assert (found.cases, found.patients, found.positives) == (6, 4, 2)
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["cases"] == 6


def test_the_threshold_is_that_of_the_card_and_never_judged_where_it_was_chosen() -> None:
    said = answers([0.1, 0.7, 0.4, 0.6], [0, 1, 1, 0], "abcd")
    point = OperatingPointRecord(
        threshold=0.5, rule="Youden", sensitivity=1, specificity=1, n_positive=3, n_negative=3
    )
    own = card(operating_point=point, patients={"validation": 6})
    found = evaluate(said, own, part="test")
    assert found.operating is not None
    assert (found.operating.sensitivity.k, found.operating.specificity.k) == (1, 1)
    assert found.sentences == ()
    assert evaluate(said, own, part="validation").operating is None
    # the labels judged do not move it
    turned = answers([0.1, 0.7, 0.4, 0.6], [1, 0, 0, 1], "abcd")
    other = evaluate(turned, own, part="test").operating
    assert other is not None
    assert other.point == found.operating.point


def test_a_threshold_chosen_over_cases_of_fewer_patients_is_said() -> None:
    point = OperatingPointRecord(
        threshold=0.5, rule="Youden", sensitivity=1, specificity=1, n_positive=3, n_negative=3
    )
    said = answers([0.1, 0.7, 0.4, 0.6], [0, 1, 1, 0], "abcd")
    own = card(operating_point=point, patients={"validation": 4})
    (sentence,) = evaluate(said, own, part="test").sentences
    assert "chosen over 6 cases" in sentence


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1]])
def test_one_class_leaves_out_what_needs_both_and_says_so(labels: list[int]) -> None:
    found = evaluate(answers([0.1, 0.7, 0.4], labels, "abc"), card(), part="test")
    assert found.area is None
    assert set(found.figures) == {"accuracy", "log loss", "Brier score", "calibration error"}
    assert "No patient is of the class" in found.sentences[0]


def test_both_classes_within_the_same_patients_do_not_end_in_a_refusal() -> None:
    """All patients are positive by a case, so that a resample may lack negative cases."""
    said = answers([0.1, 0.7, 0.4, 0.6], [0, 1, 1, 1], "aabc")
    found = evaluate(said, card(), part="test")
    assert found.area is None
    assert "balanced accuracy" not in found.figures


def test_a_class_of_cases_that_is_no_patients_is_left_out_of_three() -> None:
    three = card(classes=("normal", "low", "high"))
    whole = evaluate(of_kinds([0, 1, 2, 0, 1, 2], "abcdef"), three, part="test")
    assert whole.figures["AUC, one against rest"].mean == 1.0
    assert whole.area is None
    assert whole.operating is None
    # the one low case is of a patient who also has a high one
    hidden = evaluate(of_kinds([0, 1, 2, 0, 2, 2], "abbcde"), three, part="test")
    assert "AUC, one against rest" not in hidden.figures
    assert "of the class low" in hidden.sentences[0]


def test_an_equal_model_differs_by_nothing_and_others_are_refused() -> None:
    said = answers([0.1, 0.7, 0.4, 0.6, 0.2], [0, 1, 1, 0, 0], "abcde")
    same = compare(said, said, names=("a", "b"))
    assert (same.area.mean, same.area.p, same.detectable) == (0.0, None, None)
    worse = answers([0.9, 0.7, 0.4, 0.6, 0.2], [0, 1, 1, 0, 0], "abcde")
    found = compare(said, worse, names=("a", "b"))
    assert found.area.mean == pytest.approx(found.area.first - found.area.second)
    assert "would be found in 80%" in found.text
    for other in (
        answers([0.1, 0.7, 0.4, 0.6], [0, 1, 1, 0], "abcd"),
        answers([0.1, 0.7, 0.4, 0.6, 0.2], [1, 0, 0, 1, 1], "abcde"),
        of_kinds([0, 1, 1, 0, 0], "abcde"),
    ):
        with pytest.raises(RefusedInputError, match="the same cases in the same order"):
            compare(said, other, names=("a", "b"))


class Sure(MeanPool):
    """Logits are the mean feature, times 30."""

    def __init__(self) -> None:
        super().__init__(MilSize(dim=2), head="linear", generator=torch.Generator())
        self.classifier = nn.Linear(2, 2, bias=False)
        self.classifier.weight.data = 30 * torch.eye(2)


def cohort(logits: list[Tensor], *, labels: list[int | None]) -> Cohort:
    infos = [BagInfo(case=f"c{n}", patient=f"p{n}", label=y) for n, y in enumerate(labels)]
    bags = InMemoryBags([one[None] for one in logits])
    return Cohort.of(bags, infos, classes=("normal", "tumour"))


def test_answers_keep_their_order_where_float32_would_tie_them() -> None:
    logits = [torch.tensor([0.0, value]) for value in (0.4, 0.45)]
    predictor = Predictor(Sure().eval(), card(temperature=0.6))
    said = answers_of(predictor, cohort(logits, labels=[0, 1]))
    assert float(said.probabilities[0, 1]) < float(said.probabilities[1, 1])
    sure = predictor.network(BagBatch.of([logits[1][None]])).probabilities.double()
    assert torch.allclose(
        said.probabilities[1], (sure.log() / 0.6).softmax(1)[0], rtol=1e-12, atol=0
    )


def test_a_case_is_as_probable_in_its_prediction_as_in_its_evaluation() -> None:
    logits = [torch.tensor([0.0, value]) for value in (0.4, 0.45)]
    predictor = Predictor(Sure().eval(), card(temperature=0.6))
    judged = answers_of(predictor, cohort(logits, labels=[0, 1])).probabilities
    predicted = [predictor.answer(one[None], generator=torch.Generator()) for one in logits]
    assert [one.probabilities for one in predicted] == [tuple(row) for row in judged.tolist()]


def test_sealed_labels_and_other_classes_are_refused_before_anything_is_computed() -> None:
    predictor = Predictor(nn.Linear(1, 1), card())  # would fail if it were asked
    bags = [torch.zeros(2), torch.ones(2)]
    with pytest.raises(RefusedInputError, match="sealed as part of the test set"):
        answers_of(predictor, cohort(bags, labels=[0, None]))
    other = Predictor(nn.Linear(1, 1), card(classes=("tumour", "normal")))
    with pytest.raises(RefusedInputError, match="in the same order"):
        answers_of(other, cohort(bags, labels=[0, 1]))


def test_lengths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="got 2 probabilities"):
        CaseAnswers(torch.ones(2, 2) / 2, torch.tensor([1, 0]), ("p",), ("c", "d"))
