"""Data consistency of any operator: dense matrices, sampled Fourier, robust weights."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medconsist.operators.base import LinearOperator
from medconsist.operators.data_consistency import cg_dc, hard_dc, residual, soft_dc
from medconsist.operators.fourier import Fourier
from medconsist.operators.sampling import Sampling

Draw = Callable[..., Tensor]
MakeDense = Callable[[Tensor], LinearOperator]


def cauchy(r: Tensor) -> Tensor:
    """IRLS weights of the Cauchy loss at scale 1."""
    return 1 / (1 + r.abs().square())


def test_residual_is_zero_outside_and_the_difference_inside(dense: MakeDense, draw: Draw) -> None:
    a, x, y = draw(6, 4), draw(4), draw(6)
    where = torch.tensor([True, False] * 3)
    r = residual(dense(a), x, y, where)
    torch.testing.assert_close(r[where], (a @ x - y)[where])
    assert not r[~where].any()


def test_soft_step_follows_the_gradient_that_autograd_finds(dense: MakeDense, draw: Draw) -> None:
    op, x, y = dense(draw(6, 4)), draw(4).requires_grad_(), draw(6)
    (gradient,) = torch.autograd.grad(0.5 * (op(x) - y).abs().square().sum(), x)
    torch.testing.assert_close(soft_dc(op, x, y, 0.3), x - 0.3 * gradient)


def test_weighted_soft_step_follows_the_gradient_of_the_cauchy_loss(
    dense: MakeDense, draw: Draw
) -> None:
    op, x, y = dense(draw(6, 4)), draw(4).requires_grad_(), draw(6)
    loss = 0.5 * torch.log1p((op(x) - y).abs().square()).sum()
    (gradient,) = torch.autograd.grad(loss, x)
    torch.testing.assert_close(soft_dc(op, x, y, 0.3, cauchy), x - 0.3 * gradient)


@settings(max_examples=30, deadline=None)
@given(share=st.floats(1e-3, 1.0), seed=st.integers(0, 10_000))
def test_soft_step_up_to_the_inverse_norm_never_raises_the_residual(
    share: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(6, 5, generator=generator) > 0.4
    op = 3.0 * (Sampling(mask) @ Fourier())  # ||A||^2 = 9 unless the mask is empty
    x, y = torch.randn(2, 6, 5, dtype=torch.complex128, generator=generator)
    before = float((op(x) - y).norm())
    after = float((op(soft_dc(op, x, y, share / 9)) - y).norm())
    assert after <= before * (1 + 1e-12)


@settings(max_examples=30, deadline=None)
@given(share=st.floats(1e-3, 1.0), seed=st.integers(0, 10_000))
def test_weighted_soft_step_never_raises_the_cauchy_loss(share: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    op = 3.0 * Fourier()
    x, y = 4 * torch.randn(2, 6, 5, dtype=torch.complex128, generator=generator)

    def loss(estimate: Tensor) -> float:
        return float(torch.log1p((op(estimate) - y).abs().square()).sum())

    assert loss(soft_dc(op, x, y, share / 9, cauchy)) <= loss(x) * (1 + 1e-12)


def test_hard_projection_reproduces_the_data_exactly_and_keeps_the_rest(
    draw: Draw, generator: torch.Generator
) -> None:
    predicted, y = draw(2, 3, 6, 5), draw(2, 3, 6, 5)
    mask = torch.rand(2, 1, 6, 5, generator=generator) > 0.5
    got = hard_dc(predicted, y, mask)
    inside = mask.expand_as(y)
    assert torch.equal(got[inside], y[inside])
    assert torch.equal(got[~inside], predicted[~inside])
    assert torch.equal(hard_dc(got, y, mask), got)


def test_hard_projection_is_the_soft_step_of_length_one_on_sampling(draw: Draw) -> None:
    mask = torch.tensor([True, False, True, False])
    predicted, sampling = draw(4), Sampling(mask)
    y = sampling(draw(4))
    torch.testing.assert_close(hard_dc(predicted, y, mask), soft_dc(sampling, predicted, y, 1.0))


@pytest.mark.parametrize("mu", [0.05, 2.0])
def test_cg_step_is_the_proximal_point_of_a_dense_solver(
    mu: float, dense: MakeDense, draw: Draw
) -> None:
    a, z, y = draw(6, 4), draw(4), draw(6)
    wanted = torch.linalg.solve(a.mH @ a + mu * torch.eye(4), a.mH @ y + mu * z)
    torch.testing.assert_close(cg_dc(dense(a), z, y, mu, 20), wanted)


def test_weighted_cg_step_solves_the_reweighted_system(dense: MakeDense, draw: Draw) -> None:
    a, z, y = draw(6, 4), draw(4), draw(6)
    w = torch.diag(cauchy(a @ z - y)).to(a.dtype)
    wanted = torch.linalg.solve(a.mH @ w @ a + 0.5 * torch.eye(4), a.mH @ w @ y + 0.5 * z)
    torch.testing.assert_close(cg_dc(dense(a), z, y, 0.5, 20, weight=cauchy), wanted)


def test_cg_step_on_sampled_fourier_is_the_known_average(draw: Draw) -> None:
    mask = torch.rand(6, 5, generator=torch.Generator().manual_seed(1)) > 0.5
    z, mu = draw(6, 5), 0.25
    y = Sampling(mask)(draw(6, 5))
    fourier = Fourier()
    spectrum = fourier(z)
    averaged = torch.where(mask, (y + mu * spectrum) / (1 + mu), spectrum)
    got = cg_dc(Sampling(mask) @ fourier, z, y, mu, 4)
    torch.testing.assert_close(got, fourier.H(averaged))


def test_cg_step_of_a_batch_equals_one_by_one(dense: MakeDense, draw: Draw) -> None:
    op, z = dense(draw(6, 4)), draw(3, 4)
    y = draw(3, 6) * torch.tensor([0.1, 1.0, 10.0])[:, None]
    together = cg_dc(op, z, y, 0.5, 2, weight=cauchy, batch_dims=1)
    alone = [cg_dc(op, one, data, 0.5, 2, weight=cauchy) for one, data in zip(z, y, strict=True)]
    torch.testing.assert_close(together, torch.stack(alone))


def test_step_and_weight_can_be_learned(dense: MakeDense, draw: Draw) -> None:
    op, x, y = dense(draw(6, 4)), draw(4), draw(6)
    eta = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    mu = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda e: soft_dc(op, x, y, e), (eta,))
    assert torch.autograd.gradcheck(lambda m: cg_dc(op, x, y, m, 6), (mu,))


def test_spike_in_the_data_moves_a_robust_step_far_less(dense: MakeDense, draw: Draw) -> None:
    op, truth = dense(draw(40, 6)), draw(6)
    y = op(truth) + 0.01 * draw(40)
    spiked = y.clone()
    spiked[3] += 1000
    start = truth + 0.05 * draw(6)
    plain = cg_dc(op, start, spiked, 0.1, 20)
    robust = cg_dc(op, start, spiked, 0.1, 20, weight=cauchy)
    assert float((robust - truth).norm()) < 0.05 < 1 < float((plain - truth).norm())
