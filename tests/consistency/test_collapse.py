"""Collapse: the rank falls where it must, neighbours of one group never vote, the probe streams."""

import inspect
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from medconsist.consistency.collapse import (
    LeaveOneOut,
    NBProbe,
    alignment,
    alpha_req,
    knn_loo,
    knn_probability,
    rankme,
    uniformity,
)
from medconsist.errors import RefusedInputError, ShapeError

SLACK = 2e-4  # of the shares' epsilon: 1e-7 * 64 * ln(1e7), and some


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def as_shipped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function without pytest's checks of annotations, as a user runs it."""
    shipped: Callable[..., Any] = inspect.unwrap(function)
    return shipped


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def rotation(n: int, seed: int = 3) -> Tensor:
    return torch.linalg.qr(normal(n, n, seed=seed)).Q


# ---- rank


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 40), dim=st.integers(1, 40), seed=st.integers(0, 99))
def test_the_rank_lies_between_one_and_the_smaller_side(rows: int, dim: int, seed: int) -> None:
    for center in (False, True):
        found = rankme(normal(rows, dim, seed=seed), center=center)
        assert 1 - SLACK <= found <= min(rows, dim) + SLACK


@pytest.mark.parametrize("shape", [(500, 16), (16, 500), (20, 16)])
@pytest.mark.parametrize("center", [False, True])
def test_the_rank_is_blind_to_scale_rotation_and_order_of_rows(
    shape: tuple[int, int], center: bool
) -> None:
    z = normal(*shape) * torch.linspace(1, 3, shape[1])
    known = rankme(z, center=center)
    for same in (1e3 * z, z @ rotation(shape[1]), z.flip(0)):
        assert rankme(same, center=center) == pytest.approx(known, rel=1e-6)


def test_the_gram_matrix_gives_the_rank_of_the_singular_values() -> None:
    z = normal(400, 8) * torch.logspace(0, -5, 8)
    sigma = torch.linalg.svdvals(z)
    p = sigma / sigma.sum() + 1e-7
    # eigenvalues of the Gram matrix have half the digits
    assert rankme(z) == pytest.approx(math.exp(-float((p * p.log()).sum())), rel=1e-6)


def test_the_measured_figures_of_the_specification() -> None:
    """Section 2.5: 63.7 isotropic, 12.3 off centre, 2.99 of rank 3, 51.0 of few rows, 16.1."""
    z = normal(2000, 64)
    assert rankme(z) == pytest.approx(63.7, abs=0.1)
    assert rankme(z + 10) == pytest.approx(12.3, abs=0.1)
    assert rankme(z + 10, center=True) == pytest.approx(63.7, abs=0.1)
    assert rankme(normal(2000, 3) @ normal(3, 64, seed=1)) == pytest.approx(2.98, abs=0.03)
    # another draw of 64 rows differs by about a half
    assert rankme(z[:64]) == pytest.approx(51.0, abs=1.5)
    clusters = normal(10, 64, seed=2)[torch.arange(2000) % 10] + 0.05 * z
    assert rankme(clusters) == pytest.approx(16.1, abs=0.5)


def test_collapsed_features_have_rank_one() -> None:
    assert rankme(torch.ones(2000, 64)) == pytest.approx(1.0001, abs=1e-5)
    assert rankme(torch.full((200, 64), 0.1), center=True) == 1.0
    assert rankme(torch.zeros(3, 5)) == 1.0


def test_the_decay_of_a_power_law_is_its_exponent() -> None:
    for exponent in (0.5, 1.0, 2.5):
        spread = torch.arange(1, 33, dtype=torch.float64) ** (-exponent / 2)
        z = torch.linalg.qr(normal(400, 33)[:, 1:] - normal(400, 33)[:, 1:].mean(0)).Q * spread
        assert alpha_req(z @ rotation(32)) == pytest.approx(exponent, abs=1e-6)


