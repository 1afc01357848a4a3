"""How far a prediction is from its target, and when that counts: distances, weights, gates.

All distances are called alike, ``f(pred, target, *, weight=None, dims=None, reduction="mean")``:

- ``pred`` and ``target`` have one shape, batch first. The target is a constant: no gradient
  reaches it. Complex values enter by the modulus of the residual ``r = pred - target`` (cosine: by
  the real inner product), so a common phase changes nothing.
- ``dims`` are the axes of one *unit*, which has one distance. Default: every entry is a unit; the
  last axis (``soft_ce``, ``kl``, ``cosine``); all axes but the first (``relative_l1l2``).
- ``weight`` is bool or real, >= 0, a constant; its axes are the leading ones of ``pred``, of length
  1 where one number serves all. With ``W`` the largest weight in a unit and ``v = w / W``, the
  entries enter the distance ``d`` with share ``v`` and the unit enters the loss as ``W d``: a mask
  leaves entries out, a gate scales the unit. What has weight 0 may be NaN and is never looked at.
- ``reduction``: ``"mean"`` is ``sum W d / sum W``, so that a common factor of the weights cancels;
  ``"mean_all"`` divides by the number of units, also those of weight 0; ``"sum"``; ``"none"``
  returns ``W d`` in the shape of ``pred`` without ``dims``. Nothing to count gives exactly 0, with
  gradient 0.

Half precision is computed in float32; the result has the real dtype of ``pred``. A weighted
distance that is NaN is refused (RefusedInputError), as are negative weights and scales <= 0; axes
that do not fit raise ShapeError.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Inexact, Int, Shaped
from torch import Tensor

from medconsist.consistency._axes import on_leading_axes, require_bool
from medconsist.errors import RefusedInputError, ShapeError

__all__ = [
    "cauchy",
    "cauchy_weight",
    "cosine",
    "gate_confident",
    "gate_correct",
    "huber",
    "huber_weight",
    "kl",
    "mad_scale",
    "mse",
    "pseudo_huber",
    "pseudo_huber_weight",
    "relative_l1l2",
    "soft_ce",
]

Reduction = Literal["mean", "mean_all", "sum", "none"]
Dims = int | tuple[int, ...]
Scale = float | int | Tensor
Values = Inexact[Tensor, "..."]
Logits = Float[Tensor, "..."]
Weight = Shaped[Tensor, "..."]
Loss = Float[Tensor, "..."]


def soft_ce(
    pred: Logits,
    target: Logits,
    tau_t: float | int = 1.0,
    tau_s: float | int = 1.0,
    *,
    weight: Weight | None = None,
    dims: Dims | None = None,
    reduction: Reduction = "mean",
) -> Loss:
    """Return the cross-entropy ``-sum_k p_k log q_k`` of two sets of logits.

    ``p = softmax(target / tau_t)`` and ``q = softmax(pred / tau_s)`` over ``dims`` (default: the
    last axis); ``tau_t`` < 1 sharpens the target. At equality it is the entropy of ``p``, not 0.
    A logit of minus infinity is a class left out; where it is left out of both it adds 0.

    Examples
    --------
    >>> import torch
    >>> soft_ce(torch.zeros(2, 4), torch.zeros(2, 4), tau_t=0.1)
    tensor(1.3863)
    """
    pair = _Pair.of(pred, target, weight, -1 if dims is None else dims, logits=True)
    p, log_q = pair.log_softmax(pair.target, tau_t).exp(), pair.log_softmax(pair.pred, tau_s)
    return pair.reduce(-pair.sum(torch.where(p > 0, p * log_q, 0)), reduction)


def kl(
    pred: Logits,
    target: Logits,
    tau_t: float | int = 1.0,
    tau_s: float | int = 1.0,
    *,
    weight: Weight | None = None,
    dims: Dims | None = None,
    reduction: Reduction = "mean",
) -> Loss:
    """Return the divergence ``KL(p || q) = sum_k p_k (log p_k - log q_k)`` of two sets of logits.

    ``p = softmax(target / tau_t)`` and ``q = softmax(pred / tau_s)`` over ``dims`` (default: the
    last axis). It is `soft_ce` less the entropy of ``p``: the same gradient, and 0 at equality. No
    factor tau^2 is applied.

    Examples
    --------
    >>> import torch
    >>> kl(torch.zeros(2, 4), torch.full((2, 4), 3.0))
    tensor(0.)
    """
    pair = _Pair.of(pred, target, weight, -1 if dims is None else dims, logits=True)
    log_p, log_q = pair.log_softmax(pair.target, tau_t), pair.log_softmax(pair.pred, tau_s)
    p = log_p.exp()
    return pair.reduce(pair.sum(torch.where(p > 0, p * (log_p - log_q), 0)), reduction)


def cosine(
    pred: Values,
    target: Values,
    *,
    weight: Weight | None = None,
    dims: Dims | None = None,
    reduction: Reduction = "mean",
) -> Loss:
    """Return ``1 - Re<pred, target> / (|pred| |target|)`` over ``dims`` (default: the last axis).

    In [0, 2]; exactly 0 at equality. A vector of norm 0 has no direction: distance 1, gradient 0.

    Examples
    --------
    >>> import torch
    >>> cosine(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]]))
    tensor(1.)
    """
    pair = _Pair.of(pred, target, weight, -1 if dims is None else dims)
    # the direction alone counts; squares of the values themselves could overflow or vanish
    pred, target = _of_order_one(pair.pred, pair.dims), _of_order_one(pair.target, pair.dims)
    q_pred, q_target = pair.sum(_power(pred)), pair.sum(_power(target))
    unit_pred = pred / torch.where(q_pred > 0, q_pred, 1).sqrt()
    unit_target = target / torch.where(q_target > 0, q_target, 1).sqrt()
    # half the squared chord equals 1 - cos without its cancellation
    chord = 0.5 * pair.sum(_power(unit_pred - unit_target))
    undirected = (q_pred == 0) | (q_target == 0)
    return pair.reduce(torch.where(undirected, 1, chord), reduction)


def mse(
    pred: Values,
    target: Values,
    *,
    weight: Weight | None = None,
    dims: Dims | None = None,
    reduction: Reduction = "mean",
) -> Loss:
    """Return the mean of ``|r|^2``, over ``dims`` first: each unit counts once.

    Examples
    --------
    >>> import torch
    >>> mse(torch.tensor([3j, 4.0]), torch.zeros(2, dtype=torch.complex64))
    tensor(12.5000)
    """
    pair = _Pair.of(pred, target, weight, () if dims is None else dims)
    n_entries = pair.sum(torch.ones_like(pair.residual.real))
    return pair.reduce(pair.power() / n_entries.clamp(min=_tiny(n_entries)), reduction)


def huber(
    pred: Values,
    target: Values,
    c: Scale,
    dims: Dims | None = None,
    *,
    weight: Weight | None = None,
    reduction: Reduction = "mean",
) -> Loss:
    """Return ``|r|^2 / 2`` up to ``|r| = c`` and ``c (|r| - c / 2)`` beyond (Huber 1964).

    ``|r|`` is the Euclidean norm over ``dims``, by default of each entry.
    doi:10.1214/aoms/1177703732.

    Examples
    --------
    >>> import torch
    >>> huber(torch.tensor([1.0, 10.0]), torch.zeros(2), c=2.0, reduction="none")
    tensor([ 0.5000, 18.0000])
    """
    pair = _Pair.of(pred, target, weight, () if dims is None else dims)
    q, c = pair.power(), pair.scale(c)
    inside = q <= c**2
    norm = torch.where(inside, 1, q).sqrt()
    return pair.reduce(torch.where(inside, 0.5 * q, c * (norm - 0.5 * c)), reduction)


def pseudo_huber(
    pred: Values,
    target: Values,
    c: Scale,
    dims: Dims,
    *,
    weight: Weight | None = None,
    reduction: Reduction = "mean",
) -> Loss:
    """Return ``sqrt(|r|^2 + c^2) - c``, with ``|r|`` the Euclidean norm over ``dims``.

    ``|r|^2 / 2c`` for ``|r| << c``, ``|r| - c`` for ``|r| >> c``: the gradient is bounded by 1 but
    does not fall for gross outliers. Over whole samples with ``c = 0.00054 sqrt(d)`` it is the loss
    of improved consistency training (Song and Dhariwal 2023, arXiv:2310.14189).

    Parameters
    ----------
    c
        Scale > 0, best a multiple of `mad_scale`; a tensor lies on the leading axes of ``pred``,
        with length 1 on ``dims``. A constant.
    dims
        Mandatory, as the answer to two different corruptions: ``()`` takes each entry by itself, so
        that one spike among 1000 residuals has 0.14 % of the gradient; all axes of a sample take it
        as a whole, where the spike has the 50 % that it has in ``mse``, but a sample that is bad
        throughout counts less.

    Examples
    --------
    >>> import torch
    >>> pseudo_huber(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2), c=12.0, dims=1)
    tensor(1.)
    """
    pair = _Pair.of(pred, target, weight, dims)
    q, c = pair.power(), pair.scale(c)
    # equal to sqrt(q + c^2) - c without its cancellation for q << c^2
    return pair.reduce(q / ((q + c**2).sqrt() + c), reduction)


def cauchy(
    pred: Values,
    target: Values,
    c: Scale,
    dims: Dims,
    *,
    weight: Weight | None = None,
    reduction: Reduction = "mean",
) -> Loss:
    """Return ``log(1 + |r|^2 / 2c^2)``, with ``|r|`` the Euclidean norm over ``dims``.

    ``|r|^2 / 2c^2`` for ``|r| << c``. Redescending: the gradient is at most ``1 / (sqrt(2) c)``, at
    ``|r| = sqrt(2) c``, and goes to 0 beyond, so gross outliers are ignored in the end; one spike
    of 1000 c among 1000 residuals of size c has 0.0003 % of the gradient. As used for latent
    consistency models by Dao et al. 2025, arXiv:2502.01441.

    Parameters
    ----------
    c
        Scale > 0, best a multiple of `mad_scale`; a tensor lies on the leading axes of ``pred``,
        with length 1 on ``dims``. A constant.
    dims
        Mandatory, see `pseudo_huber`: ``()`` is each entry by itself.

    Examples
    --------
    >>> import torch
    >>> cauchy(torch.tensor([0.0, 2.0]), torch.zeros(2), c=1.0, dims=(), reduction="none")
    tensor([0.0000, 1.0986])
    """
    pair = _Pair.of(pred, target, weight, dims)
    q, c = pair.power(), pair.scale(c)
    return pair.reduce(torch.log1p(q / (2 * c**2)), reduction)


def relative_l1l2(
    pred: Values,
    target: Values,
    mask: Bool[Tensor, "..."] | None = None,
    *,
    weight: Weight | None = None,
    dims: Dims | None = None,
    reduction: Reduction = "mean",
) -> Loss:
    """Return ``(|r|_2 / |target|_2 + |r|_1 / |target|_1) / 2``, norms over the entries of ``mask``.

    The published loss of SSDU (Yaman et al. 2020, doi:10.1002/mrm.28378) with what was withheld as
    ``mask``. The norms run over ``dims``, by default each element of the batch by itself.

    Parameters
    ----------
    mask
        The entries that count, laid on ``pred`` as ``weight`` is; multiplies ``weight``.

    Raises
    ------
    RefusedInputError
        A target that is 0 throughout a unit with entries to count: it has no relative error.

    Examples
    --------
    >>> import torch
    >>> relative_l1l2(torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 4.0]]))
    tensor(0.5000)
    """
    if dims is None and pred.ndim < 2:
        msg = (
            f"pred of shape {tuple(pred.shape)} has no axis after the batch to take norms over; "
            "wanted two axes or more, or dims."
        )
        raise ShapeError(msg)
    if mask is not None:
        require_bool(mask, name="mask")
        seen = on_leading_axes(mask, pred.shape, name="mask")
        other = None if weight is None else on_leading_axes(weight, pred.shape, name="weight")
        weight = seen if other is None else torch.where(seen, other, 0)
    pair = _Pair.of(pred, target, weight, tuple(range(1, pred.ndim)) if dims is None else dims)
    r, u = pair.residual, pair.target
    q_u, l1_u = pair.sum(_power(u)), pair.sum(u.abs())
    if bool(((q_u == 0) & (pair.outer > 0)).any()):
        msg = (
            f"the target, of shape {tuple(target.shape)}, is 0 in all entries that count of a unit "
            "and has no relative error; give such units weight 0, or take mse or cauchy."
        )
        raise RefusedInputError(msg)
    q_r = pair.power()
    l2_r = torch.where(q_r > 0, torch.where(q_r > 0, q_r, 1).sqrt(), 0)
    counts = pair.outer > 0
    l2_u, l1_u = torch.where(counts, q_u, 1).sqrt(), torch.where(counts, l1_u, 1)
    return pair.reduce(0.5 * (l2_r / l2_u + pair.sum(r.abs()) / l1_u), reduction)


def huber_weight(r: Values, c: Scale, dims: Dims = ()) -> Loss:
    """Return ``min(1, c / |r|)``: the factor by which `huber` weights a residual.

    These functions are ``w(r) = rho'(|r|) / |r|`` scaled to ``w(0) = 1``, for iteratively
    reweighted least squares (Holland and Welsch 1977, doi:10.1080/03610927708827533). They lie in
    [0, 1] and fall with ``|r|``, the norm over ``dims``, whose axes keep length 1. To pull on data
    robustly, give ``partial(cauchy_weight, c=c)`` where a function of the residual is wanted.

    Examples
    --------
    >>> import torch
    >>> huber_weight(torch.tensor([0.5, 4.0]), c=1.0)
    tensor([1.0000, 0.2500])
    """
    q, c = _norm_and_scale(r, c, dims)
    return (c / torch.maximum(q, c**2).sqrt()).to(r.real.dtype)


def pseudo_huber_weight(r: Values, c: Scale, dims: Dims = ()) -> Loss:
    """Return ``1 / sqrt(1 + |r|^2 / c^2)``; the gradient of `pseudo_huber` is ``w(r) r / c``.

    See `huber_weight`.

    Examples
    --------
    >>> import torch
    >>> pseudo_huber_weight(torch.tensor([[3.0, 4.0]]), c=5.0, dims=1)
    tensor([[0.7071]])
    """
    q, c = _norm_and_scale(r, c, dims)
    return (1 / (1 + q / c**2).sqrt()).to(r.real.dtype)


def cauchy_weight(r: Values, c: Scale, dims: Dims = ()) -> Loss:
    """Return ``1 / (1 + |r|^2 / 2c^2)``; the gradient of `cauchy` is ``w(r) r / c^2``.

    See `huber_weight`.

    Examples
    --------
    >>> import torch
    >>> cauchy_weight(torch.tensor([0.0, 2.0]), c=1.0)
    tensor([1.0000, 0.3333])
    """
    q, c = _norm_and_scale(r, c, dims)
    return (1 / (1 + q / (2 * c**2))).to(r.real.dtype)


def mad_scale(
    r: Values, mask: Bool[Tensor, "..."] | None = None, *, floor: float | int | None = None
) -> Float[Tensor, ""]:
    """Return the robust standard deviation of residuals, from their median absolute deviation.

    Real: ``1.4826 median |r - median r|``. Complex: ``1.2011 median |r|``, for circular noise whose
    standard deviation is sigma with ``E|r|^2 = sigma^2``; independent of the phase. Half of the
    entries may be arbitrary. A constant without gradient, the default scale ``c`` of the robust
    distances; smooth it over steps as a teacher is, and let a schedule multiply it. Where more than
    half of the deviations are exactly 0, the median is of the others. Half precision gives float32.

    Parameters
    ----------
    r
        Residuals of the whole batch, at least one.
    mask
        The entries that count, on the leading axes of ``r``; the zeros of what was masked would
        pull the scale to 0.
    floor
        Smallest result > 0, in units of ``r``. None is the square root of the smallest normal
        number, so that all zeros, or no entry at all, give a scale whose square is not 0.

    Examples
    --------
    >>> import torch
    >>> mad_scale(torch.tensor([-1.0, 0.0, 1.0, 2.0, 3000.0]))
    tensor(1.4826)
    """
    if floor is not None and not 0.0 < floor < math.inf:
        msg = f"floor must be a finite number > 0, in units of the residuals; got {floor}."
        raise RefusedInputError(msg)
    values = _at_least_single(r.detach())
    counts = torch.ones_like(values, dtype=torch.bool)
    if mask is not None:
        require_bool(mask, name="mask")
        counts = on_leading_axes(mask, r.shape, name="mask").expand(r.shape)
    n_nan = int((values.isnan() & counts).sum())
    if n_nan:
        msg = f"{n_nan} residuals that count, of shape {tuple(r.shape)}, are NaN; mask them."
        raise RefusedInputError(msg)
    centre = 0.0 if values.is_complex() else _median(values, counts)
    deviation = (values - centre).abs()
    factor = 1 / math.sqrt(math.log(2)) if values.is_complex() else 1.482602218505602
    spread = _median(deviation, counts)
    spread = torch.where(spread > 0, spread, _median(deviation, counts & (deviation > 0)))
    lowest = math.sqrt(torch.finfo(spread.dtype).tiny) if floor is None else float(floor)
    return (factor * spread).nan_to_num(0.0).clamp(min=lowest)


def gate_confident(
    logits: Float[Tensor, "*batch classes"], beta: float | int
) -> Float[Tensor, "*batch"]:
    """Return 1 where the largest class probability is above ``beta``, else 0; without gradient.

    The probabilities are those of the logits as they are: sharpened ones would make ``beta``
    meaningless (UDA, Xie et al. 2020, arXiv:1904.12848, with beta 0.8). A rare class may never
    reach ``beta``: record how often each class passes.

    Examples
    --------
    >>> import torch
    >>> gate_confident(torch.tensor([[3.0, 0.0], [0.1, 0.0]]), beta=0.8)
    tensor([1., 0.])
    """
    if not 0.0 <= beta <= 1.0:
        msg = f"beta is a probability, in [0, 1]; got {beta}."
        raise RefusedInputError(msg)
    _check_logits(logits)
    probability = logits.detach().softmax(-1).amax(-1)
    return (probability > beta).to(logits.dtype)


def gate_correct(
    logits: Float[Tensor, "*batch classes"], y: Int[Tensor, "..."]
) -> Float[Tensor, "*batch"]:
    """Return 1 where the class of the largest logit is ``y``, else 0; without gradient.

    Distil only where the teacher is right, as MDCS does (Zhao et al. 2023, arXiv:2308.09922). A
    label that is no class, such as -1 for unknown, never passes.

    Examples
    --------
    >>> import torch
    >>> gate_correct(torch.tensor([[3.0, 0.0], [0.1, 0.0]]), torch.tensor([0, 1]))
    tensor([1., 0.])
    """
    _check_logits(logits)
    if y.shape != logits.shape[:-1]:
        msg = (
            f"y {tuple(y.shape)} must have the shape of logits {tuple(logits.shape)} without the "
            "last axis, the classes."
        )
        raise ShapeError(msg)
    return (logits.detach().argmax(-1) == y).to(logits.dtype)


@dataclass(frozen=True, eq=False)
class _Pair:
    """A prediction and its constant target, the axes of a unit kept with length 1."""

    pred: Tensor
    target: Tensor
    inner: Tensor  # share v of each entry in its unit
    outer: Tensor  # weight W of each unit
    dims: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(
        cls,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None,
        dims: Dims,
        *,
        logits: bool = False,
    ) -> "_Pair":
        if pred.shape != target.shape:
            msg = (
                f"pred {tuple(pred.shape)} and target {tuple(target.shape)} must have the same "
                "shape; nothing is broadcast."
            )
            raise ShapeError(msg)
        axes = _axes(dims, pred.shape)
        kind = torch.promote_types(pred.dtype, target.dtype)
        if not (kind.is_floating_point or (kind.is_complex and not logits)):
            wanted = "real floating-point logits" if logits else "floating-point or complex values"
            msg = f"pred is {pred.dtype} and target {target.dtype}; wanted {wanted}."
            raise RefusedInputError(msg)
        s, t = _at_least_single(pred.to(kind)), _at_least_single(target.detach().to(kind))
        w = torch.ones((1,) * pred.ndim, dtype=s.real.dtype, device=s.device)
        if weight is not None:
            w = _checked_weight(weight, pred.shape).to(s.real.dtype)
        outer = w.amax(axes, keepdim=True) if axes and w.numel() else w
        inner = w / torch.where(outer > 0, outer, 1)
        # a class of weight 0 still belongs to the softmax; any other entry is out altogether
        counts = outer > 0 if logits else w > 0
        s, t = torch.where(counts, s, 0), torch.where(counts, t, 0)
        return cls(s, t, inner, outer, axes, pred.real.dtype)

    @property
    def residual(self) -> Tensor:
        return self.pred - self.target

    def power(self) -> Tensor:
        """Return ``sum v |r|^2`` of each unit."""
        return self.sum(_power(self.residual))

    def sum(self, values: Tensor) -> Tensor:
        """Return ``sum v values`` of each unit."""
        return _sum(self.inner * values, self.dims)

    def log_softmax(self, values: Tensor, tau: float) -> Tensor:
        if not 0.0 < tau < math.inf:
            msg = f"a temperature must be a finite number > 0; got {tau}."
            raise RefusedInputError(msg)
        scaled = values / tau
        return scaled - scaled.logsumexp(self.dims, keepdim=True)

    def scale(self, c: Scale) -> Tensor:
        return _checked_scale(c, self.pred, self.dims)

    def reduce(self, distance: Tensor, reduction: str) -> Tensor:
        if reduction not in get_args(Reduction):
            msg = f"reduction must be one of {', '.join(get_args(Reduction))}; got {reduction!r}."
            raise RefusedInputError(msg)
        w = self.outer.expand(distance.shape)
        distance = torch.where(w > 0, distance, 0)
        n_nan = int(distance.isnan().sum())
        if n_nan:
            msg = (
                f"{n_nan} of {distance.numel()} distances between pred and target, both of shape "
                f"{tuple(self.pred.shape)}, are NaN; wanted numbers wherever the weight is > 0. "
                "Give weight 0 to entries that are missing."
            )
            raise RefusedInputError(msg)
        loss = w * distance
        if reduction == "none":
            loss = loss.squeeze(self.dims)
        elif reduction == "sum":
            loss = loss.sum()
        elif reduction == "mean_all":
            loss = loss.sum() / max(loss.numel(), 1)
        else:
            total = w.sum()
            loss = loss.sum() / torch.where(total > 0, total, 1)
        return loss.to(self.dtype)


def _axes(dims: Dims, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the axes counted from the front, each once."""
    given = (dims,) if isinstance(dims, int) else tuple(dims)
    n = len(shape)
    axes = tuple(sorted({dim % n for dim in given if -n <= dim < n}))
    if len(axes) != len(given):
        msg = (
            f"dims {given} of an array of shape {tuple(shape)}: wanted axes between {-n} and "
            f"{n - 1}, each once."
        )
        raise ShapeError(msg)
    return axes


