"""Vision transformers have timm's names, and compute what timm's and DINOv2's do."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.networks.vit import (
    VIT_BASE,
    VIT_GIANT,
    VIT_LARGE,
    VIT_SMALL,
    VisionTransformer,
    ViTConfig,
)

# Products of some ten numbers, summed in another order: a few units in the last place of float32.
TOLERANCE = 2e-5
TINY = ViTConfig(image_size=32, patch_size=8, dim=32, depth=2, heads=4)
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "patch 14": {"image_size": 42, "patch_size": 14},
    "registers": {"registers": 3},
    "registers without places": {"registers": 3, "no_embed_class": True},
    "class token without place": {"no_embed_class": True},
    "swiglu": {"mlp": "swiglu", "mlp_ratio": 2.66667 * 2},
    "layer scale": {"layer_scale": 1e-5},
    "no bias": {"qkv_bias": False},
    "mean, normed before": {"pooling": "avg", "registers": 2},
    "mean, normed after": {"pooling": "avg", "norm_after_pooling": True},
    "token, normed after": {"norm_after_pooling": True},
    "both": {"pooling": "cls+avg", "registers": 2},
    "as UNI2": {
        "registers": 8,
        "no_embed_class": True,
        "mlp": "swiglu",
        "mlp_ratio": 2.66667 * 2,
        "layer_scale": 1e-5,
    },
}


def timm_names(config: ViTConfig) -> list[str]:
    """Names of timm's VisionTransformer with num_classes=0, in its order."""
    names = ["cls_token", *(["reg_token"] if config.registers else []), "pos_embed"]
    names += ["patch_embed.proj.weight", "patch_embed.proj.bias"]
    for n in range(config.depth):
        parts = ["norm1.weight", "norm1.bias", "attn.qkv.weight", "attn.qkv.bias"]
        parts += ["attn.proj.weight", "attn.proj.bias", "ls1.gamma", "norm2.weight", "norm2.bias"]
        parts += ["mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias", "ls2.gamma"]
        if config.layer_scale is None:
            parts = [part for part in parts if "gamma" not in part]
        if not config.qkv_bias:
            parts.remove("attn.qkv.bias")
        names += [f"blocks.{n}.{part}" for part in parts]
    last = "fc_norm" if config.norm_after_pooling else "norm"
    return [*names, f"{last}.weight", f"{last}.bias"]


def layer_norm(state: Mapping[str, Tensor], name: str, x: Tensor, eps: float) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    normed = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return normed * state[f"{name}.weight"] + state[f"{name}.bias"]


