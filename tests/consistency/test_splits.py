"""Splits of observed entries: disjoint, exact, seeded, and fair; masks of blocks; masking."""

import inspect
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medconsist.consistency.splits import (
    Split,
    apply_mask,
    block_mask,
    random_split,
    topk_hold,
    topk_split,
)
from medconsist.errors import RefusedInputError, ShapeError


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.sampled_from([(1, 1), (3, 17), (2, 1, 6, 5), (2, 6, 5)]),
    hold_frac=st.floats(0.01, 0.99),
    density=st.floats(0.0, 1.0),
    seed=st.integers(0, 10_000),
)
def test_split_is_disjoint_complete_exact_and_keeps_something(
    shape: tuple[int, ...], hold_frac: float, density: float, seed: int
) -> None:
    generator = seeded(seed)
    observed = torch.rand(shape, generator=generator) < density
    observed.flatten(1)[:, 0] = True
    always = torch.rand(shape, generator=generator) < 0.2
    split = random_split(observed, hold_frac, always, generator=generator)
    assert not (split.keep & split.hold).any()
    assert torch.equal(split.keep | split.hold, observed)
    assert torch.equal(split.keep & always, observed & always)
    n_eligible = (observed & ~always).flatten(1).sum(1)
    n_observed = observed.flatten(1).sum(1)
    wanted = (hold_frac * n_eligible.double() + 0.5).floor().long().minimum(n_observed - 1)
    assert torch.equal(split.hold.flatten(1).sum(1), wanted)
    assert split.keep.flatten(1).any(1).all()


def test_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    observed = torch.ones(2, 50, dtype=torch.bool)
    first, again, other = (
        random_split(observed, 0.4, generator=seeded(seed)).hold for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_elements_of_a_batch_are_drawn_independently() -> None:
    hold = random_split(torch.ones(2, 50, dtype=torch.bool), 0.4, generator=seeded()).hold
    assert not torch.equal(hold[0], hold[1])


def test_padding_is_never_selected_and_does_not_change_the_draw() -> None:
    short = torch.ones(1, 20, dtype=torch.bool)
    padded = torch.cat([short, torch.zeros(1, 30, dtype=torch.bool)], 1)
    hold = random_split(short, 0.4, generator=seeded()).hold
    hold_padded = random_split(padded, 0.4, generator=seeded()).hold
    assert torch.equal(hold_padded[:, :20], hold)
    assert not hold_padded[:, 20:].any()


def test_every_entry_is_withheld_equally_often() -> None:
    observed = torch.ones(4000, 10, dtype=torch.bool)
    counts = random_split(observed, 0.3, generator=seeded()).hold.sum(0)
    # 1200 expected, standard deviation sqrt(4000 * .3 * .7) = 29: five of them
    assert float((counts - 1200).abs().max()) < 145


def lines(n_rows: int, n_columns: int) -> Tensor:
    """Ids of whole columns: all entries of a column are one unit."""
    return torch.arange(n_columns).expand(1, n_rows, n_columns)


def test_groups_stay_together_and_are_counted_as_units() -> None:
    observed = torch.ones(3, 8, 20, dtype=torch.bool)
    split = random_split(observed, 0.25, group=lines(8, 20), generator=seeded())
    whole = split.hold.all(1)
    assert torch.equal(whole, split.hold.any(1))
    assert whole.sum(1).tolist() == [5, 5, 5]


def test_group_with_a_protected_entry_is_kept_whole() -> None:
    observed = torch.ones(1, 4, 6, dtype=torch.bool)
    always = torch.zeros(1, 4, 6, dtype=torch.bool)
    always[0, 2, 3] = True
    for seed in range(20):
        split = random_split(observed, 0.9, always, lines(4, 6), seeded(seed))
        assert split.keep[0, :, 3].all()
        assert int(split.hold.any(1).sum()) == 5


def test_group_that_was_not_observed_is_no_unit() -> None:
    observed = torch.zeros(1, 4, 6, dtype=torch.bool)
    observed[:, :, ::2] = True
    split = random_split(observed, 0.67, group=lines(4, 6), generator=seeded())
    assert int(split.hold.any(1).sum()) == 2
    assert torch.equal(split.keep | split.hold, observed)


def test_ids_may_be_any_integers() -> None:
    observed = torch.ones(1, 6, dtype=torch.bool)
    ids = torch.tensor([[-7, -7, 900, 900, 5, 5]])
    hold = random_split(observed, 0.34, group=ids, generator=seeded()).hold
    assert hold.view(3, 2).sum(1).sort().values.tolist() == [0, 0, 2]


def test_single_entry_stays_visible() -> None:
    split = random_split(torch.ones(1, 1, dtype=torch.bool), 0.9, generator=seeded())
    assert split.keep.item()
    assert not split.hold.item()


@pytest.mark.parametrize("hold_frac", [0.0, 1.0, -0.1, float("nan")])
def test_share_outside_zero_to_one_is_refused(hold_frac: float) -> None:
    with pytest.raises(RefusedInputError, match=r"hold_frac must lie in \(0, 1\); got"):
        random_split(torch.ones(1, 4, dtype=torch.bool), hold_frac)


def test_element_without_an_entry_is_refused_by_its_index() -> None:
    observed = torch.ones(3, 4, dtype=torch.bool)
    observed[1] = False
    with pytest.raises(RefusedInputError, match=r"elements \[1\] of the batch have no observed"):
        random_split(observed, 0.4)


def test_mask_that_cannot_be_expanded_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"shape \(5,\) cannot be expanded to observed, \(2, 4\)"):
        random_split(torch.ones(2, 4, dtype=torch.bool), 0.4, torch.ones(5, dtype=torch.bool))


