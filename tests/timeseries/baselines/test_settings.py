"""Settings out of range, misfit windows, and first weights that come from a generator."""

from typing import Any

import pytest
import torch
from torch import nn

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.timeseries.baselines.clocs import ClocsConfig
from medconsist.timeseries.baselines.cpc import CpcConfig
from medconsist.timeseries.baselines.first_weights import first_weights
from medconsist.timeseries.baselines.inputs import require_windows
from medconsist.timeseries.baselines.mixing_up import MixingUpConfig
from medconsist.timeseries.baselines.simclr import SimClrConfig
from medconsist.timeseries.baselines.tf_c import TfCConfig
from medconsist.timeseries.baselines.ts2vec import Ts2VecConfig
from medconsist.timeseries.baselines.ts_tcc import TsTccConfig
from tests.timeseries.baselines.drawn import seeded


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (CpcConfig, {"steps": 0}, "steps got 0; allowed: whole numbers above 0"),
        (CpcConfig, {"strides": (1, 0, 1, 1)}, "strides got 0"),
        (CpcConfig, {"widths": ()}, r"widths got \(\); allowed: as many as in"),
        (MixingUpConfig, {"tau": 0}, "tau got 0; allowed: finite numbers above 0"),
        (MixingUpConfig, {"alpha": float("inf")}, "alpha got inf"),
        (SimClrConfig, {"dropout": 1}, r"dropout got 1; .* below 1"),
        (SimClrConfig, {"sigma": -0.1}, "sigma got -0.1; allowed: finite numbers of at least 0"),
        (TsTccConfig, {"steps": -1}, "steps got -1"),
        (TfCConfig, {"tau": float("nan")}, "tau got nan"),
        (Ts2VecConfig, {"temporal_unit": -1}, "temporal_unit got -1"),
        (ClocsConfig, {"embedding": 0}, "embedding got 0"),
    ],
)
def test_settings_out_of_range_are_refused(
    kind: type[Any], settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(RefusedInputError, match=said):
        kind(**settings)


def test_layers_start_from_the_generator_alone() -> None:
    before = torch.get_rng_state()
    weights = []
    for seed in (0, 0, 1):
        with first_weights(seeded(seed)):
            weights.append(next(nn.GRU(3, 4).parameters()))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(before, torch.get_rng_state())


def test_without_a_generator_layers_start_as_torch_says() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        wanted = nn.Linear(2, 2).weight
        torch.manual_seed(3)
        with first_weights(None):
            assert torch.equal(nn.Linear(2, 2).weight, wanted)


def test_misfit_windows_are_refused() -> None:
    with pytest.raises(ShapeError, match="8 samples and 2 channels; the network was built for any"):
        require_windows(torch.zeros(1, 8, 2), channels=3)
    with pytest.raises(ShapeError, match="built for 9 samples"):
        require_windows(torch.zeros(1, 8, 2), channels=2, samples=9)
    signals = torch.zeros(3, 8, 2)
    signals[1, 4, 0] = torch.inf
    with pytest.raises(RefusedInputError, match="1 of 3 windows"):
        require_windows(signals, channels=2)
