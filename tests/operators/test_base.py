"""The algebra of operators reads as in the paper."""

from collections.abc import Callable

import torch
from torch import Tensor

from medconsist.operators.base import Identity, LinearOperator

Draw = Callable[..., Tensor]
MakeDense = Callable[[Tensor], LinearOperator]


def test_composition_acts_from_right_to_left(dense: MakeDense, draw: Draw) -> None:
    a, b, x = draw(3, 4), draw(4, 5), draw(5)
    torch.testing.assert_close((dense(a) @ dense(b))(x), a @ b @ x)


def test_adjoint_of_a_composition_reverses_it(dense: MakeDense, draw: Draw) -> None:
    a, b, y = draw(3, 4), draw(4, 5), draw(3)
    torch.testing.assert_close((dense(a) @ dense(b)).H(y), (a @ b).mH @ y)


def test_sum_adds_images_and_adjoints(dense: MakeDense, draw: Draw) -> None:
    a, b, x, y = draw(3, 4), draw(3, 4), draw(4), draw(3)
    total = dense(a) + dense(b)
    torch.testing.assert_close(total(x), (a + b) @ x)
    torch.testing.assert_close(total.H(y), (a + b).mH @ y)


def test_scalar_is_conjugated_in_the_adjoint_and_squared_in_the_gram(
    dense: MakeDense, draw: Draw
) -> None:
    a, x, y = draw(3, 4), draw(4), draw(3)
    factor = 2.0 - 3.0j
    for scaled in (factor * dense(a), dense(a) * factor, torch.tensor(factor) * dense(a)):
        torch.testing.assert_close(scaled(x), factor * (a @ x), check_dtype=False)
        torch.testing.assert_close(scaled.H(y), factor.conjugate() * (a.mH @ y))
        torch.testing.assert_close(scaled.gram(x), 13.0 * (a.mH @ (a @ x)))


def test_gradient_of_least_squares_is_written_as_in_the_paper(dense: MakeDense, draw: Draw) -> None:
    a, x, y = draw(6, 4), draw(4), draw(6)
    op = dense(a)
    torch.testing.assert_close(op.H(op(x) - y), a.mH @ (a @ x - y))


def test_identity_returns_its_input() -> None:
    x = torch.ones(2)
    assert Identity()(x) is x
    assert Identity().H(x) is x
