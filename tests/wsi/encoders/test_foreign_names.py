"""Weights of DINOv2, Hugging Face and torchvision give the features of those programs.

Each foreign state dict is drawn under its own names, and the features are compared with a forward
pass that reads those names: a network in the manner of the program, written here in functions.
"""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from medconsist.networks.resnet import RESNET50_LAYER3
from medconsist.networks.vit import VisionTransformer, ViTConfig
from medconsist.wsi.encoders.foreign_names import to_timm_names, to_torchvision_names

DIM, DEPTH, HEADS, PATCH, GRID, HIDDEN = 32, 2, 4, 8, 4, 64
SIDE = PATCH * GRID
TINY = ViTConfig(
    image_size=SIDE, patch_size=PATCH, dim=DIM, depth=DEPTH, heads=HEADS, mlp_ratio=HIDDEN / DIM
)
# Products of some ten numbers, summed in another order.
TOLERANCE = 2e-5

State = Mapping[str, Tensor]


def linear(state: State, name: str, x: Tensor) -> Tensor:
    return functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def norm(state: State, name: str, x: Tensor, eps: float) -> Tensor:
    return functional.layer_norm(x, (DIM,), state[f"{name}.weight"], state[f"{name}.bias"], eps)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    split = [
        part.reshape(*part.shape[:2], HEADS, -1).transpose(1, 2) for part in (query, key, value)
    ]
    weights = (split[0] @ split[1].mT / (DIM / HEADS) ** 0.5).softmax(-1)
    return (weights @ split[2]).transpose(1, 2).flatten(2)


def patches_of(state: State, name: str, pictures: Tensor) -> Tensor:
    kernel, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return functional.conv2d(pictures, kernel, bias, stride=PATCH).flatten(2).mT


