"""Weights are loaded whole or not at all, from files that can run nothing."""

import hashlib
import os
import pickle
from dataclasses import replace
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
from medconsist.networks.resnet import RESNET50, RESNET50_LAYER3, ResNet, ResNetConfig
from medconsist.networks.vit import VisionTransformer, ViTConfig
from medconsist.training.weights import save_weights
from medconsist.wsi.encoders.encoder import Preprocessing
from medconsist.wsi.encoders.weights import build_network, load_network, output_dim

VIT = ViTConfig(image_size=32, patch_size=8, dim=32, depth=2, heads=4)
RESNET = ResNetConfig(block="basic", depths=(1, 1))


def tensors(config: ViTConfig | ResNetConfig = VIT) -> dict[str, Tensor]:
    net = build_network(config, generator=torch.Generator().manual_seed(2))
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def saved(path: Path, state: dict[str, Any]) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "pytorch_model.bin"])
@pytest.mark.parametrize("config", [VIT, RESNET])
def test_tensors_come_back_and_the_hash_is_that_of_the_file(
    name: str, config: ViTConfig | ResNetConfig, tmp_path: Path
) -> None:
    state = tensors(config)
    path = saved(tmp_path / name, state)

    loaded = load_network(path, config)

    for held, tensor in loaded.network.state_dict().items():
        assert torch.equal(tensor, state[held]), held
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (loaded.left_out, loaded.preprocessing) == ((), None)


@pytest.mark.parametrize("container", ["state_dict", "model"])
def test_a_container_is_opened_and_what_lies_beside_is_named(
    container: str, tmp_path: Path
) -> None:
    path = saved(tmp_path / "a.pt", {container: tensors(), "epoch": 3})
    assert load_network(path, VIT).left_out == ("epoch",)


def test_the_format_of_torch_before_zip_is_read(tmp_path: Path) -> None:
    torch.save(tensors(), tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    load_network(tmp_path / "a.pth", VIT)


def test_a_link_is_followed_as_in_caches_of_hugging_face(tmp_path: Path) -> None:
    saved(tmp_path / "blob.safetensors", tensors())
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "blob.safetensors")
    load_network(tmp_path / "model.safetensors", VIT)


def test_16_bit_weights_become_32(tmp_path: Path) -> None:
    halved = {name: tensor.half() for name, tensor in tensors().items()}
    network = load_network(saved(tmp_path / "a.safetensors", halved), VIT).network
    assert all(
        tensor.dtype == torch.float32 and torch.equal(tensor, halved[name].float())
        for name, tensor in network.state_dict().items()
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pos_embed": None}, r"pos_embed has the shape none there, \(1, 17, 32\) here"),
        ({"pos_embed": (1, 26, 32)}, r"pos_embed has the shape \(1, 26, 32\) there"),
        ({"blocks.2.norm1.weight": (32,)}, r"blocks.2.norm1.weight .* none here"),
        ({"blocks.1.mlp.fc1.weight": (64, 32)}, r"blocks.1.mlp.fc1.weight has the shape"),
        ({"decoder.weight": (1,)}, r"decoder.weight has the shape \(1,\) there, none here"),
    ],
)
def test_another_architecture_names_the_first_tensor_that_differs(
    change: dict[str, tuple[int, ...] | None], words: str, tmp_path: Path
) -> None:
    state = tensors()
    for name, shape in change.items():
        if shape is None:
            del state[name]
        else:
            state[name] = torch.zeros(shape)
    with pytest.raises(RefusedInputError, match=words):
        load_network(saved(tmp_path / "a.safetensors", state), VIT)


