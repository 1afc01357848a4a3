"""Distances: torch as oracle, limits, bounded influence, masks, phases, gates."""

import inspect
import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from medconsist.consistency.agreement import (
    cauchy,
    cauchy_weight,
    cosine,
    gate_confident,
    gate_correct,
    huber,
    huber_weight,
    kl,
    mad_scale,
    mse,
    pseudo_huber,
    pseudo_huber_weight,
    relative_l1l2,
    soft_ce,
)
from medconsist.errors import RefusedInputError, ShapeError
from medconsist.operators.base import Identity
from medconsist.operators.data_consistency import cg_dc, soft_dc

Distance = Callable[..., Tensor]
FAMILY: dict[str, Distance] = {
    "soft_ce": partial(soft_ce, tau_t=0.5),
    "kl": partial(kl, tau_t=0.5, tau_s=2.0),
    "cosine": cosine,
    "mse": mse,
    "huber": partial(huber, c=0.7),
    "pseudo_huber": partial(pseudo_huber, c=0.7, dims=()),
    "pseudo_huber whole": partial(pseudo_huber, c=0.7, dims=(1, 2)),
    "cauchy": partial(cauchy, c=0.7, dims=()),
    "cauchy whole": partial(cauchy, c=0.7, dims=(1, 2)),
    "relative_l1l2": relative_l1l2,
}
ON_LOGITS = {"soft_ce", "kl"}
ON_RESIDUALS = [name for name in FAMILY if name not in ON_LOGITS]


def as_shipped(function: Distance) -> Distance:
    """Return the function without pytest's checks of annotations, as a user runs it."""
    if isinstance(function, partial):
        return partial(as_shipped(function.func), *function.args, **function.keywords)
    shipped: Distance = inspect.unwrap(function)
    return shipped