def draw(shapes: Mapping[str, tuple[int, ...]], generator: torch.Generator) -> dict[str, Tensor]:
    return {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def affine(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def normed(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (DIM,), f"{name}.bias": (DIM,)}


def of_torch_hub(*, registers: int = 0, gated: bool = False) -> dict[str, tuple[int, ...]]:
    """Names of facebookresearch/dinov2, vision_transformer.py, with block_chunks=0."""
    found: dict[str, tuple[int, ...]] = {"cls_token": (1, 1, DIM)}
    found["pos_embed"] = (1, GRID**2 + 1, DIM)
    if registers:
        found["register_tokens"] = (1, registers, DIM)
    found["mask_token"] = (1, DIM)
    found |= {"patch_embed.proj.weight": (DIM, 3, PATCH, PATCH), "patch_embed.proj.bias": (DIM,)}
    for n in range(DEPTH):
        at = f"blocks.{n}"
        found |= normed(f"{at}.norm1") | affine(f"{at}.attn.qkv", 3 * DIM, DIM)
        found |= affine(f"{at}.attn.proj", DIM, DIM) | {f"{at}.ls1.gamma": (DIM,)}
        found |= normed(f"{at}.norm2")
        if gated:
            found |= affine(f"{at}.mlp.w12", HIDDEN, DIM) | affine(f"{at}.mlp.w3", DIM, HIDDEN // 2)
        else:
            found |= affine(f"{at}.mlp.fc1", HIDDEN, DIM) | affine(f"{at}.mlp.fc2", DIM, HIDDEN)
        found |= {f"{at}.ls2.gamma": (DIM,)}
    return found | normed("norm")


def as_torch_hub(state: State, pictures: Tensor) -> Tensor:
    """DINOv2's order: class token, places for class and patches, then registers after class."""
    x = patches_of(state, "patch_embed.proj", pictures)
    x = torch.cat([state["cls_token"].expand(len(x), -1, -1), x], 1) + state["pos_embed"]
    if "register_tokens" in state:
        registers = state["register_tokens"].expand(len(x), -1, -1)
        x = torch.cat([x[:, :1], registers, x[:, 1:]], 1)
    for n in range(DEPTH):
        at = f"blocks.{n}"
        y = attend(
            *linear(state, f"{at}.attn.qkv", norm(state, f"{at}.norm1", x, 1e-6)).chunk(3, -1)
        )
        x = x + state[f"{at}.ls1.gamma"] * linear(state, f"{at}.attn.proj", y)
        y = norm(state, f"{at}.norm2", x, 1e-6)
        if f"{at}.mlp.w12.weight" in state:
            first, second = linear(state, f"{at}.mlp.w12", y).chunk(2, -1)
            y = linear(state, f"{at}.mlp.w3", functional.silu(first) * second)
        else:
            y = linear(state, f"{at}.mlp.fc2", functional.gelu(linear(state, f"{at}.mlp.fc1", y)))
        x = x + state[f"{at}.ls2.gamma"] * y
    return norm(state, "norm", x, 1e-6)[:, 0]


def of_hugging_face_vit() -> dict[str, tuple[int, ...]]:
    """Names of transformers' ViTModel, with its pooler."""
    found: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, DIM),
        "embeddings.position_embeddings": (1, GRID**2 + 1, DIM),
        "embeddings.patch_embeddings.projection.weight": (DIM, 3, PATCH, PATCH),
        "embeddings.patch_embeddings.projection.bias": (DIM,),
    }
    for n in range(DEPTH):
        at = f"encoder.layer.{n}"
        for part in ("query", "key", "value"):
            found |= affine(f"{at}.attention.attention.{part}", DIM, DIM)
        found |= affine(f"{at}.attention.output.dense", DIM, DIM)
        found |= affine(f"{at}.intermediate.dense", HIDDEN, DIM)
        found |= affine(f"{at}.output.dense", DIM, HIDDEN)
        found |= normed(f"{at}.layernorm_before") | normed(f"{at}.layernorm_after")
    return found | normed("layernorm") | affine("pooler.dense", DIM, DIM)


def as_hugging_face_vit(state: State, pictures: Tensor) -> Tensor:
    x = patches_of(state, "embeddings.patch_embeddings.projection", pictures)
    x = torch.cat([state["embeddings.cls_token"].expand(len(x), -1, -1), x], 1)
    x = x + state["embeddings.position_embeddings"]
    for n in range(DEPTH):
        at = f"encoder.layer.{n}"
        y = norm(state, f"{at}.layernorm_before", x, 1e-12)
        parts = ("query", "key", "value")
        y = attend(*(linear(state, f"{at}.attention.attention.{part}", y) for part in parts))
        x = x + linear(state, f"{at}.attention.output.dense", y)
        y = norm(state, f"{at}.layernorm_after", x, 1e-12)
        y = functional.gelu(linear(state, f"{at}.intermediate.dense", y))
        x = x + linear(state, f"{at}.output.dense", y)
    return norm(state, "layernorm", x, 1e-12)[:, 0]


def of_hugging_face_dinov2(*, gated: bool) -> dict[str, tuple[int, ...]]:
    """Names of transformers' Dinov2Model."""
    found: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, DIM),
        "embeddings.mask_token": (1, DIM),
        "embeddings.position_embeddings": (1, GRID**2 + 1, DIM),
        "embeddings.patch_embeddings.projection.weight": (DIM, 3, PATCH, PATCH),
        "embeddings.patch_embeddings.projection.bias": (DIM,),
    }
    names = ("weights_in", "weights_out") if gated else ("fc1", "fc2")
    for n in range(DEPTH):
        at = f"encoder.layer.{n}"
        found |= normed(f"{at}.norm1")
        for part in ("query", "key", "value"):
            found |= affine(f"{at}.attention.attention.{part}", DIM, DIM)
        found |= affine(f"{at}.attention.output.dense", DIM, DIM)
        found |= {f"{at}.layer_scale1.lambda1": (DIM,), f"{at}.layer_scale2.lambda1": (DIM,)}
        found |= normed(f"{at}.norm2") | affine(f"{at}.mlp.{names[0]}", HIDDEN, DIM)
        found |= affine(f"{at}.mlp.{names[1]}", DIM, HIDDEN // 2 if gated else HIDDEN)
    return found | normed("layernorm")


def as_hugging_face_dinov2(state: State, pictures: Tensor) -> Tensor:
    x = patches_of(state, "embeddings.patch_embeddings.projection", pictures)
    x = torch.cat([state["embeddings.cls_token"].expand(len(x), -1, -1), x], 1)
    x = x + state["embeddings.position_embeddings"]
    for n in range(DEPTH):
        at = f"encoder.layer.{n}"
        y = norm(state, f"{at}.norm1", x, 1e-6)
        parts = ("query", "key", "value")
        y = attend(*(linear(state, f"{at}.attention.attention.{part}", y) for part in parts))
        y = linear(state, f"{at}.attention.output.dense", y)
        x = x + state[f"{at}.layer_scale1.lambda1"] * y
        y = norm(state, f"{at}.norm2", x, 1e-6)
        if f"{at}.mlp.weights_in.weight" in state:
            first, second = linear(state, f"{at}.mlp.weights_in", y).chunk(2, -1)
            y = linear(state, f"{at}.mlp.weights_out", functional.silu(first) * second)
        else:
            y = linear(state, f"{at}.mlp.fc2", functional.gelu(linear(state, f"{at}.mlp.fc1", y)))
        x = x + state[f"{at}.layer_scale2.lambda1"] * y
    return norm(state, "layernorm", x, 1e-6)[:, 0]


SCALED = replace(TINY, layer_scale=1.0)
GATED = replace(SCALED, mlp="swiglu")
PROGRAMS = {
    "DINOv2": (of_torch_hub(), as_torch_hub, SCALED, {"mask_token"}),
    "DINOv2 giant": (of_torch_hub(gated=True), as_torch_hub, GATED, {"mask_token"}),
    "DINOv2 with registers": (
        of_torch_hub(registers=3),
        as_torch_hub,
        replace(SCALED, registers=3, no_embed_class=True),
        {"mask_token"},
    ),
    "ViTModel": (
        of_hugging_face_vit(),
        as_hugging_face_vit,
        replace(TINY, norm_eps=1e-12),
        {"pooler.dense.weight", "pooler.dense.bias"},
    ),
    "Dinov2Model": (
        of_hugging_face_dinov2(gated=False),
        as_hugging_face_dinov2,
        SCALED,
        {"embeddings.mask_token"},
    ),
    "Dinov2Model giant": (
        of_hugging_face_dinov2(gated=True),
        as_hugging_face_dinov2,
        GATED,
        {"embeddings.mask_token"},
    ),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_features_are_those_of_the_program(program: str, generator: torch.Generator) -> None:
    shapes, forward, config, unused = PROGRAMS[program]
    foreign = draw(shapes, generator)
    pictures = torch.randn(2, 3, SIDE, SIDE, generator=generator)
    net = VisionTransformer(config).eval()

    state, left_out = to_timm_names(foreign, config)
    net.load_state_dict(state)
    with torch.no_grad():
        found = net(pictures)

    assert set(left_out) == unused
    torch.testing.assert_close(found, forward(foreign, pictures), rtol=TOLERANCE, atol=TOLERANCE)


def test_names_of_timm_stay_and_its_head_goes(generator: torch.Generator) -> None:
    state = VisionTransformer(TINY, generator=generator).state_dict()
    head = {"head.weight": torch.zeros(10, DIM), "head.bias": torch.zeros(10)}
    found, left_out = to_timm_names({**state, **head}, TINY)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)
    assert left_out == ("head.weight", "head.bias")


def test_an_unknown_name_stays_for_the_strict_load_to_refuse() -> None:
    found, left_out = to_timm_names({"decoder.weight": torch.zeros(1)}, TINY)
    assert (list(found), left_out) == (["decoder.weight"], ())


def test_keys_without_their_values_are_not_joined(generator: torch.Generator) -> None:
    foreign = draw(of_hugging_face_vit(), generator)
    del foreign["encoder.layer.1.attention.attention.value.weight"]
    found, _ = to_timm_names(foreign, TINY)
    assert "blocks.0.attn.qkv.weight" in found
    assert "blocks.1.attn.qkv.weight" not in found
    assert "blocks.1.attn.query.weight" in found


def test_later_stages_and_fc_of_a_resnet_are_left_out() -> None:
    names = ["conv1.weight", "layer3.0.conv1.weight", "layer4.0.conv1.weight", "fc.weight"]
    state = {name: torch.zeros(1) for name in names}
    found, left_out = to_torchvision_names(state, RESNET50_LAYER3)
    assert list(found) == names[:2]
    assert set(left_out) == set(names[2:])
