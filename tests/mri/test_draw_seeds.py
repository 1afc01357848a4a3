"""Seeds of training, validation and test never meet."""

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medconsist.errors import RefusedInputError
from medconsist.mri.draw_seeds import ROLES, Role, draw_seed, role_of_seed

roles = st.sampled_from(ROLES)
numbers = st.integers(0, 2**16 - 1)
series = st.integers(0, 2**14 - 1)


@given(roles, numbers, series)
def test_a_seed_says_its_role(role: Role, number: int, of: int) -> None:
    assert role_of_seed(draw_seed(role, number, series=of)) == role


@given(st.tuples(roles, numbers, series), st.tuples(roles, numbers, series))
def test_two_scans_have_two_seeds(
    first: tuple[Role, int, int], second: tuple[Role, int, int]
) -> None:
    seeds = {draw_seed(role, number, series=of) for role, number, of in (first, second)}
    assert len(seeds) == len({first, second})


@given(roles, numbers, series)
def test_seeds_fit_into_what_a_cpu_generator_looks_at(role: Role, number: int, of: int) -> None:
    assert 0 <= draw_seed(role, number, series=of) < 2**32


def test_a_cpu_generator_looks_at_32_bits_alone() -> None:
    one, other = (torch.rand(3, generator=torch.Generator().manual_seed(s)) for s in (5, 5 + 2**32))
    assert torch.equal(one, other)


def test_another_role_is_refused() -> None:
    """Behind the type checker, which refuses it first in the tests."""
    with pytest.raises(RefusedInputError, match="role got 'tests'; allowed: 'training', 'valid"):
        inspect.unwrap(draw_seed)("tests", 0)


@pytest.mark.parametrize(("number", "of"), [(-1, 0), (2**16, 0), (0, 2**14), (0, -1)])
def test_what_would_reach_into_another_range_is_refused(number: int, of: int) -> None:
    with pytest.raises(RefusedInputError, match="never meet"):
        draw_seed("test", number, series=of)


@pytest.mark.parametrize("seed", [-1, 3 * 2**30])
def test_a_seed_of_no_range_is_refused(seed: int) -> None:
    with pytest.raises(RefusedInputError, match=f"seed got {seed}; allowed: 0 to"):
        role_of_seed(seed)
