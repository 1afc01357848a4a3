"""The ordering variant asks for one order of all windows, and learns it."""

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.networks.dilated import DilatedConfig
from medconsist.timeseries.comet.ordering import OrderedComet, OrderingConfig, order_levels
from medconsist.timeseries.comet.relations import Relations
from medconsist.timeseries.pretext import DrawnWindows

ENCODER = DilatedConfig(channels=2, hidden=8, dim=12, depth=3, dropout=0)


def windows() -> DrawnWindows:
    signals = torch.randn(8, 32, 2, generator=torch.Generator().manual_seed(0))
    patient = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    trial = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    start = torch.tensor([0, 32, 0, 16, 0, 32, 0, 32])
    return DrawnWindows(signals, patient, trial, start, seed=4)


def test_levels_are_view_trial_patient_others_and_overlaps_are_left_out() -> None:
    level = order_levels(Relations.of(windows()))
    assert level[0].tolist() == [0, 1, 2, 2, 3, 3, 3, 3]
    assert level[2].tolist() == [2, 2, 0, -1, 3, 3, 3, 3]


@pytest.mark.parametrize("similarity", ["pooled", "aligned"])
def test_the_order_is_learnt(similarity: str) -> None:
    config = OrderingConfig(similarity=similarity, mask="binomial")  # type: ignore[arg-type]
    model = OrderedComet(ENCODER, config, generator=torch.Generator().manual_seed(1))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        loss = model(windows())["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_features_of_a_window_do_not_depend_on_its_batch_mates() -> None:
    model = OrderedComet(ENCODER).eval()
    signals = windows().signals
    torch.testing.assert_close(model.encode(signals)[:1], model.encode(signals[:1]))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="four of at least 1"):
        OrderingConfig(keep=(1, 0, 4, 8))
