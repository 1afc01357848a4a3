"""Weight files: read equal, and refused where they do not belong to their architecture."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from medconsist.errors import (
    MissingInputError,
    RefusedInputError,
    TruncatedFileError,
    UnsafeFileError,
)
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.learned.model import LearnedModel, load_model
from medconsist.training.weights import save_weights
from tests.mri.cirim.random_scan import arguments, random_scan

CONFIG = CirimConfig(cascades=2, steps=2, features=4, unit="mgu", consistency="explicit")


@pytest.fixture
def network(generator: torch.Generator) -> Cirim:
    return Cirim(CONFIG, generator=generator)


def saved(path: Path, network: Cirim, /, **changes: Any) -> Path:
    architecture = {"network": "cirim", **network.config.as_dict(), **changes}
    about = {"trained_on": "simulation"}
    save_weights(path, network.state_dict(), architecture=architecture, about=about)
    return path


def test_a_file_gives_the_same_images(
    network: Cirim, tmp_path: Path, generator: torch.Generator
) -> None:
    model = load_model(saved(tmp_path / "mine.safetensors", network))
    scan = arguments(random_scan(generator))
    with torch.no_grad():
        assert torch.equal(model.network(*scan), network(*scan))
    assert (model.name, model.network.config) == ("mine", CONFIG)
    assert model.simulation_trained


def test_a_loaded_network_is_not_trained_by_accident(network: Cirim, tmp_path: Path) -> None:
    loaded = load_model(saved(tmp_path / "a.safetensors", network)).network
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_a_path_may_be_a_string(network: Cirim, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", network)
    assert load_model(str(path)).sha256 == load_model(path).sha256


def test_what_is_not_said_of_training_is_not_simulation(network: Cirim) -> None:
    assert not LearnedModel(network, "a", "0" * 64, {}).simulation_trained


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": "resnet"}, r"of the network 'resnet'; allowed: .*cirim"),
        ({"colour": 1}, "settings that are not known here.*colour"),
        ({"unit": "lstm"}, "(?s)unit.*lstm"),
        ({"unit": "gru"}, r"of another shape or type: .*\(8, 4, 1, 1\) instead of \(12, 4, 1, 1\)"),
        ({"features": 5}, r"\(4, 4, 5, 5\) instead of \(5, 4, 5, 5\)"),
        ({"cascades": 3}, r"missing: cascades\.2\.conv1\.bias"),
        ({"cascades": 1}, r"unknown: cascades\.1\.conv1\.bias"),
        ({"cascades": 10**12}, "claims 1000000000000 blocks and holds"),
        ({"cascades": 2.5}, r"(?s)cascades.*2\.5"),
        ({"steps": "8"}, r"(?s)steps.*'8'"),
        ({"consistency": "implicit"}, r"unknown: cascades\.0\.dc_weight"),
        ({"noise_input": True}, r"instead of \(4, 5, 5, 5\)"),
    ],
    ids=repr,
)
def test_another_architecture_is_refused(
    changes: dict[str, Any], words: str, network: Cirim, tmp_path: Path
) -> None:
    path = saved(tmp_path / "a.safetensors", network, **changes)
    with pytest.raises(RefusedInputError, match=words):
        load_model(path)


def test_double_precision_is_refused(network: Cirim, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", network.double())
    with pytest.raises(RefusedInputError, match="of another shape or type"):
        load_model(path)


def test_files_that_are_none_of_ours_are_refused(network: Cirim, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(MissingInputError, match="neither a file nor shipped"):
        load_model(path)
    safetensors.torch.save_file(
        {name: w.contiguous() for name, w in network.state_dict().items()}, path
    )
    with pytest.raises(RefusedInputError, match="without the metadata"):
        load_model(path)
    path.write_bytes(pickle.dumps({"w": 1}))
    with pytest.raises(UnsafeFileError, match="pickled content"):
        load_model(path)
    torch.save(network.state_dict(), path)
    with pytest.raises(UnsafeFileError, match="pickled content"):
        load_model(path)


@pytest.mark.parametrize("left", [3, 50, -10])
def test_a_cut_file_is_refused(left: int, network: Cirim, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", network)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(TruncatedFileError, match="Copy it again"):
        load_model(path)


@pytest.mark.parametrize("name", ["cs", "cgsense", "zerofilled"])
def test_weights_named_as_a_classical_method_are_refused(
    name: str, network: Cirim, tmp_path: Path
) -> None:
    """Results name each image by its method, and label that of the network."""
    path = saved(tmp_path / f"{name}.safetensors", network)
    with pytest.raises(RefusedInputError, match=r"named as a classical method.*Rename the file"):
        load_model(path)
