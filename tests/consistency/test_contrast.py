"""The one kernel of contrast: equal to every published form that masks can express."""

import inspect
import math
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (torch's own convention)
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import (  # type: ignore[import-untyped]  # ships no types
    NTXentLoss,
    SupConLoss,
)
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from medconsist.consistency.contrast import (
    Reduction,
    info_nce,
    masked_info_nce,
    multi_scale,
    positives_from_ids,
)
from medconsist.errors import RefusedInputError, ShapeError

REDUCTIONS: tuple[Reduction, ...] = ("anchor", "pair")


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def features(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def random_mask(*shape: int, share: float, seed: int = 2) -> Tensor:
    return torch.rand(*shape, generator=seeded(seed)) < share


def as_shipped(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return the function without pytest's checks of annotations, as a user runs it."""
    shipped: Callable[..., Tensor] = inspect.unwrap(function)
    return shipped


def naive(
    similarity: Tensor, positive: Tensor, exclude: Tensor | None, reduction: Reduction
) -> float:
    """Evaluate the formula of the docstring by loops over one matrix, in Python floats."""
    per_anchor, pairs = [], []
    for i, row in enumerate(similarity.tolist()):
        out = [False] * len(row) if exclude is None else exclude[i].tolist()
        candidates = [j for j in range(len(row)) if not out[j]]
        mine = [j for j in candidates if positive[i, j]]
        if not mine:
            continue
        denominator = math.log(sum(math.exp(row[j]) for j in candidates))
        terms = [denominator - row[j] for j in mine]
        per_anchor.append(sum(terms) / len(terms))
        pairs += terms
    chosen = per_anchor if reduction == "anchor" else pairs
    return sum(chosen) / len(chosen) if chosen else 0.0


# The formula


@settings(max_examples=60, deadline=None)
@given(
    n_queries=st.integers(1, 32),
    n_keys=st.integers(1, 32),
    share=st.floats(0.0, 1.0),
    share_out=st.sampled_from([None, 0.0, 0.3, 1.0]),
    reduction=st.sampled_from(REDUCTIONS),
    seed=st.integers(0, 10_000),
)
def test_loss_equals_loops_over_queries_and_keys(
    n_queries: int,
    n_keys: int,
    share: float,
    share_out: float | None,
    reduction: Reduction,
    seed: int,
) -> None:
    similarity = 3 * features(n_queries, n_keys, seed=seed)
    positive = random_mask(n_queries, n_keys, share=share, seed=seed)
    exclude = None
    if share_out is not None:
        exclude = random_mask(n_queries, n_keys, share=share_out, seed=seed + 1)
    loss = masked_info_nce(similarity, positive, exclude, reduction=reduction)
    expected = naive(similarity, positive, exclude, reduction)
    assert loss.item() == pytest.approx(expected, rel=1e-12, abs=1e-12)  # float64 rounding


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_leading_axes_are_averaged_at_once(reduction: Reduction) -> None:
    similarity = features(3, 5, 7)
    positive = random_mask(3, 5, 7, share=0.3)
    flat, inside = torch.zeros(15, 21, dtype=torch.float64), torch.zeros(15, 21).bool()
    outside = torch.ones(15, 21).bool()
    for b in range(3):
        block = (slice(5 * b, 5 * b + 5), slice(7 * b, 7 * b + 7))
        flat[block], inside[block], outside[block] = similarity[b], positive[b], False
    loss = masked_info_nce(similarity, positive, reduction=reduction)
    assert loss.item() == pytest.approx(naive(flat, inside, outside, reduction), rel=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_one_positive_per_query_is_cross_entropy(reduction: Reduction) -> None:
    similarity, target = features(8, 11), torch.tensor([0, 10, 3, 3, 5, 1, 2, 7])
    positive = F.one_hot(target, 11).bool()
    loss = masked_info_nce(similarity, positive, reduction=reduction)
    torch.testing.assert_close(loss, F.cross_entropy(similarity, target))


def test_anchor_and_pair_differ_where_queries_have_unequal_numbers_of_positives() -> None:
    similarity = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    positive = torch.tensor([[True, False, False], [True, True, True]])
    first, second = math.log(math.exp(2) + 2) - 2, math.log(3)
    anchor = masked_info_nce(similarity, positive, reduction="anchor").item()
    pair = masked_info_nce(similarity, positive, reduction="pair").item()
    assert anchor == pytest.approx((first + second) / 2, rel=1e-6)
    assert pair == pytest.approx((first + 3 * second) / 4, rel=1e-6)


def test_queries_without_positives_change_neither_loss_nor_gradient() -> None:
    similarity = features(6, 9).requires_grad_()
    positive = random_mask(6, 9, share=0.4)
    positive[[1, 4]] = False
    kept = [0, 2, 3, 5]
    for reduction in REDUCTIONS:
        loss = masked_info_nce(similarity, positive, reduction=reduction)
        (grad,) = torch.autograd.grad(loss, similarity)
        alone = masked_info_nce(similarity[kept], positive[kept], reduction=reduction)
        torch.testing.assert_close(loss, alone)
        assert torch.equal(grad[[1, 4]], torch.zeros(2, 9, dtype=grad.dtype))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("chunk", [None, 2])
@pytest.mark.parametrize("why", ["no positive", "all excluded", "no queries", "no keys"])
def test_batch_without_a_positive_pair_gives_zero_and_zero_gradient(
    why: str, chunk: int | None, reduction: Reduction
) -> None:
    n_queries, n_keys = (0 if why == "no queries" else 5), (0 if why == "no keys" else 6)
    q = features(n_queries, 4).requires_grad_()
    keys = features(n_keys, 4, seed=3).requires_grad_()
    positive = torch.full((n_queries, n_keys), why != "no positive")
    exclude = torch.ones_like(positive) if why == "all excluded" else None
    with torch.autograd.set_detect_anomaly(True):
        loss = info_nce(q, keys, positive, exclude, tau=0.1, reduction=reduction, chunk=chunk)
        loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0.0
    assert q.grad is not None
    assert keys.grad is not None
    assert torch.equal(q.grad, torch.zeros_like(q))
    assert torch.equal(keys.grad, torch.zeros_like(keys))


def test_excluded_entries_may_hold_anything_and_get_no_gradient() -> None:
    similarity, positive = features(4, 6), random_mask(4, 6, share=0.4)
    exclude = random_mask(4, 6, share=0.4, seed=5)
    exclude[2] = True
    soiled = similarity.masked_fill(exclude, math.nan).requires_grad_()
    clean = similarity.clone().requires_grad_()
    loss = masked_info_nce(soiled, positive, exclude)
    expected = masked_info_nce(clean, positive, exclude)
    (grad,) = torch.autograd.grad(loss, soiled)
    assert torch.equal(loss, expected)
    assert torch.equal(grad, torch.autograd.grad(expected, clean)[0])
    assert torch.equal(grad[exclude], torch.zeros_like(grad[exclude]))


def test_excluding_keys_equals_leaving_them_out() -> None:
    q, keys, positive = features(5, 3), features(8, 3, seed=4), random_mask(5, 8, share=0.4)
    padding = torch.tensor([[False] * 6 + [True] * 2])
    padded = info_nce(q, keys, positive, padding, tau=0.2)
    torch.testing.assert_close(padded, info_nce(q, keys[:6], positive[:, :6], tau=0.2))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), reduction=st.sampled_from(REDUCTIONS))
def test_order_of_keys_and_of_queries_does_not_matter(seed: int, reduction: Reduction) -> None:
    similarity, positive = features(6, 9, seed=seed), random_mask(6, 9, share=0.3, seed=seed)
    exclude = random_mask(6, 9, share=0.2, seed=seed + 1)
    rows = torch.randperm(6, generator=seeded(seed))[:, None]
    columns = torch.randperm(9, generator=seeded(seed))
    shuffled = (values[rows, columns] for values in (similarity, positive, exclude))
    torch.testing.assert_close(
        masked_info_nce(*shuffled, reduction=reduction),
        masked_info_nce(similarity, positive, exclude, reduction=reduction),
    )


def test_a_constant_added_to_a_row_does_not_matter() -> None:
    similarity, positive = features(6, 9), random_mask(6, 9, share=0.3)
    shift = 100 * features(6, 1, seed=3)
    torch.testing.assert_close(
        masked_info_nce(similarity + shift, positive), masked_info_nce(similarity, positive)
    )


# Gradients and chunks


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("chunk", [None, 2])
@pytest.mark.parametrize("normalize", [True, False])
def test_gradient_equals_finite_differences(
    normalize: bool, chunk: int | None, reduction: Reduction
) -> None:
    positive, exclude = random_mask(5, 4, share=0.4), random_mask(5, 4, share=0.2, seed=9)
    positive[3] = False

    def loss(q: Tensor, keys: Tensor) -> Tensor:
        return info_nce(
            q,
            keys,
            positive,
            exclude,
            tau=0.5,
            normalize=normalize,
            reduction=reduction,
            chunk=chunk,
        )

    pair = (features(5, 3).requires_grad_(), features(4, 3, seed=2).requires_grad_())
    assert torch.autograd.gradcheck(loss, pair)


@settings(max_examples=30, deadline=None)
@given(
    n_queries=st.integers(1, 20),
    chunk=st.integers(1, 25),
    leading=st.sampled_from([(), (3,), (2, 1)]),
    reduction=st.sampled_from(REDUCTIONS),
    seed=st.integers(0, 1000),
)
def test_chunks_equal_the_dense_form_in_value_and_gradient(
    n_queries: int, chunk: int, leading: tuple[int, ...], reduction: Reduction, seed: int
) -> None:
    q = features(*leading, n_queries, 5, seed=seed, dtype=torch.float32).requires_grad_()
    keys = features(13, 5, seed=seed + 1, dtype=torch.float32).requires_grad_()
    positive = random_mask(n_queries, 13, share=0.3, seed=seed)
    exclude = random_mask(*leading, n_queries, 13, share=0.2, seed=seed + 1)
    outcomes = []
    for size in (None, chunk):
        loss = info_nce(q, keys, positive, exclude, tau=0.2, reduction=reduction, chunk=size)
        outcomes.append((loss, *torch.autograd.grad(loss, (q, keys))))
    for dense, chunked in zip(*outcomes, strict=True):
        # Only the order of float32 sums of at most 120 terms of size 1 differs.
        torch.testing.assert_close(chunked, dense, rtol=1e-6, atol=1e-6)


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch annotates it partly
    """Counts the bytes of storages that torch creates inside the block and keeps alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.alive: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        known = {id_of(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and id_of(leaf) not in known:
                self._add(leaf.untyped_storage())
        self.peak = max(self.peak, sum(self.alive.values()))
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self.alive:
            self.alive[key] = storage.nbytes()
            weakref.finalize(storage, self.alive.pop, key, None)


def id_of(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def peak_bytes(n_queries: int, chunk: int | None, device: str = "cpu") -> int:
    """Return the largest number of bytes alive during loss and gradient, inputs aside."""
    n_keys = 1024
    q = features(n_queries, 8, dtype=torch.float32).to(device).requires_grad_()
    keys = features(n_keys, 8, seed=2, dtype=torch.float32).to(device).requires_grad_()
    positive = torch.arange(n_queries)[:, None] % n_keys == torch.arange(n_keys)
    positive = positive.to(device)
    exclude = torch.zeros(1, n_keys, dtype=torch.bool, device=device)
    with LiveBytes() as live:
        info_nce(q, keys, positive, exclude, tau=0.1, chunk=chunk).backward()  # type: ignore[no-untyped-call]
    return int(live.peak)


def test_peak_memory_is_linear_in_the_chunk_and_flat_in_the_queries() -> None:
    small, middle, large = (peak_bytes(1024, chunk) for chunk in (64, 128, 256))
    # Features and their gradients do not depend on the chunk; the step does, and doubles.
    assert (large - middle) / (middle - small) == pytest.approx(2.0, rel=0.1)
    assert peak_bytes(1024, None) > 8 * small
    per_query = 16 * 8 * 4  # at most 16 arrays like q: unit rows, gradients, their transients
    assert peak_bytes(4096, 64) - small < 3072 * per_query
    one_similarity = 4096 * 1024 * 4
    assert peak_bytes(4096, 64) < one_similarity / 4


@pytest.mark.gpu
def test_chunks_bound_the_memory_that_the_gpu_allocates() -> None:
    peaks = []
    for chunk in (None, 64):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        peak_bytes(8192, chunk, "cuda")
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[1] < peaks[0] / 4


# Features, temperature, dtype


def test_unit_length_makes_the_scale_of_features_irrelevant() -> None:
    q, keys, positive = features(5, 3), features(7, 3, seed=4), random_mask(5, 7, share=0.3)
    scale = torch.rand(5, 1, generator=seeded()).double() + 0.1
    loss = info_nce(q, keys, positive, tau=0.2)
    torch.testing.assert_close(info_nce(scale * q, 9 * keys, positive, tau=0.2), loss)
    cosine = F.normalize(q, dim=-1) @ F.normalize(keys, dim=-1).mT
    torch.testing.assert_close(masked_info_nce(cosine / 0.2, positive), loss)


def test_without_unit_length_scale_and_temperature_are_one() -> None:
    q, keys, positive = features(5, 3), features(7, 3, seed=4), random_mask(5, 7, share=0.3)
    torch.testing.assert_close(
        info_nce(4 * q, keys, positive, tau=2, normalize=False),
        info_nce(q, keys, positive, tau=0.5, normalize=False),
    )


def test_high_temperature_tends_to_the_logarithm_of_the_number_of_keys() -> None:
    q, keys = features(5, 3), features(7, 3, seed=4)
    loss = info_nce(q, keys, random_mask(5, 7, share=0.5), tau=1e9)
    assert loss.item() == pytest.approx(math.log(7), rel=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_low_temperature_tends_to_the_gap_to_the_hardest_key(dtype: torch.dtype) -> None:
    q = features(6, 3, dtype=dtype)
    keys = features(9, 3, seed=4, dtype=dtype)
    positive = F.one_hot(torch.arange(6), 9).bool()
    cosine = F.normalize(q, dim=-1) @ F.normalize(keys, dim=-1).mT
    gap = (cosine.amax(-1) - cosine.diagonal()).mean()
    loss = info_nce(q, keys, positive, tau=1e-6)
    torch.testing.assert_close(loss * 1e-6, gap, rtol=1e-4, atol=1e-6)


def test_small_losses_stay_exact_at_low_temperature() -> None:
    similarity = torch.tensor([[1000.0, 990.0]])
    loss = masked_info_nce(similarity, torch.tensor([[True, False]]))
    assert loss.item() == pytest.approx(math.log1p(math.exp(-10)), rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_finite_and_is_computed_in_float32(dtype: torch.dtype) -> None:
    q, keys = 200 * features(6, 32, dtype=torch.float32), features(9, 32, seed=4).float()
    q, keys = q.to(dtype).requires_grad_(), keys.to(dtype).requires_grad_()
    positive = F.one_hot(torch.arange(6), 9).bool()
    loss = info_nce(q, keys, positive, tau=0.001)
    grads = torch.autograd.grad(loss, (q, keys))
    wide = info_nce(q.float(), keys.float(), positive, tau=0.001)
    assert loss.dtype == dtype
    assert torch.equal(loss, wide.to(dtype))
    assert all(grad.isfinite().all() and grad.dtype == dtype for grad in grads)


@pytest.mark.parametrize("chunk", [None, 2])
def test_autocast_does_not_round_the_similarities(chunk: int | None) -> None:
    q = features(6, 32, dtype=torch.float32).requires_grad_()
    positive = F.one_hot(torch.arange(6), 6).bool()
    loss = info_nce(q, q.detach() + 0.1, positive, tau=0.01, chunk=chunk)
    with torch.autocast("cpu", torch.bfloat16):
        under = info_nce(q, q.detach() + 0.1, positive, tau=0.01, chunk=chunk)
    assert torch.equal(under, loss)
    expected, got = torch.autograd.grad(loss, q)[0], torch.autograd.grad(under, q)[0]
    assert torch.equal(got, expected)


def test_zero_features_have_a_bounded_gradient() -> None:
    q = features(3, 4)
    q[1] = 0
    q.requires_grad_()
    loss = info_nce(q, features(5, 4, seed=2), random_mask(3, 5, share=0.5), tau=0.1)
    (grad,) = torch.autograd.grad(loss, q)
    assert grad.abs().max() < 100  # 2 / tau times the largest norm of 1 / 0.1, and no 1e12


def test_teacher_keys_that_need_no_gradient_get_none() -> None:
    q, keys = features(4, 3).requires_grad_(), features(4, 3, seed=2)
    info_nce(q, keys, torch.eye(4).bool(), tau=0.1, chunk=3).backward()  # type: ignore[no-untyped-call]
    assert q.grad is not None
    assert keys.grad is None


@pytest.mark.gpu
def test_gpu_agrees_with_cpu() -> None:
    q, keys = features(32, 8), features(64, 8, seed=2)
    positive = random_mask(32, 64, share=0.2)
    expected = info_nce(q, keys, positive, tau=0.1)
    for chunk in (None, 5):
        loss = info_nce(q.cuda(), keys.cuda(), positive.cuda(), tau=0.1, chunk=chunk)
        assert loss.is_cuda
        torch.testing.assert_close(loss.cpu(), expected)


# Independent oracle: pytorch-metric-learning


def test_equals_supcon_of_pytorch_metric_learning() -> None:
    z = features(24, 8)
    labels = torch.randint(0, 5, (24,), generator=seeded())
    itself = torch.eye(24).bool()
    loss = info_nce(z, z, positives_from_ids(labels, labels), itself, tau=0.1)
    torch.testing.assert_close(loss, SupConLoss(temperature=0.1)(z, labels))


def test_equals_supcon_of_pytorch_metric_learning_with_a_bank_and_lonely_anchors() -> None:
    z, bank = features(10, 8), features(15, 8, seed=2)
    labels, bank_labels = torch.arange(10), torch.arange(15) // 2
    loss = info_nce(z, bank, positives_from_ids(labels, bank_labels), tau=0.2)
    oracle = SupConLoss(temperature=0.2)(z, labels, ref_emb=bank, ref_labels=bank_labels)
    torch.testing.assert_close(loss, oracle)


def test_equals_ntxent_of_pytorch_metric_learning() -> None:
    z1, z2 = features(12, 8), features(12, 8, seed=2)
    z, ids = torch.cat([z1, z2]), torch.arange(12).repeat(2)
    loss = info_nce(z, z, positives_from_ids(ids, ids), torch.eye(24).bool(), tau=0.5)
    torch.testing.assert_close(loss, NTXentLoss(temperature=0.5)(z, ids))


# Published systems as masks on the one kernel


def test_moco_is_a_mask_over_own_keys_and_queue() -> None:
    q, k, queue = features(6, 8), features(6, 8, seed=2), features(20, 8, seed=3)
    own = torch.eye(6).bool()
    positive = torch.cat([own, torch.zeros(6, 20).bool()], 1)
    others = torch.cat([~own, torch.zeros(6, 20).bool()], 1)
    loss = info_nce(q, torch.cat([k, queue]), positive, others, tau=0.07)
    terms = []
    for i in range(6):
        near = F.cosine_similarity(q[i], k[i], dim=0).item() / 0.07
        far = [F.cosine_similarity(q[i], other, dim=0).item() / 0.07 for other in queue]
        terms.append(-math.log(math.exp(near) / (math.exp(near) + sum(map(math.exp, far)))))
    assert loss.item() == pytest.approx(sum(terms) / 6, rel=1e-12)


def test_ins_is_supcon_over_batch_and_queue_without_itself() -> None:
    """Queries are pulled to all of q, k and queue with their pseudo-label; class 3 is alone."""
    q, k, queue = features(5, 8), features(5, 8, seed=2), features(9, 8, seed=3)
    labels = torch.tensor([0, 1, 1, 0, 2])
    queue_labels = torch.tensor([0, 0, 1, 1, 0, 1, 0, 1, 1])
    keys, key_labels = torch.cat([q, k, queue]), torch.cat([labels, labels, queue_labels])
    itself = torch.arange(5)[:, None] == torch.arange(19)
    loss = info_nce(q, keys, positives_from_ids(labels, key_labels), itself, tau=0.07)
    terms = []
    for i in range(5):
        exps = {
            j: math.exp(F.cosine_similarity(q[i], keys[j], dim=0).item() / 0.07)
            for j in range(19)
            if j != i
        }
        mine = [j for j in exps if key_labels[j] == labels[i]]
        terms.append(-sum(math.log(exps[j] / sum(exps.values())) for j in mine) / len(mine))
    assert loss.item() == pytest.approx(sum(terms) / 5, rel=1e-12)


def test_ins_query_without_any_positive_is_no_nan() -> None:
    q, queue = features(3, 8).requires_grad_(), features(4, 8, seed=2)
    positive = positives_from_ids(torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1, 1]))
    loss = info_nce(q, queue, positive, tau=0.07)
    (grad,) = torch.autograd.grad(loss, q)
    assert loss.isfinite()
    assert torch.equal(grad[2], torch.zeros(8, dtype=grad.dtype))
    assert (grad[:2].abs().sum(1) > 0).all()


def both_views(z1: Tensor, z2: Tensor) -> Tensor:
    """Contrast the entries of two views: each is pulled to its own in the other view."""
    z = torch.cat([z1, z2], -2)
    ids = torch.arange(z1.shape[-2]).repeat(2)
    itself = torch.eye(len(ids)).bool()
    return info_nce(z, z, positives_from_ids(ids, ids), itself, tau=1, normalize=False)


def across_samples(z1: Tensor, z2: Tensor) -> Tensor:
    return both_views(z1.transpose(0, 1), z2.transpose(0, 1))


def by_group(z1: Tensor, z2: Tensor, ids: Tensor) -> Tensor:
    """Contrast samples of one id: upper triangle over z2, lower over z1; itself a negative."""
    upper = positives_from_ids(ids, ids).triu(1)
    z1, z2 = z1.flatten(1), z2.flatten(1)
    return (
        info_nce(z1, z2, upper, tau=0.1, reduction="pair")
        + info_nce(z2, z1, upper, tau=0.1, reduction="pair")
    ) / 2


def loop_over_time(z1: list[Any], z2: list[Any]) -> float:
    """COMET's observation level of one sample: rows are moments, dot products, tau 1."""
    views, terms = z1 + z2, []
    for i, anchor in enumerate(views):
        partner = (i + len(z1)) % len(views)
        exps = [math.exp(sum(a * b for a, b in zip(anchor, other, strict=True))) for other in views]
        rest = sum(value for j, value in enumerate(exps) if j != i)
        terms.append(-math.log(exps[partner] / rest))
    return sum(terms) / len(terms)


def halve(z: Tensor) -> Tensor:
    return F.max_pool1d(z.mT, 2).mT


def scales(z: Tensor) -> list[Tensor]:
    out = [z]
    while out[-1].shape[1] > 1:
        out.append(halve(out[-1]))
    return out


def test_comet_observation_level_is_masks_over_time_at_every_scale() -> None:
    z1, z2 = features(3, 7, 4), features(3, 7, 4, seed=2)
    per_scale = [
        sum(loop_over_time(a[b].tolist(), c[b].tolist()) for b in range(3)) / 3
        for a, c in zip(scales(z1), scales(z2), strict=True)
    ]
    expected = sum(per_scale) / len(per_scale)
    assert multi_scale(both_views, z1, z2).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("time", "scales_seen"), [(256, 8), (300, 8), (2, 1), (3, 1)])
def test_multi_scale_stops_at_the_least_length(time: int, scales_seen: int) -> None:
    lengths = []

    def both(a: Tensor, c: Tensor) -> Tensor:
        lengths.append(a.shape[-2])
        return torch.stack([a.sum(), c.sum()])

    z = features(1, time, 2)
    assert multi_scale(both, z, 2 * z, least=2).shape == (2,)
    assert len(lengths) == scales_seen
    assert min(lengths) >= 2
    with pytest.raises(ShapeError, match="time >= 4"):
        multi_scale(both, z[:, :2], z[:, :2], least=4)
    with pytest.raises(RefusedInputError, match="least must be at least 1"):
        multi_scale(both, z, z, least=0)


@pytest.mark.parametrize("pool", [2, 3])
def test_multi_scale_has_the_gradient_of_max_pooling(pool: int) -> None:
    z, weight = features(2, 7, 3).requires_grad_(), features(2, 7 // pool, 3, seed=2)

    def coarse(a: Tensor, _: Tensor) -> Tensor:
        return (a * weight).sum() if a.shape[-2] == 7 // pool else 0 * a.sum()

    # scales: 7, 7 // pool, and what is shorter
    count = {2: 3, 3: 2}[pool]
    ours = torch.autograd.grad(count * multi_scale(coarse, z, z, pool), z)[0]
    pooled = F.max_pool1d(z.mT, pool).mT
    torch.testing.assert_close(ours, torch.autograd.grad((pooled * weight).sum(), z)[0])


def test_comet_sample_level_is_the_same_kernel_with_time_as_leading_axis() -> None:
    z1, z2 = features(4, 6, 3), features(4, 6, 3, seed=2)
    per_scale = [
        sum(loop_over_time(a[:, t].tolist(), c[:, t].tolist()) for t in range(a.shape[1]))
        / a.shape[1]
        for a, c in zip(scales(z1), scales(z2), strict=True)
    ]
    expected = sum(per_scale) / len(per_scale)
    assert multi_scale(across_samples, z1, z2).item() == pytest.approx(expected, rel=1e-12)


def loop_over_groups(z1: Tensor, z2: Tensor, ids: list[int]) -> float:
    """COMET's trial and patient levels: row sums above the diagonal, column sums below it."""
    count = len(ids)
    exps = [
        [math.exp(F.cosine_similarity(a, b, dim=0).item() / 0.1) for b in z2.flatten(1)]
        for a in z1.flatten(1)
    ]
    upper, lower = [], []
    for i in range(count):
        for j in range(count):
            if i < j and ids[i] == ids[j]:
                upper.append(-math.log(exps[i][j] / sum(exps[i])))
            if i > j and ids[i] == ids[j]:
                lower.append(-math.log(exps[i][j] / sum(row[j] for row in exps)))
    return (sum(upper) / len(upper) + sum(lower) / len(lower)) / 2


TRIALS = [0, 0, 1, 2, 2, 2, 3, 4]
PATIENTS = [0, 0, 0, 1, 1, 1, 1, 2]


@pytest.mark.parametrize("ids", [TRIALS, PATIENTS], ids=["trial", "patient"])
def test_comet_trial_and_patient_levels_are_id_masks_with_pair_reduction(ids: list[int]) -> None:
    z1, z2 = features(8, 5, 3), features(8, 5, 3, seed=2)
    loss = by_group(z1, z2, torch.tensor(ids))
    assert loss.item() == pytest.approx(loop_over_groups(z1, z2, ids), rel=1e-12)


def test_comet_level_without_two_samples_of_one_id_is_zero() -> None:
    z1, z2 = features(4, 5, 3), features(4, 5, 3, seed=2)
    assert by_group(z1, z2, torch.arange(4)).item() == 0.0


def test_comet_weights_act_on_all_four_levels() -> None:
    """Upstream drops the factor of the two id levels; here every level obeys its own."""
    z1, z2 = features(8, 4, 3).requires_grad_(), features(8, 4, 3, seed=2)
    levels = [
        multi_scale(both_views, z1, z2),
        multi_scale(across_samples, z1, z2),
        by_group(z1, z2, torch.tensor(TRIALS)),
        by_group(z1, z2, torch.tensor(PATIENTS)),
    ]
    base = [torch.autograd.grad(level, z1, retain_graph=True)[0] for level in levels]
    for k in range(4):
        weights = [1.0] * 4
        weights[k] = 3.0
        total = torch.stack(
            [weight * level for weight, level in zip(weights, levels, strict=True)]
        ).sum()
        (grad,) = torch.autograd.grad(total, z1, retain_graph=True)
        torch.testing.assert_close(grad, torch.stack(base).sum(0) + 2 * base[k])
        assert base[k].abs().max() > 0


def test_training_gathers_groups_and_separates_them() -> None:
    z = torch.nn.Parameter(features(12, 4, dtype=torch.float32))
    ids = torch.arange(12) % 3
    positive, itself = positives_from_ids(ids, ids), torch.eye(12).bool()
    optimizer = torch.optim.SGD([z], lr=1.0)
    for _ in range(100):
        optimizer.zero_grad()
        info_nce(z, z, positive, itself, tau=0.5, chunk=5).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    unit = F.normalize(z.detach(), dim=-1)
    cosine = unit @ unit.mT
    assert cosine[positive].min() > 0.95
    assert cosine[~positive].max() < 0.0


# Ids and scales


@given(
    ids_q=st.lists(st.integers(-3, 3), max_size=6), ids_k=st.lists(st.integers(-3, 3), max_size=6)
)
@settings(max_examples=30, deadline=None)
def test_positives_are_the_pairs_of_equal_id(ids_q: list[int], ids_k: list[int]) -> None:
    mask = positives_from_ids(
        torch.tensor(ids_q, dtype=torch.long), torch.tensor(ids_k, dtype=torch.long)
    )
    assert mask.shape == (len(ids_q), len(ids_k))
    assert mask.tolist() == [[a == b for b in ids_k] for a in ids_q]


def test_ids_broadcast_over_leading_axes() -> None:
    ids = torch.tensor([[0, 1], [1, 1]])
    mask = positives_from_ids(ids, torch.tensor([1, 0, 1]))
    assert mask.shape == (2, 2, 3)
    assert mask[1].tolist() == [[True, False, True]] * 2


@pytest.mark.parametrize(
    ("time", "pool", "lengths"),
    [(1, 2, [1]), (8, 2, [8, 4, 2, 1]), (7, 2, [7, 3, 1]), (9, 3, [9, 3, 1]), (5, 4, [5, 1])],
)
def test_every_scale_is_visited_once_down_to_the_last(
    time: int, pool: int, lengths: list[int]
) -> None:
    seen = []

    def record(z1: Tensor, z2: Tensor) -> Tensor:
        seen.append((z1.shape[-2], z2.shape[-2]))
        return torch.tensor(float(z1.shape[-2]))

    loss = multi_scale(record, features(2, time, 3), features(2, time, 3), pool)
    assert seen == [(length, length) for length in lengths]
    assert loss.item() == pytest.approx(sum(lengths) / len(lengths), rel=1e-6)


# Bad input


def test_nan_and_infinity_are_refused() -> None:
    similarity, eye = features(3, 3), torch.eye(3).bool()
    for value in (math.nan, math.inf, -math.inf):
        similarity[0, 1] = value
        with pytest.raises(RefusedInputError, match="1 of 9 similarities are NaN or infinite"):
            masked_info_nce(similarity, eye)
    soiled = features(3, 2)
    soiled[2, 0] = math.nan
    with pytest.raises(RefusedInputError, match="1 of 6 values of q are NaN"):
        info_nce(soiled, features(3, 2), eye, tau=0.1)
    with pytest.raises(RefusedInputError, match="1 of 6 values of keys are NaN"):
        info_nce(features(3, 2), soiled, eye, torch.ones(3, 3).bool(), tau=0.1)


def test_overflow_is_refused_and_not_returned_as_nan() -> None:
    huge = features(3, 2, dtype=torch.float32) * 1e25
    with pytest.raises(RefusedInputError, match="raise the temperature or normalise"):
        info_nce(huge, huge, torch.eye(3).bool(), tau=0.1, normalize=False)


@pytest.mark.parametrize("tau", [0.0, -0.1, math.nan, math.inf])
def test_temperature_out_of_range_is_refused(tau: float) -> None:
    with pytest.raises(RefusedInputError, match="tau must be positive and finite"):
        info_nce(features(3, 2), features(3, 2), torch.eye(3).bool(), tau=tau)


def test_chunk_below_one_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="chunk must be at least 1"):
        info_nce(features(3, 2), features(3, 2), torch.eye(3).bool(), tau=0.1, chunk=0)


def test_masks_that_do_not_fit_are_refused_with_both_shapes() -> None:
    similarity = features(2, 3, 4)
    with pytest.raises(ShapeError, match=r"positive \(4,\) must end with .*\(2, 3, 4\)"):
        masked_info_nce(similarity, torch.ones(4).bool())
    with pytest.raises(ShapeError, match=r"positive \(5, 3, 4\) cannot be expanded"):
        masked_info_nce(similarity, torch.ones(5, 3, 4).bool())
    with pytest.raises(ShapeError, match=r"exclude \(4, 3\) cannot be expanded .*\(2, 3, 4\)"):
        masked_info_nce(similarity, torch.ones(3, 4).bool(), torch.ones(4, 3).bool())


def test_features_that_do_not_fit_are_refused_with_both_shapes() -> None:
    loss = as_shipped(info_nce)
    with pytest.raises(ShapeError, match=r"same number of features; got \(3, 2\) and \(3, 4\)"):
        loss(features(3, 2), features(3, 4), torch.eye(3).bool(), tau=0.1)
    with pytest.raises(ShapeError, match=r"leading axes of q \(2,\) and of keys \(3,\)"):
        loss(features(2, 3, 2), features(3, 3, 2), torch.eye(3).bool(), tau=0.1)


def test_dtypes_that_cannot_be_compared_are_refused() -> None:
    eye, z = torch.eye(3).bool(), features(3, 2)
    with pytest.raises(RefusedInputError, match=r"q is torch.float64 and keys are torch.float32"):
        info_nce(z, z.float(), eye, tau=0.1)
    with pytest.raises(RefusedInputError, match=r"q must be real and floating; got torch.complex"):
        as_shipped(info_nce)(torch.complex(z, z), torch.complex(z, z), eye, tau=0.1)
    with pytest.raises(RefusedInputError, match=r"keys must be real and floating; got torch.int64"):
        as_shipped(info_nce)(z, z.long(), eye, tau=0.1)
    with pytest.raises(RefusedInputError, match=r"similarity must be real .* torch.int64"):
        as_shipped(masked_info_nce)(eye.long(), eye)
    with pytest.raises(RefusedInputError, match=r"positive must be bool.* got torch.float32"):
        as_shipped(masked_info_nce)(z @ z.mT, torch.eye(3))
    with pytest.raises(RefusedInputError, match=r"exclude must be bool.* got torch.int64"):
        as_shipped(masked_info_nce)(z @ z.mT, eye, eye.long())


def test_unknown_reduction_is_refused() -> None:
    eye, z = torch.eye(3).bool(), features(3, 2)
    with pytest.raises(RefusedInputError, match="'anchor' or 'pair'; got 'mean'"):
        as_shipped(masked_info_nce)(z @ z.mT, eye, reduction="mean")
    with pytest.raises(RefusedInputError, match="'anchor' or 'pair'; got 'sum'"):
        as_shipped(info_nce)(z, z, eye, tau=0.1, reduction="sum")


def test_ids_that_are_no_integers_are_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"ids must be integers; got torch.float32"):
        as_shipped(positives_from_ids)(torch.zeros(3), torch.zeros(3))
    with pytest.raises(ShapeError, match="got a scalar"):
        as_shipped(positives_from_ids)(torch.tensor(1), torch.arange(3))
    with pytest.raises(ShapeError, match=r"ids_q \(2,\) and of ids_k \(3,\)"):
        positives_from_ids(torch.zeros(2, 4).long(), torch.zeros(3, 4).long())


def test_views_that_cannot_be_pooled_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="pool must be at least 2"):
        multi_scale(both_views, features(2, 4, 3), features(2, 4, 3), pool=1)
    with pytest.raises(ShapeError, match=r"one shape .* got \(2, 4, 3\) and \(2, 5, 3\)"):
        as_shipped(multi_scale)(both_views, features(2, 4, 3), features(2, 5, 3))
    with pytest.raises(ShapeError, match=r"time >= 1"):
        multi_scale(both_views, features(2, 0, 3), features(2, 0, 3))
