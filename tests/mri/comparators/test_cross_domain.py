"""KIKI-net and LPD-net against their formulas, coil by coil."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from medconsist.mri.comparators.kiki_net import KikiNet
from medconsist.mri.comparators.lpd_net import LpdNet
from medconsist.mri.forward import Measurement
from medconsist.operators.fourier import Fourier
from tests.mri.cirim.random_scan import arguments
from tests.mri.comparators.family import KIKI, KIKI_UNET, LPD, LPD_UNET, calibrated

W = 0.7


def expand(scan: Measurement, x: Tensor) -> Tensor:
    return Fourier()(scan.maps[:, 0] * x)


def combine(scan: Measurement, kspace: Tensor) -> Tensor:
    return (scan.maps[:, 0].conj() * Fourier().adjoint(kspace)).sum(1, keepdim=True)


def by_coil(net: Any, kspace: Tensor) -> Tensor:
    return torch.cat([net(kspace[:, coil][:, None]) for coil in range(kspace.shape[1])], 1)


@pytest.mark.parametrize("base", [KIKI, KIKI_UNET])
@pytest.mark.parametrize("consistency", ["interleaved", "released", "none"])
@pytest.mark.parametrize("sharing", ["none", "released"])
def test_kiki_is_its_formula(
    base: Any, consistency: Any, sharing: Any, generator: torch.Generator
) -> None:
    config = replace(base, consistency=consistency, sharing=sharing)
    network: Any = KikiNet(config, generator=generator)
    scan = calibrated(generator)
    mask, y = scan.mask[:, None], scan.samples
    parts = list(network.cascades) * (2 // len(network.cascades))
    images, k = [], y
    with torch.no_grad():
        for part in parts:
            if consistency != "none":
                part.dc_weight.fill_(W)
            completed = by_coil(part.kspace_net, k)
            x = combine(scan, completed)
            x = part.image_net(x) + (x if config.block == "cnn" else 0)
            if consistency == "interleaved":
                k = expand(scan, x) + W * mask * (y - expand(scan, x))
                x = combine(scan, k)
            elif consistency == "released":
                k = completed - W * mask * (k - y) - expand(scan, x)
                x = combine(scan, k)
                k = expand(scan, x)
            else:
                k = expand(scan, x)
            images.append(x)
        found = network(*arguments(scan))
    torch.testing.assert_close(found[:, 0], torch.stack(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("base", [LPD, LPD_UNET])
@pytest.mark.parametrize("residual", ["adler", "released"])
@pytest.mark.parametrize("primal", [1, 3])
def test_lpd_is_its_formula(
    base: Any, residual: Any, primal: int, generator: torch.Generator
) -> None:
    config = replace(base, residual=residual, primal=primal)
    network: Any = LpdNet(config, generator=generator)
    scan = calibrated(generator)
    y = scan.samples
    kept = 1 if residual == "adler" else 0
    p = scan.operator.H(y).expand(-1, primal, -1, -1)
    h = [torch.stack([y[:, coil]] * config.dual, 1) for coil in range(3)]
    images = []
    with torch.no_grad():
        for part in network.cascades:
            again = scan.operator(p[:, min(1, primal - 1)][:, None])
            for coil in range(3):
                seen = torch.stack([again[:, coil], y[:, coil]], 1)
                h[coil] = kept * h[coil] + part.dual_net(torch.cat([h[coil], seen], 1))
            back = scan.operator.H(torch.stack([one[:, 0] for one in h], 1))
            p = kept * p + part.primal_net(torch.cat([p, back], 1))
            images.append(p[:, :1])
        found = network(*arguments(scan))
    torch.testing.assert_close(found[:, 0], torch.stack(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("kind", "config"), [(KikiNet, KIKI_UNET), (LpdNet, LPD_UNET)])
def test_iterations_share_weights_only_where_asked(
    kind: Any, config: Any, generator: torch.Generator
) -> None:
    own, shared = (
        kind(replace(config, sharing=sharing), generator=generator)
        for sharing in ("none", "released")
    )
    assert (len(own.cascades), len(shared.cascades)) == (config.iterations, 1)
    scan = arguments(calibrated(generator))
    assert len(own(*scan)) == len(shared(*scan)) == config.iterations
