"""Weighting against loops; shapes whose adjoint would be wrong are refused."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medconsist.errors import ShapeError
from medconsist.operators.weighting import Pointwise, SumAxis, WeightAndSum

Draw = Callable[..., Tensor]


def test_weight_and_sum_equals_a_loop_over_maps(draw: Draw) -> None:
    weights, x = draw(3, 4, 5), draw(2, 4, 5)
    y = WeightAndSum(weights)(x)
    combined = torch.zeros_like(x)
    for c in range(3):
        torch.testing.assert_close(y[:, c], weights[c] * x)
        combined += weights[c].conj() * y[:, c]
    torch.testing.assert_close(WeightAndSum(weights).H(y), combined)


def test_each_slice_meets_its_own_maps(draw: Draw) -> None:
    weights, x = draw(2, 3, 4, 5), draw(2, 4, 5)
    y = WeightAndSum(weights)(x)
    for s in range(2):
        torch.testing.assert_close(y[s], WeightAndSum(weights[s])(x[s]))


def test_maps_of_unit_norm_are_undone_by_the_adjoint(draw: Draw) -> None:
    weights, x = draw(3, 4, 5), draw(4, 5)
    coils = WeightAndSum(weights / weights.norm(dim=0))
    torch.testing.assert_close(coils.H(coils(x)), x)


def test_sum_axis_sums_and_repeats(draw: Draw) -> None:
    x, y = draw(2, 3, 4), draw(2, 4)
    torch.testing.assert_close(SumAxis(-2, size=3)(x), x.sum(1))
    torch.testing.assert_close(SumAxis(-2, size=3).H(y), torch.stack([y, y, y], 1))


def test_pointwise_multiplies_and_conjugates(draw: Draw) -> None:
    weights, x = draw(4), draw(2, 4)
    torch.testing.assert_close(Pointwise(weights)(x), weights * x)
    torch.testing.assert_close(Pointwise(weights).H(x), weights.conj() * x)


def test_weights_without_an_axis_of_maps_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"weights of shape \(4, 5\) have no axis of maps"):
        WeightAndSum(torch.ones(4, 5))


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5), (2, 4, 6), (5,)])
def test_input_that_the_weights_would_enlarge_is_refused(shape: tuple[int, ...]) -> None:
    coils = WeightAndSum(torch.ones(2, 3, 4, 5))
    with pytest.raises(ShapeError, match=r"to which \(2, 4, 5\) can be expanded"):
        coils(torch.ones(shape))
    with pytest.raises(ShapeError, match=r"to which \(2, 3, 4, 5\) can be expanded"):
        coils.H(torch.ones(2, 4, 4, 5))


def test_pointwise_refuses_to_enlarge_its_input() -> None:
    with pytest.raises(ShapeError, match="the weight needs an input"):
        Pointwise(torch.ones(3, 4))(torch.ones(4))


def test_axis_counted_from_the_front_is_refused() -> None:
    with pytest.raises(ShapeError, match="dim must be negative"):
        SumAxis(1, size=2)


@pytest.mark.parametrize("shape", [(2, 4), (3,)])
def test_sum_axis_refuses_another_length(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="has no axis -2 of length 3"):
        SumAxis(-2, size=3)(torch.ones(shape))
