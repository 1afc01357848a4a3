"""Iterative solvers for any linear operator: power method, CG, FISTA, ADMM.

None of them draws random numbers or looks at the device; all are differentiable by autograd.
``batch_dims`` says how many leading axes hold independent problems: 0 solves one problem with the
whole tensor, 1 one problem per slice, with the same result as slice by slice.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medconsist.errors import ConvergenceError, RefusedInputError
from medconsist.operators.base import LinearOperator
from medconsist.shapes import Array

__all__ = ["AdmmConfig", "admm", "conjugate_gradient", "fista", "largest_eigenvalue"]

Map = Callable[[Tensor], Tensor]
Prox = Callable[[Tensor, float], Tensor]


def conjugate_gradient(
    operator: Map,
    rhs: Array,
    *,
    initial: Array | None = None,
    iterations: int,
    tolerance: float = 0.0,
    batch_dims: int = 0,
) -> Tensor:
    """Solve ``B x = b`` for a Hermitian positive semidefinite operator ``B``.

    Hestenes & Stiefel 1952, doi:10.6028/jres.049.044. That ``B`` is Hermitian and positive is not
    checked: for another operator the result is silently wrong. For a singular ``B`` the result
    solves the system if ``rhs`` lies in its range.

    Parameters
    ----------
    operator
        ``B``; for least squares ``A.gram``.
    rhs
        ``b``, any shape; for least squares ``A.H(y)``.
    initial
        First iterate; None starts at 0.
    iterations
        Largest number of iterations.
    tolerance
        Stop a problem when ``||b - B x|| <= tolerance * ||b||`` (of the recursive residual);
        0 runs all iterations.
    batch_dims
        Number of leading axes of independent problems.

    Returns
    -------
        ``x``, in the shape of ``rhs``.

    Raises
    ------
    ConvergenceError
        A residual is not finite.
    """
    x = torch.zeros_like(rhs) if initial is None else initial
    residual = rhs if initial is None else rhs - operator(initial)
    direction = residual
    energy = _energy(residual, batch_dims)
    enough = tolerance**2 * _energy(rhs, batch_dims)
    for iteration in range(iterations):
        _require_finite(energy, f"conjugate gradient, iteration {iteration}")
        active = energy > enough
        if not active.any():
            break
        image = operator(direction)
        curvature = _inner(direction, image, batch_dims)
        step = _ratio(energy, curvature, active)
        x = x + _spread(step, rhs) * direction
        residual = residual - _spread(step, rhs) * image
        previous, energy = energy, _energy(residual, batch_dims)
        direction = residual + _spread(_ratio(energy, previous, active), rhs) * direction
    _require_finite(energy, f"conjugate gradient, end of {iterations} iterations")
    return x


def fista(
    gradient: Map,
    prox: Prox,
    initial: Array,
    *,
    step: float,
    iterations: int,
    restart: bool = False,
    batch_dims: int = 0,
) -> Tensor:
    """Minimise ``f(x) + g(x)`` for smooth ``f`` by accelerated proximal gradient steps.

    ``x+ = prox(z - step * grad f(z), step)`` and ``z+ = x+ + (t - 1)/t+ (x+ - x)`` with
    ``t+ = (1 + sqrt(1 + 4 t^2))/2``, ``t = 1`` at first (Beck & Teboulle 2009,
    doi:10.1137/080716542).

    Parameters
    ----------
    gradient
        ``grad f``; for ``f = 0.5 ||A x - y||^2`` it is ``A.H(A(x) - y)``.
    prox
        ``prox(v, s) = argmin_x s g(x) + 0.5 ||x - v||^2``.
    initial
        First iterate, any shape.
    step
        At most 1 / (Lipschitz constant of ``gradient``): ``1 / largest_eigenvalue(A.gram)``.
    iterations
        Number of iterations.
    restart
        Set ``t = 1`` whenever the momentum points uphill, ``<z - x+, x+ - x> > 0``
        (O'Donoghue & Candes 2015, doi:10.1007/s10208-013-9150-3).
    batch_dims
        Number of leading axes of independent problems; matters for ``restart`` alone.

    Returns
    -------
        The last ``x``, in the shape of ``initial``.

    Raises
    ------
    ConvergenceError
        The result is not finite.
    """
    x = ahead = initial
    inertia = _energy(initial, batch_dims).new_ones(initial.shape[:batch_dims])
    for _ in range(iterations):
        previous, x = x, prox(ahead - step * gradient(ahead), step)
        moved = x - previous
        if restart:
            uphill = _inner(ahead - x, moved, batch_dims) > 0
            inertia = torch.where(uphill, 1.0, inertia)
        grown = (1 + torch.sqrt(1 + 4 * inertia**2)) / 2
        ahead = x + _spread((inertia - 1) / grown, x) * moved
        inertia = grown
    _require_finite(_energy(x, batch_dims), f"FISTA with step {step}, {iterations} iterations")
    return x


@dataclass(frozen=True)
class AdmmConfig:
    """How `admm` iterates.

    Parameters
    ----------
    penalty
        ``rho > 0``: how much ``B x = z`` weighs against the objective; it changes the speed of
        convergence, not the minimiser.
    iterations
        Outer iterations.
    inner_iterations
        CG iterations of each update of ``x``, started at the previous one.
    batch_dims
        Number of leading axes of independent problems.

    Examples
    --------
    >>> AdmmConfig(penalty=0.1).iterations
    50
    """

    penalty: float = 1.0
    iterations: int = 50
    inner_iterations: int = 5
    batch_dims: int = 0


def admm(
    operator: LinearOperator,
    measured: Array,
    *,
    analysis: LinearOperator,
    prox: Prox,
    config: AdmmConfig,
    initial: Array | None = None,
) -> Tensor:
    """Minimise ``0.5 ||A x - y||^2 + g(B x)`` by the alternating direction method of multipliers.

    With the scaled dual ``u`` (Boyd et al. 2011, doi:10.1561/2200000016, section 3.1.1)::

        x+ = argmin_x 0.5 ||A x - y||^2 + rho/2 ||B x - z + u||^2      (by CG)
        z+ = prox(B x+ + u, 1/rho)
        u+ = u + B x+ - z+

    Parameters
    ----------
    operator
        ``A``.
    measured
        ``y``, in the range of ``A``.
    analysis
        ``B``, e.g. finite differences or a wavelet transform.
    prox
        ``prox(v, s) = argmin_z s g(z) + 0.5 ||z - v||^2``.
    config
        Penalty and iterations.
    initial
        First iterate; None starts at 0.

    Returns
    -------
        The last ``x``, in the domain of ``A``.

    Raises
    ------
    ConvergenceError
        An iterate is not finite.
    """
    rho = config.penalty
    backprojection = operator.H(measured)
    normal = operator.gram + rho * analysis.gram
    x = torch.zeros_like(backprojection) if initial is None else initial
    split = analysis(x)
    dual = torch.zeros_like(split)
    for _ in range(config.iterations):
        x = conjugate_gradient(
            normal,
            backprojection + rho * analysis.H(split - dual),
            initial=x,
            iterations=config.inner_iterations,
            batch_dims=config.batch_dims,
        )
        target = analysis(x) + dual
        split = prox(target, 1 / rho)
        dual = target - split
    return x


def largest_eigenvalue(
    operator: Map, start: Array, *, iterations: int = 30, batch_dims: int = 0
) -> Tensor:
    """Return the largest eigenvalue of a Hermitian positive semidefinite operator.

    The power method; its value is a lower bound that rises with the iterations, so a step size
    made from it deserves some per cent of room.

    Parameters
    ----------
    operator
        ``B``; for the Lipschitz constant of a least-squares gradient ``A.gram``.
    start
        First vector, not orthogonal to the eigenvector looked for: draw it at random.
    iterations
        Number of products with ``B``.
    batch_dims
        Number of leading axes of independent operators.

    Returns
    -------
        Real eigenvalues, in the shape of the leading axes (no axis for ``batch_dims = 0``).

    Raises
    ------
    RefusedInputError
        Less than one iteration.
    ConvergenceError
        A product is not finite.
    """
    if iterations < 1:
        msg = f"the power method needs at least 1 iteration; got {iterations}."
        raise RefusedInputError(msg)
    vector = start
    for _ in range(iterations):
        image = operator(vector)
        norm = _energy(image, batch_dims).sqrt()
        vector = image / _spread(torch.where(norm > 0, norm, 1.0), image)
    _require_finite(norm, f"power method, {iterations} iterations")
    return norm


def _inner(x: Tensor, y: Tensor, batch_dims: int) -> Tensor:
    """Return ``Re <x, y>`` of each problem."""
    return torch.linalg.vecdot(x.flatten(batch_dims), y.flatten(batch_dims)).real


def _energy(x: Tensor, batch_dims: int) -> Tensor:
    return _inner(x, x, batch_dims)


def _spread(values: Tensor, like: Tensor) -> Tensor:
    """Append axes of length 1, so that one value per problem multiplies the whole problem."""
    return values.reshape(*values.shape, *(1,) * (like.ndim - values.ndim))


def _ratio(numerator: Tensor, denominator: Tensor, active: Tensor) -> Tensor:
    """Return numerator / denominator, 0 for problems that are solved.

    The inner `where` keeps 0/0 out of the gradient of the branch that is not taken.
    """
    usable = active & (denominator != 0)
    return torch.where(usable, numerator / torch.where(usable, denominator, 1.0), 0.0)


def _require_finite(values: Tensor, where: str) -> None:
    if not torch.isfinite(values).all():
        msg = (
            f"{where}: the iterates are not finite. Check the input for NaN and infinity, that "
            "the operator is Hermitian positive, and that the step is at most 1/||A||^2."
        )
        raise ConvergenceError(msg)
