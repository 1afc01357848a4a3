"""Budgets of labels: patients with all of their windows, or the published share of windows."""

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.timeseries.label_budget import LabelBudget, drawn_labels
from tests.timeseries.small_signals import small_cohort


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_budget_of_patients_draws_whole_patients_of_each_class(count: int) -> None:
    windows = small_cohort(patients=12).windows
    budget = LabelBudget(patients_per_class=count)
    rows, said = drawn_labels(windows, budget, generator=generator())
    kept = windows.take(rows)
    assert len(said.patients) == 2 * count
    assert said.windows == len(rows) == 2 * count * 12
    assert set(kept.table.label.tolist()) == {0, 1}
    assert said.sentence == f"Labels: {len(rows)} labels of {2 * count} patients."


def test_the_generator_alone_decides_who_is_drawn() -> None:
    windows, budget = small_cohort(patients=24).windows, LabelBudget(patients_per_class=2)
    first, again, other = (
        drawn_labels(windows, budget, generator=generator(seed))[1] for seed in (0, 0, 1)
    )
    assert first == again
    assert first.patients != other.patients


def test_a_share_of_windows_is_marked_as_no_scarcity_of_patients() -> None:
    windows = small_cohort(patients=12).windows
    budget = LabelBudget(share_of_windows=0.25)
    rows, said = drawn_labels(windows, budget, generator=generator())
    assert len(rows) == round(0.25 * len(windows))
    assert len(said.patients) >= 10  # a quarter of the labels, and of nearly everybody
    assert "no scarcity of labelled patients" in said.sentence


def test_no_budget_is_all_labels() -> None:
    windows = small_cohort(patients=4).windows
    rows, said = drawn_labels(windows, LabelBudget(), generator=generator())
    assert rows.tolist() == list(range(len(windows)))
    assert said.sentence.endswith("all there are.")


def test_more_patients_than_there_are_and_one_class_are_refused() -> None:
    windows = small_cohort(patients=4).windows
    with pytest.raises(RefusedInputError, match="'control' there are 2; ask for at most 2"):
        drawn_labels(windows, LabelBudget(patients_per_class=3), generator=generator())
    with pytest.raises(RefusedInputError, match="are of one class; take a larger share"):
        drawn_labels(windows, LabelBudget(share_of_windows=0.001), generator=generator())


@pytest.mark.parametrize(
    "given",
    [
        {"patients_per_class": 0},
        {"share_of_windows": 0.0},
        {"patients_per_class": 1, "share_of_windows": 0.5},
    ],
)
def test_a_budget_out_of_range_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(RefusedInputError, match="1 patient or more, or a share in"):
        LabelBudget(**given)  # type: ignore[arg-type]  # the refusal is tested