def test_split_whose_parts_overlap_is_refused() -> None:
    seen = torch.ones(1, 4, dtype=torch.bool)
    with pytest.raises(RefusedInputError, match="share 4 entries"):
        Split(seen, seen)


def test_split_of_two_shapes_is_refused() -> None:
    with pytest.raises(ShapeError, match="must have the same shape"):
        Split(torch.ones(1, 4, dtype=torch.bool), torch.zeros(1, 5, dtype=torch.bool))


# hard and easy entries


def exact_ceil(count: int, share: float) -> int:
    """Return the ceiling of a product of decimal fractions, free of rounding errors."""
    return math.ceil(round(count * share, 9))


@settings(max_examples=80, deadline=None)
@given(
    n=st.integers(1, 60),
    padding=st.integers(0, 10),
    hold=st.integers(0, 99),
    random_part=st.integers(1, 100),
    seed=st.integers(0, 10_000),
)
def test_top_split_withholds_exactly_and_only_from_the_top(
    n: int, padding: int, hold: int, random_part: int, seed: int
) -> None:
    generator = seeded(seed)
    h, rho = hold / 100, random_part / 100
    score = torch.randint(0, 9, (2, n + padding), generator=generator)
    valid = torch.zeros(2, n + padding, dtype=torch.bool)
    valid[:, torch.randperm(n + padding, generator=generator)[:n]] = True
    split = topk_split(score, h, rho, valid, generator)
    assert torch.equal(split.keep | split.hold, valid)
    if hold <= random_part:
        n_top = min(exact_ceil(n, hold / random_part), n)
        n_hold = min(exact_ceil(n_top, rho), n - 1)
    else:
        n_top, n_hold = n, min(exact_ceil(n, h), n - 1)
    assert split.hold.sum(1).tolist() == [n_hold, n_hold]
    for row in range(2):
        places = [int(i) for i in valid[row].nonzero()]
        top = sorted(places, key=lambda i: (-int(score[row, i]), i))[:n_top]
        withheld = {int(i) for i in split.hold[row].nonzero()}
        assert withheld <= set(top)
        if random_part == 100:
            assert withheld == set(top[:n_hold])


def test_top_split_of_the_negative_score_withholds_the_lowest() -> None:
    score = torch.tensor([[3.0, 1.0, 2.0, 0.0]])
    assert topk_split(-score, 0.5).hold.tolist() == [[False, True, False, True]]


def test_rounding_of_the_share_does_not_withhold_one_more() -> None:
    # 100 * 0.07 = 7.000000000000001
    assert int(topk_split(torch.arange(100.0)[None], 0.07).hold.sum()) == 7


def test_any_share_above_zero_withholds_one_entry_and_zero_none() -> None:
    score = torch.arange(5.0)[None]
    assert int(topk_split(score, 1e-9).hold.sum()) == 1
    assert int(topk_split(score, 0.0).hold.sum()) == 0


