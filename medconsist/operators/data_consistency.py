"""Data consistency for any linear operator: gradient step, proximal step, hard projection.

All of them pull an estimate ``x`` towards what was measured, ``y = A x + noise``. ``weight`` makes
the pull robust: a function of the complex residual ``r`` that returns real factors ``w >= 0`` for
it (iteratively reweighted least squares, Holland & Welsch 1977, doi:10.1080/03610927708827533);
e.g. ``lambda r: 1 / (1 + (r.abs() / c) ** 2)`` for the Cauchy loss of scale c. None is ``w = 1``.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool
from torch import Tensor

from medconsist.operators.base import Identity, LinearOperator
from medconsist.operators.solvers import conjugate_gradient
from medconsist.operators.weighting import Pointwise
from medconsist.shapes import Array

__all__ = ["cg_dc", "hard_dc", "residual", "soft_dc"]

Weight = Callable[[Tensor], Tensor]


def residual(op: LinearOperator, x: Array, y: Array, where: Bool[Tensor, "..."]) -> Tensor:
    """Return ``A x - y`` on the entries where ``where`` is True and 0 elsewhere.

    With the withheld entries of a split as ``where``, it is the error that the estimate could not
    have fitted.

    Parameters
    ----------
    op
        ``A``, not masked by what was withheld.
    x
        Estimate, in the domain of ``A``.
    y
        Measurement, in the range of ``A``.
    where
        Broadcast to ``y``.
    """
    return torch.where(where, op(x) - y, 0)


def soft_dc(
    op: LinearOperator, x: Array, y: Array, eta: float | Tensor, weight: Weight | None = None
) -> Tensor:
    """Return one gradient step on the data term, ``x - eta A^H w(r) r`` with ``r = A x - y``.

    Without ``weight`` it never raises ``0.5 ||A x - y||^2`` for ``0 < eta <= 1/||A||^2``. Nor, for
    the same steps, does it raise the robust loss that the weights belong to, if they are at most 1
    and do not grow with |r|.

    Parameters
    ----------
    op
        ``A``.
    x
        Estimate, in the domain of ``A``.
    y
        Measurement, in the range of ``A``.
    eta
        Step; a tensor may be learned.
    weight
        Robust weights of the residual, see the module.
    """
    r = op(x) - y
    weighted = r if weight is None else weight(r) * r
    return x - eta * op.H(weighted)


def hard_dc(k_pred: Array, y: Array, mask: Bool[Tensor, "..."]) -> Tensor:
    """Return the projection on the data: exactly ``y`` where measured, else the prediction.

    It takes the measurement for noise-free and needs an operator that merely samples what is
    predicted here.

    Parameters
    ----------
    k_pred
        Prediction of all entries of the measured space.
    y
        Measurement, in the shape of ``k_pred``.
    mask
        True where ``y`` was measured; broadcast to ``y``.
    """
    return torch.where(mask, y, k_pred)


def cg_dc(
    op: LinearOperator,
    z: Array,
    y: Array,
    mu: float | Tensor,
    iterations: int,
    *,
    weight: Weight | None = None,
    batch_dims: int = 0,
) -> Tensor:
    """Return the proximal point ``argmin_x ||A x - y||^2_w + mu ||x - z||^2``, by CG from ``z``.

    It solves ``(A^H W A + mu) x = A^H W y + mu z`` (MoDL, Aggarwal et al. 2019,
    doi:10.1109/TMI.2018.2865356), with ``W = diag(w(A z - y))`` held fixed: one reweighting.

    Parameters
    ----------
    op
        ``A``.
    z
        What to stay near, in the domain of ``A``.
    y
        Measurement, in the range of ``A``.
    mu
        Weight of staying near, > 0; a tensor may be learned.
    iterations
        CG iterations.
    weight
        Robust weights of the residual, see the module.
    batch_dims
        Number of leading axes of independent problems, see `conjugate_gradient`.
    """
    if weight is None:
        normal, data = op.gram, op.H(y)
    else:
        weights = Pointwise(weight(op(z) - y))
        normal, data = op.H @ weights @ op, op.H(weights(y))
    return conjugate_gradient(
        normal + Identity() * mu,
        data + mu * z,
        initial=z,
        iterations=iterations,
        batch_dims=batch_dims,
    )
