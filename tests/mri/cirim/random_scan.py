"""A small acquisition of a random object: no symmetry, no special size."""

from typing import Any

import torch
from torch import Tensor

from medconsist.mri.forward import Measurement, sense_operator


def random_scan(
    generator: torch.Generator,
    *,
    slices: int = 1,
    sets: int = 1,
    coils: int = 3,
    shape: tuple[int, int] = (12, 9),
    sigma: float = 0.1,
) -> Measurement:
    """Samples of a random image through random maps of unit norm, with noise."""

    def normal(*size: int) -> Tensor:
        return torch.randn(size, dtype=torch.complex64, generator=generator)

    maps = normal(slices, sets, coils, *shape)
    maps = maps / torch.linalg.vector_norm(maps, dim=2, keepdim=True)
    mask = torch.rand(slices, *shape, generator=generator) < 0.5
    blank = Measurement(torch.zeros(slices, coils, *shape) + 0j, mask, maps, sigma)
    clean = sense_operator(mask, maps)(normal(slices, sets, *shape))
    return blank.with_samples(clean + sigma * normal(*clean.shape))


def arguments(scan: Measurement) -> tuple[Any, ...]:
    """What the network takes."""
    sigma = torch.full((len(scan.samples),), scan.sigma, device=scan.samples.device)
    return scan.samples, scan.mask, scan.maps, sigma
