"""Random numbers of a volume that come slab by slab are those that were drawn at once."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Generator, Tensor

from medconsist.mri.volumes.replayed_draws import gaussian_noise, quarter_turns

# odd sizes, slices of fewer numbers than torch transforms together, and volumes of fewer
SHAPES = [(7, 1, 3, 5), (5, 2, 4, 4), (3, 3, 7, 9), (6, 1, 1, 1), (11, 1, 1, 3)]


def turns_at_once(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randint(4, shape, generator=generator)


def noise_at_once(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=generator)


def slabs(slices: int, size: int) -> list[slice]:
    return [slice(first, min(first + size, slices)) for first in range(0, slices, size)]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("by_slab", "at_once"), [(quarter_turns, turns_at_once), (gaussian_noise, noise_at_once)]
)
def test_draws_do_not_depend_on_the_slabs(
    by_slab: Callable[..., Iterator[Iterator[Tensor]]],
    at_once: Callable[..., Tensor],
    shape: tuple[int, ...],
    size: int,
) -> None:
    one, other = Generator().manual_seed(3), Generator().manual_seed(3)
    wanted = [at_once(shape, one) for _ in range(3)]

    parts = slabs(shape[0], size)
    found = [list(drawn) for drawn in by_slab(torch.Size(shape), parts, count=3, generator=other)]

    for number, array in enumerate(wanted):
        assert torch.equal(torch.cat([drawn[number] for drawn in found]), array)
    assert torch.equal(one.get_state(), other.get_state())
