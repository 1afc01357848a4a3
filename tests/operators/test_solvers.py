"""Solvers against dense linear algebra and closed forms."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medconsist.errors import ConvergenceError, RefusedInputError
from medconsist.operators.base import Identity, LinearOperator
from medconsist.operators.differences import FiniteDifference
from medconsist.operators.fourier import Fourier
from medconsist.operators.sampling import Sampling
from medconsist.operators.solvers import (
    AdmmConfig,
    admm,
    conjugate_gradient,
    fista,
    largest_eigenvalue,
)
from medconsist.operators.wavelet import Wavelet
from medconsist.operators.weighting import Pointwise

Draw = Callable[..., Tensor]
MakeDense = Callable[[Tensor], LinearOperator]


def soft(v: Tensor, threshold: float) -> Tensor:
    """The prox of ``threshold * ||.||_1`` for complex numbers."""
    shrunk = (v.abs() - threshold).clamp(min=0)
    return shrunk * torch.sgn(v)


def l1_prox(weight: float) -> Callable[[Tensor, float], Tensor]:
    return lambda v, step: soft(v, step * weight)


def positive_definite(draw: Draw, size: int) -> Tensor:
    factor = draw(size, size)
    return factor @ factor.mH + torch.eye(size)


class Counted:
    """Counts how often an operator is applied."""

    def __init__(self, operator: LinearOperator) -> None:
        self.operator = operator
        self.calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.operator(x)


def test_cg_solves_what_a_dense_solver_solves(dense: MakeDense, draw: Draw) -> None:
    matrix, rhs = positive_definite(draw, 12), draw(12)
    got = conjugate_gradient(dense(matrix), rhs, iterations=60)
    torch.testing.assert_close(got, torch.linalg.solve(matrix, rhs))


def test_cg_ends_after_as_many_steps_as_there_are_eigenvalues(draw: Draw) -> None:
    rhs = draw(30)
    weights = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64).repeat(10)
    got = conjugate_gradient(Pointwise(weights), rhs, iterations=3)
    torch.testing.assert_close(got, rhs / weights)


def test_cg_of_real_tensors_stays_real(dense: MakeDense, draw: Draw) -> None:
    matrix, rhs = positive_definite(draw, 8).real, draw(8).real
    got = conjugate_gradient(dense(matrix), rhs, iterations=40)
    torch.testing.assert_close(got, torch.linalg.solve(matrix, rhs))


@pytest.mark.parametrize("iterations", [2, 5, 40])
def test_cg_of_a_batch_equals_one_by_one_at_every_iteration(
    iterations: int, dense: MakeDense, draw: Draw
) -> None:
    operator = dense(positive_definite(draw, 12))
    # scales apart, so that a shared step length would show
    rhs = draw(3, 12) * torch.tensor([1e-3, 1.0, 1e3])[:, None]
    rhs[0, 1:] = 0
    together = conjugate_gradient(operator, rhs, iterations=iterations, batch_dims=1)
    alone = [conjugate_gradient(operator, one, iterations=iterations) for one in rhs]
    torch.testing.assert_close(together, torch.stack(alone))


def test_cg_stops_each_problem_of_a_batch_at_the_tolerance(dense: MakeDense, draw: Draw) -> None:
    operator = Counted(dense(positive_definite(draw, 20)))
    rhs = draw(2, 20)
    got = conjugate_gradient(operator, rhs, iterations=200, tolerance=1e-3, batch_dims=1)
    assert operator.calls < 40
    error = (operator(got) - rhs).norm(dim=-1) / rhs.norm(dim=-1)
    assert float(error.max()) < 1.01e-3  # the recursive residual drifts from the true one


def test_cg_of_a_zero_right_hand_side_is_zero_beside_others(draw: Draw) -> None:
    rhs = draw(2, 5)
    rhs[0] = 0
    got = conjugate_gradient(2.0 * Identity(), rhs, iterations=10, batch_dims=1)
    assert not got[0].any()
    torch.testing.assert_close(got[1], rhs[1] / 2)


def test_cg_started_at_the_solution_stays_there(dense: MakeDense, draw: Draw) -> None:
    matrix, x = positive_definite(draw, 6), draw(6)
    got = conjugate_gradient(dense(matrix), matrix @ x, initial=x, iterations=3, tolerance=1e-10)
    torch.testing.assert_close(got, x)


def test_cg_of_least_squares_from_zero_is_the_pseudo_inverse(dense: MakeDense, draw: Draw) -> None:
    matrix, y = draw(5, 9), draw(5)
    op = dense(matrix)
    got = conjugate_gradient(op.gram, op.H(y), iterations=5)
    torch.testing.assert_close(got, torch.linalg.pinv(matrix) @ y)


def test_cg_is_differentiable_with_solved_problems_in_the_batch(draw: Draw) -> None:
    rhs = draw(2, 4)
    rhs[0] = 0
    weights = torch.arange(1.0, 5.0, dtype=torch.float64)

    def solve(b: Tensor) -> Tensor:
        return conjugate_gradient(Pointwise(weights), b, iterations=4, batch_dims=1)

    (gradient,) = torch.autograd.grad(solve(rhs.requires_grad_()).real.sum(), rhs)
    assert torch.isfinite(gradient).all()
    # at full convergence the derivative of B^-1 b is B^-1, also through the recursion
    torch.testing.assert_close(gradient[1].real, 1 / weights)


def test_cg_names_the_iteration_where_values_stop_being_finite(draw: Draw) -> None:
    rhs = draw(4)
    rhs[2] = torch.nan
    with pytest.raises(ConvergenceError, match=r"gradient, iteration 0: .* not finite"):
        conjugate_gradient(Identity(), rhs, iterations=3)


def test_largest_eigenvalue_equals_the_dense_one(dense: MakeDense, draw: Draw) -> None:
    matrix = positive_definite(draw, 10)
    got = largest_eigenvalue(dense(matrix), draw(10), iterations=400)
    torch.testing.assert_close(got, torch.linalg.eigvalsh(matrix)[-1])


def test_largest_eigenvalue_of_each_problem_of_a_batch(draw: Draw) -> None:
    weights = torch.tensor([[1.0, 2.0], [3.0, 0.5], [0.0, 0.0]], dtype=torch.float64)
    got = largest_eigenvalue(Pointwise(weights), draw(3, 2), iterations=200, batch_dims=1)
    torch.testing.assert_close(got, torch.tensor([2.0, 3.0, 0.0], dtype=torch.float64))


def test_largest_eigenvalue_needs_an_iteration() -> None:
    with pytest.raises(RefusedInputError, match="at least 1 iteration; got 0"):
        largest_eigenvalue(Identity(), torch.ones(2), iterations=0)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("step", [0.6, 1.0])
def test_fista_of_an_orthonormal_lasso_is_soft_thresholding(
    step: float, restart: bool, draw: Draw
) -> None:
    op, y = Fourier(), draw(6, 5)
    got = fista(
        lambda x: op.H(op(x) - y),
        l1_prox(0.7),
        torch.zeros_like(y),
        step=step,
        iterations=80,
        restart=restart,
    )
    # 80 iterations at step 0.6 leave about 1e-8 of the momentum's oscillation
    torch.testing.assert_close(got, soft(op.H(y), 0.7), atol=1e-6, rtol=0)


def lasso(dense: MakeDense, draw: Draw) -> tuple[LinearOperator, Tensor, float]:
    """A system with fewer equations than unknowns, its data and a weight of the L1 norm."""
    op = dense(draw(12, 20))
    return op, op(soft(draw(20), 1.0)), 0.5


def objective(op: LinearOperator, x: Tensor, y: Tensor, weight: float) -> float:
    return float(0.5 * (op(x) - y).abs().square().sum() + weight * x.abs().sum())


def test_fista_fulfils_the_optimality_conditions_of_the_lasso(dense: MakeDense, draw: Draw) -> None:
    op, y, weight = lasso(dense, draw)
    step = 0.99 / float(largest_eigenvalue(op.gram, draw(20), iterations=200))
    x = fista(
        lambda v: op.H(op(v) - y),
        l1_prox(weight),
        torch.zeros(20, dtype=y.dtype),
        step=step,
        iterations=3000,
        restart=True,
    )
    gradient = op.H(op(x) - y)
    support = x != 0
    assert 0 < int(support.sum()) < 20
    torch.testing.assert_close(gradient[support], -weight * torch.sgn(x[support]))
    assert float(gradient[~support].abs().max()) <= weight * (1 + 1e-9)


def test_fista_descends_faster_than_without_momentum(dense: MakeDense, draw: Draw) -> None:
    op, y, weight = lasso(dense, draw)
    step = 0.99 / float(largest_eigenvalue(op.gram, draw(20), iterations=200))

    def gradient(x: Tensor) -> Tensor:
        return op.H(op(x) - y)

    zero = torch.zeros(20, dtype=y.dtype)
    plain = zero
    for _ in range(60):
        plain = soft(plain - step * gradient(plain), step * weight)
    fast = fista(gradient, l1_prox(weight), zero, step=step, iterations=60)
    best = fista(gradient, l1_prox(weight), zero, step=step, iterations=3000, restart=True)
    reached = objective(op, best, y, weight)
    assert objective(op, fast, y, weight) - reached < 0.2 * (
        objective(op, plain, y, weight) - reached
    )


def test_fista_restarts_each_problem_of_a_batch_by_itself(dense: MakeDense, draw: Draw) -> None:
    op, _, weight = lasso(dense, draw)
    y = draw(3, 12) * torch.tensor([0.1, 1.0, 10.0])[:, None]
    step = 0.99 / float(largest_eigenvalue(op.gram, draw(20), iterations=200))

    def solve(measured: Tensor, batch_dims: int) -> Tensor:
        return fista(
            lambda x: op.H(op(x) - measured),
            l1_prox(weight),
            torch.zeros_like(op.H(measured)),
            step=step,
            iterations=70,
            restart=True,
            batch_dims=batch_dims,
        )

    alone = torch.stack([solve(one, 0) for one in y])
    torch.testing.assert_close(solve(y, 1), alone)


def test_fista_with_too_long_a_step_says_so(draw: Draw) -> None:
    y = draw(4).to(torch.complex64)
    with pytest.raises(ConvergenceError, match=r"FISTA with step 9.*step is at most 1/\|\|A\|\|"):
        fista(lambda x: x - y, lambda v, _: v, 2 * y, step=9.0, iterations=100)


def test_fista_without_iterations_returns_its_start(draw: Draw) -> None:
    start = draw(3)
    assert fista(lambda x: x, lambda v, _: v, start, step=1.0, iterations=0) is start


@pytest.mark.parametrize("penalty", [0.3, 1.0, 3.0])
def test_admm_of_a_step_under_total_variation_is_the_closed_form(penalty: float) -> None:
    # min 0.5||x - y||^2 + w TV(x): the two plateaus approach each other by w / their lengths
    y = torch.cat([torch.full((6,), 1.0), torch.full((4,), 5.0)]).double()
    weight = 1.2
    wanted = torch.cat([torch.full((6,), 1 + weight / 6), torch.full((4,), 5 - weight / 4)])
    got = admm(
        Identity(),
        y,
        analysis=FiniteDifference(dims=(-1,)),
        prox=l1_prox(weight),
        config=AdmmConfig(penalty=penalty, iterations=200, inner_iterations=4),
    )
    torch.testing.assert_close(got, wanted.double(), atol=1e-6, rtol=0)


def test_admm_with_a_wavelet_and_all_samples_is_soft_thresholding(draw: Draw) -> None:
    wavelet, y = Wavelet((8, 8)), draw(8, 8)
    op = Sampling(torch.ones(8, 8, dtype=torch.bool)) @ Fourier()
    got = admm(
        op,
        op(y),
        analysis=wavelet,
        prox=l1_prox(0.8),
        config=AdmmConfig(iterations=60),
    )
    torch.testing.assert_close(got, wavelet.H(soft(wavelet(y), 0.8)), atol=1e-8, rtol=0)


def test_admm_and_fista_find_the_same_lasso(dense: MakeDense, draw: Draw) -> None:
    op, y, weight = lasso(dense, draw)
    step = 0.99 / float(largest_eigenvalue(op.gram, draw(20), iterations=200))
    start = torch.zeros(20, dtype=y.dtype)
    by_fista = fista(
        lambda x: op.H(op(x) - y),
        l1_prox(weight),
        start,
        step=step,
        iterations=800,
        restart=True,
    )
    by_admm = admm(
        op,
        y,
        analysis=Identity(),
        prox=l1_prox(weight),
        config=AdmmConfig(penalty=4.0, iterations=120, inner_iterations=8),
        initial=start,
    )
    torch.testing.assert_close(by_admm, by_fista, atol=1e-5, rtol=0)


def test_admm_of_a_batch_equals_one_by_one(draw: Draw) -> None:
    y = draw(3, 6, 5) * torch.tensor([0.1, 1.0, 10.0])[:, None, None]
    difference = FiniteDifference()

    def solve(measured: Tensor, batch_dims: int) -> Tensor:
        config = AdmmConfig(iterations=5, inner_iterations=2, batch_dims=batch_dims)
        return admm(Fourier(), measured, analysis=difference, prox=l1_prox(0.3), config=config)

    torch.testing.assert_close(solve(y, 1), torch.stack([solve(one, 0) for one in y]))