whole_family = pytest.mark.parametrize("name", FAMILY)


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def pair(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    pred, target = draw(3, 4, 5, seed=1, dtype=dtype), draw(3, 4, 5, seed=2, dtype=dtype)
    return pred.requires_grad_(), target.requires_grad_()


# oracles


def test_soft_cross_entropy_equals_torch_with_probabilities() -> None:
    pred, target = pair()
    oracle = functional.cross_entropy(
        (pred / 2).flatten(0, 1), (target / 0.1).softmax(-1).flatten(0, 1)
    )
    torch.testing.assert_close(soft_ce(pred, target, 0.1, 2.0), oracle)


def test_kl_equals_torch_and_cross_entropy_less_entropy() -> None:
    pred, target = pair()
    p = (target / 0.4).softmax(-1)
    oracle = functional.kl_div(pred.log_softmax(-1), p, reduction="none").sum(-1)
    torch.testing.assert_close(kl(pred, target, 0.4, reduction="none"), oracle)
    entropy = -(p * p.log()).sum(-1)
    torch.testing.assert_close(soft_ce(pred, target, 0.4, reduction="none") - entropy, oracle)


def test_cosine_equals_torch() -> None:
    pred, target = pair()
    oracle = 1 - functional.cosine_similarity(pred, target, dim=1)
    torch.testing.assert_close(cosine(pred, target, dims=1, reduction="none"), oracle)


def test_squared_error_equals_torch_for_real_and_complex() -> None:
    pred, target = pair()
    torch.testing.assert_close(mse(pred, target), functional.mse_loss(pred, target))
    pred, target = pair(torch.complex128)
    oracle = 2 * functional.mse_loss(torch.view_as_real(pred), torch.view_as_real(target))
    torch.testing.assert_close(mse(pred, target), oracle)


def test_huber_equals_torch() -> None:
    pred, target = pair()
    torch.testing.assert_close(
        huber(pred, target, 0.6), functional.huber_loss(pred, target, delta=0.6)
    )


def test_relative_loss_equals_the_published_formula_per_element() -> None:
    pred, target = pair(torch.complex128)
    mask = draw(3, 4, 5, seed=3) > 0
    by_hand = []
    for v, u, where in zip(pred, target, mask, strict=True):
        r = (u - v)[where]
        known = u[where]
        l2 = torch.linalg.vector_norm(r) / torch.linalg.vector_norm(known)
        l1 = r.abs().sum() / known.abs().sum()
        by_hand.append(0.5 * l2 + 0.5 * l1)
    torch.testing.assert_close(
        relative_l1l2(pred, target, mask, reduction="none"), torch.stack(by_hand)
    )


@pytest.mark.parametrize("dims", [(), (2,), (1, 2), (-1, 0)])
def test_robust_distances_equal_their_formula_in_a_loop(dims: tuple[int, ...]) -> None:
    pred, target = pair(torch.complex128)
    square = (pred - target).abs() ** 2
    q = square.sum(dims) if dims else square
    got = pseudo_huber(pred, target, 0.3, dims, reduction="none")
    torch.testing.assert_close(got, (q + 0.09).sqrt() - 0.3)
    got = cauchy(pred, target, 0.3, dims, reduction="none")
    torch.testing.assert_close(got, (1 + q / 0.18).log())
    got = huber(pred, target, 0.9, dims, reduction="none")
    torch.testing.assert_close(
        got, functional.huber_loss(q.sqrt(), 0 * q, delta=0.9, reduction="none")
    )


# family properties


@whole_family
def test_gradient_reaches_the_prediction_and_never_the_target(name: str) -> None:
    pred, target = pair()
    torch.autograd.backward(FAMILY[name](pred, target))
    assert pred.grad is not None
    assert float(pred.grad.abs().max()) > 0
    assert target.grad is None


@whole_family
def test_gradient_is_that_of_finite_differences(name: str) -> None:
    pred, target = pair()
    weight = draw(3, 4, seed=5).abs() * (draw(3, 4, seed=6) > 0)
    dtypes = [torch.float64] if name in ON_LOGITS else [torch.float64, torch.complex128]
    for dtype in dtypes:
        start = pred.detach().to(dtype).requires_grad_()
        if dtype.is_complex:
            start = (start.detach() * (1 + 0.5j)).requires_grad_()
        value = partial(FAMILY[name], target=target.detach().to(dtype), weight=weight)
        assert torch.autograd.gradcheck(value, (start,))


@pytest.mark.parametrize("name", [n for n in FAMILY if n != "soft_ce"])
def test_distance_is_zero_at_equality_with_gradient_zero(name: str) -> None:
    pred = draw(3, 4, 5).requires_grad_()
    same = partial(kl, tau_t=2.0, tau_s=2.0) if name == "kl" else FAMILY[name]
    loss = same(pred, pred.detach())
    torch.autograd.backward(loss)
    assert float(loss.detach()) == 0
    assert pred.grad is not None
    # the gradient of kl at equality is a difference of softmaxes, rounded once
    assert float(pred.grad.abs().max()) < 1e-15


@whole_family
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), log_size=st.floats(-6.0, 6.0))
def test_distance_is_never_negative_nor_nan(name: str, seed: int, log_size: float) -> None:
    size = 10.0**log_size
    pred, target = size * draw(2, 3, 4, seed=seed), size * draw(2, 3, 4, seed=seed + 1)
    # kl of equal distributions is a sum of rounding errors of either sign
    assert float(FAMILY[name](pred, target)) >= -1e-12


@pytest.mark.parametrize("name", ON_RESIDUALS)
def test_common_phase_changes_nothing(name: str) -> None:
    pred, target = pair(torch.complex128)
    turn = torch.exp(torch.tensor(1.234j, dtype=torch.complex128))
    torch.testing.assert_close(FAMILY[name](pred * turn, target * turn), FAMILY[name](pred, target))


@pytest.mark.parametrize("name", ON_RESIDUALS)
def test_complex_values_without_imaginary_part_count_as_real_ones(name: str) -> None:
    pred, target = pair()
    as_complex = FAMILY[name](pred.to(torch.complex128), target.to(torch.complex128))
    torch.testing.assert_close(as_complex, FAMILY[name](pred, target))


