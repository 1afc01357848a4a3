"""Ragged sets: each operation against a loop over the sets, gradients, halves, ties."""

import pytest
import torch

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.networks.ragged import Segments

SIZES = ([7], [1], [3, 1, 9, 2, 1], [1, 1, 1], [64] * 12)
REDUCED = ("sum", "mean", "max")
# float64: the order of additions alone; halves: one rounding to 8 or 11 bits.
TOLERANCE = {torch.float64: 1e-12, torch.bfloat16: 2**-8, torch.float16: 2**-10}


def parts_of(segments: Segments, values: torch.Tensor) -> tuple[torch.Tensor, ...]:
    sizes: list[int] = segments.sizes.tolist()
    return tuple(torch.split(values, sizes))


def looped(segments: Segments, name: str, values: torch.Tensor) -> torch.Tensor:
    """What an operation is, set by set, in the words of torch."""
    parts = parts_of(segments, values)
    if name == "softmax":
        return torch.cat([part.softmax(0) for part in parts])
    one = {"sum": lambda x: x.sum(0), "mean": lambda x: x.mean(0), "max": lambda x: x.amax(0)}
    return torch.stack([one[name](part) for part in parts])


@pytest.fixture(params=SIZES, ids=str)
def segments(request: pytest.FixtureRequest) -> Segments:
    return Segments.of_sizes(request.param)


