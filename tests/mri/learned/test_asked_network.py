"""Architectures as they are asked for on a command line."""

from dataclasses import replace
from typing import Any

import pytest

from medconsist.errors import RefusedInputError
from medconsist.mri.cirim.config import PRESETS as CIRIM
from medconsist.mri.comparators.kiki_net import KikiNetConfig
from medconsist.mri.comparators.lpd_net import LpdNetConfig
from medconsist.mri.comparators.presets import PRESETS
from medconsist.mri.comparators.var_net import VarNetConfig
from medconsist.mri.learned.asked_network import DEFAULT_NETWORK, asked_network
from medconsist.mri.reconstruction_network import Architecture


def test_where_nothing_is_asked_for_there_is_nothing() -> None:
    assert asked_network(None, {"--features": None}) is None


@pytest.mark.parametrize(
    ("name", "flags", "size", "wanted"),
    [
        (None, {"--features": 8}, None, replace(DEFAULT_NETWORK, features=8)),
        ("rim", {"--time-steps": 3}, None, replace(CIRIM["rim"], steps=3)),
        ("unet", {}, None, PRESETS["unet"]["small"]),
        ("lpdnet", {"--cascades": 2}, "published", LpdNetConfig(iterations=2)),
        (
            "kikinet",
            {"--consistency": "none", "--features": 4},
            "released",
            replace(KikiNetConfig.released(), consistency="none", features=4),
        ),
        ("varnet", {"--coil-maps": "given"}, "published", VarNetConfig()),
    ],
)
def test_a_flag_changes_its_setting_alone(
    name: str | None, flags: dict[str, Any], size: str | None, wanted: Architecture
) -> None:
    assert asked_network(name, flags, size=size) == wanted


@pytest.mark.parametrize(
    ("name", "flags", "size", "words"),
    [
        (
            "unet",
            {"--time-steps": 8, "--unit": "gru", "--features": 4},
            None,
            "--time-steps and --unit cannot be set with --network unet, which takes --features;",
        ),
        ("unet", {"--cascades": 2}, None, "--cascades cannot be set with --network unet"),
        ("lpdnet", {"--consistency": "none"}, None, "which takes --cascades, --features; leave"),
        ("cascadenet", {"--coil-maps": "learnt"}, None, "--coil-maps cannot be set with"),
        (None, {"--coil-maps": "learnt"}, None, "--coil-maps cannot be set with --network cirim"),
        (
            "kikinet",
            {"--consistency": "varnet"},
            None,
            "--consistency got 'varnet'; allowed with --network kikinet: interleaved, released",
        ),
        (None, {"--consistency": "kspace"}, None, "allowed with --network cirim: implicit"),
        ("rim", {}, "small", "--network-size goes with --network unet, .*got --network rim"),
        (None, {}, "small", "--network-size goes with --network unet, .*got --network cirim"),
        ("vit", {}, None, "--network got 'vit'; allowed: cirim, .*varnet"),
    ],
)
def test_flags_that_do_not_apply_get_one_sentence(
    name: str | None, flags: dict[str, Any], size: str | None, words: str
) -> None:
    with pytest.raises(RefusedInputError, match=words):
        asked_network(name, flags, size=size)
