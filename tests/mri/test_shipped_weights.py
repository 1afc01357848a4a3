"""The weights in the package: small, described, and made from the simulator as it stands."""

from importlib.resources import files
from pathlib import Path

import pytest

from medconsist.mri.learned.model import SHIPPED, load_model
from medconsist.mri.simulate import generator_hash

FOLDER = Path(str(files("medconsist.mri"))) / "weights"
LARGEST = 2 * 2**20


def test_nothing_else_lies_beside_the_weights() -> None:
    expected = {f"{name}{suffix}" for name in SHIPPED for suffix in (".safetensors", ".md")}
    assert {path.name for path in FOLDER.iterdir()} == expected


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_are_small_and_simulation_trained(name: str) -> None:
    assert (FOLDER / f"{name}.safetensors").stat().st_size <= LARGEST
    assert load_model(name).simulation_trained


@pytest.mark.parametrize("name", SHIPPED)
def test_card_names_its_weights_and_the_recipe_that_remakes_them(name: str) -> None:
    model = load_model(name)
    card = (FOLDER / str(model.record.card)).read_text()
    assert model.sha256 in card
    assert model.about["generator"] in card
    assert f"{sum(p.numel() for p in model.network.parameters()):,} parameters" in card
    assert model.about["recipe"] in card
    assert "Simulation-trained" in card


@pytest.mark.parametrize("name", SHIPPED)
def test_simulator_is_the_one_that_the_weights_were_trained_on(name: str) -> None:
    """It is frozen: whoever changes it trains again, and says so in the card and the change log."""
    assert load_model(name).about["generator"] == generator_hash()
