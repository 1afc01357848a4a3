"""Foreign weights: what is read off them, what is refused, what is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from medconsist.errors import (
    MissingInputError,
    RefusedInputError,
    TruncatedFileError,
    UnsafeFileError,
)
from medconsist.mri.cirim.importers import from_atommic, from_direct, import_weights
from medconsist.mri.learned.model import load_model
from tests.parity.naive_cirim import Naive, State, random_state

FEATURES = 4
MARK = "reconstruction_module.0."


@pytest.fixture
def state(generator: torch.Generator) -> State:
    return random_state(Naive(cascades=2, steps=1), FEATURES, generator)


def as_direct(state: State) -> State:
    renamed = {
        name.replace("reconstruction_module.", "block_list.").replace(".rnn.", ".recurrent."): value
        for name, value in state.items()
    }
    return {**renamed, "dc_weight": torch.ones(1)}


@pytest.mark.parametrize("unit", ["indrnn", "gru", "mgu"])
@pytest.mark.parametrize("explicit", [False, True])
def test_the_architecture_is_read_off_names_and_shapes(
    unit: Any, explicit: bool, generator: torch.Generator
) -> None:
    naive = Naive(cascades=3, steps=1, unit=unit, explicit=explicit)
    network = from_atommic(random_state(naive, FEATURES, generator), steps=7)
    config = network.config
    assert (config.cascades, config.steps, config.features) == (3, 7, FEATURES)
    assert (config.unit, config.consistency) == (unit, "explicit" if explicit else "implicit")
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("prefix", ["", "model.", "module.cirim."])
def test_any_prefix_is_taken_off(prefix: str, state: State) -> None:
    with_prefix = {prefix + name: value for name, value in state.items()}
    torch.testing.assert_close(
        from_atommic(with_prefix, steps=2).state_dict(), from_atommic(state, steps=2).state_dict()
    )


def test_the_tensors_given_are_not_shared(state: State) -> None:
    network = from_atommic(state, steps=2)
    state[f"{MARK}layers.0.convs.conv_layer.weight"].zero_()
    assert network.get_parameter("cascades.0.conv1.weight").any()


def test_direct_means_its_own_choices(state: State) -> None:
    config = from_direct(as_direct(state), steps=8).config
    assert (config.hidden, config.detach_cascades, config.update) == ("reset", True, "rectified")
    assert config.consistency == "implicit"


def test_direct_shows_the_gradient_before_the_image(state: State) -> None:
    weight = state[f"{MARK}layers.0.convs.conv_layer.weight"]
    found = from_direct(as_direct(state), steps=8).get_parameter("cascades.0.conv1.weight")
    assert torch.equal(found[:, :2], weight[:, 2:])
    assert torch.equal(found[:, 2:], weight[:, :2])


def test_direct_with_its_cascades_in_k_space_is_refused(state: State) -> None:
    shared = {**as_direct(state), "block_list.0.dc_weight": torch.ones(1)}
    with pytest.raises(RefusedInputError, match="no_parameter_sharing=False"):
        from_direct(shared, steps=8)


def without(state: State, name: str) -> State:
    return {key: value for key, value in state.items() if key != name}


FIRST = f"{MARK}layers.0.convs.conv_layer.weight"
CHANGES: list[tuple[Callable[[State], dict[str, Tensor]], str]] = [
    (lambda _: {}, "no name has reconstruction_module. in it .it holds nothing"),
    (lambda s: as_direct(s), "no name has reconstruction_module. in it .it holds block_list"),
    (lambda s: {**s, "sens_net.weight": torch.ones(1)}, "unknown: sens_net.weight"),
    (lambda s: without(s, FIRST), "missing: .*conv_layer.weight with four axes"),
    (lambda s: without(s, f"{MARK}layers.1.rnn.hh"), "missing: .*layers.1.rnn.hh"),
    (lambda s: {**s, f"{MARK}dc_weight": torch.ones(1)}, "missing: .*1.dc_weight"),
    (lambda s: {**s, FIRST: s[FIRST].half()}, r"torch.float16 instead of \(4, 4, 5, 5\)"),
    (lambda s: {**s, FIRST: s[FIRST][..., :3, :3]}, r"\(4, 4, 3, 3\) torch.float32 instead of"),
    (lambda s: {**s, FIRST: s[FIRST][0]}, "missing: .* with four axes"),
    (lambda s: {**s, FIRST: s[FIRST] / 0}, "conv_layer.weight holds values that are not finite"),
    (
        lambda s: {**s, **{name.replace("module.1", "module.4"): w for name, w in s.items()}},
        r"its cascades are \[0, 1, 4\], with gaps",
    ),
    (
        lambda s: {**s, **{f"teacher.{name}": w for name, w in s.items()}},
        "several networks are in it: '', 'teacher.'",
    ),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_whatever_does_not_fit_is_refused(
    change: Callable[[State], State], words: str, state: State
) -> None:
    with pytest.raises(RefusedInputError, match=words):
        from_atommic(change(state), steps=2)


def test_a_5x5_recurrent_kernel_is_refused(state: State) -> None:
    for layer in (0, 1):
        name = f"{MARK}layers.{layer}.rnn.ih.weight"
        state[name] = state[name].expand(-1, -1, 3, 3)
    with pytest.raises(RefusedInputError, match=r"\(4, 4, 3, 3\) torch.float32 instead of"):
        from_atommic(state, steps=2)


def test_an_imported_file_is_one_of_ours(state: State, tmp_path: Path) -> None:
    safetensors.torch.save_file(state, tmp_path / "theirs.safetensors")
    out = tmp_path / "ours.safetensors"
    digest = import_weights(tmp_path / "theirs.safetensors", source="atommic", steps=8, out=out)
    model = load_model(out)
    assert model.sha256 == digest
    assert model.about == {"source": "ATOMMIC, theirs.safetensors", "trained_on": "unknown"}
    assert not model.simulation_trained
    assert model.network.config == from_atommic(state, steps=8).config
    torch.testing.assert_close(
        model.network.state_dict(), from_atommic(state, steps=8).state_dict()
    )


def test_checkpoints_are_read_without_pickled_content(state: State, tmp_path: Path) -> None:
    path, out = tmp_path / "lightning.ckpt", tmp_path / "ours.safetensors"
    torch.save({"state_dict": state, "epoch": 3}, path)
    import_weights(path, source="atommic", steps=8, out=out)
    assert load_model(out).about["left_out"] == "epoch"
    torch.save({"model": as_direct(state), "sensitivity_model": {}}, path)
    import_weights(path, source="direct", steps=8, out=out)
    assert load_model(out).about["left_out"] == "sensitivity_model"
    assert load_model(out).network.config.as_dict()["update"] == "rectified"


class Foreign:
    """What a checkpoint must not bring to life."""


def test_a_file_that_brings_its_own_classes_is_refused(state: State, tmp_path: Path) -> None:
    path = tmp_path / "theirs.ckpt"
    torch.save({"state_dict": state, "hyper_parameters": Foreign()}, path)
    with pytest.raises(UnsafeFileError, match=r"could run programs\. Save its tensors alone"):
        import_weights(path, source="atommic", steps=8, out=tmp_path / "o.safetensors")
    assert not (tmp_path / "o.safetensors").exists()


def test_a_file_that_was_cut_is_refused(state: State, tmp_path: Path) -> None:
    for name in ("a.ckpt", "a.safetensors"):
        path = tmp_path / name
        if name.endswith("ckpt"):
            torch.save(state, path)
        else:
            safetensors.torch.save_file(state, path)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(TruncatedFileError, match="Copy it again"):
            import_weights(path, source="atommic", steps=8, out=tmp_path / "o.safetensors")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path, out = tmp_path / "model.atommic", tmp_path / "o.safetensors"
    with pytest.raises(MissingInputError, match="does not exist"):
        import_weights(path, source="atommic", steps=8, out=out)
    path.write_bytes(b"./model_config.yaml" + bytes(1000))
    with pytest.raises(RefusedInputError, match=r"unpack it and import model_weights\.ckpt"):
        import_weights(path, source="atommic", steps=8, out=out)
    path = path.rename(tmp_path / "model.ckpt")
    with pytest.raises(RefusedInputError, match="neither safetensors nor a torch file of tensors"):
        import_weights(path, source="atommic", steps=8, out=out)
    torch.save({"epoch": 3}, path)
    with pytest.raises(RefusedInputError, match="holds more than tensors by name"):
        import_weights(path, source="atommic", steps=8, out=out)
