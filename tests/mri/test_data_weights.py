"""Weights of data consistency: dense regions count less, and no step of 1 overshoots."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.comparators.var_net import VarNetConfig
from medconsist.mri.data_gradient import DataGradient
from medconsist.mri.data_weights import LARGEST, WeightedGradient, sampling_weights
from medconsist.mri.forward import sense_operator
from medconsist.mri.learned.networks import make_network
from medconsist.mri.reconstruction_network import Architecture, ReconstructionNetwork
from medconsist.mri.sampling_masks import Gaussian2D

PLANE = (48, 40)


def drawn(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex128, generator=generator)


def test_no_step_of_size_one_overshoots_and_nothing_lies_beside_the_samples(
    generator: torch.Generator,
) -> None:
    kind = Gaussian2D(acceleration=6, center=(10, 10))
    mask = torch.stack([kind(PLANE, generator) for _ in range(2)])
    weights = sampling_weights(mask)
    for one, sampled in zip(weights, mask, strict=True):
        assert float(one.max()) == LARGEST  # there are lone samples in such a mask
        assert 0.5 < float(one[sampled].mean()) < 1  # 1 before the cut
        assert not one[~sampled].any()


def test_the_fully_sampled_centre_weighs_less_than_the_sparse_rest(
    generator: torch.Generator,
) -> None:
    mask = Gaussian2D(acceleration=6, center=(12, 12))(PLANE, generator)[None]
    weights = sampling_weights(mask)[0]
    centre = weights[24, 20]
    rest = weights[:6][mask[0, :6]]
    assert float(rest.min()) > 3 * float(centre)


def test_a_window_is_cut_at_the_edge() -> None:
    mask = torch.zeros(1, *PLANE, dtype=torch.bool)
    mask[:, :, ::2] = True
    weights = sampling_weights(mask, window=1)
    assert torch.allclose(weights[mask], torch.ones(()))
    corner, inner = sampling_weights(mask, window=3)[0, 0, 0], weights[0, 0, 2]
    # in the corner 2 of 4 positions are sampled, inside 3 of 9: both by the formula
    density = torch.tensor([1 / 2, 1 / 3])
    count = torch.tensor([1.0, PLANE[1] / 2 - 1]) * PLANE[0]
    mean = float((count / density).sum() / count.sum())
    assert float(corner) == pytest.approx(2 / mean)
    assert float(inner) == pytest.approx(1)


def test_full_sampling_gives_the_plain_gradient(generator: torch.Generator) -> None:
    samples, maps = drawn(generator, 2, 3, 8, 6), drawn(generator, 2, 2, 3, 8, 6)
    mask, x = torch.ones(1, 8, 6, dtype=torch.bool), drawn(generator, 2, 2, 8, 6)
    weighted, plain = WeightedGradient(samples, mask, maps), DataGradient(samples, mask, maps)
    # two orders of the same sums in double precision
    assert torch.allclose(weighted(x), plain(x), rtol=0, atol=1e-11)


def test_it_is_the_gradient_of_the_weighted_distance(generator: torch.Generator) -> None:
    samples, maps = drawn(generator, 1, 3, 16, 12), drawn(generator, 1, 1, 3, 16, 12)
    mask = torch.rand(1, 16, 12, generator=generator) < 0.4
    gradient = WeightedGradient(samples, mask, maps)
    x = drawn(generator, 1, 1, 16, 12).requires_grad_()
    residual = sense_operator(mask, maps)(x) - samples * mask[:, None]
    weights = sampling_weights(mask)[:, None].double()
    distance = (weights * residual.abs().square()).sum() / 2
    (expected,) = torch.autograd.grad(distance, x)
    # weights are of single precision
    assert torch.allclose(gradient(x), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("window", [0, 4, -1])
def test_an_even_window_is_refused(window: int) -> None:
    with pytest.raises(RefusedInputError, match=f"window got {window}; allowed: an odd number"):
        sampling_weights(torch.ones(1, 4, 4, dtype=torch.bool), window=window)


def test_a_mask_without_samples_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="no sample at all"):
        sampling_weights(torch.zeros(1, 4, 4, dtype=torch.bool))


CIRIM = CirimConfig(cascades=2, steps=2, features=4, consistency="weighted")
VARNET = VarNetConfig(cascades=2, features=4, pools=2, consistency="weighted")
PLAIN = {
    "cirim": replace(CIRIM, consistency="explicit"),
    "varnet": replace(VARNET, consistency="kspace"),
}


def made(config: Architecture) -> ReconstructionNetwork:
    return make_network(config, generator=torch.Generator().manual_seed(0))


def scan_of(generator: torch.Generator, mask: Tensor) -> tuple[Tensor, ...]:
    maps = torch.randn(1, 1, 3, *PLANE, dtype=torch.complex64, generator=generator)
    maps = maps / torch.linalg.vector_norm(maps, dim=2, keepdim=True)
    samples = torch.randn(1, 3, *PLANE, dtype=torch.complex64, generator=generator) * mask[:, None]
    return samples, mask, maps, torch.tensor([0.01])


@pytest.mark.parametrize("config", [CIRIM, VARNET])
def test_a_weighted_network_on_full_samples_is_the_plain_one(
    config: Architecture, generator: torch.Generator
) -> None:
    scan = scan_of(generator, torch.ones(1, *PLANE, dtype=torch.bool))
    weighted, plain = made(config), made(PLAIN[config.kind])
    plain.load_state_dict(weighted.state_dict())
    # the same sums in another order
    assert torch.allclose(weighted(*scan), plain(*scan), atol=1e-4)


@pytest.mark.parametrize("config", [CIRIM, VARNET])
def test_a_weighted_network_differs_where_density_varies_and_learns_its_weight(
    config: Architecture, generator: torch.Generator
) -> None:
    scan = scan_of(generator, Gaussian2D(acceleration=6, center=(10, 10))(PLANE, generator)[None])
    weighted, plain = made(config), made(PLAIN[config.kind])
    plain.load_state_dict(weighted.state_dict())
    image = weighted(*scan)
    assert not torch.allclose(image, plain(*scan), atol=1e-3)
    image[-1, -1].abs().sum().backward()
    last = weighted.cascades[-1]
    assert float(last.dc_weight.grad.abs()) > 0  # type: ignore[union-attr, operator]  # a module of ours


def test_inference_of_a_weighted_cirim_is_its_forward_pass(generator: torch.Generator) -> None:
    scan = scan_of(generator, Gaussian2D(acceleration=6, center=(10, 10))(PLANE, generator)[None])
    network: Any = made(CIRIM)
    assert torch.allclose(network.reconstruct(*scan), network(*scan)[-1, -1], atol=1e-4)
