"""Ordering: a relaxed permutation is doubly stochastic, and order costs less than disorder."""

import inspect
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medconsist.consistency.ordering import groco, ordered_groups, soft_sort
from medconsist.errors import RefusedInputError, ShapeError


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def naive_sort(values: list[float], steepness: float) -> list[list[float]]:
    """Return the relaxed permutation by the loops of Petersen et al. 2022."""
    n, values = len(values), list(values)
    rows = [[float(i == j) for j in range(n)] for i in range(n)]
    for layer in range(n):
        for i in range(layer % 2, n - 1, 2):
            alpha = math.atan(steepness * (values[i + 1] - values[i])) / math.pi + 0.5
            a, b = values[i], values[i + 1]
            values[i : i + 2] = alpha * a + (1 - alpha) * b, (1 - alpha) * a + alpha * b
            a_row, b_row = rows[i], rows[i + 1]
            rows[i] = [alpha * a + (1 - alpha) * b for a, b in zip(a_row, b_row, strict=True)]
            rows[i + 1] = [(1 - alpha) * a + alpha * b for a, b in zip(a_row, b_row, strict=True)]
    return rows


def naive_groco(positive: list[float], negative: list[float], steepness: float) -> float:
    """Return ½ [BCE(sum over positive ranks) + BCE(sum over negative ranks)] of one query."""
    items = sorted(negative) + sorted(positive)
    rows, n, m = naive_sort(items, steepness), len(items), len(negative)

    total = 0.0
    for ranks in (range(m, n), range(m)):
        for j in range(n):
            share = sum(rows[r][j] for r in ranks)
            total -= math.log(share if j in ranks else 1 - share) / n / 2
    return total


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 20), steepness=st.floats(0.1, 1e3), seed=st.integers(0, 99))
def test_the_relaxed_permutation_is_doubly_stochastic(n: int, steepness: float, seed: int) -> None:
    values, permutation = soft_sort(normal(2, n, seed=seed), steepness=steepness)
    one = torch.ones(2, n, dtype=torch.float64)
    assert torch.allclose(permutation.sum(-1), one)
    assert torch.allclose(permutation.sum(-2), one)
    assert bool((permutation >= 0).all())
    assert torch.allclose(permutation @ normal(2, n, seed=seed)[..., None], values[..., None])


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 20), seed=st.integers(0, 99))
def test_steep_swaps_sort(n: int, seed: int) -> None:
    given_values = normal(n, seed=seed)
    values, _ = soft_sort(given_values, steepness=1e12)
    assert torch.allclose(values, given_values.sort().values)


def test_the_network_is_that_of_naive_loops() -> None:
    values = normal(7)
    _, permutation = soft_sort(values, steepness=3.0)
    assert torch.allclose(
        permutation, torch.tensor(naive_sort(values.tolist(), 3.0), dtype=torch.float64)
    )


@pytest.mark.parametrize("n_positive", [1, 3])
@pytest.mark.parametrize("steepness", [1, 20])
def test_groco_is_that_of_naive_loops(n_positive: int, steepness: int) -> None:
    q, positives, negatives = normal(4, 6), normal(4, n_positive, 6, seed=1), normal(9, 6, seed=2)
    found = groco(q, positives, negatives, topk=5, steepness=steepness)
    unit = [one / one.norm(dim=-1, keepdim=True) for one in (q, positives, negatives)]
    total = 0.0
    for i in range(4):
        near = sorted((unit[2] @ unit[0][i]).tolist())[-5:]
        total += naive_groco((unit[1][i] @ unit[0][i]).tolist(), near, steepness)
    assert float(found) == pytest.approx(total / 4, rel=1e-9)


