"""One list of every network that reconstructs, small, with what holds for each."""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.comparators.cascade_net import CascadeNetConfig
from medconsist.mri.comparators.kiki_net import KikiNetConfig
from medconsist.mri.comparators.lpd_net import LpdNetConfig
from medconsist.mri.comparators.unet import UNetConfig
from medconsist.mri.comparators.var_net import VarNetConfig
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.networks import make_network
from medconsist.mri.reconstruction_network import Architecture, ReconstructionNetwork
from tests.mri.cirim.random_scan import random_scan


@dataclass(frozen=True)
class Member:
    """A configuration, and which of the properties that not all have it has."""

    config: Architecture
    scale: bool = False
    """A positive factor of the samples is a factor of the image."""
    coil_mix: bool = True
    """Any unitary mix of the coils gives the same image."""
    phase: bool = False
    """A phase of the samples is a phase of the image."""
    hard: bool = False
    """For one coil, w = 1 gives back the samples."""
    still: tuple[str, ...] = field(default=())
    """Parameters whose gradient is zero, as the docstring says."""


UNET: Any = {"features": 2, "pools": 2}
CASCADES = CascadeNetConfig(cascades=2, depth=3, features=4)
KIKI = KikiNetConfig(depth=3, features=4)
KIKI_UNET = KikiNetConfig(block="unet", **UNET)
LPD = LpdNetConfig(iterations=3, primal=2, dual=3, features=4)
LPD_UNET = replace(LPD, block="unet", **UNET)
VARNET = VarNetConfig(cascades=2, **UNET)
LEARNT = replace(VARNET, maps="learnt", sensitivity_features=2, sensitivity_pools=2)
FIRST = ("cascades.0.dc_weight",)

FAMILY = {
    "cirim": Member(CirimConfig(cascades=2, steps=2, features=4)),
    "cirim explicit": Member(
        CirimConfig(cascades=2, steps=2, features=4, unit="gru", consistency="explicit"), hard=True
    ),
    "unet": Member(UNetConfig(**UNET), scale=True),
    "unet without phase": Member(UNetConfig(phase="removed", **UNET), scale=True, phase=True),
    "cascadenet": Member(CASCADES, hard=True),
    "cascadenet relu": Member(
        replace(CASCADES, activation="relu", phase="removed"), phase=True, hard=True
    ),
    "cascadenet released": Member(
        replace(CASCADES, sharing="released", consistency="kspace"), still=FIRST
    ),
    "kikinet": Member(KIKI, coil_mix=False, hard=True),
    "kikinet unet": Member(KIKI_UNET, coil_mix=False, scale=True, hard=True),
    "kikinet released": Member(
        replace(KIKI_UNET, sharing="released", consistency="released"), coil_mix=False, scale=True
    ),
    "kikinet without": Member(
        replace(KIKI, consistency="none", phase="removed"), coil_mix=False, phase=True
    ),
    "lpdnet": Member(LPD, coil_mix=False),
    "lpdnet unet": Member(LPD_UNET, coil_mix=False, scale=True),
    "lpdnet released": Member(
        replace(LPD_UNET, sharing="released", residual="released", phase="removed"),
        coil_mix=False,
        scale=True,
        phase=True,
    ),
    "varnet": Member(VARNET, scale=True, still=FIRST),
    "varnet in image space": Member(replace(VARNET, consistency="varnet"), scale=True),
    "varnet explicit": Member(replace(VARNET, consistency="explicit"), scale=True, hard=True),
    "varnet implicit": Member(replace(VARNET, consistency="implicit"), scale=True),
    "varnet without": Member(replace(VARNET, consistency="none"), scale=True),
    "varnet learnt": Member(LEARNT, coil_mix=False, scale=True, still=FIRST),
    "varnet learnt without phase": Member(
        replace(LEARNT, phase="removed"), coil_mix=False, scale=True, phase=True, still=FIRST
    ),
}


def network_of(config: Architecture, seed: int = 1) -> ReconstructionNetwork:
    """Return the network with first weights of that seed, and biases that are not zero."""
    generator = torch.Generator().manual_seed(seed)
    network = make_network(config, generator=generator)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1, generator=generator)
    return network


def calibrated(generator: torch.Generator, **how: Any) -> Measurement:
    """Return a random scan whose centre of 6 x 6 is sampled."""
    scan = random_scan(generator, **{"shape": (20, 17), **how})
    mask = scan.mask.clone()
    height, width = mask.shape[1:]
    rows, columns = height // 2 - 3, width // 2 - 3
    mask[:, rows : rows + 6, columns : columns + 6] = True
    full = Measurement(torch.zeros_like(scan.samples), mask, scan.maps, scan.sigma)
    noise = torch.randn(scan.samples.shape, dtype=torch.complex64, generator=generator)
    return full.with_samples(torch.where(scan.mask[:, None], scan.samples, noise))


def largest_difference(found: Tensor, wanted: Tensor) -> float:
    """Return the largest difference as a share of the largest value."""
    return float((found - wanted).abs().max() / wanted.abs().max())


def storages(network: ReconstructionNetwork) -> list[int]:
    """Return where each part of the network keeps its weights, one entry for each name."""
    return [
        parameter.data_ptr() for _, parameter in network.named_parameters(remove_duplicate=False)
    ]
