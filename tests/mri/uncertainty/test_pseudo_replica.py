"""Replicas of the noise, against the covariance of linear reconstructions."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import LearnedModel
from medconsist.mri.methods import CgSense, CompressedSensing, Method, Zerofilled
from medconsist.mri.uncertainty.pseudo_replica import replica_spread
from tests.mri.cirim.random_scan import random_scan

REPLICAS = 400


def matrix_of(method: Method, scan: Measurement) -> Tensor:
    """Return B of a linear method, ``pixels samples``, from one unit sample at a time."""
    coils, places = scan.samples.shape[1], scan.mask[0].nonzero()
    columns = []
    for coil in range(coils):
        for row, column in places.tolist():
            unit = torch.zeros_like(scan.samples)
            unit[0, coil, row, column] = 1
            columns.append(method(scan.with_samples(unit)).flatten())
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("method", [Zerofilled(), CgSense(lambda_=0.05, iterations=8)])
def test_replicas_of_a_linear_method_have_the_analytic_covariance(
    method: Method, generator: torch.Generator
) -> None:
    scan = random_scan(generator, shape=(8, 6), sigma=0.3)
    if isinstance(method, CgSense):  # CG is not linear; its limit, here reached to 2e-5, is
        method = replace(method, iterations=25)
    exact = scan.sigma * torch.linalg.vector_norm(matrix_of(method, scan), dim=1).reshape(8, 6)
    found = replica_spread(method, scan, replicas=REPLICAS, generator=generator)
    ratio = found.complex[0] / exact
    # circular noise: a standard error of (4 (R - 1))^(-1/2) = 2.5 % a pixel; 48 pixels within 4.5
    error = found.relative_error / math.sqrt(2)
    assert error == pytest.approx(1 / math.sqrt(4 * (REPLICAS - 1)))
    assert float((ratio - 1).abs().max()) < 4.5 * error
    # over the pixels, which share the noise, it averages to less
    assert float(ratio.square().mean()) == pytest.approx(1, abs=4 * error)


def test_replicas_of_sense_have_its_g_factor(generator: torch.Generator) -> None:
    """Every second column: ``sigma R^(1/2) g`` with ``g^2 = (C^H C)^-1_ii`` of two folded pixels.

    Pruessmann et al. 1999, doi:10.1002/(SICI)1522-2594(199911)42:5<952::AID-MRM16>3.0.CO;2-S.
    """
    scan = random_scan(generator, coils=6, shape=(6, 8), sigma=0.3)
    mask = torch.zeros(1, 6, 8, dtype=torch.bool)
    mask[..., ::2] = True  # with the centre of k-space, so that pixels fold with one sign
    scan = replace(scan, mask=mask).with_samples(scan.samples)
    exact = torch.empty(6, 8)
    for column in range(4):
        folded = scan.maps[0, 0][..., [column, column + 4]].permute(1, 0, 2)
        inverse = torch.linalg.inv(folded.mH @ folded).diagonal(dim1=1, dim2=2).real
        exact[:, [column, column + 4]] = scan.sigma * (2 * inverse).sqrt()
    method = CgSense(lambda_=0.0, iterations=20)
    found = replica_spread(method, scan, replicas=150, generator=generator)
    # as above; folded pixels share their noise
    assert float((found.complex[0] / exact - 1).abs().max()) < 4.5 * found.relative_error


def test_where_the_signal_is_strong_the_magnitude_has_half_the_variance(
    generator: torch.Generator,
) -> None:
    scan = random_scan(generator, shape=(8, 6), sigma=1e-4)
    found = replica_spread(Zerofilled(), scan, replicas=REPLICAS, generator=generator)
    ratio = (found.complex / found.magnitude).square().mean()
    assert float(ratio) == pytest.approx(2, rel=0.05)
    torch.testing.assert_close(found.mean, Zerofilled()(scan), atol=1e-4, rtol=0)


def test_the_map_is_in_units_of_the_image(generator: torch.Generator) -> None:
    scan = random_scan(generator)
    twice = replace(scan, samples=2 * scan.samples, sigma=2 * scan.sigma)
    one, two = (
        replica_spread(
            CompressedSensing(), m, replicas=3, generator=torch.Generator().manual_seed(1)
        )
        for m in (scan, twice)
    )
    torch.testing.assert_close(two.magnitude, 2 * one.magnitude, rtol=1e-3, atol=1e-6)


def test_the_same_generator_gives_the_same_map(generator: torch.Generator) -> None:
    scan, state = random_scan(generator), generator.get_state()
    one = replica_spread(CgSense(), scan, replicas=3, generator=generator)
    generator.set_state(state)
    again = replica_spread(CgSense(), scan, replicas=3, generator=generator)
    assert torch.equal(one.magnitude, again.magnitude)


def test_noise_reaches_sampled_positions_alone(generator: torch.Generator) -> None:
    blind = replace(
        random_scan(generator), mask=torch.zeros(1, 12, 9, dtype=torch.bool)
    ).with_samples(torch.zeros(1, 3, 12, 9) + 0j)
    found = replica_spread(Zerofilled(), blind, replicas=2, generator=generator)
    assert float(found.complex.max()) == 0.0


def test_a_network_is_scaled_by_the_measurement_and_not_by_each_replica(
    generator: torch.Generator,
) -> None:
    network = Cirim(CirimConfig(cascades=1, steps=1, features=4), generator=generator)
    method = LearnedMethod(LearnedModel(network, "small", "0" * 64, {}))
    scan = random_scan(generator)
    seeds = (torch.Generator().manual_seed(2) for _ in range(2))
    free, fixed = (
        replica_spread(which, scan, replicas=2, generator=seed)
        for which, seed in zip((method, method.fixed(scan)), seeds, strict=True)
    )
    assert torch.equal(free.magnitude, fixed.magnitude)
    assert not free.magnitude.requires_grad


def test_replicas_without_a_noise_level_are_refused(generator: torch.Generator) -> None:
    scan = random_scan(generator)
    with pytest.raises(RefusedInputError, match="replicas got 1; allowed: 2 or more"):
        replica_spread(Zerofilled(), scan, replicas=1, generator=generator)
    with pytest.raises(RefusedInputError, match=r"the noise level is 0\.0"):
        replica_spread(Zerofilled(), replace(scan, sigma=0.0), replicas=2, generator=generator)
