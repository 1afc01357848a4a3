"""The architecture as plain values."""

import inspect
import json
from typing import Any

import pytest

from medconsist.errors import RefusedInputError
from medconsist.mri.cirim.config import PRESETS, CirimConfig


@pytest.mark.parametrize("name", ["cascades", "steps", "features"])
@pytest.mark.parametrize("number", [0, -3])
def test_numbers_below_one_are_refused(name: str, number: int) -> None:
    changed: dict[str, Any] = {name: number}
    with pytest.raises(RefusedInputError, match=rf"got \{{'{name}': {number}\}}; allowed: whole"):
        CirimConfig(**changed)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cascades": 2.5}, "got .'cascades': 2.5.; allowed: whole"),
        ({"steps": "8"}, "got .'steps': '8'.; allowed: whole"),
        ({"unit": "lstm"}, "unit got 'lstm'; allowed: 'indrnn', 'gru', 'mgu'"),
        ({"consistency": "hard"}, "consistency got 'hard'; allowed: 'implicit'"),
    ],
)
def test_values_of_another_kind_are_refused(changes: dict[str, Any], words: str) -> None:
    """Behind the type checker, which refuses them first in the tests."""
    start = inspect.unwrap(CirimConfig.__init__)
    with pytest.raises(RefusedInputError, match=words):
        start(object.__new__(CirimConfig), **changes)


CHOICES: list[tuple[str, list[str]]] = [
    ("unit", ["indrnn", "gru", "mgu"]),
    ("consistency", ["implicit", "explicit", "varnet"]),
    ("hidden", ["carried", "reset"]),
    ("gradient_scale", ["unit", "inverse_variance", "clamped_sigma"]),
    ("update", ["accumulated", "rectified"]),
]


@pytest.mark.parametrize(("name", "words"), CHOICES)
def test_words_are_those_of_the_list(name: str, words: list[str]) -> None:
    for word in words:
        changed: dict[str, Any] = {name: word}
        assert getattr(CirimConfig(**changed), name) == word


def test_values_go_through_json() -> None:
    config = CirimConfig(unit="mgu", noise_input=True)
    assert CirimConfig(**json.loads(json.dumps(config.as_dict()))) == config


def test_presets_are_those_of_the_papers() -> None:
    assert PRESETS["cirim"] == CirimConfig(cascades=5, steps=8, features=64, unit="indrnn")
    assert PRESETS["irim"].cascades == PRESETS["rim"].cascades == 1
    assert PRESETS["rim"].unit == "gru"


def test_the_noise_level_is_a_fifth_channel() -> None:
    assert CirimConfig().input_channels == 4
    assert CirimConfig(noise_input=True).input_channels == 5