def _checked_weight(weight: Tensor, shape: Sequence[int]) -> Tensor:
    w = on_leading_axes(weight.detach(), shape, name="weight")
    if w.is_complex() or (w.dtype != torch.bool and not bool(((w >= 0) & (w < math.inf)).all())):
        msg = (
            f"weight of shape {tuple(weight.shape)} and dtype {weight.dtype} must be bool, or real "
            "numbers >= 0; it has others (negative, infinite, NaN or complex)."
        )
        raise RefusedInputError(msg)
    return w


def _checked_scale(c: Scale, values: Tensor, dims: tuple[int, ...]) -> Tensor:
    units = [1 if dim in dims else n for dim, n in enumerate(values.shape)]
    scale = torch.as_tensor(c, dtype=values.real.dtype, device=values.device).detach()
    if not bool(((scale > 0) & (scale < math.inf)).all()):
        msg = f"c must be finite and > 0, in units of the residuals; got {c}. Take mad_scale."
        raise RefusedInputError(msg)
    return on_leading_axes(scale, units, name="c")


def _norm_and_scale(r: Tensor, c: Scale, dims: Dims) -> tuple[Tensor, Tensor]:
    axes = _axes(dims, r.shape)
    values = _at_least_single(r)
    n_nan = int(values.isnan().sum())
    if n_nan:
        msg = f"{n_nan} residuals of shape {tuple(r.shape)} are NaN and have no weight; mask them."
        raise RefusedInputError(msg)
    return _sum(_power(values), axes), _checked_scale(c, values, axes)