def test_ties_are_broken_by_the_index() -> None:
    hold = topk_split(torch.zeros(1, 6), 0.5).hold
    assert hold.tolist() == [[True, True, True, False, False, False]]


def test_top_split_follows_a_permutation_of_distinct_scores() -> None:
    score = torch.randn(1, 30, generator=seeded())
    order = torch.randperm(30, generator=seeded(2))
    assert torch.equal(topk_split(score[:, order], 0.3).hold, topk_split(score, 0.3).hold[:, order])


def test_random_part_of_the_top_is_drawn_equally_often_and_by_the_seed() -> None:
    score = torch.arange(10.0).expand(4000, 10)
    split = topk_split(score, 0.2, 0.5, generator=seeded())
    counts = split.hold.sum(0)
    assert int(counts[:6].sum()) == 0
    # 2000 expected, standard deviation sqrt(4000 * .5 * .5) = 32: five of them
    assert float((counts[6:] - 2000).abs().max()) < 160
    again = topk_split(score, 0.2, 0.5, generator=seeded())
    assert torch.equal(split.hold, again.hold)


def test_equal_shares_draw_from_all_entries() -> None:
    counts = topk_split(torch.arange(10.0).expand(4000, 10), 0.3, 0.3, generator=seeded()).hold.sum(
        0
    )
    # 1200 expected, standard deviation 29: five of them
    assert float((counts - 1200).abs().max()) < 145


def test_padding_may_have_any_score_even_nan() -> None:
    score = torch.tensor([[math.nan, 1.0, math.inf, 2.0, 0.0]])
    valid = torch.tensor([[False, True, False, True, True]])
    split = topk_split(score, 0.3, valid=valid)
    assert split.hold.tolist() == [[False, False, False, True, False]]
    assert split.keep.tolist() == [[False, True, False, False, True]]


def test_single_valid_entry_is_never_withheld_by_its_score() -> None:
    assert topk_split(torch.ones(1, 1), 0.9).keep.item()


def test_the_hold_without_checks_is_that_of_the_split() -> None:
    score, valid = (
        torch.randn(3, 20, generator=seeded()),
        torch.rand(3, 20, generator=seeded(2)) < 0.7,
    )
    valid[:, 0] = True
    for h, rho in ((0.3, 1.0), (0.3, 0.5), (0.5, 0.2)):
        split = topk_split(score, h, rho, valid, seeded())
        assert torch.equal(topk_hold(score, h, rho, valid, seeded()), split.hold)
    nothing = torch.zeros(2, 4, dtype=torch.bool)
    assert not topk_hold(torch.ones(2, 4), 0.5, valid=nothing).any()
    unordered = torch.tensor([[1.0, math.nan, 0.0, 2.0]])
    assert topk_hold(unordered, 0.25).tolist() == [[False, True, False, False]]
    with pytest.raises(RefusedInputError, match=r"random_frac in \(0, 1\]; got 0.5 and 0"):
        topk_hold(unordered, 0.5, 0)


@pytest.mark.parametrize(("h", "rho"), [(1.0, 1.0), (-0.1, 1.0), (0.1, 0.0), (0.1, 1.1)])
def test_shares_of_the_top_outside_their_range_are_refused(h: float, rho: float) -> None:
    with pytest.raises(RefusedInputError, match=r"frac_hold must lie in \[0, 1\) and random_frac"):
        topk_split(torch.ones(1, 4), h, rho)


def test_scores_that_cannot_be_ordered_are_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"1 of 4 valid scores, of shape \(1, 4\), are NaN"):
        topk_split(torch.tensor([[1.0, math.nan, 0.0, 2.0]]), 0.5)
    with pytest.raises(RefusedInputError, match=r"elements \[0\] of the batch have no valid entry"):
        topk_split(torch.ones(1, 4), 0.5, valid=torch.zeros(1, 4, dtype=torch.bool))
    with pytest.raises(
        ShapeError, match=r"score \(2, 4\) and valid \(1, 4\) must have the same two"
    ):
        topk_split(torch.ones(2, 4), 0.5, valid=torch.ones(1, 4, dtype=torch.bool))


# blocks


def test_blocks_are_the_cells_of_one_coarse_draw() -> None:
    mask = block_mask((3, 1, 32, 48), 8, 0.6, seeded())
    cells = torch.rand(3, 1, 4, 6, generator=seeded()) >= 0.6
    assert torch.equal(mask, cells.repeat_interleave(8, 2).repeat_interleave(8, 3))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 90), block=st.integers(1, 40), seed=st.integers(0, 10_000))
