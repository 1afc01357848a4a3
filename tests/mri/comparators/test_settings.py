"""Sizes as published and released, and settings that are refused."""

import inspect
from typing import Any

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.mri.comparators.cascade_net import CascadeNetConfig
from medconsist.mri.comparators.kiki_net import KikiNetConfig
from medconsist.mri.comparators.lpd_net import LpdNetConfig
from medconsist.mri.comparators.presets import PRESETS, SIZES, preset
from medconsist.mri.comparators.unet import UNetConfig
from medconsist.mri.comparators.var_net import VarNetConfig
from medconsist.mri.learned.networks import KINDS, architecture_from, make_network
from medconsist.mri.reconstruction_network import Architecture


def parameters_of(config: Architecture) -> int:
    with torch.device("meta"):
        network = make_network(config)
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (UNetConfig(), 31_024_386),
        (VarNetConfig.released(), 19_634_712),
        (CascadeNetConfig.released(), 1_131_551),
        (KikiNetConfig.released(), 233_093),
        (LpdNetConfig.released(), 236_532),
        (CascadeNetConfig(cascades=10), 1_131_550 + 40),
        (KikiNetConfig(block="unet", features=16), 2 * 233_093),
        (LpdNetConfig(iterations=5, block="unet", features=16), 5 * 236_532),
    ],
    ids=repr,
)
def test_number_of_parameters(config: Architecture, parameters: int) -> None:
    """The first five as measured in ATOMMIC; the others are those with nothing shared."""
    assert parameters_of(config) == parameters


@pytest.mark.parametrize("kind", PRESETS)
def test_small_presets_have_a_third_to_half_a_million_parameters(kind: str) -> None:
    assert 300_000 <= parameters_of(preset(kind)) <= 500_000


def test_there_is_a_preset_of_each_size_for_every_comparator() -> None:
    assert PRESETS.keys() == KINDS.keys() - {"cirim"}
    for kind, sizes in PRESETS.items():
        assert tuple(sizes) == SIZES
        assert all(config.kind == kind for config in sizes.values())


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"of size 'huge'; allowed: unet, .*released"):
        preset("unet", "huge")


@pytest.mark.parametrize(
    ("config", "wrong", "words"),
    [
        (UNetConfig, {"features": 0}, "features of unet got 0; allowed: whole numbers from 1"),
        (UNetConfig, {"pools": 60}, "pools of unet got 60; allowed: whole numbers from 1 to 8"),
        (UNetConfig, {"pools": 2.0}, r"pools of unet got 2\.0"),
        (UNetConfig, {"features": True}, "features of unet got True"),
        (UNetConfig, {"phase": "lost"}, "phase of unet got 'lost'; allowed: 'kept', 'removed'"),
        (CascadeNetConfig, {"sharing": "all"}, "sharing of cascadenet got 'all'"),
        (CascadeNetConfig, {"consistency": "hard"}, "consistency of cascadenet got 'hard'"),
        (
            CascadeNetConfig,
            {"sharing": "released", "activation": "relu"},
            "activation 'relu' has no weights to share",
        ),
        (KikiNetConfig, {"block": "vit"}, "block of kikinet got 'vit'; allowed: 'cnn', 'unet'"),
        (KikiNetConfig, {"consistency": "explicit"}, "allowed: 'interleaved', 'released', 'none'"),
        (LpdNetConfig, {"residual": "none"}, "residual of lpdnet got 'none'"),
        (LpdNetConfig, {"dual": 0}, "dual of lpdnet got 0"),
        (VarNetConfig, {"maps": "none"}, "maps of varnet got 'none'; allowed: 'given', 'learnt'"),
        (
            VarNetConfig,
            {"maps": "learnt", "consistency": "varnet"},
            "maps 'learnt' got consistency 'varnet'; allowed: 'kspace', or maps 'given'",
        ),
    ],
    ids=repr,
)
def test_settings_out_of_range_are_refused(config: Any, wrong: Any, words: str) -> None:
    """Behind the type checker, which refuses words first in the tests."""
    start = inspect.unwrap(config.__init__)
    with pytest.raises(RefusedInputError, match=words):
        start(object.__new__(config), **wrong)


def test_settings_that_a_file_invents_are_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"settings that are not known here.*colour"):
        architecture_from({"network": "lpdnet", "colour": 1}, "a file")
