"""Sampling is an orthogonal projection."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medconsist.errors import ShapeError
from medconsist.operators.sampling import Sampling


def test_kept_entries_are_bit_equal_and_others_exactly_zero(
    generator: torch.Generator, draw: Callable[..., Tensor]
) -> None:
    x = draw(3, 6, 5)
    mask = torch.rand(6, 5, generator=generator) > 0.5
    y = Sampling(mask)(x)
    assert torch.equal(y[:, mask], x[:, mask])
    assert not y[:, ~mask].any()


def test_sampling_twice_is_sampling_once(draw: Callable[..., Tensor]) -> None:
    sampling = Sampling(torch.tensor([True, False, True, False]))
    x = draw(2, 4)
    assert torch.equal(sampling(sampling(x)), sampling(x))
    assert sampling.gram is sampling


def test_values_that_are_not_finite_do_not_leak_through_the_mask() -> None:
    x = torch.tensor([1.0, torch.nan, torch.inf])
    mask = torch.tensor([True, False, False])
    assert Sampling(mask)(x).tolist() == [1.0, 0.0, 0.0]


def test_integers_of_a_real_series_keep_their_dtype() -> None:
    x = torch.tensor([3, 4], dtype=torch.int16)
    assert Sampling(torch.tensor([True, False]))(x).dtype == torch.int16


def test_mask_with_more_axes_than_the_input_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"to which \(2, 3\) can be expanded; got \(3,\)"):
        Sampling(torch.ones(2, 3, dtype=torch.bool))(torch.ones(3))