def test_blocks_are_enlarged_as_torch_enlarges_by_nearest_neighbour(
    n: int, block: int, seed: int
) -> None:
    mask = block_mask((2, n, 7), block, 0.5, seeded(seed))
    cells = [max(1, round(n / block)), max(1, round(7 / block))]
    coarse = (torch.rand(2, *cells, generator=seeded(seed)) >= 0.5).double()
    oracle = torch.nn.functional.interpolate(coarse[:, None], size=(n, 7), mode="nearest")
    # torch multiplies by a rounded ratio, which may put a boundary one entry off
    rows, columns = mask[:, :, 0] != oracle[:, 0, :, 0].bool(), mask != oracle[:, 0].bool()
    assert int(rows.sum(1).max()) <= 1
    assert int(columns.any(1).sum(1).max()) <= 7


def test_blocks_hide_their_share_on_average_and_none_or_all_at_the_ends() -> None:
    shape = (500, 1, 32, 32)
    hidden = 1 - float(block_mask(shape, 8, 0.7, seeded()).double().mean())
    # 8000 cells: standard deviation sqrt(.7 * .3 / 8000) = 0.005
    assert hidden == pytest.approx(0.7, abs=0.025)
    assert block_mask(shape, 8, 0.0, seeded()).all()
    assert not block_mask(shape, 8, 1.0, seeded()).any()


def test_blocks_may_have_a_length_per_axis() -> None:
    mask = block_mask((4, 24, 5), (6, 5), 0.5, seeded())
    runs = mask.view(4, 4, 6, 5)
    assert torch.equal(runs.all(2), runs.any(2))
    assert torch.equal(mask.all(2), mask.any(2))


def test_blocks_that_cannot_be_laid_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"a mask of shape \(4,\) with blocks \(\)"):
        block_mask((4,), 2, 0.5)
    with pytest.raises(ShapeError, match=r"a mask of shape \(4, 0\) with blocks \(2,\)"):
        block_mask((4, 0), 2, 0.5)
    with pytest.raises(ShapeError, match=r"a mask of shape \(4, 8\) with blocks \(2, 2\)"):
        block_mask((4, 8), (2, 2), 0.5)
    for block, ratio in ((0, 0.5), (2, 1.5), (2, -0.1), (2, math.nan)):
        with pytest.raises(RefusedInputError, match=r"blocks must be >= 1 and ratio in \[0, 1\]"):
            block_mask((4, 8), block, ratio)


# masking


def some(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=seeded(7))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.complex64])
@pytest.mark.parametrize("fill", [0.0, -1.5, "mean", "token"])
def test_visible_entries_pass_bit_for_bit_and_dtype_is_kept(
    dtype: torch.dtype, fill: float | str
) -> None:
    x = some(2, 6, 3).to(dtype)
    keep = some(2, 6) > 0
    filled = apply_mask(x, keep, torch.ones(3) if fill == "token" else fill)  # type: ignore[arg-type] # one table for all kinds
    assert filled.dtype == dtype
    assert torch.equal(filled[keep], x[keep])


def test_zero_mask_keeps_nothing_and_full_mask_everything() -> None:
    x = some(2, 6, 3)
    assert torch.equal(apply_mask(x, torch.ones(2, 6, dtype=torch.bool), "mean"), x)
    assert not apply_mask(x, torch.zeros(2, 6, dtype=torch.bool), "mean").any()


def test_hidden_nan_neither_passes_nor_reaches_the_gradient() -> None:
    x = some(2, 6, 3)
    keep = random_split(torch.ones(2, 6, dtype=torch.bool), 0.5, generator=seeded()).keep
    x[~keep] = math.nan
    x.requires_grad_()
    for fill in (0.0, "mean"):
        filled = apply_mask(x, keep, fill)
        assert filled.isfinite().all()
        (grad,) = torch.autograd.grad(filled.square().sum(), x)
        assert grad.isfinite().all()
        assert not grad[~keep].any()


