"""The dense contrast is masked InfoNCE of everything with everything, whatever the chunk."""

import inspect

import pytest
import torch
from torch import Tensor

from medconsist.consistency import dense_contrast
from medconsist.consistency.contrast import masked_info_nce
from medconsist.consistency.dense_contrast import dense_info_nce
from medconsist.errors import RefusedInputError, ShapeError

SAME_VALUE, SAME_GRADIENT = 1e-6, 2e-9  # asked for beforehand; seen 1e-15 and 1e-16


# without the shape checks that only pytest adds
as_shipped = inspect.unwrap(dense_info_nce)


def views(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    drawn = torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    z1, z2 = drawn.unbind()
    return z1.requires_grad_(), z2.requires_grad_()


def dense(z1: Tensor, z2: Tensor, exclude: Tensor | None, tau: float) -> Tensor:
    """All similarities of all groups at once."""
    z, items = torch.cat([z1, z2], 1), z1.shape[1]
    itself = torch.eye(2 * items, dtype=torch.bool)
    partner = itself.roll(items, 1)
    left_out = itself if exclude is None else itself | (exclude.repeat(2, 2) & ~partner)
    return masked_info_nce(z @ z.mT / tau, partner, left_out)


def pairs_left_out(items: int) -> Tensor:
    return torch.rand(items, items, generator=torch.Generator().manual_seed(5)) < 0.4


@pytest.mark.parametrize("chunk", [None, 1, 3, 7, 13, 14, 20, 28, 1000])
@pytest.mark.parametrize("exclude", [None, pairs_left_out(7)], ids=["all", "some left out"])
def test_value_and_gradient_equal_the_dense_form_for_any_chunk(
    chunk: int | None, exclude: Tensor | None
) -> None:
    z1, z2 = views(5, 7, 6)
    wanted, ours = (
        dense(z1, z2, exclude, 0.7),
        dense_info_nce(z1, z2, exclude, tau=0.7, chunk=chunk),
    )
    assert abs((ours - wanted).item()) < SAME_VALUE
    for a, b in zip(
        torch.autograd.grad(3 * ours, (z1, z2)),
        torch.autograd.grad(3 * wanted, (z1, z2)),
        strict=True,
    ):
        assert (a - b).abs().max() < SAME_GRADIENT


def test_gradient_is_that_of_finite_differences() -> None:
    z1, z2 = views(2, 3, 4)
    assert torch.autograd.gradcheck(lambda a, b: dense_info_nce(a, b, pairs_left_out(3)), (z1, z2))


def test_views_may_lie_in_memory_in_any_order() -> None:
    z1, z2 = views(6, 4, 3)
    turned = [z.detach().transpose(0, 1).contiguous().transpose(0, 1) for z in (z1, z2)]
    assert torch.equal(dense_info_nce(*turned), dense_info_nce(z1, z2))


def test_one_item_has_nothing_to_be_told_from() -> None:
    z1, z2 = views(3, 1, 4)
    loss = dense_info_nce(z1, z2)
    torch.autograd.backward(loss)
    assert loss.item() == 0
    assert z1.grad is not None
    assert not z1.grad.any()


def test_no_matrix_of_all_groups_is_ever_held(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, items = 40, 25
    largest = 0
    products = dense_contrast._products

    def watched(a: Tensor, b: Tensor, scale: float) -> Tensor:
        nonlocal largest
        found = products(a, b, scale)
        largest = max(largest, found.numel())
        return found

    monkeypatch.setattr(dense_contrast, "_products", watched)
    dense_info_nce(*views(groups, items, 3), chunk=100)
    assert largest == 2 * items * items  # one of four blocks of two groups


def test_default_keeps_rows_within_the_budget() -> None:
    for items in (1, 32, 256, 2500, 5000, 10**6, 10**9):
        rows = dense_contrast._rows_at_once(items)
        assert rows >= 1
        assert rows == 1 or rows * 2 * items <= dense_contrast._LARGEST


def test_half_precision_is_computed_and_returned_in_float32() -> None:
    z1, z2 = (z.detach().bfloat16() for z in views(3, 5, 4))
    with torch.autocast("cpu", torch.bfloat16):
        loss = dense_info_nce(z1, z2)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, dense_info_nce(z1.float(), z2.float()))


def test_settings_and_views_that_do_not_fit_are_refused() -> None:
    z1, z2 = views(2, 3, 4)
    with pytest.raises(RefusedInputError, match="tau positive"):
        dense_info_nce(z1, z2, tau=0.0)
    with pytest.raises(RefusedInputError, match="chunk at least 1"):
        dense_info_nce(z1, z2, chunk=0)
    with pytest.raises(RefusedInputError, match="NaN or infinite"):
        dense_info_nce(z1 * torch.nan, z2)
    with pytest.raises(ShapeError, match="one shape"):
        as_shipped(z1, z2[:, :2])
    with pytest.raises(ShapeError, match=r"exclude must be bool, \(3, 3\)"):
        as_shipped(z1, z2, pairs_left_out(4))
