"""Residual networks have torchvision's names, and compute what torchvision's do."""

import inspect
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.networks.resnet import RESNET18, RESNET50, RESNET50_LAYER3, ResNet, ResNetConfig

# Sums of some thousand products, taken in another order, agree to this in float32.
TOLERANCE = 1e-4
TINY = ResNetConfig(block="bottleneck", depths=(1, 2, 1))


def norm_shapes(name: str, n: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        f"{name}.{part}": (n,) for part in ("weight", "bias", "running_mean", "running_var")
    }
    return {**shapes, f"{name}.num_batches_tracked": ()}


def torchvision_shapes(depths: tuple[int, ...], *, bottleneck: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's ResNet without fc, by formula."""
    grown = 4 if bottleneck else 1
    found = {"conv1.weight": (64, 3, 7, 7), **norm_shapes("bn1", 64)}
    inputs = 64
    for stage, depth in enumerate(depths):
        width = 64 << stage
        for block in range(depth):
            at = f"layer{stage + 1}.{block}"
            kernels = (
                [(width, inputs, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)]
                if bottleneck
                else [(width, inputs, 3, 3), (width, width, 3, 3)]
            )
            for n, kernel in enumerate(kernels, start=1):
                found[f"{at}.conv{n}.weight"] = kernel
                found |= norm_shapes(f"{at}.bn{n}", kernel[0])
            if block == 0 and (stage > 0 or bottleneck):
                found[f"{at}.downsample.0.weight"] = (grown * width, inputs, 1, 1)
                found |= norm_shapes(f"{at}.downsample.1", grown * width)
            inputs = grown * width
    return found


def norm(state: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return functional.batch_norm(x, mean, var, state[f"{name}.weight"], state[f"{name}.bias"])


def naive(state: Mapping[str, Tensor], x: Tensor, *, stem_stride: int = 2) -> Tensor:
    """torchvision's forward pass in functions alone, read off the names of the state dict."""
    x = functional.conv2d(x, state["conv1.weight"], stride=stem_stride, padding=3)
    x = functional.max_pool2d(norm(state, "bn1", x).relu(), 3, 2, 1)
    for stage in range(1, 5):
        block = 0
        while f"layer{stage}.{block}.conv1.weight" in state:
            at = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            n_convs = 3 if f"{at}.conv3.weight" in state else 2
            strided = 2 if n_convs == 3 else 1
            y, skip = x, x
            for n in range(1, n_convs + 1):
                kernel = state[f"{at}.conv{n}.weight"]
                step = stride if n == strided else 1
                y = functional.conv2d(y, kernel, stride=step, padding=kernel.shape[-1] // 2)
                y = norm(state, f"{at}.bn{n}", y)
                y = y.relu() if n < n_convs else y
            if f"{at}.downsample.0.weight" in state:
                skip = functional.conv2d(x, state[f"{at}.downsample.0.weight"], stride=stride)
                skip = norm(state, f"{at}.downsample.1", skip)
            x = (y + skip).relu()
            block += 1
    return x.mean(dim=(2, 3))


def drawn(config: ResNetConfig, generator: torch.Generator) -> ResNet:
    """A network whose statistics differ from one channel to the next, as trained ones do."""
    net = ResNet(config, generator=generator).eval()
    for name, tensor in net.state_dict().items():
        if "running" in name or (tensor.ndim == 1 and "conv" not in name):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return net


@pytest.mark.parametrize(
    ("config", "bottleneck", "entries", "parameters"),
    [
        (RESNET50, True, 318, 23_508_032),
        (RESNET50_LAYER3, True, 258, 8_543_296),
        (RESNET18, False, 120, 11_176_512),
    ],
)
def test_names_shapes_and_sizes_are_those_of_torchvision(
    config: ResNetConfig, bottleneck: bool, entries: int, parameters: int
) -> None:
    with torch.device("meta"):
        net = ResNet(config)

    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}

    assert shapes == torchvision_shapes(config.depths, bottleneck=bottleneck)
    assert list(shapes) == list(torchvision_shapes(config.depths, bottleneck=bottleneck))
    assert len(shapes) == entries
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


@pytest.mark.parametrize(
    "config", [TINY, ResNetConfig(block="basic", depths=(1, 2)), RESNET50_LAYER3]
)
def test_the_output_is_that_of_a_forward_pass_written_in_functions(
    config: ResNetConfig, generator: torch.Generator
) -> None:
    net = drawn(config, generator)
    pictures = torch.randn(2, 3, 64, 64, generator=generator)

    with torch.no_grad():
        found, wanted = net(pictures), naive(net.state_dict(), pictures)

    assert found.shape == (2, config.dim)
    torch.testing.assert_close(found, wanted, rtol=TOLERANCE, atol=TOLERANCE)


def test_a_first_convolution_of_stride_one_is_told_apart(generator: torch.Generator) -> None:
    net = drawn(TINY, generator)
    pictures = torch.randn(1, 3, 64, 64, generator=generator)

    with torch.no_grad():
        wrong = naive(net.state_dict(), pictures, stem_stride=1)
        found = net(pictures)

    assert (found - wrong).abs().max() > 100 * TOLERANCE


def test_the_stride_lies_in_the_second_convolution_of_a_bottleneck(
    generator: torch.Generator,
) -> None:
    net = ResNet(TINY, generator=generator)
    strides = [conv.stride for conv in net.modules() if isinstance(conv, torch.nn.Conv2d)]
    # stem; layer1.0 and its projection; layer2.0 and its projection
    assert strides[:9] == [(2, 2), *[(1, 1)] * 4, (1, 1), (2, 2), (1, 1), (2, 2)]


def test_the_map_at_224_px_has_14_x_14_places(generator: torch.Generator) -> None:
    net = ResNet(ResNetConfig(block="basic", depths=(1, 1, 1)), generator=generator).eval()
    with torch.no_grad():
        assert net.feature_map(torch.zeros(1, 3, 224, 224)).shape == (1, 256, 14, 14)


def test_the_same_seed_draws_the_same_network() -> None:
    first, second = (ResNet(TINY, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


def test_gradients_reach_every_parameter(generator: torch.Generator) -> None:
    net = ResNet(TINY, generator=generator)
    net(torch.randn(2, 3, 64, 64, generator=generator)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"depths": ()}, "1 to 4 stages"),
        ({"depths": (1, 1, 1, 1, 1)}, "1 to 4 stages"),
        ({"depths": (0,)}, "at least one block"),
        ({"channels": 0}, "at least one channel"),
        ({"block": "wide"}, "allowed: 'basic', 'bottleneck'"),
    ],
)
def test_an_impossible_architecture_is_refused(values: dict[str, Any], words: str) -> None:
    # behind the type checker, which refuses words first in the tests
    start = inspect.unwrap(ResNetConfig.__init__)
    with pytest.raises(RefusedInputError, match=words):
        start(object.__new__(ResNetConfig), **values)