@whole_family
def test_element_of_weight_zero_is_as_if_left_out_even_if_nan(name: str) -> None:
    pred, target = draw(3, 4, 5, seed=1), draw(3, 4, 5, seed=2)
    without = FAMILY[name](pred[:2], target[:2])
    broken = pred.clone()
    broken[2] = math.nan
    broken.requires_grad_()
    bad_target = target.clone()
    bad_target[2] = math.inf
    loss = FAMILY[name](broken, bad_target, weight=torch.tensor([1.0, 1.0, 0.0]))
    torch.autograd.backward(loss)
    torch.testing.assert_close(loss, without)
    assert broken.grad is not None
    assert float(broken.grad[2].abs().sum()) == 0
    assert bool(broken.grad.isfinite().all())


@pytest.mark.parametrize("name", ON_RESIDUALS)
def test_masked_entry_inside_a_unit_is_left_out_even_if_nan(name: str) -> None:
    pred, target = draw(2, 3, 4, seed=1), draw(2, 3, 4, seed=2)
    keep = torch.ones(2, 3, 4, dtype=torch.bool)
    keep[:, :, 3] = False
    broken = torch.where(keep, pred, math.nan).requires_grad_()
    loss = FAMILY[name](broken, target, weight=keep)
    torch.autograd.backward(loss)
    torch.testing.assert_close(loss, FAMILY[name](pred[..., :3], target[..., :3]))
    assert broken.grad is not None
    assert float(broken.grad[~keep].abs().sum()) == 0
    assert bool(broken.grad.isfinite().all())


@whole_family
@pytest.mark.parametrize("reduction", ["mean", "mean_all", "sum", "none"])
def test_nothing_to_count_gives_zero_with_gradient_zero(name: str, reduction: str) -> None:
    pred, target = pair()
    loss = FAMILY[name](pred, target, weight=torch.zeros(3), reduction=reduction)
    torch.autograd.backward(loss.sum())
    assert float(loss.detach().abs().sum()) == 0
    assert pred.grad is not None
    assert float(pred.grad.abs().sum()) == 0


@whole_family
def test_empty_batch_gives_zero(name: str) -> None:
    pred = torch.zeros(0, 4, 5, requires_grad=True)
    loss = FAMILY[name](pred, torch.zeros(0, 4, 5))
    torch.autograd.backward(loss)
    assert float(loss.detach()) == 0


@whole_family
def test_reductions_follow_from_the_weighted_units(name: str) -> None:
    pred, target = draw(3, 4, 5, seed=1), draw(3, 4, 5, seed=2)
    w = torch.tensor([0.5, 0.0, 2.0], dtype=torch.float64)
    units = FAMILY[name](pred, target, reduction="none")
    axes = (...,) + (None,) * (units.ndim - 1)
    weighted = w[axes] * units
    call = partial(FAMILY[name], pred, target, weight=w)
    torch.testing.assert_close(call(reduction="none"), weighted)
    torch.testing.assert_close(call(reduction="sum"), weighted.sum())
    torch.testing.assert_close(call(reduction="mean_all"), weighted.mean())
    torch.testing.assert_close(
        call(reduction="mean"), weighted.sum() / w[axes].expand(units.shape).sum()
    )


@whole_family
def test_common_factor_of_the_weights_cancels_in_the_mean_only(name: str) -> None:
    pred, target = draw(3, 4, 5, seed=1), draw(3, 4, 5, seed=2)
    half = torch.full((3,), 0.5, dtype=torch.float64)
    call = partial(FAMILY[name], pred, target)
    torch.testing.assert_close(call(weight=half), call())
    torch.testing.assert_close(call(weight=half, reduction="mean_all"), 0.5 * call())