@pytest.mark.parametrize("name", [*REDUCED, "softmax"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
def test_every_operation_is_the_loop_over_sets(
    segments: Segments, name: str, shape: tuple[int, ...], generator: torch.Generator
) -> None:
    values = torch.randn(segments.rows, *shape, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(
        getattr(segments, name)(values), looped(segments, name, values), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("name", [*REDUCED, "softmax"])
def test_gradients_are_those_of_the_loop(
    segments: Segments, name: str, generator: torch.Generator
) -> None:
    values = torch.randn(segments.rows, 3, generator=generator, dtype=torch.float64)
    ours, theirs = (values.clone().requires_grad_() for _ in range(2))
    result = getattr(segments, name)(ours)
    weights = torch.randn(result.shape, generator=generator, dtype=torch.float64)
    (slope,) = torch.autograd.grad((result * weights).sum(), ours)
    (naive,) = torch.autograd.grad((looped(segments, name, theirs) * weights).sum(), theirs)
    torch.testing.assert_close(slope, naive, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", [*REDUCED, "softmax"])
def test_halves_lose_one_rounding_and_stay_halves(
    segments: Segments, name: str, dtype: torch.dtype, generator: torch.Generator
) -> None:
    values = torch.randn(segments.rows, 2, generator=generator).to(dtype)
    result = getattr(segments, name)(values)
    assert result.dtype == dtype
    exact = looped(segments, name, values.double())
    limit = TOLERANCE[dtype]
    torch.testing.assert_close(result.double(), exact, rtol=limit, atol=limit)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("sets", [1, 2])
def test_a_hundred_thousand_halves_add_up(dtype: torch.dtype, sets: int) -> None:
    segments = Segments.of_sizes([100_000 // sets] * sets)
    ones = torch.ones(100_000, 1, dtype=dtype)
    assert segments.mean(ones).flatten().tolist() == [1.0] * sets
    share = torch.full((100_000, 1), sets / 100_000).to(dtype)
    expected = share.double().sum() / sets
    total = segments.weighted_sum(share, ones).flatten().double()
    torch.testing.assert_close(
        total, expected.expand(sets), rtol=TOLERANCE[dtype], atol=0.0, check_dtype=False
    )


def test_softmax_of_huge_scores_is_finite_in_each_set() -> None:
    segments = Segments.of_sizes([2, 2])
    shares = segments.softmax(torch.tensor([1e4, 0.0, -1e4, -1e4]))
    assert shares.tolist() == [1.0, 0.0, 0.5, 0.5]


def test_a_tie_goes_to_the_first_row_and_so_does_its_gradient(segments: Segments) -> None:
    values = torch.zeros(segments.rows, requires_grad=True)
    assert torch.equal(segments.argmax(values), segments.offsets[:-1])
    (slope,) = torch.autograd.grad(segments.max(values).sum(), values)
    first = torch.zeros(segments.rows)
    first[segments.offsets[:-1]] = 1.0
    assert torch.equal(slope, first)


def test_argmax_is_the_loop_over_sets(segments: Segments, generator: torch.Generator) -> None:
    values = torch.randn(segments.rows, 2, 3, generator=generator)
    parts = parts_of(segments, values)
    firsts = segments.offsets[:-1].tolist()
    expected = torch.stack(
        [part.argmax(0) + first for part, first in zip(parts, firsts, strict=True)]
    )
    assert torch.equal(segments.argmax(values), expected)


def test_ranking_sorts_each_set_by_falling_value_and_ties_by_row(
    segments: Segments, generator: torch.Generator
) -> None:
    values = torch.randint(3, (segments.rows,), generator=generator).float()
    expected = torch.cat(
        [
            part.argsort(descending=True, stable=True) + first
            for part, first in zip(
                parts_of(segments, values), segments.offsets[:-1].tolist(), strict=True
            )
        ]
    )
    assert torch.equal(segments.ranking(values), expected)


def test_weighted_sum_is_the_sum_of_weighted_rows(
    segments: Segments, generator: torch.Generator
) -> None:
    weights = torch.randn(segments.rows, 3, generator=generator, dtype=torch.float64)
    values = torch.randn(segments.rows, 4, generator=generator, dtype=torch.float64)
    expected = segments.sum(weights[:, :, None] * values[:, None])
    torch.testing.assert_close(
        segments.weighted_sum(weights, values), expected, rtol=1e-12, atol=1e-12
    )


def test_shuffled_rows_leave_reductions_and_move_with_softmax(
    segments: Segments, generator: torch.Generator
) -> None:
    values = torch.randn(segments.rows, generator=generator, dtype=torch.float64)
    order = segments.ranking(torch.rand(segments.rows, generator=generator))
    for name in REDUCED:
        operation = getattr(segments, name)
        torch.testing.assert_close(operation(values[order]), operation(values))
    torch.testing.assert_close(segments.softmax(values[order]), segments.softmax(values)[order])


def test_spread_gives_each_row_the_value_of_its_set(segments: Segments) -> None:
    values = torch.arange(len(segments) * 2).view(-1, 2)
    assert torch.equal(segments.spread(values), values[segments.owner])


def test_owner_and_sizes_say_the_same(segments: Segments) -> None:
    assert torch.equal(segments.owner.bincount(), segments.sizes)


def test_results_are_on_the_device_and_of_the_dtype_of_the_values() -> None:
    segments = Segments.of_sizes([2, 3], device=torch.device("cpu"))
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        values = torch.ones(5, 2, dtype=dtype)
        for name in (*REDUCED, "softmax"):
            result = getattr(segments, name)(values)
            assert (result.dtype, result.device) == (dtype, values.device)


@pytest.mark.parametrize("offsets", [[0], [1, 3], [0, 2, 2], [0, 3, 1]])
def test_empty_or_unsorted_sets_are_refused(offsets: list[int]) -> None:
    with pytest.raises(RefusedInputError, match="0 first, then strictly increasing"):
        Segments(torch.tensor(offsets))


@pytest.mark.parametrize("name", [*REDUCED, "argmax", "softmax", "ranking"])
def test_values_of_another_number_of_rows_are_refused(name: str) -> None:
    with pytest.raises(ShapeError, match="these sets have 3 rows"):
        getattr(Segments.of_sizes([1, 2]), name)(torch.zeros(4))


@pytest.mark.gpu
@pytest.mark.parametrize("name", [*REDUCED, "softmax", "argmax"])
def test_a_gpu_gives_what_the_cpu_gives(
    segments: Segments, name: str, generator: torch.Generator
) -> None:
    values = torch.randn(segments.rows, 3, generator=generator, dtype=torch.float64)
    result = getattr(segments.to("cuda"), name)(values.cuda())
    torch.testing.assert_close(result.cpu(), getattr(segments, name)(values))


@pytest.mark.parametrize("sizes", [[4], [2, 2]])
def test_a_nan_is_the_largest_as_in_torch(sizes: list[int]) -> None:
    segments, values = Segments.of_sizes(sizes), torch.tensor([torch.inf, torch.nan, 1.0, 0.0])
    assert segments.argmax(values).tolist() == [[1], [1, 2]][len(sizes) - 1]
    assert bool(segments.max(values)[0].isnan())
