"""What is said of the sureness of one case, and when a case is not assessed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.metrics.conformal_sets import calibrate_sets
from medconsist.wsi.mil.models.abmil import Abmil
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.output import BagOutput
from medconsist.wsi.mil.uncertainty import Verdict, assess, hidden_repeats, novelty, output_gap


def model(dim: int = 3) -> Abmil:
    made = Abmil(MilSize(dim=dim, width=8), generator=torch.Generator().manual_seed(0))
    return made.eval()


def test_equal_tiles_can_be_hidden_without_any_change() -> None:
    found = hidden_repeats(model(), torch.ones(40, 3), generator=torch.Generator())
    assert found.spread < 1e-6  # sums of other lengths round differently
    assert found.agreement == 1


def test_a_call_that_rests_on_one_tile_changes_with_what_is_hidden() -> None:
    bag = torch.zeros(40, 3)
    bag[0] = 50.0
    found = hidden_repeats(model(), bag, generator=torch.Generator().manual_seed(1))
    assert found.spread > 0.1


@pytest.mark.parametrize(("hidden", "repeats"), [(0.0, 4), (1.0, 4), (0.5, 1)])
def test_repeats_that_say_nothing_are_refused(hidden: float, repeats: int) -> None:
    with pytest.raises(RefusedInputError, match="a share in"):
        hidden_repeats(
            model(), torch.ones(4, 3), hidden=hidden, repeats=repeats, generator=torch.Generator()
        )


def test_one_tile_is_never_hidden() -> None:
    assert hidden_repeats(model(), torch.ones(1, 3), generator=torch.Generator()).spread == 0


def test_novelty_is_the_distance_to_the_nearest_centre() -> None:
    centres = torch.eye(3)[:2]
    bag = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])
    torch.testing.assert_close(novelty(bag, centres), torch.tensor([0.0, 1.0, 1.0]))


def test_two_models_that_agree_have_no_gap() -> None:
    output = model()(torch_batch())
    assert output_gap(output, output) == (0.0, 0.0)


def torch_batch() -> object:
    from medconsist.wsi.mil.bag_batch import BagBatch

    return BagBatch.of([torch.randn(5, 3, generator=torch.Generator().manual_seed(0))])


def test_gaps_are_total_variation() -> None:
    def said(p: float, shares: list[float]) -> BagOutput:
        return BagOutput(
            logits=torch.zeros(1, 2),
            features=torch.zeros(1, 1),
            attention=torch.tensor(shares)[:, None],
            probabilities=torch.tensor([[1 - p, p]]),
        )

    gap, apart = output_gap(said(0.2, [1.0, 0.0]), said(0.7, [0.0, 1.0]))
    assert gap == pytest.approx(0.5)
    assert apart == pytest.approx(1.0)


def test_sets_hold_the_true_class_as_often_as_asked_for() -> None:
    numbers = np.random.default_rng(0)
    held, patients = 0, 4000
    for _ in range(patients // 40):
        scores = numbers.uniform(size=59)
        verdict = Verdict(nonconformity=tuple(scores.tolist()), alpha=0.1)
        for value in numbers.uniform(size=40):
            held += 1 in verdict.classes((float(value), 1 - float(value)))
    # 0.9 less four standard errors of 4,000 draws over 100 calibration sets
    assert held / patients > 0.9 - 4 * np.sqrt(0.09 / patients + 0.09 / 60 / 100)


def test_a_case_is_assessed_only_if_one_class_stays() -> None:
    verdict = Verdict(nonconformity=tuple(np.linspace(0.0, 0.5, 30)), fewest_tiles=10)
    sure = assess(verdict, probabilities=(0.02, 0.98), tiles=100)
    assert (sure.can, sure.classes) == (True, (1,))
    torn = replace(
        verdict, nonconformity=tuple(np.linspace(0.0, 0.9, 30)), names=("normal", "tumour")
    )
    (reason,) = assess(torn, probabilities=(0.5, 0.5), tiles=100).reasons
    assert reason.startswith("With 10 % of patients allowed to be wrong, normal and tumour remain")
    unlike = assess(Verdict(nonconformity=(0.01,) * 30), probabilities=(0.5, 0.5), tiles=9)
    assert "No class fits: the model is less sure of each" in unlike.reasons[0]
    small = assess(verdict, probabilities=(0.02, 0.98), tiles=3)
    assert "the smallest training case had 10" in small.reasons[0]


def test_too_few_validation_patients_rule_out_nothing() -> None:
    few = assess(Verdict(nonconformity=(0.1,) * 8), probabilities=(0.0, 1.0), tiles=9)
    assert few.classes == (0, 1)
    assert "by 8 validation patients alone; 9 are needed" in few.reasons[0]


def test_unlike_tiles_and_changing_calls_are_reasons() -> None:
    verdict = Verdict(nonconformity=(0.1,) * 19, spread=(0.01,) * 19, distance=(0.2,) * 19)
    said = assess(verdict, probabilities=(0.0, 1.0), tiles=9, spread=0.3, distance=0.9)
    assert [reason.split(",")[0] for reason in said.reasons] == [
        "The answer hangs on which tiles are looked at",
        "The tiles are unlike those of training",
    ]
    assert all("more than in 19 of 19 validation patients." in one for one in said.reasons)


def test_the_sets_are_those_of_the_rule_of_metrics() -> None:
    drawn = torch.rand(53, 3, generator=torch.Generator().manual_seed(0)).double()
    said, labels = drawn / drawn.sum(1, keepdim=True), torch.arange(53) % 3
    said[7] = said[6]
    misfit = 1 - said.gather(1, labels[:, None])[:, 0]
    for alpha in (0.02, 0.1, 0.25, 0.5):
        rule = calibrate_sets(said, labels, alpha=alpha, calibrated_on="validation", unit="patient")
        verdict = Verdict(nonconformity=tuple(misfit.tolist()), alpha=alpha)
        for row, held in zip(said.tolist(), rule.predict(said).tolist(), strict=True):
            assert [c in verdict.classes(row) for c in range(3)] == held