def test_features_on_a_line_decay_infinitely_fast() -> None:
    assert alpha_req(normal(50, 1) @ normal(1, 8, seed=1)) == math.inf
    assert alpha_req(torch.ones(50, 8)) == math.inf


# ---- the sphere


def test_alignment_and_uniformity_are_those_of_naive_loops() -> None:
    z, partner = normal(12, 5), normal(12, 5, seed=1)
    u, v = (one / one.norm(dim=1, keepdim=True) for one in (z, partner))
    assert alignment(z, partner) == pytest.approx(
        sum(float((a - b).square().sum()) for a, b in zip(u, v, strict=True)) / 12
    )
    pairs = [(i, j) for i in range(12) for j in range(12) if i != j]
    mean = sum(math.exp(-2 * float((u[i] - u[j]).square().sum())) for i, j in pairs) / len(pairs)
    assert uniformity(z) == pytest.approx(math.log(mean))


def test_uniformity_goes_by_chunks_without_a_trace() -> None:
    z = normal(1030, 3)
    u = z / z.norm(dim=1, keepdim=True)
    apart = torch.pdist(u).square()
    # 1 e-9: float64 sums in another order
    assert uniformity(z) == pytest.approx(float((-2 * apart).exp().mean().log()), rel=1e-9)


def test_a_collapsed_encoder_is_aligned_and_not_uniform() -> None:
    z = torch.ones(10, 4) + 1e-6 * normal(10, 4)
    assert alignment(z, z.flip(0)) == pytest.approx(0, abs=1e-9)
    assert uniformity(z) == pytest.approx(0, abs=1e-9)


# ---- neighbours


def test_rows_of_the_own_group_never_vote() -> None:
    """Copies within a group carry its label: with them all is right, without them all is wrong."""
    z = normal(6, 8).repeat_interleave(4, 0) + 1e-3 * normal(24, 8, seed=1)
    groups = torch.arange(6).repeat_interleave(4)
    label = groups % 2
    assert knn_loo(z, label, torch.arange(24), k=3).accuracy == 1.0
    told = knn_loo(z, label, groups, k=3)
    for row in range(24):
        others = (groups != groups[row]).nonzero().flatten()
        alone = knn_probability(z[row : row + 1], z[others], label[others], classes=2, k=3)
        assert torch.allclose(told.probability[row], alone[0])


def test_votes_are_weighted_as_in_naive_loops() -> None:
    z, label = normal(15, 4), torch.arange(15) % 3
    u = z / z.norm(dim=1, keepdim=True)
    found = knn_loo(z, label, torch.arange(15), k=5, tau=0.2).probability
    for i in range(15):
        near = sorted((j for j in range(15) if j != i), key=lambda j: -float(u[i] @ u[j]))[:5]
        weight = [math.exp(float(u[i] @ u[j]) / 0.2) for j in near]
        wanted = [
            sum(w for w, j in zip(weight, near, strict=True) if j % 3 == c) / sum(weight)
            for c in range(3)
        ]
        assert found[i].tolist() == pytest.approx(wanted)


def test_few_keys_left_vote_alone() -> None:
    found = knn_loo(normal(4, 3), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 0, 1]), k=20)
    assert found.probability[:3].tolist() == [[0.0, 1.0]] * 3
    # a float32 temperature of 0.07 does not overflow: cosines over it are at most 15
    assert torch.allclose(found.probability.sum(1), torch.ones(4, dtype=torch.float64))


def test_a_row_without_a_vote_for_its_label_costs_a_finite_loss() -> None:
    vote = LeaveOneOut(torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.tensor([1]))
    assert vote.log_loss() == pytest.approx(math.log(1e3))


# ---- naive Bayes


def labelled(n: int = 90, dim: int = 5) -> tuple[Tensor, Tensor]:
    label = torch.arange(n) % 3
    return normal(n, dim) * torch.arange(1, dim + 1) + normal(3, dim, seed=1)[label] + 50, label