@whole_family
def test_bool_weight_equals_ones_and_zeros(name: str) -> None:
    pred, target = draw(3, 4, 5, seed=1), draw(3, 4, 5, seed=2)
    mask = draw(3, 4, seed=4) > 0
    torch.testing.assert_close(
        FAMILY[name](pred, target, weight=mask),
        FAMILY[name](pred, target, weight=mask.double()),
    )


@whole_family
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_follows_the_prediction(name: str, dtype: torch.dtype) -> None:
    pred, target = draw(2, 3, 4).to(dtype), draw(2, 3, 4, seed=3)
    loss = FAMILY[name](pred, target)
    assert loss.dtype == dtype
    exact = FAMILY[name](pred.double(), target)
    # the computation is float32 or better, so only the result is rounded
    tolerance = max(torch.finfo(dtype).eps, 1e-6)
    torch.testing.assert_close(loss.double(), exact, rtol=tolerance, atol=tolerance)


def test_half_precision_does_not_overflow_where_its_squares_would() -> None:
    pred = torch.full((4,), 1000.0, dtype=torch.float16)
    assert float(pseudo_huber(pred, torch.zeros_like(pred), 1.0, ())) == pytest.approx(999, abs=1)


@whole_family
def test_nan_that_counts_is_refused_with_the_shapes(name: str) -> None:
    pred, target = draw(3, 4, 5), draw(3, 4, 5, seed=2)
    pred[1, 2, 3] = math.nan
    with pytest.raises(RefusedInputError, match=r"1 of \d+ distances .* \(3, 4, 5\), are NaN"):
        FAMILY[name](pred, target)


@whole_family
def test_two_shapes_are_refused_and_never_broadcast(name: str) -> None:
    with pytest.raises(ShapeError, match=r"pred \(3, 4, 5\) and target \(3, 4, 1\) must have the"):
        FAMILY[name](draw(3, 4, 5), draw(3, 4, 1))


@pytest.mark.parametrize("shape", [(5,), (3, 5), (3, 4, 5, 1), (2, 4, 5)])
def test_weight_that_does_not_lie_on_the_prediction_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"does not lie on \(3, 4, 5\)"):
        mse(draw(3, 4, 5), draw(3, 4, 5), weight=torch.ones(shape))


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_weight_that_is_no_share_is_refused(value: float) -> None:
    weight = torch.tensor([1.0, value])
    with pytest.raises(RefusedInputError, match="must be bool, or real numbers >= 0"):
        mse(draw(2, 4), draw(2, 4), weight=weight)


@pytest.mark.parametrize("dims", [3, -4, (1, 1), (1, -2)])
def test_axis_that_is_not_there_or_twice_is_refused(dims: int | tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="wanted axes between -3 and 2, each once"):
        mse(draw(3, 4, 5), draw(3, 4, 5), dims=dims)


def test_squared_error_counts_each_unit_once_however_many_entries_it_shows() -> None:
    pred, target = draw(2, 6), draw(2, 6, seed=2)
    keep = torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    square = (pred - target) ** 2
    oracle = (square[0].mean() + square[1, :2].mean()) / 2
    torch.testing.assert_close(mse(pred, target, weight=keep, dims=1), oracle)
    torch.testing.assert_close(mse(pred, target, weight=keep), square[keep].mean())


# logits


def test_class_left_out_of_both_adds_nothing_and_its_gradient_is_zero() -> None:
    pred, target = draw(2, 4), draw(2, 4, seed=2)
    left_out = torch.cat([pred, torch.full((2, 1), -math.inf, dtype=torch.float64)], 1)
    left_out.requires_grad_()
    other = torch.cat([target, torch.full((2, 1), -math.inf, dtype=torch.float64)], 1)
    for distance in (soft_ce, kl):
        loss = distance(left_out, other, 0.5)
        torch.testing.assert_close(loss, distance(pred, target, 0.5))
        (grad,) = torch.autograd.grad(loss, left_out)
        assert bool(grad.isfinite().all())
        assert float(grad[:, 4].abs().sum()) == 0


