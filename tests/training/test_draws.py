"""What is drawn depends on the place alone."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from medconsist.training.draws import generator_for, seed_for

places = st.tuples(st.integers(0, 10**6), st.integers(0, 3), st.integers(0, 7))


@given(seed=st.integers(0, 2**31), place=places, noise=st.integers(0, 50))
def test_a_draw_depends_on_its_place_and_on_nothing_before(
    seed: int, place: tuple[int, int, int], noise: int
) -> None:
    first = torch.rand(4, generator=generator_for(seed, *place))
    other = generator_for(seed, *place)
    torch.rand(noise, generator=generator_for(seed))
    assert torch.equal(torch.rand(4, generator=other), first)


def test_neighbours_in_step_micro_batch_and_rank_differ() -> None:
    seeds = [
        seed_for(seed, step, micro, rank)
        for seed in range(3)
        for step in range(10)
        for micro in range(4)
        for rank in range(4)
    ]
    assert len(set(seeds)) == len(seeds)


def test_seeds_fit_into_what_the_generator_reads() -> None:
    assert all(0 <= seed_for(0, n) < 2**32 for n in range(200))


def test_the_rule_stays_as_it_is() -> None:
    # a change makes every stored run impossible to resume or remake
    assert seed_for(0, 1, 2, 3) == 618_964_205