def same_state(one: NBProbe, other: NBProbe) -> None:
    for name, value in one.state_dict().items():
        # sums of float64 in another order
        assert torch.allclose(value, other.state_dict()[name], rtol=1e-10), name


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 89), unique=True, max_size=6))
def test_parts_teach_what_the_whole_teaches(cuts: list[int]) -> None:
    z, label = labelled()
    whole, parts = NBProbe(5, 3).partial_fit(z, label), NBProbe(5, 3)
    edges = [0, *sorted(cuts), 90]
    for a, b in itertools.pairwise(edges):
        parts.partial_fit(z[a:b], label[a:b])
    same_state(whole, parts)


def test_merged_probes_are_one_and_leave_the_other_alone() -> None:
    z, label = labelled()
    one, other = NBProbe(5, 3).partial_fit(z[:20], label[:20]), NBProbe(5, 3)
    other.partial_fit(z[20:], label[20:])
    before = {name: value.clone() for name, value in other.state_dict().items()}
    same_state(NBProbe(5, 3).partial_fit(z, label), one.merge(other))
    assert all(torch.equal(before[name], value) for name, value in other.state_dict().items())
    same_state(one, NBProbe(5, 3).merge(one))


def test_the_probe_is_diagonal_discriminant_analysis_in_closed_form() -> None:
    z, label = labelled()
    label[:30] = 0  # unequal priors
    span = z.amax(0) - z.amin(0)
    scaled = (z - z.amin(0)) / span
    shares = torch.bincount(label).double() / len(label)
    means = torch.stack([scaled[label == c].mean(0) for c in range(3)])
    variance = sum(shares[c] * scaled[label == c].var(0, correction=0) for c in range(3)) + 1e-9
    exponent = -((scaled[:, None] - means) ** 2 / variance).sum(-1) / 2 + shares.log()
    found = NBProbe(5, 3).partial_fit(z, label).predict_log_proba(z)
    assert torch.allclose(found, exponent.log_softmax(1), rtol=1e-9, atol=1e-9)


def test_in_one_dimension_the_probe_is_linear_discriminant_analysis() -> None:
    z, label = labelled(dim=1)
    oracle = LinearDiscriminantAnalysis(solver="lsqr").fit(z.numpy(), label.numpy())
    found = NBProbe(1, 3).partial_fit(z, label).predict_log_proba(z)
    # the floor of 1e-9 of the variance
    assert torch.allclose(found, torch.from_numpy(oracle.predict_log_proba(z.numpy())), atol=1e-6)


def test_logits_are_linear_and_a_large_offset_does_not_cancel() -> None:
    z, label = labelled()
    probe = NBProbe(5, 3).partial_fit(z, label)
    middle = probe.logits((z[:1] + z[1:2]) / 2)
    assert torch.allclose(middle, (probe.logits(z[:1]) + probe.logits(z[1:2])) / 2)
    far = NBProbe(5, 3).partial_fit(z + 1e6, label)
    # float64 keeps 1e-10 of a value at an offset of 1e6
    assert torch.allclose(far.predict_log_proba(z + 1e6), probe.predict_log_proba(z), atol=1e-6)


def test_a_class_without_rows_is_below_all_others_and_a_constant_feature_says_nothing() -> None:
    z, label = labelled()
    probe = NBProbe(6, 4).partial_fit(torch.cat([z, torch.ones(90, 1)], 1), label)
    found = probe.logits(torch.cat([z, torch.full((90, 1), 7.0)], 1))
    assert bool((found[:, 3] == -math.inf).all())
    wanted = NBProbe(5, 3).partial_fit(z, label).predict_log_proba(z)
    assert torch.allclose(found[:, :3].log_softmax(1), wanted)