def test_huge_logits_stay_finite() -> None:
    pred = torch.tensor([[1e4, -1e4, 0.0]])
    assert bool(soft_ce(pred, -pred, 0.01).isfinite())


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan, math.inf])
def test_temperature_that_is_no_number_above_zero_is_refused(tau: float) -> None:
    with pytest.raises(RefusedInputError, match="a temperature must be a finite number > 0; got"):
        soft_ce(draw(2, 3), draw(2, 3), tau_t=tau)
    with pytest.raises(RefusedInputError, match="a temperature must be a finite number > 0; got"):
        kl(draw(2, 3), draw(2, 3), tau_s=tau)


def test_gradient_of_soft_cross_entropy_and_kl_are_the_same() -> None:
    pred, target = pair()
    first = torch.autograd.grad(soft_ce(pred, target, 0.1), pred)[0]
    torch.testing.assert_close(first, torch.autograd.grad(kl(pred, target, 0.1), pred)[0])


@pytest.mark.parametrize("size", [1e-30, 1e-22, 1e22, 1e30])
def test_direction_does_not_depend_on_the_size_of_the_vectors(size: float) -> None:
    pred, target = draw(4, 3).float(), draw(4, 3, seed=2).float()
    torch.testing.assert_close(cosine(pred * size, target / size), cosine(pred, target))


@whole_family
def test_unknown_reduction_is_refused(name: str) -> None:
    with pytest.raises(RefusedInputError, match="mean, mean_all, sum, none; got 'avg'"):
        as_shipped(FAMILY[name])(draw(3, 4, 5), draw(3, 4, 5), reduction="avg")


@whole_family
def test_whole_numbers_are_refused_and_never_truncated(name: str) -> None:
    whole = torch.ones(3, 4, 5, dtype=torch.int64)
    with pytest.raises(RefusedInputError, match=r"pred is torch\.int64 and target torch\.int64"):
        as_shipped(FAMILY[name])(whole, whole)


def test_complex_logits_are_refused() -> None:
    logits = draw(2, 3).to(torch.complex64)
    with pytest.raises(RefusedInputError, match="wanted real floating-point logits"):
        as_shipped(soft_ce)(logits, logits)


def test_masks_of_zeros_and_ones_are_refused() -> None:
    pred, target, ones = draw(2, 4), draw(2, 4, seed=2), torch.ones(2, 4)
    with pytest.raises(RefusedInputError, match=r"mask \(2, 4\) must be bool; got torch.float32"):
        as_shipped(relative_l1l2)(pred, target, ones)
    with pytest.raises(RefusedInputError, match=r"mask \(2, 4\) must be bool; got torch.float32"):
        as_shipped(mad_scale)(pred, ones)


@pytest.mark.parametrize("weight", [huber_weight, pseudo_huber_weight, cauchy_weight])
def test_nan_has_no_weight(weight: Distance) -> None:
    with pytest.raises(RefusedInputError, match=r"1 residuals of shape \(2,\) are NaN"):
        weight(torch.tensor([1.0, math.nan]), 1.0)


def test_vector_without_direction_has_distance_one_and_no_gradient() -> None:
    pred = torch.zeros(1, 3, requires_grad=True)
    loss = cosine(pred, torch.ones(1, 3))
    torch.autograd.backward(loss)
    assert float(loss.detach()) == 1
    assert pred.grad is not None
    assert float(pred.grad.abs().sum()) == 0


# robust distances


def spiked() -> Tensor:
    residual = torch.full((1000,), 0.05, dtype=torch.float64)
    residual[0] = 50
    return residual.requires_grad_()