def test_gradient_of_what_is_predicted_from_the_visible_part_is_zero_on_the_hidden_part() -> None:
    y = some(3, 1, 8, 8, dtype=torch.complex128).requires_grad_()
    split = random_split(torch.ones(3, 1, 8, 8, dtype=torch.bool), 0.4, generator=seeded())
    predicted = torch.fft.fft2(apply_mask(y, split.keep))
    (grad,) = torch.autograd.grad(predicted.abs().pow(3).sum(), y)
    assert not grad[split.hold].any()
    assert (grad[split.keep] != 0).all()


def test_token_receives_the_gradient_of_the_hidden_places() -> None:
    x = some(2, 6, 3)
    keep = some(2, 6) > 0
    token = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    torch.autograd.backward(apply_mask(x, keep, token).sum())
    assert token.grad is not None
    assert token.grad.tolist() == [float((~keep).sum())] * 3


@pytest.mark.parametrize("mask_shape", [(2, 4, 5), (2, 1, 5), (2, 4, 1), (2, 4)])
def test_mean_is_of_the_visible_over_the_axes_on_which_the_mask_varies(
    mask_shape: tuple[int, ...],
) -> None:
    x = some(2, 4, 5)
    keep = torch.rand(mask_shape, generator=seeded(3)) > 0.4
    filled = apply_mask(x, keep, "mean")
    full = keep.view(*mask_shape, *(1,) * (3 - len(mask_shape))).expand(2, 4, 5)
    over_rows, over_columns = mask_shape[1] > 1, len(mask_shape) == 3 and mask_shape[2] > 1
    for b, i, j in (~full).nonzero().tolist():
        rows = slice(None) if over_rows else slice(i, i + 1)
        columns = slice(None) if over_columns else slice(j, j + 1)
        seen = x[b, rows, columns][full[b, rows, columns]]
        wanted = float(seen.mean()) if len(seen) else 0.0
        assert float(filled[b, i, j]) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.uint8])
def test_masks_of_zeros_and_ones_are_refused_and_not_taken_for_indices(dtype: torch.dtype) -> None:
    ones, x = torch.ones(2, 6).to(dtype), some(2, 6)
    # without pytest's checks of annotations, as a user runs them
    split, top = inspect.unwrap(random_split), inspect.unwrap(topk_split)
    apply = inspect.unwrap(apply_mask)
    with pytest.raises(RefusedInputError, match=r"observed \(2, 6\) must be bool; got torch"):
        split(ones, 0.4)
    with pytest.raises(RefusedInputError, match=r"always_keep .* must be bool"):
        split(ones.bool(), 0.4, always_keep=ones)
    with pytest.raises(RefusedInputError, match=r"valid .* must be bool"):
        top(x, 0.4, valid=ones)
    with pytest.raises(RefusedInputError, match=r"keep .* must be bool"):
        apply(x, ones)
    with pytest.raises(RefusedInputError, match="'mean'; got 'median'"):
        apply(x, x > 0, "median")


def test_empty_batch_has_an_empty_split_and_no_batch_none() -> None:
    for shape in ((0, 4), (0, 1, 3, 4)):
        assert random_split(torch.ones(shape, dtype=torch.bool), 0.4).hold.shape == shape
    assert topk_split(torch.ones(0, 4), 0.4).hold.shape == (0, 4)
    with pytest.raises(ShapeError, match=r"observed \(3,\) must have a batch axis"):
        random_split(torch.ones(3, dtype=torch.bool), 0.4)


def test_mask_or_token_that_does_not_lie_on_the_array_is_refused() -> None:
    x = some(2, 6, 3)
    with pytest.raises(ShapeError, match=r"keep has the shape \(6, 3\), which does not lie on"):
        apply_mask(x, torch.ones(6, 3, dtype=torch.bool))
    with pytest.raises(ShapeError, match=r"fill of shape \(6,\) does not broadcast to x"):
        apply_mask(x, torch.ones(2, 6, dtype=torch.bool), torch.ones(6))


@pytest.mark.gpu
def test_masks_are_made_on_the_device_of_their_input() -> None:
    score = some(2, 40).cuda()
    on_device = torch.Generator("cuda").manual_seed(1)
    assert torch.equal(topk_split(score, 0.3).hold.cpu(), topk_split(score.cpu(), 0.3).hold)
    assert topk_split(score, 0.3, 0.5, generator=on_device).hold.is_cuda
    keep = block_mask((2, 40), 8, 0.5, on_device)
    assert apply_mask(score, keep, "mean").is_cuda