def test_order_costs_what_the_specification_measured() -> None:
    """Section 2.9: cosines of 0.9 against at most 0.3 cost 0.186 at s = 1 and 0.024 at s = 20."""
    similarity = torch.cat([torch.tensor([0.9]), torch.linspace(-0.3, 0.3, 10)])[None]
    level = torch.tensor([[0] + [1] * 10])
    for steepness, wanted in ((1, 0.186), (20, 0.024)):
        found = float(ordered_groups(similarity, level, keep=(1, 10), steepness=steepness))
        # the negatives between -0.3 and 0.3 are not those of the specification
        assert found == pytest.approx(wanted, abs=0.002)
        turned = float(ordered_groups(-similarity, level, keep=(1, 10), steepness=steepness))
        assert turned > found


def test_the_order_of_the_negatives_does_not_matter() -> None:
    q, positives, negatives = normal(4, 6), normal(4, 2, 6, seed=1), normal(30, 6, seed=2)
    shuffled = negatives[torch.randperm(30, generator=torch.Generator().manual_seed(1))]
    assert float(groco(q, positives, negatives)) == pytest.approx(
        float(groco(q, positives, shuffled))
    )


def test_an_excluded_negative_is_as_if_it_were_not_there() -> None:
    q, positives, negatives = normal(3, 6), normal(3, 2, 6, seed=1), normal(8, 6, seed=2)
    out = torch.zeros(3, 8, dtype=torch.bool)
    out[:, [1, 4]] = True
    kept = groco(q, positives, negatives[[0, 2, 3, 5, 6, 7]])
    assert float(groco(q, positives, negatives, exclude=out)) == pytest.approx(float(kept))
    each = negatives.expand(3, 8, 6)
    assert float(groco(q, positives, each, exclude=out)) == pytest.approx(float(kept))


def test_a_query_without_negatives_counts_nothing() -> None:
    q, positives, negatives = normal(2, 6), normal(2, 2, 6, seed=1), normal(8, 6, seed=2)
    out = torch.tensor([[False] * 8, [True] * 8])
    found = groco(q, positives, negatives, exclude=out)
    assert float(found) == pytest.approx(float(groco(q[:1], positives[:1], negatives)))
    leaf = q.clone().requires_grad_()
    nothing = groco(leaf, positives, negatives, exclude=out | True)
    nothing.backward()  # type: ignore[no-untyped-call]  # untyped in torch
    assert float(nothing.detach()) == 0
    assert leaf.grad is not None
    assert not leaf.grad.any()


def test_gradients_flow_into_the_query_alone_and_stay_finite() -> None:
    sides = [normal(3, 6), normal(3, 2, 6, seed=1), normal(8, 6, seed=2)]
    q, positives, negatives = (one.float().requires_grad_() for one in sides)
    groco(q, positives, negatives).backward()  # type: ignore[no-untyped-call]
    assert q.grad is not None
    assert bool(q.grad.isfinite().all())
    assert bool(q.grad.any())
    assert positives.grad is None
    assert negatives.grad is None


def test_half_precision_is_sorted_in_float32() -> None:
    q, positives, negatives = normal(3, 6), normal(3, 2, 6, seed=1), normal(8, 6, seed=2)
    half = [one.to(torch.bfloat16) for one in (q, positives, negatives)]
    found = groco(half[0], half[1], half[2])
    wanted = groco(*(one.float() for one in half))
    assert found.dtype == torch.bfloat16
    # one rounding, of the result
    assert torch.equal(found, wanted.to(torch.bfloat16))


# ---- several levels


def test_two_levels_are_groco() -> None:
    q, positives, negatives = normal(3, 6), normal(3, 2, 6, seed=1), normal(8, 6, seed=2)
    keys = torch.cat([positives, negatives.expand(3, 8, 6)], 1)
    unit = [one / one.norm(dim=-1, keepdim=True) for one in (q, keys)]
    similarity = torch.einsum("qf,qkf->qk", unit[0], unit[1])
    level = torch.tensor([0, 0] + [1] * 8).expand(3, 10)
    found = ordered_groups(similarity, level, keep=(2, 5), steepness=20)
    assert float(found) == pytest.approx(float(groco(q, positives, negatives, topk=5)))


