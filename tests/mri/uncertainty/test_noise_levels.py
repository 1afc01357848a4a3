"""One network for several noise levels: sigma, from prewhitening, is worth something to it."""

import math

import pytest
import torch
from torch import Generator, Tensor

from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.learned.draws import Acquisition, undersample
from medconsist.mri.scan_pool import PoolConfig, ScanPool

LOW, HIGH = 0.02, 0.5  # of the brightest pixels; the geometric mean, .1, is what is pretended
CONFIG = CirimConfig(cascades=1, steps=2, features=12, noise_input=True)


def acquired(pool: ScanPool, sigma: float, generator: Generator) -> Acquisition:
    index = torch.randint(len(pool), (4,), generator=generator)
    slices = pool.at(index)
    slices = slices.noisier(torch.full((4,), sigma), generator)
    # fully sampled: how much to smooth depends on the noise alone
    return undersample(slices, torch.ones(4, 32, 32, dtype=torch.bool))


def error(network: Cirim, seen: Acquisition, sigma: Tensor) -> Tensor:
    images = network(seen.samples, seen.mask, seen.maps, sigma)[-1, -1, :, 0]
    off = (images.abs() - seen.reference).square().sum((1, 2))
    return (off / seen.reference.square().sum((1, 2))).mean()


def trained(pool: ScanPool, generator: Generator) -> Cirim:
    network = Cirim(CONFIG, generator=generator)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(250):
        share = float(torch.rand((), generator=generator))
        seen = acquired(pool, LOW * (HIGH / LOW) ** share, generator)
        loss = error(network, seen, seen.sigma).log()  # every level counts alike
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    return network.eval()


@pytest.mark.slow
def test_a_network_that_is_told_sigma_beats_itself_told_one_level() -> None:
    generator = torch.Generator().manual_seed(5)
    pools = (
        ScanPool.simulate(PoolConfig(scans=12, slices=1, size=32, coils=4, role=role, snr=(60, 60)))
        for role in ("training", "validation")
    )
    training, held_out = pools
    network = trained(training, generator)
    for sigma in (LOW, HIGH):
        seen = [acquired(held_out, sigma, generator) for _ in range(8)]
        with torch.no_grad():
            told = [float(error(network, one, one.sigma)) for one in seen]
            middle = math.sqrt(LOW * HIGH) / sigma
            forced = [float(error(network, one, one.sigma * middle)) for one in seen]
        assert sum(told) < 0.8 * sum(forced), (sigma, told, forced)
