"""Splits of observed entries: disjoint, exact, seeded, and fair."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medconsist.consistency.splits import Split, random_split
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
