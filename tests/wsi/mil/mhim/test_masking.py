"""The masks follow the ceil rules of the paper's code, on bags of any size, without a sync."""

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.networks.ragged import Segments
from medconsist.wsi.mil.mhim.masking import MaskConfig, mhim_mask

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=4)
SHARE = st.integers(1, 99)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def ceil(number: Fraction) -> int:
    return math.ceil(number)


def bags(sizes: list[int], seed: int, heads: int = 1) -> tuple[Tensor, Segments]:
    """Distinct scores, so that the top is unique."""
    rows = sum(sizes)
    columns = [torch.randperm(rows, generator=seeded(seed + h)) for h in range(heads)]
    return torch.stack(columns, 1).float(), Segments.of_sizes(sizes)


def hidden(
    scores: Tensor, segments: Segments, config: MaskConfig, seed: int = 0, step: int = 0
) -> list[set[int]]:
    """Return which places of each bag are hidden."""
    keep = mhim_mask(scores, segments, config, step, seeded(seed))
    first = segments.offsets.tolist()
    return [{row - a for row in range(a, b) if not bool(keep[row])} for a, b in pairwise(first)]


def by_bag(scores: Tensor, segments: Segments) -> list[list[float]]:
    return [part.tolist() for part in torch.split(scores[:, 0], segments.sizes.tolist())]


def top(scores: list[float], count: int) -> set[int]:
    return set(sorted(range(len(scores)), key=lambda i: -scores[i])[:count])


@settings(deadline=None, max_examples=40)
@given(sizes=SIZES, share=SHARE, seed=st.integers(0, 999))
def test_random_hides_ceil_r_n(sizes: list[int], share: int, seed: int) -> None:
    scores, segments = bags(sizes, seed)
    found = hidden(scores, segments, MaskConfig(random=share / 100), seed)
    assert [len(one) for one in found] == [
        min(ceil(Fraction(share, 100) * n), n - 1) for n in sizes
    ]


@settings(deadline=None, max_examples=40)
@given(sizes=SIZES, share=SHARE, seed=st.integers(0, 999))
def test_low_hides_the_ceil_l_n_lowest(sizes: list[int], share: int, seed: int) -> None:
    scores, segments = bags(sizes, seed)
    found = hidden(scores, segments, MaskConfig(low=share / 100), seed)
    for one, n, values in zip(found, sizes, by_bag(scores, segments), strict=True):
        count = min(ceil(Fraction(share, 100) * n), n - 1)
        assert one == top([-value for value in values], count)


@settings(deadline=None, max_examples=60)
@given(sizes=SIZES, share=SHARE, rho=st.integers(1, 100), seed=st.integers(0, 999))
def test_high_hides_ceil_rho_of_the_ceil_n_h_over_rho_highest(
    sizes: list[int], share: int, rho: int, seed: int
) -> None:
    scores, segments = bags(sizes, seed)
    h, part = Fraction(share, 100), Fraction(rho, 100)
    found = hidden(scores, segments, MaskConfig(high=share / 100, rho=rho / 100), seed)
    for one, n, values in zip(found, sizes, by_bag(scores, segments), strict=True):
        if h / part > 1:  # of all
            candidates, count = n, ceil(h * n)
        else:
            candidates = ceil(n * h / part)
            count = ceil(part * candidates)
        assert len(one) == min(count, n - 1)
        assert one <= top(values, candidates)
        assert one or n == 1
        if rho == 100:
            assert one == top(values, min(count, n - 1))


@settings(deadline=None, max_examples=60)
@given(sizes=SIZES, low=SHARE, high=SHARE, random=SHARE, seed=st.integers(0, 999))
def test_the_sets_are_computed_on_all_instances_and_united(
    sizes: list[int], low: int, high: int, random: int, seed: int
) -> None:
    scores, segments = bags(sizes, seed)
    both = MaskConfig(low=low / 100, high=high / 100)
    found = hidden(scores, segments, both)
    more = hidden(
        scores, segments, MaskConfig(random=random / 100, low=low / 100, high=high / 100), seed
    )
    for one, wider, n, values in zip(found, more, sizes, by_bag(scores, segments), strict=True):
        easiest = top(values, min(ceil(Fraction(high, 100) * n), n - 1))
        lowest = top([-v for v in values], min(ceil(Fraction(low, 100) * n), n - 1))
        union = easiest | lowest
        if len(union) == n:  # the best of those that are not the easiest stays
            union -= {max(set(range(n)) - easiest, key=lambda i: values[i])}
        assert one == union
        assert len(wider) <= min(len(one) + ceil(Fraction(random, 100) * n), n - 1)
        assert easiest <= wider
        assert one <= wider or len(wider) == n - 1


def test_without_randomness_a_batch_hides_what_each_bag_alone_hides() -> None:
    sizes = [1, 7, 30, 2]
    scores, segments = bags(sizes, 3, heads=3)
    config = MaskConfig(low=0.3, high=0.2)
    together = mhim_mask(scores, segments, config, 0, seeded())
    parts = torch.split(scores, sizes)
    alone = [mhim_mask(p, Segments.of_sizes([len(p)]), config, 0, seeded(9)) for p in parts]
    assert torch.equal(together, torch.cat(alone))


def test_heads_vote_with_their_own_tops() -> None:
    # tops of two: {0, 1}, {0, 2}, {0, 2}; the mean would choose 1
    scores = torch.tensor([[8.0, 9, 9], [99, 0, 0], [1, 8, 8], [0, 1, 1], [2, 2, 2]])
    config = MaskConfig(high=0.4)
    assert hidden(scores, Segments.of_sizes([5]), config) == [{0, 2}]
    low = hidden(-scores, Segments.of_sizes([5]), MaskConfig(low=0.4))
    assert low == [{0, 2}]