def test_the_wanted_order_costs_least_of_all() -> None:
    level = torch.tensor([[0, 1, 1, 2, 3, 3]])
    sizes = (1, 2, 1, 2)
    right = torch.tensor([[0.9, 0.6, 0.5, 0.1, -0.4, -0.6]])
    best = float(ordered_groups(right, level, keep=sizes))
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        order = torch.randperm(6, generator=generator)
        cost = float(ordered_groups(right[:, order], level, keep=sizes))
        assert cost >= best - 1e-6
        if level[0, order].tolist() != level[0].tolist():
            assert cost > best


def test_queries_may_lack_keys_of_a_level() -> None:
    """A query of fewer keys beside others costs what it costs alone."""
    similarity = normal(3, 6).tanh()
    level = torch.tensor([[0, 1, 2, 2, -1, 1], [0, 2, 2, -1, -1, -1], [0, -1, -1, 0, -1, -1]])
    together = float(ordered_groups(similarity, level, keep=(2, 2, 2)))
    alone = [
        float(ordered_groups(similarity[:1], level[:1], keep=(1, 2, 2))),
        float(ordered_groups(similarity[1:2, :3], (level[1:2, :3] > 0).long(), keep=(1, 2))),
    ]
    assert together == pytest.approx(sum(alone) / 2)


def test_the_kept_keys_of_a_level_are_those_next_to_the_others() -> None:
    similarity = torch.tensor([[0.9, 0.2, 0.5, 0.4, 0.3, -0.1, 0.25, -0.9]])
    level = torch.tensor([[0, 0, 1, 1, 1, 1, 2, 2]])
    found = float(ordered_groups(similarity, level, keep=(1, 2, 1)))
    chosen = torch.tensor([1, 2, 5, 6])  # least of 0, least and most of 1, most of 2
    wanted = ordered_groups(similarity[:, chosen], level[:, chosen], keep=(1, 2, 1))
    assert found == pytest.approx(float(wanted))


def test_training_on_the_loss_orders_the_groups() -> None:
    keys = torch.nn.functional.normalize(normal(12, 8), dim=1)
    level = torch.tensor([[0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]])
    q = torch.nn.Parameter(normal(1, 8, seed=5))
    adam = torch.optim.Adam([q], 0.1)
    losses = []
    for _ in range(40):
        similarity = torch.nn.functional.normalize(q, dim=1) @ keys.T
        loss = ordered_groups(similarity, level, keep=(1, 3, 4, 4), steepness=20)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_unfit_levels_and_keys_are_refused() -> None:
    similarity, level = torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.int64)
    with pytest.raises(RefusedInputError, match="two levels or more"):
        ordered_groups(similarity, level, keep=(1,))
    with pytest.raises(RefusedInputError, match="levels lie in 2 to 2; allowed: 0 to 1"):
        ordered_groups(similarity, level + 2, keep=(1, 1))
    with pytest.raises(RefusedInputError, match="1 of 6 similarities are not finite"):
        ordered_groups(
            similarity.index_fill(1, torch.tensor([0]), 0)
            + torch.tensor([[math.nan, 0, 0], [0, 0, 0]]),
            level,
            keep=(1, 1),
        )
    with pytest.raises(RefusedInputError, match="steepness must be positive and finite; got 0"):
        soft_sort(similarity, steepness=0)
    q = torch.eye(2)
    with pytest.raises(RefusedInputError, match="1 or more; got 0"):
        groco(q, q[:, None], q, topk=0)
    with pytest.raises(ShapeError, match="q, positives and negatives have the shapes"):
        groco(q, torch.zeros(2, 0, 2), q)
    shipped = inspect.unwrap(groco)  # without pytest's checks of annotations
    with pytest.raises(ShapeError, match="q, positives and negatives have the shapes"):
        shipped(q, q[:, None], torch.zeros(3, 4, 2))
    with pytest.raises(ShapeError, match=r"exclude must be bool, \(2, 2\)"):
        shipped(q, q[:, None], q, exclude=torch.zeros(2, 2, dtype=torch.int64))


def test_no_negatives_at_all_cost_nothing() -> None:
    assert groco(torch.eye(2), torch.eye(2)[:, None], torch.zeros(0, 2)).item() == 0