def _at_least_single(values: Tensor) -> Tensor:
    small = {
        torch.float16: torch.float32,
        torch.bfloat16: torch.float32,
        torch.complex32: torch.complex64,
    }
    return values.to(small.get(values.dtype, values.dtype))


def _of_order_one(values: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Return the values over the largest modulus of their unit, taken as a constant."""
    largest = values.detach().abs()
    if dims and values.numel():
        largest = largest.amax(dims, keepdim=True)
    return values / torch.where(largest > 0, largest, 1)


def _power(values: Tensor) -> Tensor:
    if values.is_complex():
        return values.real**2 + values.imag**2
    return values**2


def _sum(values: Tensor, dims: tuple[int, ...]) -> Tensor:
    # torch reads an empty tuple as all axes
    return values.sum(dims, keepdim=True) if dims else values


def _median(values: Tensor, counts: Tensor) -> Tensor:
    """Return the median of what counts; NaN of nothing."""
    return torch.where(counts, values, math.nan).nanmedian()


def _tiny(values: Tensor) -> float:
    return torch.finfo(values.dtype).tiny


def _check_logits(logits: Tensor) -> None:
    n_nan = int(logits.isnan().sum())
    if n_nan or not logits.ndim or not logits.shape[-1] or not logits.is_floating_point():
        msg = (
            f"logits of shape {tuple(logits.shape)}: wanted real floating numbers for at least one "
            f"class on the last axis; got {logits.dtype}, and {n_nan} are NaN."
        )
        raise RefusedInputError(msg)