def test_a_whole_resnet50_loads_into_the_truncated_one(tmp_path: Path) -> None:
    with torch.device("meta"):
        whole = ResNet(RESNET50).state_dict()
    # one value a tensor: as small in the file as it is large in memory
    state = {name: torch.full_like(tensor, 0.01, device="cpu") for name, tensor in whole.items()}
    state["fc.weight"], state["fc.bias"] = torch.zeros(1000, 2048), torch.zeros(1000)

    loaded = load_network(saved(tmp_path / "a.safetensors", state), RESNET50_LAYER3)

    assert output_dim(RESNET50_LAYER3) == 1024
    assert len(loaded.network.state_dict()) == 258
    assert len(loaded.left_out) == 60 + 2

    # the part that is built agrees; what lies beyond belongs to another network
    state["layer4.1.conv2.weight"] = torch.zeros(512, 1024, 3, 3)
    with pytest.raises(RefusedInputError, match=r"layer4.1.conv2.weight has the shape \(512, 1024"):
        load_network(saved(tmp_path / "b.safetensors", state), RESNET50_LAYER3)


def test_batch_counters_may_be_missing_all_or_none(tmp_path: Path) -> None:
    state = tensors(RESNET)
    counters = [name for name in state if name.endswith("num_batches_tracked")]
    some = {name: tensor for name, tensor in state.items() if name != counters[0]}
    none = {name: tensor for name, tensor in state.items() if name not in counters}
    load_network(saved(tmp_path / "none.safetensors", none), RESNET)
    with pytest.raises(RefusedInputError, match=r"bn1\.num_batches_tracked"):
        load_network(saved(tmp_path / "some.safetensors", some), RESNET)


class Harmful:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("how", ["torch", "plain pickle"])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(how: str, tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "a.pth"
    content = {**tensors(), "x": Harmful(mark)}
    if how == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(Harmful(mark)))
    with pytest.raises(UnsafeFileError, match="reading it could run programs"):
        load_network(path, VIT)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_half_a_file_is_refused(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path / name, tensors())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(TruncatedFileError, match="Copy it again"):
        load_network(path, VIT)


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"GIF89a and more")
    with pytest.raises((RefusedInputError, UnsafeFileError), match=r"a\.pth"):
        load_network(tmp_path / "a.pth", VIT)
    with pytest.raises(MissingInputError, match="does not exist"):
        load_network(tmp_path / "none.pth", VIT)
    with pytest.raises(RefusedInputError, match="more than tensors by name"):
        load_network(saved(tmp_path / "b.pth", {"epoch": 3}), VIT)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.full((1, 1, 32), torch.nan), "cls_token holds values that are not finite"),
        (torch.ones(1, 1, 32, dtype=torch.int8), "cls_token is torch.int8; allowed: floats"),
    ],
)
def test_values_that_are_no_weights_are_refused(value: Tensor, words: str, tmp_path: Path) -> None:
    state = {**tensors(), "cls_token": value}
    with pytest.raises(RefusedInputError, match=words):
        load_network(saved(tmp_path / "a.safetensors", state), VIT)


def ours(path: Path, config: ResNetConfig, **more: Any) -> Path:
    architecture = {**config.as_dict(), **more}
    save_weights(path, tensors(config), architecture=architecture, about={"data": "none"})
    return path


def test_a_file_of_ours_brings_its_preprocessing(tmp_path: Path) -> None:
    facts = {"pixels": 96, "mpp": 0.5, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.1]}
    path = ours(tmp_path / "a.safetensors", RESNET, input=facts, method="simclr")
    assert load_network(path, RESNET).preprocessing == Preprocessing(
        input_px=96, mpp=0.5, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1)
    )
    assert load_network(ours(tmp_path / "b.safetensors", RESNET), RESNET).preprocessing is None


def test_a_file_of_ours_is_refused_for_another_network(tmp_path: Path) -> None:
    path = ours(tmp_path / "a.safetensors", RESNET)
    with pytest.raises(RefusedInputError, match=r"depths is \[1, 1\] there, \[1, 2\] here"):
        load_network(path, replace(RESNET, depths=(1, 2)))
    with pytest.raises(RefusedInputError, match="network is 'resnet' there, 'vit' here"):
        load_network(path, VIT)


def test_a_network_is_built_from_its_seed() -> None:
    first, second = (build_network(VIT, generator=torch.Generator().manual_seed(1)) for _ in "ab")
    assert isinstance(first, VisionTransformer)
    pictures = torch.ones(1, 3, 32, 32)
    assert torch.equal(first(pictures), second(pictures))
