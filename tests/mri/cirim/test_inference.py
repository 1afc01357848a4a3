"""The path without gradients gives the images of the one with them."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from medconsist.errors import RefusedInputError
from medconsist.mri.cirim import fused
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.fused import conv_add_relu, conv_relu
from medconsist.mri.cirim.inference import repeat_edge
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.reconstruction_network import ReconstructionNetwork
from tests.mri.cirim.live_bytes import peak_bytes
from tests.mri.cirim.random_scan import arguments, random_scan

SMALL = CirimConfig(cascades=2, steps=3, features=6)


def lively(config: CirimConfig, generator: torch.Generator) -> Cirim:
    """A network whose recurrent weights are large enough to be seen in the output."""
    network = Cirim(config, generator=generator)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "recurrent" in name or name.endswith(("bias", "dc_weight")):
                parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.mark.parametrize("fusing", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"unit": "gru"},
        {"unit": "mgu"},
        {"hidden": "reset"},
        {"consistency": "explicit"},
        {"consistency": "varnet"},
        {"update": "rectified"},
        {"noise_input": True},
        {"gradient_scale": "inverse_variance"},
    ],
    ids=repr,
)
def test_it_is_the_last_image_of_forward(
    change: dict[str, Any],
    fusing: bool,
    generator: torch.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not fusing:
        monkeypatch.setattr(fused, "fuses", lambda _: False)
    network = lively(replace(SMALL, **change), generator)
    scan = arguments(random_scan(generator, slices=2, sets=2))
    scan = (*scan[:3], torch.tensor([0.3, 0.7]))
    with torch.no_grad():
        wanted = network(*scan)[-1, -1]
    found = network.reconstruct(*scan)
    # 1e-5 of the largest magnitude: rounding of float32 over 6 steps
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    assert not found.requires_grad


def test_double_precision_stays(generator: torch.Generator) -> None:
    network = lively(SMALL, generator).double()
    samples, mask, maps, sigma = arguments(random_scan(generator))
    scan = samples.to(torch.complex128), mask, maps.to(torch.complex128), sigma
    found = network.reconstruct(*scan)
    torch.testing.assert_close(found, network(*scan)[-1, -1].detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("unit", ["indrnn", "gru"])
def test_half_precision_is_near_and_images_stay_single(
    unit: Any, generator: torch.Generator
) -> None:
    network = lively(replace(SMALL, unit=unit, noise_input=True), generator)
    scan = arguments(random_scan(generator))
    single, half = (network.reconstruct(*scan, precision=p) for p in ("32", "bf16"))
    assert half.dtype == torch.complex64
    assert 0 < (half - single).abs().max() < 0.05 * single.abs().max()  # 8 bits, 6 steps


def test_autocast_is_obeyed(generator: torch.Generator) -> None:
    network = lively(SMALL, generator)
    scan = arguments(random_scan(generator))
    with torch.autocast("cpu", torch.bfloat16):
        found = network.reconstruct(*scan)
    assert torch.equal(found, network.reconstruct(*scan, precision="bf16"))


def test_weights_and_scan_stay_as_they_are(generator: torch.Generator) -> None:
    network = lively(replace(SMALL, noise_input=True), generator)
    scan = arguments(random_scan(generator))
    before = [value.clone() for value in (*scan, *network.parameters())]
    for precision in ("32", "bf16"):
        network.reconstruct(*scan, precision=precision)
    after = (*scan, *network.parameters())
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_memory_does_not_grow_with_steps(generator: torch.Generator) -> None:
    scan = arguments(random_scan(generator, shape=(24, 24)))

    def peak(steps: int) -> int:
        network = Cirim(CirimConfig(cascades=1, steps=steps, features=16), generator=generator)
        known = [*scan, *network.parameters()]
        return peak_bytes(lambda: network.reconstruct(*scan), known=known)

    assert peak(9) == peak(3)


def test_the_frame_repeats_the_nearest_value(generator: torch.Generator) -> None:
    inside = torch.randn(2, 3, 5, 4, generator=generator)
    framed = nn.functional.pad(inside, (2, 2, 2, 2), value=float("nan"))
    wanted = nn.functional.pad(inside, (2, 2, 2, 2), mode="replicate")
    assert torch.equal(repeat_edge(framed, 2), wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_fused_convolutions_are_their_formulas(
    dtype: torch.dtype, generator: torch.Generator
) -> None:
    conv = nn.Conv2d(6, 6, 1).to(dtype)
    x, before = torch.randn(2, 2, 6, 9, 8, generator=generator).to(dtype)
    x, before = (v.contiguous(memory_format=torch.channels_last) for v in (x, before))
    weight = torch.randn(1, 6, 1, 1, generator=generator).to(dtype)
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 5e-2, torch.float64: 1e-12}[dtype]
    with torch.no_grad():
        wanted = (conv(x) + weight * before).relu()
        found = conv_add_relu(conv, x, weight, before)
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)
        # a sum of products that cancel has no relative bound, only that of its terms
        assert conv.bias is not None
        terms = F.conv2d(x.abs(), conv.weight.abs(), conv.bias.abs())
        rounding = (conv.in_channels + 2) * torch.finfo(dtype).eps * terms
        assert ((conv_relu(conv, x) - conv(x).relu()).abs() <= rounding).all()


def test_a_network_without_inference_of_its_own_refuses_other_precision(
    generator: torch.Generator,
) -> None:
    network = lively(SMALL, generator)
    scan = arguments(random_scan(generator))
    last = ReconstructionNetwork.reconstruct(network, *scan)
    torch.testing.assert_close(last, network.reconstruct(*scan))
    with pytest.raises(RefusedInputError, match=r"precision 'bf16'.*allowed for it: '32' and None"):
        ReconstructionNetwork.reconstruct(network, *scan, precision="bf16")


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", [None, "default", "reduce-overhead"])
@pytest.mark.parametrize("unit", ["indrnn", "gru", "mgu"])
def test_images_on_cuda_equal_those_on_cpu(
    unit: Any, compiled: Any, generator: torch.Generator
) -> None:
    network = lively(replace(SMALL, unit=unit), generator)
    scan = arguments(random_scan(generator, slices=2))
    wanted = network.reconstruct(*scan)
    # TF32 kernels would give 1e-3
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        there = [value.cuda() for value in scan]
        found = network.cuda().reconstruct(*there, compiled=compiled)
    torch.testing.assert_close(found.cpu(), wanted, atol=1e-4, rtol=1e-4)
