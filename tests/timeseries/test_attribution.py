"""Leaving windows out equals asking anew; agreement and deletion tell a true order from none."""

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.timeseries.attribution import OnePatient, attribute

SHOWN = 1


def patient(windows: int = 8, trials: int = 3, *, seed: int = 0) -> OnePatient:
    generator = torch.Generator().manual_seed(seed)
    return OnePatient(
        torch.randn(windows, 2, generator=generator).double(),
        torch.randn(windows, generator=generator).double(),
        torch.arange(windows) % trials,
        temperature=1.5,
    )


def fewer(one: OnePatient, rows: torch.Tensor) -> OnePatient:
    return OnePatient(one.logits[rows], one.scores[rows], one.trial[rows], one.temperature)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_leaving_windows_out_equals_never_having_had_them() -> None:
    one = patient()
    kept = torch.rand(5, 8, generator=generator()) < 0.6
    for row, found in zip(kept, one.without(kept), strict=True):
        torch.testing.assert_close(found, fewer(one, row).probabilities())


def test_occlusion_is_the_change_without_each_window() -> None:
    one = patient()
    found = attribute(one, SHOWN, generator=generator()).occlusion
    for window in range(8):
        rest = fewer(one, torch.arange(8) != window).probabilities()[SHOWN]
        torch.testing.assert_close(found[window], one.probabilities()[SHOWN] - rest)


def test_attention_sums_to_one_and_weighs_trials() -> None:
    one = OnePatient(
        torch.zeros(3, 2).double(), torch.zeros(3).double(), torch.tensor([0, 0, 1]), 1.0
    )
    assert one.attention.tolist() == [0.25, 0.25, 0.5]


def test_an_attention_that_decides_agrees_with_occlusion_and_passes_deletion() -> None:
    logits = torch.zeros(20, 2).double()
    logits[:5, SHOWN] = torch.arange(5, 0, -1).double()
    scores = torch.cat([torch.linspace(4, 2, 5), torch.linspace(-2, -4, 15)]).double()
    found = attribute(
        OnePatient(logits, scores, torch.zeros(20, dtype=torch.int64), 1.0),
        SHOWN,
        generator=generator(),
    )
    assert found.agreement is not None
    assert found.agreement > 0.9
    assert min(found.deletion.values()) > 0.05


def test_an_attention_beside_the_point_is_found_out_by_deletion() -> None:
    logits = torch.zeros(20, 2).double()
    logits[:6, SHOWN] = 2.0  # what all say on average, and attention looks here
    logits[6::2, SHOWN] = 4.0
    scores = torch.linspace(0.2, 0, 20).double()
    found = attribute(
        OnePatient(logits, scores, torch.zeros(20, dtype=torch.int64), 1.0),
        SHOWN,
        generator=generator(),
    )
    assert found.deletion["attention"] < 0 < found.deletion["occlusion"]


@pytest.mark.parametrize("windows", [1, 3])
def test_few_windows_give_no_agreement(windows: int) -> None:
    found = attribute(patient(windows, 1), SHOWN, generator=generator())
    assert found.agreement is None
    assert found.deletion == {}
    assert bool(found.occlusion.isnan().all()) == (windows == 1)


def test_equal_attention_has_no_order_to_agree_with() -> None:
    one = patient(trials=1)
    even = OnePatient(one.logits, torch.zeros(8).double(), one.trial, one.temperature)
    assert attribute(even, SHOWN, generator=generator()).agreement is None


def test_the_interval_is_over_trials_and_holds_the_answer() -> None:
    one = patient(60, 12)
    found = one.interval(SHOWN, generator=generator())
    assert (found.unit_of_analysis, found.n, found.note) == ("trial", 12, "")
    assert found.ci_low is not None
    assert found.ci_high is not None
    assert found.ci_low < float(one.probabilities()[SHOWN]) < found.ci_high
    assert found.mean == pytest.approx(float(one.probabilities()[SHOWN]))


def test_of_one_trial_windows_are_drawn_and_one_window_has_no_interval() -> None:
    assert patient(12, 1).interval(SHOWN, generator=generator()).unit_of_analysis == "window"
    alone = patient(1, 1).interval(SHOWN, generator=generator())
    assert alone.ci_low is None
    assert "no interval" in alone.note


def test_equal_halves_do_not_differ_and_opposed_trials_do() -> None:
    same = OnePatient(torch.ones(6, 2).double(), torch.zeros(6).double(), torch.arange(6), 1.0)
    assert same.halves(SHOWN, generator=generator()) == 0
    logits = torch.tensor([[0.0, 9.0], [9.0, 0.0]]).double()
    opposed = OnePatient(logits, torch.zeros(2).double(), torch.arange(2), 1.0)
    assert opposed.halves(SHOWN, generator=generator()) == pytest.approx(1, abs=1e-3)
    assert patient(1, 1).halves(SHOWN, generator=generator()) is None


def test_a_window_that_outweighs_all_can_still_be_left_out() -> None:
    scores = torch.tensor([2000.0, 0.0, 0.0]).double()
    one = OnePatient(torch.ones(3, 2).double(), scores, torch.zeros(3, dtype=torch.int64), 1.0)
    rest = one.without(torch.tensor([[False, True, True]]))
    torch.testing.assert_close(rest, torch.full((1, 2), 0.5).double())


def test_leaving_out_everything_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="leaves out all windows; keep one or more"):
        patient().without(torch.zeros(1, 8, dtype=torch.bool))
