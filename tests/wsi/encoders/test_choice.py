"""Encoders by name: published facts, and never a random network under the name of a trained one."""

from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from medconsist.errors import RefusedInputError
from medconsist.networks.resnet import RESNET18
from medconsist.networks.vit import VIT_SMALL, VisionTransformer
from medconsist.training.weights import save_weights
from medconsist.wsi.encoders import choice
from medconsist.wsi.encoders.choice import PRESETS, Preset, encoder_names, make_encoder
from medconsist.wsi.encoders.encoder import IMAGENET, Preprocessing
from medconsist.wsi.encoders.weights import build_network, output_dim

DIMS = {
    "resnet18": 512,
    "resnet50": 1024,
    "vit-s": 384,
    "vit-b": 768,
    "vit-l": 1024,
    "uni": 1024,
    "uni2": 1536,
    "phikon": 768,
    "phikon-v2": 1024,
    "dinov2-s": 384,
    "dinov2-b": 768,
    "dinov2-l": 1024,
    "dinov2-g": 1536,
}
PLACES = {"uni": 197, "uni2": 256, "phikon": 197, "dinov2-s": 1370, "dinov2-s-reg": 1369}


def test_dimensions_are_those_that_were_published() -> None:
    found = {name: output_dim(preset.config) for name, preset in PRESETS.items()}
    assert found == {**DIMS, **{f"dinov2-{s}-reg": DIMS[f"dinov2-{s}"] for s in "sblg"}}


@pytest.mark.parametrize(("name", "places"), PLACES.items())
def test_places_are_as_many_as_in_the_published_files(name: str, places: int) -> None:
    with torch.device("meta"):
        network = build_network(PRESETS[name].config)
    assert isinstance(network, VisionTransformer)
    assert network.pos_embed.shape[1] == places


def test_networks_of_pathology_say_at_which_scale_they_were_trained() -> None:
    scales = {name: preset.preprocessing.mpp for name, preset in PRESETS.items()}
    known = {name: mpp for name, mpp in scales.items() if mpp is not None}
    assert known == dict.fromkeys(("uni", "uni2", "phikon", "phikon-v2"), 0.5)


@pytest.mark.parametrize("name", PRESETS)
def test_a_network_without_weights_is_refused(name: str) -> None:
    with pytest.raises(
        RefusedInputError, match=f"{name} needs its weights, and nothing is fetched"
    ):
        make_encoder(name)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RefusedInputError, match="no encoder 'resnet51'; allowed: colour-texture"):
        make_encoder("resnet51")
    assert set(encoder_names()) == {"colour-texture", *PRESETS}


def test_random_weights_say_so_and_are_those_of_a_seed() -> None:
    first, second = make_encoder("resnet18-random"), make_encoder("resnet18-random")
    tiles = torch.full((1, 224, 224, 3), 128, dtype=torch.uint8)
    assert first.name == "resnet18-random"
    assert first.card == second.card
    assert torch.equal(first(tiles), second(tiles))


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="draws its weights and takes none"):
        make_encoder("resnet18-random", weights=tmp_path)
    with pytest.raises(RefusedInputError, match="colour-texture takes no weights"):
        make_encoder("colour-texture", weights=tmp_path)
    with pytest.raises(RefusedInputError, match="computes in fp32 alone, got bf16"):
        make_encoder("colour-texture", precision="bf16")
    with pytest.raises(RefusedInputError, match="no encoder 'colour-texture-random'"):
        make_encoder("colour-texture-random")


def test_the_size_of_colour_texture_follows_the_preprocessing() -> None:
    assert make_encoder("colour-texture").input_px == 224
    shown = Preprocessing(input_px=256)
    assert make_encoder("colour-texture", preprocessing=shown).input_px == 256


def test_a_recipe_s_file_is_used_with_its_own_preprocessing(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    network = build_network(RESNET18, generator=torch.Generator().manual_seed(1))
    facts = {"pixels": 64, "mpp": 0.5, "mean": [0.7, 0.5, 0.7], "std": [0.1, 0.2, 0.1]}
    architecture = {**RESNET18.as_dict(), "method": "simclr", "input": facts}
    digest = save_weights(path, network.state_dict(), architecture=architecture, about={})

    encoder = make_encoder("resnet18", weights=path, precision="bf16")

    assert (encoder.sha256, encoder.input_px, encoder.mpp) == (digest, 64, 0.5)
    assert encoder.mean == (0.7, 0.5, 0.7)
    assert encoder(torch.zeros(2, 64, 64, 3, dtype=torch.uint8)).shape == (2, 512)


def test_a_foreign_file_takes_the_preprocessing_of_the_name_or_the_one_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(VIT_SMALL, dim=32, heads=4, depth=1)
    monkeypatch.setattr(choice, "PRESETS", {"tiny": Preset(config)})
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file(dict(build_network(config).state_dict()), path)
    assert make_encoder("tiny", weights=path).card.preprocessing == IMAGENET
    halves = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    encoder = make_encoder("tiny", weights=path, preprocessing=halves)
    assert encoder.card.preprocessing == halves
    assert encoder.card.settings["dim"] == 32