@pytest.mark.parametrize(
    ("distance", "share"),
    [
        (mse, 50.0),
        (partial(pseudo_huber, c=0.00054 * math.sqrt(1000), dims=0), 50.0),
        (partial(pseudo_huber, c=0.05, dims=()), 0.14),
        (partial(cauchy, c=0.05, dims=()), 0.0003),
    ],
)
def test_spike_has_the_measured_share_of_the_gradient(distance: Distance, share: float) -> None:
    residual = spiked()
    (grad,) = torch.autograd.grad(distance(residual, torch.zeros_like(residual)), residual)
    got = 100 * float(grad[0].abs() / grad.abs().sum())
    # the shares of the specification are given to two and to one significant digits
    assert got == pytest.approx(share, rel=0.05)


def test_small_residuals_are_squared_and_large_ones_are_not() -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    small = torch.tensor([1e-6], dtype=torch.float64)
    c = 0.3
    quadratic = {huber: 0.5, pseudo_huber: 1 / (2 * c), cauchy: 1 / (2 * c**2)}
    for distance, factor in quadratic.items():
        got = float(distance(small, zero, c, ()))
        # the next term of the series is smaller by (r / c)^2 = 1e-11
        assert got == pytest.approx(factor * 1e-12, rel=1e-9)
    assert float(pseudo_huber(zero + 1e6, zero, c, ())) == pytest.approx(1e6 - c, rel=1e-9)
    assert float(cauchy(zero + 1e6, zero, c, ())) == pytest.approx(
        2 * math.log(1e6) - math.log(2 * c**2), rel=1e-9
    )


def test_tiny_residuals_are_not_lost_in_single_precision() -> None:
    small = torch.tensor([1e-5])
    got = float(pseudo_huber(small, torch.zeros(1), 1.0, ()))
    assert got == pytest.approx(0.5e-10, rel=1e-5)


def test_gradients_are_bounded_and_that_of_cauchy_falls_beyond_its_turning_point() -> None:
    c = 0.4
    r = torch.logspace(-4, 4, 400, dtype=torch.float64).requires_grad_()
    zero = torch.zeros_like(r)
    bounds = {huber: c, pseudo_huber: 1.0, cauchy: 1 / (math.sqrt(2) * c)}
    for distance, bound in bounds.items():
        (grad,) = torch.autograd.grad(distance(r, zero, c, (), reduction="sum"), r)
        assert float(grad.max()) <= bound * (1 + 1e-12)
    falling = grad[r > math.sqrt(2) * c]
    assert bool((falling.diff() < 0).all())


@pytest.mark.parametrize("dims", [(), (1,)])
@pytest.mark.parametrize(
    ("distance", "weight", "power"),
    [(huber, huber_weight, 0), (pseudo_huber, pseudo_huber_weight, 1), (cauchy, cauchy_weight, 2)],
)
def test_weight_times_residual_is_the_gradient_of_the_distance(
    distance: Distance, weight: Distance, power: int, dims: tuple[int, ...]
) -> None:
    r = draw(6, 5, dtype=torch.complex128).requires_grad_()
    loss = distance(r, torch.zeros_like(r), c=0.8, dims=dims, reduction="sum")
    (grad,) = torch.autograd.grad(loss, r)
    torch.testing.assert_close(grad, weight(r, c=0.8, dims=dims) * r / 0.8**power)


@pytest.mark.parametrize("weight", [huber_weight, pseudo_huber_weight, cauchy_weight])
def test_weights_start_at_one_and_fall(weight: Distance) -> None:
    w = weight(torch.linspace(0, 50, 200), c=1.5)
    assert float(w[0]) == 1
    assert bool((w.diff() <= 0).all())
    assert 0 < float(w[-1]) < 0.05


@pytest.mark.parametrize("weight", [huber_weight, pseudo_huber_weight, cauchy_weight])
def test_weights_make_the_data_step_ignore_a_spike(weight: Distance) -> None:
    truth = torch.ones(20, dtype=torch.complex64)
    y = truth.clone()
    y[3] = 1000
    robust = partial(weight, c=0.1)
    plain = cg_dc(Identity(), truth, y, 1.0, 30)
    careful = cg_dc(Identity(), truth, y, 1.0, 30, weight=robust)
    assert float((plain - truth).abs().max()) > 400
    # the pull of a bounded influence is at most c, not half of the spike
    assert float((careful - truth).abs().max()) < 0.11
    step = soft_dc(Identity(), truth, y, 0.5, weight=robust)
    assert float((step - truth).abs().max()) < 0.11


