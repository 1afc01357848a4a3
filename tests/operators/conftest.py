"""A dense matrix as an operator: every solver is held against `torch.linalg` with it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medconsist.operators.base import LinearOperator


class Dense(LinearOperator):
    """A matrix that acts on the last axis."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix.T

    def adjoint(self, y: Tensor) -> Tensor:
        return y @ self.matrix.conj()


@pytest.fixture
def dense() -> Callable[[Tensor], LinearOperator]:
    return Dense


@pytest.fixture
def draw(generator: torch.Generator) -> Callable[..., Tensor]:
    """Standard complex normal numbers of a shape, complex128."""

    def numbers(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.complex128, generator=generator)

    return numbers