def test_a_probe_goes_on_from_its_state_and_stays_wide() -> None:
    z, label = labelled()
    first = NBProbe(5, 3).partial_fit(z[:40], label[:40])
    second = NBProbe(5, 3)
    second.load_state_dict(first.state_dict())
    same_state(first.partial_fit(z[40:], label[40:]), second.partial_fit(z[40:], label[40:]))
    assert first.half().mean.dtype == torch.float64
    same_state(first, second)


def test_few_labels_already_rank_well() -> None:
    """Two classes one standard deviation apart in each of 20 features, 5 rows of each."""
    label = torch.arange(400) % 2
    z = normal(400, 20) + 1.0 * label[:, None]
    probe = NBProbe(20, 2).partial_fit(z[:10], label[:10])
    right = (probe.logits(z[10:]).argmax(1) == label[10:]).double().mean()
    assert right > 0.9


# ---- what is refused


def test_unfit_features_are_refused() -> None:
    bad = torch.tensor([[1.0, math.nan]])
    for call in (rankme, alpha_req):
        with pytest.raises(RefusedInputError, match="1 of 2 features are not finite"):
            call(bad)
    with pytest.raises(ShapeError, match=r"both 1 or more; got \(0, 3\)"):
        rankme(torch.zeros(0, 3))
    with pytest.raises(RefusedInputError, match="1 of 2 rows are zero"):
        alignment(torch.eye(2), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(ShapeError, match="not one"):
        as_shipped(alignment)(torch.eye(2), torch.eye(3))
    with pytest.raises(ShapeError, match="got 1 rows"):
        uniformity(torch.ones(1, 2))
    with pytest.raises(RefusedInputError, match="t = 0"):
        uniformity(torch.eye(2), t=0)


def test_neighbours_that_cannot_vote_are_refused() -> None:
    z, label = normal(4, 2), torch.tensor([0, 1, 0, 1])
    with pytest.raises(RefusedInputError, match="all 4 rows are of one group"):
        knn_loo(z, label, torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ShapeError, match="4 rows, 4 labels and 3 groups"):
        as_shipped(knn_loo)(z, label, torch.arange(3))
    with pytest.raises(RefusedInputError, match="k, tau and labels got 0"):
        knn_probability(z, z, label, k=0)
    with pytest.raises(RefusedInputError, match=r"0 to 1; allowed.*0 to 0"):
        knn_probability(z, z, label, classes=1)
    shipped = as_shipped(knn_probability)
    votes = torch.zeros(4, 3, dtype=torch.bool)
    for bank, told, left_out in (
        (z, label[:3], None),
        (normal(4, 3), label, None),
        (z, label, votes),
    ):
        with pytest.raises(ShapeError, match="a label each key, one dim"):
            shipped(z, bank, told, exclude=left_out)
    out = torch.tensor([[True] * 4, [False] * 4])[[0, 0, 1]]
    with pytest.raises(RefusedInputError, match="2 queries have no key left"):
        knn_probability(z[:3], z, label, exclude=out)


def test_unfit_labels_and_probes_are_refused() -> None:
    probe = NBProbe(2, 2)
    with pytest.raises(RefusedInputError, match="learned nothing yet"):
        probe.logits(torch.ones(1, 2))
    with pytest.raises(RefusedInputError, match="labels lie in 0 to 2; allowed: 0 to 1"):
        probe.partial_fit(torch.ones(2, 2), torch.tensor([0, 2]))
    with pytest.raises(ShapeError, match="2 rows and 1 labels"):
        as_shipped(NBProbe.partial_fit)(probe, torch.ones(2, 2), torch.tensor([0]))
    with pytest.raises(ShapeError, match="got 3 features; the probe has 2"):
        probe.partial_fit(torch.ones(1, 3), torch.tensor([0]))
    with pytest.raises(ShapeError, match="merge probes of one shape"):
        probe.merge(NBProbe(3, 2))
    with pytest.raises(RefusedInputError, match="0 features and 2 classes"):
        NBProbe(0, 2)