def linear(state: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", torch.zeros(1))


def attention(state: Mapping[str, Tensor], at: str, x: Tensor, heads: int) -> Tensor:
    """Head by head: rows [head], dim + [head], 2 dim + [head] of qkv are query, key, value."""
    dim = x.shape[-1]
    size = dim // heads
    qkv = linear(state, f"{at}.qkv", x)
    found = []
    for head in range(heads):
        query, key, value = (
            qkv[..., part * dim + head * size : part * dim + (head + 1) * size] for part in range(3)
        )
        weights = (query @ key.transpose(1, 2) / size**0.5).softmax(-1)
        found.append(weights @ value)
    return linear(state, f"{at}.proj", torch.cat(found, -1))


def mlp(state: Mapping[str, Tensor], at: str, x: Tensor, config: ViTConfig) -> Tensor:
    x = linear(state, f"{at}.fc1", x)
    if config.mlp == "swiglu":
        half = x.shape[-1] // 2
        gate, value = x[..., :half], x[..., half:]
        return linear(state, f"{at}.fc2", gate * gate.sigmoid() * value)
    return linear(state, f"{at}.fc2", 0.5 * x * (1 + torch.erf(x / 2**0.5)))


def naive(state: Mapping[str, Tensor], pictures: Tensor, config: ViTConfig) -> Tensor:
    """timm's order: patches row by row; class token, registers, patches; place before or after."""
    size, tokens = config.patch_size, []
    for row in range(0, pictures.shape[2], size):
        for column in range(0, pictures.shape[3], size):
            patch = pictures[:, :, row : row + size, column : column + size].flatten(1)
            kernel = state["patch_embed.proj.weight"].flatten(1)
            tokens.append(patch @ kernel.T + state["patch_embed.proj.bias"])
    x = torch.stack(tokens, 1)
    prefix = [state["cls_token"]] + ([state["reg_token"]] if config.registers else [])
    prefix = [part.expand(len(x), -1, -1) for part in prefix]
    if config.no_embed_class:
        x = torch.cat([*prefix, x + state["pos_embed"]], 1)
    else:
        x = torch.cat([*prefix, x], 1) + state["pos_embed"]
    for n in range(config.depth):
        at = f"blocks.{n}"
        y = layer_norm(state, f"{at}.norm1", x, config.norm_eps)
        x = x + state.get(f"{at}.ls1.gamma", 1) * attention(state, f"{at}.attn", y, config.heads)
        y = layer_norm(state, f"{at}.norm2", x, config.norm_eps)
        x = x + state.get(f"{at}.ls2.gamma", 1) * mlp(state, f"{at}.mlp", y, config)
    if not config.norm_after_pooling:
        x = layer_norm(state, "norm", x, config.norm_eps)
    mean = sum(x[:, n] for n in range(1 + config.registers, x.shape[1])) / config.grid**2
    assert isinstance(mean, Tensor)
    pooled = {"token": x[:, 0], "avg": mean, "cls+avg": torch.cat([x[:, 0], mean], -1)}
    if config.norm_after_pooling:
        return layer_norm(state, "fc_norm", pooled[config.pooling], config.norm_eps)
    return pooled[config.pooling]


def drawn(config: ViTConfig, generator: torch.Generator) -> VisionTransformer:
    """A network in which every tensor, biases and gains too, is far from its start value."""
    net = VisionTransformer(config).eval()
    for tensor in net.state_dict().values():
        tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
    return net


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_the_output_is_that_of_a_forward_pass_written_head_by_head(
    options: dict[str, Any], generator: torch.Generator
) -> None:
    config = replace(TINY, **options)
    net = drawn(config, generator)
    side = config.image_size
    pictures = torch.randn(3, 3, side, side, generator=generator)

    with torch.no_grad():
        found, wanted = net(pictures), naive(net.state_dict(), pictures, config)

    assert found.shape == (3, config.out_dim)
    torch.testing.assert_close(found, wanted, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_names_are_those_of_timm(options: dict[str, Any]) -> None:
    config = replace(TINY, **options)
    assert list(VisionTransformer(config).state_dict()) == timm_names(config)


UNI2 = replace(VIT_GIANT, depth=24, layer_scale=1e-5, registers=8, no_embed_class=True)


@pytest.mark.parametrize(
    ("config", "parameters", "shapes"),
    [
        (VIT_SMALL, 21_665_664, {"pos_embed": (1, 197, 384)}),
        (VIT_BASE, 85_798_656, {"patch_embed.proj.weight": (768, 3, 16, 16)}),
        (VIT_LARGE, 303_301_632, {"blocks.23.mlp.fc1.weight": (4096, 1024)}),
        (
            UNI2,
            681_394_176,
            {
                "pos_embed": (1, 256, 1536),
                "reg_token": (1, 8, 1536),
                "blocks.0.mlp.fc1.weight": (8192, 1536),
                "blocks.0.mlp.fc2.weight": (1536, 4096),
            },
        ),
    ],
)
def test_real_sizes_are_those_of_timm(
    config: ViTConfig, parameters: int, shapes: dict[str, tuple[int, ...]]
) -> None:
    with torch.device("meta"):
        net = VisionTransformer(config)
    state = net.state_dict()
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    assert list(state) == timm_names(config)
    assert {name: tuple(state[name].shape) for name in shapes} == shapes


def test_less_memory_gives_the_same_value_and_gradient(generator: torch.Generator) -> None:
    net = drawn(TINY, generator).train()
    pictures = torch.randn(2, 3, 32, 32, generator=generator)
    found = []
    for low_memory in (False, True):
        net.zero_grad()
        net(pictures, low_memory=low_memory).square().sum().backward()
        found.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    assert len(found[0]) == len(list(net.parameters()))
    for plain, thrifty in zip(*found, strict=True):
        assert torch.equal(plain, thrifty)


def test_the_same_seed_draws_the_same_network_and_nothing_beyond_two_sigma() -> None:
    first, second = (
        VisionTransformer(TINY, generator=torch.Generator().manual_seed(3)) for _ in range(2)
    )
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name
    assert first.state_dict()["blocks.0.attn.qkv.weight"].abs().max() <= 0.04
    assert first.pos_embed.std() > 0.01


def test_another_size_is_refused_unless_interpolation_is_asked_for() -> None:
    net = VisionTransformer(TINY)
    with pytest.raises(ShapeError, match="48 x 48 px; allowed: 32 x 32"):
        net(torch.zeros(1, 3, 48, 48))
    asked = VisionTransformer(replace(TINY, interpolation="antialias"))
    assert asked(torch.zeros(1, 3, 48, 40)).shape == (1, 32)
    with pytest.raises(ShapeError, match="50 x 48 px; allowed: multiples of 8"):
        asked(torch.zeros(1, 3, 50, 48))


@pytest.mark.parametrize("interpolation", ["antialias", "dinov2"])
def test_interpolation_leaves_the_trained_size_alone(
    interpolation: str, generator: torch.Generator
) -> None:
    config = replace(TINY, interpolation=interpolation)  # type: ignore[arg-type]
    net, plain = drawn(config, generator), VisionTransformer(TINY).eval()
    plain.load_state_dict(net.state_dict())
    pictures = torch.randn(1, 3, 32, 32, generator=generator)
    with torch.no_grad():
        assert torch.equal(net(pictures), plain(pictures))


def resampled(places: Tensor, config: ViTConfig, side: int) -> Tensor:
    square = places.reshape(1, config.grid, config.grid, config.dim).permute(0, 3, 1, 2)
    if config.interpolation == "antialias":
        square = functional.interpolate(square, (side, side), mode="bicubic", antialias=True)
    else:  # DINOv2's interpolate_offset=0.1
        factor = (side + 0.1) / config.grid
        square = functional.interpolate(square, scale_factor=(factor, factor), mode="bicubic")
    return square.permute(0, 2, 3, 1).reshape(1, side * side, config.dim)


@pytest.mark.parametrize("interpolation", ["antialias", "dinov2"])
def test_interpolation_moves_the_places_of_patches_alone(
    interpolation: str, generator: torch.Generator
) -> None:
    config = replace(TINY, interpolation=interpolation)  # type: ignore[arg-type]
    net = drawn(config, generator)
    small = replace(TINY, image_size=24)
    state = net.state_dict()
    places = state["pos_embed"]
    moved = torch.cat([places[:, :1], resampled(places[:, 1:], config, small.grid)], 1)
    pictures = torch.randn(2, 3, 24, 24, generator=generator)

    with torch.no_grad():
        found, wanted = net(pictures), naive({**state, "pos_embed": moved}, pictures, small)

    torch.testing.assert_close(found, wanted, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"mlp": "relu"}, "mlp got 'relu'; allowed: 'gelu', 'swiglu'"),
        ({"pooling": "max"}, "pooling got 'max'; allowed: 'token', 'avg', 'cls.avg'"),
        ({"interpolation": "linear"}, "allowed: 'none', 'antialias', 'dinov2'"),
        ({"patch_size": 15}, "image_size got 224; allowed: multiples of 15"),
        ({"heads": 7}, "dim got 768; allowed: multiples of 7"),
        ({"mlp": "swiglu", "dim": 12, "mlp_ratio": 1.25}, "rows of swiglu got 15"),
        ({"depth": 0}, "allowed: at least 1"),
        ({"registers": -1}, "registers at least 0"),
        ({"pooling": "cls+avg", "norm_after_pooling": True}, "norms the tokens"),
    ],
)
def test_an_impossible_architecture_is_refused(values: dict[str, Any], words: str) -> None:
    # behind the type checker, which refuses words first in the tests
    start = inspect.unwrap(ViTConfig.__init__)
    with pytest.raises(RefusedInputError, match=words):
        start(object.__new__(ViTConfig), **values)