def test_scale_may_differ_per_element() -> None:
    pred, target = draw(3, 4), draw(3, 4, seed=2)
    c = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64, requires_grad=True)
    got = cauchy(pred, target, c[:, None], (1,), reduction="none")
    each = [cauchy(pred[i], target[i], float(c[i].detach()), (0,)) for i in range(3)]
    torch.testing.assert_close(got, torch.stack(each))
    assert not got.requires_grad


@pytest.mark.parametrize("c", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("distance", [huber, pseudo_huber, cauchy])
def test_scale_that_is_not_above_zero_is_refused(distance: Distance, c: float) -> None:
    with pytest.raises(RefusedInputError, match="c must be finite and > 0"):
        distance(draw(3), draw(3), c, ())


def test_target_of_zeros_has_no_relative_error() -> None:
    target = draw(2, 4)
    target[1] = 0
    with pytest.raises(RefusedInputError, match="is 0 in all entries that count of a unit"):
        relative_l1l2(draw(2, 4, seed=1), target)
    some = relative_l1l2(draw(2, 4, seed=1), target, weight=torch.tensor([True, False]))
    assert bool(some.isfinite())


def test_relative_loss_needs_axes_to_sum_over() -> None:
    with pytest.raises(ShapeError, match=r"pred of shape \(4,\) has no axis after the batch"):
        relative_l1l2(draw(4), draw(4))


def test_relative_loss_has_no_nan_gradient_at_a_perfect_fit() -> None:
    pred = draw(2, 4).requires_grad_()
    (grad,) = torch.autograd.grad(relative_l1l2(pred, pred.detach()), pred)
    assert float(grad.abs().sum()) == 0


def test_cauchy_fits_the_bulk_where_squares_fit_the_spikes() -> None:
    data = 2.0 + 0.05 * draw(200)
    data[::5] = 60.0
    fits = {}
    distances: dict[str, Distance] = {"mse": mse, "cauchy": partial(cauchy, c=0.5, dims=())}
    for name, distance in distances.items():
        centre = torch.zeros((), dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.Adam([centre], lr=0.1)
        for _ in range(150):
            optimiser.zero_grad()
            torch.autograd.backward(distance(centre.expand(200), data))
            optimiser.step()
        fits[name] = abs(float(centre.detach()) - 2.0)
    assert fits["cauchy"] < 0.05
    assert fits["mse"] > 5


# robust scale


def test_scale_is_the_standard_deviation_of_real_and_of_complex_noise() -> None:
    for dtype in (torch.float64, torch.complex128):
        noise = 3.0 * draw(40_001, dtype=dtype)
        # the relative standard error of a median-based scale is about 1.17 / sqrt(2 n) = 0.4 %
        assert float(mad_scale(noise)) == pytest.approx(3.0, rel=0.02)


def test_scale_equals_its_formula() -> None:
    r = draw(101)
    by_hand = 1.482602218505602 * (r - r.median()).abs().median()
    torch.testing.assert_close(mad_scale(r), by_hand)


def test_scale_ignores_gross_outliers_masked_zeros_and_phase() -> None:
    r = draw(2000, dtype=torch.complex128)
    clean = float(mad_scale(r))
    spikes = r.clone()
    spikes[:200] *= 1e6
    assert float(mad_scale(spikes)) == pytest.approx(clean, rel=0.25)
    keep = torch.arange(2000) % 4 == 0
    assert float(mad_scale(r * keep, keep)) == pytest.approx(clean, rel=0.15)
    assert float(mad_scale(r * 1j)) == pytest.approx(clean, rel=1e-12)


def test_scale_of_mostly_exact_zeros_is_that_of_the_others() -> None:
    r = torch.cat([torch.zeros(500), torch.tensor([-2.0, 2.0, 2.0])])
    assert float(mad_scale(r)) == pytest.approx(2 * 1.4826, rel=1e-4)


def test_scale_of_nothing_is_a_floor_that_the_distances_can_divide_by() -> None:
    zeros = torch.zeros(5)
    nothing = torch.zeros(5, dtype=torch.bool)
    for c in (mad_scale(zeros), mad_scale(torch.ones(5), nothing)):
        assert float(cauchy(zeros, zeros, c, ())) == 0
        assert float(pseudo_huber(zeros, zeros, c, ())) == 0
    assert float(mad_scale(zeros, floor=0.1)) == pytest.approx(0.1)


def test_scale_is_a_constant_and_refuses_nan_and_a_floor_of_zero() -> None:
    r = draw(10).requires_grad_()
    assert not mad_scale(r).requires_grad
    with pytest.raises(RefusedInputError, match=r"1 residuals that count, of shape \(2,\)"):
        mad_scale(torch.tensor([1.0, math.nan]))
    with pytest.raises(RefusedInputError, match="floor must be a finite number > 0"):
        mad_scale(draw(10), floor=0.0)


# gates


def test_confident_gate_opens_above_beta_without_gradient() -> None:
    p = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
    gate = gate_confident(p.log().requires_grad_(), 0.75)
    assert gate.tolist() == [1.0, 0.0, 1.0]
    assert not gate.requires_grad


def test_correct_gate_opens_where_the_teacher_is_right() -> None:
    logits = draw(4, 5, 3).requires_grad_()
    y = logits.detach().argmax(-1)
    y[0] = -1
    gate = gate_correct(logits, y)
    assert gate.shape == (4, 5)
    assert float(gate[0].sum()) == 0
    assert bool((gate[1:] == 1).all())
    assert not gate.requires_grad


def test_closed_gates_give_zero_and_open_ones_the_mean_over_the_kept() -> None:
    pred, target = draw(4, 3), draw(4, 3, seed=2)
    gate = torch.tensor([1.0, 0.0, 1.0, 0.0])
    torch.testing.assert_close(kl(pred, target, weight=gate), kl(pred[::2], target[::2]))
    assert float(kl(pred, target, weight=0 * gate)) == 0


def test_gates_refuse_what_are_no_logits() -> None:
    for logits in (torch.tensor(1.0), torch.ones(2, 3).long(), torch.ones(2, 0)):
        with pytest.raises(RefusedInputError, match="wanted real floating numbers"):
            as_shipped(gate_confident)(logits, 0.8)


def test_gates_refuse_nan_and_labels_of_another_shape() -> None:
    broken = torch.tensor([[math.nan, 1.0]])
    with pytest.raises(RefusedInputError, match=r"logits of shape \(1, 2\): .* 1 are NaN"):
        gate_confident(broken, 0.8)
    with pytest.raises(RefusedInputError, match=r"logits of shape \(1, 2\): .* 1 are NaN"):
        gate_correct(broken, torch.zeros(1, dtype=torch.long))
    with pytest.raises(RefusedInputError, match=r"beta is a probability, in \[0, 1\]; got 1.5"):
        gate_confident(draw(2, 3), 1.5)
    with pytest.raises(ShapeError, match=r"y \(3,\) must have the shape of logits \(2, 3\)"):
        gate_correct(draw(2, 3), torch.zeros(3, dtype=torch.long))


@pytest.mark.gpu
@whole_family
def test_result_stays_on_the_device_and_equals_that_of_the_cpu(name: str) -> None:
    pred, target = draw(3, 4, 5), draw(3, 4, 5, seed=2)
    weight = draw(3, 4, seed=3).abs()
    there = FAMILY[name](pred.cuda(), target.cuda(), weight=weight.cuda())
    assert there.is_cuda
    torch.testing.assert_close(there.cpu(), FAMILY[name](pred, target, weight=weight))
