"""Finite differences against indexing."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medconsist.errors import ShapeError
from medconsist.operators.differences import FiniteDifference
from medconsist.operators.solvers import largest_eigenvalue

Draw = Callable[..., Tensor]


def test_forward_subtracts_neighbours_and_is_zero_at_the_edge(draw: Draw) -> None:
    x = draw(3, 4, 5)
    y = FiniteDifference()(x)
    assert y.shape == (3, 2, 4, 5)
    assert torch.equal(y[:, 0, :-1], x[:, 1:] - x[:, :-1])
    assert torch.equal(y[:, 1, :, :-1], x[:, :, 1:] - x[:, :, :-1])
    assert not y[:, 0, -1].any()
    assert not y[:, 1, :, -1].any()


def test_periodic_edge_meets_the_first_entry(draw: Draw) -> None:
    x = draw(4, 5)
    y = FiniteDifference(edge="periodic")(x)
    assert torch.equal(y[0, -1], x[0] - x[-1])
    assert torch.equal(y[1, :, -1], x[:, 0] - x[:, -1])


@pytest.mark.parametrize("edge", ["zero", "periodic"])
def test_constant_image_has_no_differences(edge: str) -> None:
    difference = FiniteDifference(edge="zero" if edge == "zero" else "periodic")
    assert not difference(torch.full((4, 5), 3.0)).any()


@pytest.mark.parametrize("dims", [(-1,), (-2, -1), (-3, -2, -1)])
def test_squared_norm_stays_below_four_per_axis(dims: tuple[int, ...], draw: Draw) -> None:
    bound = 4 * len(dims)
    found = largest_eigenvalue(FiniteDifference(dims).gram, draw(8, 8, 8), iterations=50)
    assert 0.8 * bound < float(found) <= bound


@pytest.mark.parametrize("dims", [(), (0, 1), (-1, -2), (-1, -1)])
def test_axes_that_are_not_ascending_and_negative_are_refused(dims: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="dims must be ascending, distinct and negative"):
        FiniteDifference(dims)


@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 5)])
def test_adjoint_refuses_another_number_of_fields(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="must have length 2 on axis -3"):
        FiniteDifference().H(torch.ones(shape))
