"""The fast normal operator is the plain one."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medconsist.mri.forward import sense_operator
from medconsist.mri.normal_operator import SenseNormal

MASKS: dict[str, Callable[[torch.Generator], Tensor]] = {
    "two-dimensional": lambda g: torch.rand(1, 9, 8, generator=g) < 0.5,
    "one per slice": lambda g: torch.rand(2, 9, 8, generator=g) < 0.5,
    "columns": lambda g: (torch.rand(1, 1, 8, generator=g) < 0.5).expand(1, 9, 8),
    "rows, per slice": lambda g: (torch.rand(2, 9, 1, generator=g) < 0.5).expand(2, 9, 8),
    "full": lambda _: torch.ones(1, 9, 8, dtype=torch.bool),
    "empty": lambda _: torch.zeros(1, 9, 8, dtype=torch.bool),
}


def numbers(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=generator)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("sets", [1, 2])
def test_it_equals_the_gram_of_the_forward_operator(
    name: str, sets: int, generator: torch.Generator
) -> None:
    mask = MASKS[name](generator)
    maps = numbers(generator, 2, sets, 3, 9, 8)
    x = numbers(generator, 2, sets, 9, 8)
    expected = sense_operator(mask, maps).gram(x)
    assert torch.allclose(SenseNormal(mask, maps)(x), expected, rtol=0, atol=1e-12)


def test_single_precision_differs_by_rounding_alone(generator: torch.Generator) -> None:
    mask = MASKS["two-dimensional"](generator)
    maps = numbers(generator, 2, 1, 3, 9, 8).to(torch.complex64)
    x = numbers(generator, 2, 1, 9, 8).to(torch.complex64)
    fast, plain = SenseNormal(mask, maps)(x), sense_operator(mask, maps).gram(x)
    assert fast.dtype == torch.complex64
    assert torch.linalg.vector_norm(fast - plain) < 1e-5 * torch.linalg.vector_norm(plain)


def test_it_is_its_own_adjoint(generator: torch.Generator) -> None:
    normal = SenseNormal(MASKS["one per slice"](generator), numbers(generator, 2, 2, 3, 9, 8))
    x, y = numbers(generator, 2, 2, 9, 8), numbers(generator, 2, 2, 9, 8)
    left, right = (
        torch.vdot(normal(x).flatten(), y.flatten()),
        torch.vdot(x.flatten(), normal.H(y).flatten()),
    )
    assert abs(left - right) < 1e-12 * abs(left)
