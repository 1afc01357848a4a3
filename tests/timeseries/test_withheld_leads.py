"""What the other leads do not tell of each: against regression, dependent leads, flat ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

from medconsist.errors import RefusedInputError
from medconsist.timeseries.window_set import WindowSet
from medconsist.timeseries.withheld_leads import WithheldLeads
from medconsist.training.weights import save_weights
from tests.timeseries.small_signals import small_cohort


def some(channels: int, *, seed: int = 0, windows: int = 700) -> WindowSet:
    """More windows than are read at once, of leads that hang together."""
    cohort = small_cohort(patients=2).windows
    table = cohort.table.take(np.zeros(windows, np.int64))
    draw = np.random.default_rng(seed)
    mixed = draw.normal(size=(windows, 20, channels)) @ np.random.default_rng(9).normal(
        size=(channels, channels)
    )
    return as_set(mixed + 100 * draw.normal(size=(windows, 1, channels)), table)


def as_set(signals: np.ndarray, table: object) -> WindowSet:
    count = signals.shape[2]
    return WindowSet(
        signals.astype(np.float32),
        table,  # type: ignore[arg-type]  # of a set of windows
        rate=20.0,
        channels=tuple(f"c{n}" for n in range(count)),
        units=(None,) * count,
    )


def with_leads(windows: WindowSet, *, of: np.ndarray) -> WindowSet:
    return as_set(windows.signals @ of, windows.table)


def centred(windows: WindowSet) -> np.ndarray:
    signals = windows.signals.astype(np.float64)
    return signals - signals.mean(1, keepdims=True)


def test_shares_are_those_of_a_regression_on_the_other_leads() -> None:
    train, new = some(4), some(4, seed=1, windows=6)
    total, worst = WithheldLeads.of(train).shares(new, each=3)
    known, asked = centred(train).reshape(-1, 4), centred(new).reshape(2, -1, 4)
    left = np.zeros((2, 4))
    for lead in range(4):
        others = [n for n in range(4) if n != lead]
        fitted = LinearRegression(fit_intercept=False).fit(known[:, others], known[:, lead])
        for record in range(2):
            told = fitted.predict(asked[record][:, others])
            left[record, lead] = np.square(asked[record][:, lead] - told).sum()
    power = np.square(asked).sum(1)
    np.testing.assert_allclose(total, left.sum(1) / power.sum(1), rtol=1e-6)
    np.testing.assert_allclose(worst, (left / power).max(1), rtol=1e-6)


def test_a_lead_that_follows_from_others_is_not_asked() -> None:
    third = np.array([[1.0, 0, -1, 0], [0, 1, 1, 0], [0, 0, 0, 1]])  # III = II - I
    rule = WithheldLeads.of(with_leads(some(3), of=third))
    assert rule.leads.tolist() == [0, 1, 3]
    new = some(3, seed=1, windows=4)
    found = rule.shares(with_leads(new, of=third), each=4)
    np.testing.assert_allclose(found, WithheldLeads.of(some(3)).shares(new, each=4), rtol=1e-4)


def test_an_average_reference_asks_all_but_the_last() -> None:
    average = np.eye(5) - 1 / 5
    assert WithheldLeads.of(with_leads(some(5), of=average)).leads.tolist() == [0, 1, 2, 3]


def test_the_unit_of_the_leads_changes_nothing() -> None:
    train, new = some(3), some(3, seed=1, windows=4)
    small = 1e-6 * np.eye(3)
    found = WithheldLeads.of(with_leads(train, of=small)).shares(with_leads(new, of=small), each=2)
    np.testing.assert_allclose(found, WithheldLeads.of(train).shares(new, each=2), rtol=1e-4)


def test_one_lead_and_flat_ones_have_no_share() -> None:
    assert np.isnan(WithheldLeads.of(some(1)).shares(some(1, windows=4), each=2)).all()
    new = some(3, windows=4)
    flat = replace_signals(new, lead=1)
    found = WithheldLeads.of(some(3)).shares(flat, each=2)
    assert np.isnan(found).tolist() == [[True, False]] * 2
    train = with_leads(some(3), of=np.diag([1.0, 0, 1]))
    assert WithheldLeads.of(train).leads.tolist() == [0, 2]


def replace_signals(windows: WindowSet, *, lead: int) -> WindowSet:
    signals = windows.signals.copy()
    signals[:2, :, lead] = 7.0
    return as_set(signals, windows.table)


def test_a_rule_comes_back_from_its_file(tmp_path: Path) -> None:
    rule = WithheldLeads.of(some(3))
    digest = rule.save(tmp_path / "leads.safetensors")
    back, again = WithheldLeads.read(tmp_path / "leads.safetensors")
    assert digest == again
    assert torch.equal(back.precision, rule.precision)
    assert torch.equal(back.leads, rule.leads)
    other = tmp_path / "other.safetensors"
    save_weights(other, {"a": torch.ones(1)}, architecture={"network": "other"}, about={})
    with pytest.raises(RefusedInputError, match="holds no rule of withheld leads"):
        WithheldLeads.read(other)