def test_heads_vote_with_the_wider_top_that_a_random_part_is_taken_of() -> None:
    scores = torch.arange(8.0)[:, None].repeat(1, 2)
    config = MaskConfig(high=0.25, rho=0.5)
    bag = Segments.of_sizes([8])
    for seed in range(8):
        keep = mhim_mask(scores, bag, config, 0, torch.Generator().manual_seed(seed))
        # ceil(8 h / rho) = 4 of each head, of which 2 are hidden; the lower half never is
        assert keep[:4].all()
        assert int((~keep).sum()) == 2


def test_the_seed_alone_decides_and_another_seed_decides_otherwise() -> None:
    scores, segments = bags([60, 50], 0)
    config = MaskConfig(random=0.3, high=0.1, rho=0.5)
    first, again, other = (hidden(scores, segments, config, seed) for seed in (1, 1, 2))
    assert first == again != other


def test_the_high_share_falls_along_half_a_cosine_from_the_first_step() -> None:
    config = MaskConfig(high=0.4, course="cosine").over(10)
    scores, segments = bags([100], 0)
    for step in range(12):
        share = 0.5 * 0.4 * (1 + math.cos(math.pi * min(step, 10) / 10))
        assert config.high_at(step) == pytest.approx(share, abs=1e-12)
        (found,) = hidden(scores, segments, config, step=step)
        assert len(found) == math.ceil(100 * share - 1e-9)
    # just before its end the share is far below one instance, and one is still hidden
    assert len(hidden(scores, segments, config.over(10_000), step=9_999)[0]) == 1
    with pytest.raises(RefusedInputError, match=r"steps is None; call over\(steps\)"):
        mhim_mask(scores, segments, MaskConfig(high=0.4, course="cosine"), 0, seeded())


def test_nothing_hidden_and_h_above_rho_are_defined_cases() -> None:
    scores, segments = bags([9, 1], 0)
    assert hidden(scores, segments, MaskConfig()) == [set(), set()]
    wide = [hidden(scores, segments, MaskConfig(high=0.5, rho=0.2), seed)[0] for seed in range(40)]
    assert {len(one) for one in wide} == {5}
    assert set().union(*wide) == set(range(9))  # of all, not of the top


def test_scores_without_an_order_hide_themselves_and_never_all() -> None:
    scores = torch.tensor([[1.0], [math.nan], [0.0], [2.0]])
    assert hidden(scores, Segments.of_sizes([4]), MaskConfig(high=0.25)) == [{1}]
    nothing = torch.full((6, 2), math.nan)
    found = hidden(nothing, Segments.of_sizes([4, 2]), MaskConfig(low=0.7, high=0.7))
    assert [len(one) for one in found] == [3, 1]


def test_survivors_stay_in_ascending_order() -> None:
    """The released code goes through a Python set and loses it."""
    scores, segments = bags([30, 40], 0)
    keep = mhim_mask(scores, segments, MaskConfig(random=0.4, high=0.1, rho=0.5), 0, seeded())
    rows = torch.arange(70)[keep]
    assert bool((rows.diff() > 0).all())


@pytest.mark.parametrize(
    "wrong",
    [{"rho": 0}, {"rho": 1.1}, {"high": 1.0}, {"low": -0.1}, {"random": math.nan}],
    ids=str,
)
def test_shares_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RefusedInputError, match=r"shares in \[0, 1\), and a rho in \(0, 1\]"):
        MaskConfig(**wrong)  # type: ignore[arg-type]  # by name


def test_another_course_no_steps_and_foreign_scores_are_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"course and steps got 'constant' and 0"):
        MaskConfig(steps=0)
    with pytest.raises(ShapeError, match="scores have 3 rows, the bags 4"):
        mhim_mask(torch.zeros(3, 1), Segments.of_sizes([4]), MaskConfig(), 0, seeded())


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # untyped in torch
    """Every operation that brings values of a device to the host, or waits for their number."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in torch
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name()
        by_mask = name.startswith("aten::index") and any(
            isinstance(one, Tensor) and one.dtype == torch.bool
            for given in args
            if isinstance(given, list | tuple)
            for one in given
        )
        host = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "unique")
        if by_mask or any(word in name for word in host):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("sizes", [[50], [20, 31]], ids=["one bag", "two bags"])
def test_no_value_is_brought_to_the_host(sizes: list[int]) -> None:
    scores, segments = bags(sizes, 0, heads=8)
    assert (segments.rows, segments.longest) == (sum(sizes), max(sizes))  # known with the bags
    config = MaskConfig(random=0.2, low=0.2, high=0.1, rho=0.5, course="cosine", steps=9)
    with _Watch() as watch:
        mhim_mask(scores, segments, config, 3, seeded())
    assert watch.seen == []
    with _Watch() as watch:  # the watch sees what it should
        scores[scores[:, 0] > 3].sum().item()
    assert len(watch.seen) >= 2


@pytest.mark.gpu
@pytest.mark.parametrize("sizes", [[5000], [2000, 3001]], ids=["one bag", "two bags"])
def test_on_a_gpu_nothing_waits_for_it(sizes: list[int]) -> None:
    scores, segments = bags(sizes, 0, heads=8)
    config = MaskConfig(low=0.2, high=0.1)
    wanted = mhim_mask(scores, segments, config, 3, seeded())
    scores, segments = scores.cuda(), segments.to("cuda")
    assert (segments.rows, segments.longest) == (sum(sizes), max(sizes))
    segments.owner  # noqa: B018  found once for each batch
    generator = Generator("cuda").manual_seed(0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = mhim_mask(scores, segments, config, 3, generator)
        mhim_mask(scores, segments, MaskConfig(random=0.3, high=0.1, rho=0.5), 3, generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(found.cpu(), wanted)
