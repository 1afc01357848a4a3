"""Masks zero what their names say, in the amount that the papers' code zeroes."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.timeseries.masks import DETERMINISTIC, MaskKind, draw_mask


def mask(kind: MaskKind, *, time: int = 100, batch: int = 200, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return draw_mask(kind, batch=batch, time=time, hidden=8, generator=generator)


@pytest.mark.parametrize("kind", get_args(MaskKind))
def test_a_mask_has_the_shape_of_its_kind_and_follows_the_generator(kind: MaskKind) -> None:
    drawn = mask(kind)
    assert tuple(drawn.shape) == ((200, 100, 8) if "channel" in kind else (200, 100))
    assert torch.equal(drawn, mask(kind))
    assert torch.equal(drawn, mask(kind, seed=1)) == (kind in DETERMINISTIC)


def runs(row: Tensor) -> list[int]:
    """Lengths of the stretches of zeros."""
    text = "".join("1" if one else "0" for one in row.tolist())
    return [len(part) for part in text.split("1") if part]


@pytest.mark.parametrize(
    ("time", "number", "length"), [(100, 5, 10), (6, 3, 1), (3, 1, 1), (1, 1, 1)]
)
def test_continuous_zeroes_spans_of_a_tenth_that_may_overlap(
    time: int, number: int, length: int
) -> None:
    zeros = (~mask("continuous", time=time)).sum(1)
    assert zeros.max() <= number * length
    assert zeros.min() >= length
    assert all(length <= run for row in mask("continuous", time=time) for run in runs(row))


def test_spans_reach_both_ends() -> None:
    drawn = mask("continuous")
    assert not drawn[:, 0].all()
    assert not drawn[:, -1].all()


@pytest.mark.parametrize("kind", ["binomial", "channel_binomial"])
def test_binomial_keeps_a_half(kind: MaskKind) -> None:
    kept = mask(kind).double()
    # 20,000 draws: five standard errors
    assert abs(kept.mean() - 0.5) < 5 * 0.5 / 20_000**0.5


def test_channel_continuous_zeroes_half_of_the_features_in_a_single_span() -> None:
    drawn = mask("channel_continuous", time=2)  # one span of one step
    zeros = (~drawn).sum((1, 2))
    assert zeros.tolist() == [4] * 200


def test_mask_last_zeroes_the_last_step_and_all_true_none() -> None:
    assert mask("all_true").all()
    assert (~mask("mask_last")).nonzero()[:, 1].tolist() == [99] * 200


def test_no_time_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="allowed: all_true"):
        mask("binomial", time=0)
