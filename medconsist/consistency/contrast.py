"""Contrast: one InfoNCE kernel whose masks say what is pulled and what is left out."""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from medconsist.errors import RefusedInputError, ShapeError

__all__ = ["info_nce", "masked_info_nce", "multi_scale", "positives_from_ids"]

Reduction = Literal["anchor", "pair"]


def masked_info_nce(
    similarity: Float[Tensor, "... queries keys"],
    positive: Bool[Tensor, "..."],
    exclude: Bool[Tensor, "..."] | None = None,
    *,
    reduction: Reduction = "anchor",
) -> Float[Tensor, ""]:
    r"""Pull each query to its positive keys against all keys that are not excluded.

    With :math:`C_i` the keys not excluded for query i, :math:`P_i \subseteq C_i` its positives,
    and :math:`\ell_{ij} = \log\sum_{k \in C_i} e^{s_{ik}} - s_{ij} \ge 0`:

    - ``"anchor"``: mean over the queries with a positive of the mean of :math:`\ell_{ij}` over
      :math:`P_i` (SupCon's L_out, Khosla et al. 2020, arXiv:2004.11362; with one positive the
      cross-entropy of InfoNCE, arXiv:1807.03748);
    - ``"pair"``: mean of :math:`\ell_{ij}` over all positive pairs, so that a query weighs as
      much as it has positives.

    A query without a positive adds nothing, neither to the sum nor to the count. Without any
    positive the loss is exactly 0 and so is its gradient. Half-precision input is computed in
    float32; the loss has the dtype and device of ``similarity``.

    Parameters
    ----------
    similarity
        Similarities over the temperature, ``... queries keys``; finite wherever not excluded.
        Excluded entries may hold anything and receive no gradient.
    positive
        True where the key is a positive of the query; last two axes as in ``similarity``, the
        leading ones may be left out or 1.
    exclude
        True where the key takes no part for this query, as itself or as padding; expanded to
        ``similarity``. It wins over ``positive``.
    reduction
        ``"anchor"`` or ``"pair"``; the mean runs over all leading axes at once.

    Raises
    ------
    RefusedInputError
        A similarity that is not excluded is NaN or infinite, a mask is not bool, the similarity
        is not real and floating, or the reduction is unknown.
    ShapeError
        A mask does not fit ``similarity``.

    Examples
    --------
    >>> import torch
    >>> similarity = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    >>> masked_info_nce(similarity, torch.eye(2, dtype=torch.bool))
    tensor(0.1269)
    """
    _refuse_dtype("similarity", similarity)
    _refuse_reduction(reduction)
    positive, exclude = _fit_masks(positive, exclude, similarity.shape)
    usable = similarity.isfinite() if exclude is None else similarity.isfinite() | exclude
    if not usable.all():
        msg = (
            f"{int((~usable).sum())} of {usable.numel()} similarities are NaN or infinite; they "
            "must be finite wherever they are not excluded. Leave keys out by exclude=, not by inf."
        )
        raise RefusedInputError(msg)
    total, count = _sum_terms(_widen(similarity), positive, exclude, reduction)
    return _mean(total, count, similarity.dtype)


def info_nce(
    q: Float[Tensor, "... queries features"],
    keys: Float[Tensor, "... keys features"],
    positive: Bool[Tensor, "..."],
    exclude: Bool[Tensor, "..."] | None = None,
    *,
    tau: float | int,
    normalize: bool = True,
    reduction: Reduction = "anchor",
    chunk: int | None = None,
) -> Float[Tensor, ""]:
    r"""Contrast queries with keys: `masked_info_nce` of :math:`q_i \cdot k_j / \tau`.

    ``chunk`` queries at a time are compared with all keys, and compared anew in the backward
    pass: beside input and gradients, peak memory is proportional to ``chunk`` times ``keys``,
    whatever the number of queries. Value and gradient are those of ``chunk=None`` to rounding.

    Parameters
    ----------
    q
        Queries, ``... queries features``; finite, padding too.
    keys
        Keys, ``... keys features``; leading axes broadcast with those of ``q``. They receive a
        gradient: detach the keys of a teacher or a bank.
    positive, exclude
        As in `masked_info_nce`, of shape ``... queries keys``.
    tau
        Temperature > 0. Towards 0 only the hardest keys count; at large ones all count the same
        and the loss tends to the logarithm of the number of keys.
    normalize
        Whether features are divided by their Euclidean norm first (cosine); zero vectors stay
        zero, with a bounded gradient.
    reduction
        ``"anchor"`` for one or many positives per query, ``"pair"`` for a mean over all pairs.
    chunk
        Queries compared at a time, >= 1; None compares all at once.

    Raises
    ------
    RefusedInputError
        ``tau`` or ``chunk`` out of range, NaN or infinity in the features, features that are
        complex or integer, two dtypes, or similarities that overflow at this ``tau``.
    ShapeError
        Features that differ in number, or a mask that does not fit.

    Examples
    --------
    >>> import torch
    >>> q = torch.eye(4)
    >>> info_nce(q, q, torch.eye(4, dtype=torch.bool), tau=0.5, chunk=2)
    tensor(0.3408)
    """
    _refuse_settings(tau, chunk)
    _refuse_reduction(reduction)
    shape = _refuse_features(q, keys)
    positive, exclude = _fit_masks(positive, exclude, shape)
    wide_q, wide_keys = _widen(q), _widen(keys)
    if normalize:
        wide_q, wide_keys = _unit(wide_q), _unit(wide_keys)
    wide_q = (wide_q / tau).expand(*shape[:-1], -1)
    if chunk is None:
        total, count = _compare(wide_q, wide_keys, positive, exclude, reduction)
    else:
        total, count = _compare_chunks(wide_q, wide_keys, positive, exclude, reduction, chunk)
    return _mean(total, count, q.dtype)


def positives_from_ids(
    ids_q: Int[Tensor, "... queries"], ids_k: Int[Tensor, "... keys"]
) -> Bool[Tensor, "... queries keys"]:
    """Return True where query and key carry the same id.

    A query compared with itself is such a pair too: leave it out by ``exclude``, or by
    ``& ~torch.eye(...)`` to keep it as a negative.

    Parameters
    ----------
    ids_q, ids_k
        Integer ids of groups, ``... queries`` and ``... keys``; leading axes broadcast.

    Raises
    ------
    RefusedInputError
        The ids are not integers.
    ShapeError
        A scalar, or leading axes that do not broadcast.

    Examples
    --------
    >>> import torch
    >>> positives_from_ids(torch.tensor([7, 8]), torch.tensor([8, 7, 7])).int()
    tensor([[0, 1, 1],
            [1, 0, 0]], dtype=torch.int32)
    """
    for ids in (ids_q, ids_k):
        if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
            msg = f"ids must be integers; got {ids.dtype}. Number the groups, e.g. by torch.unique."
            raise RefusedInputError(msg)
    _broadcast("ids_q", ids_q.shape[:-1], "ids_k", ids_k.shape[:-1])
    if not ids_q.ndim or not ids_k.ndim:
        msg = "ids_q and ids_k need an axis of queries and of keys; got a scalar."
        raise ShapeError(msg)
    return ids_q[..., :, None] == ids_k[..., None, :]


def multi_scale(
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    z1: Float[Tensor, "*batch time features"],
    z2: Float[Tensor, "*batch time features"],
    pool: int = 2,
    *,
    least: int = 1,
) -> Float[Tensor, "*losses"]:
    """Average a loss over ever coarser versions of two views, as in TS2Vec (arXiv:2106.10466).

    The axis ``time`` of both is max-pooled by ``pool`` without overlap, a rest being dropped,
    down to the last length >= ``least``: ``time``, ``time // pool``, ... All scales weigh the
    same, the full one included.

    Parameters
    ----------
    loss_fn
        Maps two views of one shape to a scalar loss, or to several stacked; called once per scale.
    z1, z2
        Two views, ``... time features``.
    pool
        Width of the pooling, >= 2.
    least
        Length of the shortest scale, >= 1; COMET (arXiv:2310.14017) stops at 2.

    Raises
    ------
    RefusedInputError
        ``pool`` below 2 or ``least`` below 1.
    ShapeError
        Two views of different shapes, without a time axis, or shorter than ``least``.

    Examples
    --------
    >>> import torch
    >>> z1, z2 = torch.zeros(1, 4, 3), torch.ones(1, 4, 3)
    >>> multi_scale(lambda a, b: a.sum() + b.sum(), z1, z2)  # (12 + 6 + 3) / 3
    tensor(7.)
    """
    if pool < 2:
        msg = f"pool must be at least 2, or the views never become shorter; got {pool}."
        raise RefusedInputError(msg)
    if least < 1:
        msg = f"least must be at least 1 time step; got {least}."
        raise RefusedInputError(msg)
    if z1.shape != z2.shape or z1.ndim < 2 or z1.shape[-2] < least:
        msg = (
            f"the views must have one shape (..., time >= {least}, features); got "
            f"{tuple(z1.shape)} and {tuple(z2.shape)}."
        )
        raise ShapeError(msg)
    losses = [loss_fn(z1, z2)]
    while z1.shape[-2] // pool >= least:
        z1, z2 = _max_pool(z1, pool), _max_pool(z2, pool)
        losses.append(loss_fn(z1, z2))
    return torch.stack(losses).mean(0)


def _compare_chunks(
    q: Tensor,
    keys: Tensor,
    positive: Tensor,
    exclude: Tensor | None,
    reduction: Reduction,
    chunk: int,
) -> tuple[Tensor, Tensor]:
    """Return `_compare` of all queries, ``chunk`` at a time, keeping none of the similarities."""
    totals, counts = [], []
    masks = torch.split(positive, chunk, -2)
    left_out = [None] * len(masks) if exclude is None else torch.split(exclude, chunk, -2)
    for rows, mask, out in zip(torch.split(q, chunk, -2), masks, left_out, strict=True):
        total, count = checkpoint(
            _compare,
            rows,
            keys,
            mask,
            out,
            reduction,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        totals.append(total)
        counts.append(count)
    return torch.stack(totals).sum(), torch.stack(counts).sum()


def _compare(
    q: Tensor, keys: Tensor, positive: Tensor, exclude: Tensor | None, reduction: Reduction
) -> tuple[Tensor, Tensor]:
    # Autocast would round the similarities, already divided by tau, to half precision.
    with torch.autocast(q.device.type, enabled=False):
        return _sum_terms(q @ keys.mT, positive, exclude, reduction)


def _sum_terms(
    similarity: Tensor, positive: Tensor, exclude: Tensor | None, reduction: Reduction
) -> tuple[Tensor, Tensor]:
    """Return the sum of the terms of the loss and their number."""
    if not similarity.numel():
        return similarity.sum(), positive.sum()
    logits = similarity
    if exclude is not None:
        positive = positive & ~exclude
        # Excluded keys of a row without positives become 0: a row of -inf only would be NaN.
        filling = similarity.new_zeros(()).where(~positive.any(-1, keepdim=True), -math.inf)
        logits = torch.where(exclude, filling, similarity)
    # Against the largest logit nothing overflows and small losses stay exact at low temperature.
    logits = logits - logits.detach().amax(-1, keepdim=True)
    n_positive = positive.sum(-1)
    terms = n_positive * logits.exp().sum(-1).log() - logits.where(positive, 0.0).sum(-1)
    if reduction == "anchor":
        return (terms / n_positive.clamp(min=1)).sum(), (n_positive > 0).sum()
    return terms.sum(), n_positive.sum()


def _mean(total: Tensor, count: Tensor, dtype: torch.dtype) -> Tensor:
    loss = total / count.clamp(min=1)
    if not loss.isfinite():
        msg = (
            "the similarities overflow to a loss that is not finite; raise the temperature or "
            "normalise the features."
        )
        raise RefusedInputError(msg)
    return loss.to(dtype)


def _widen(values: Tensor) -> Tensor:
    """Return half precision as float32, other dtypes as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _unit(values: Tensor) -> Tensor:
    """Return rows of unit length; F.normalize has a gradient of 1e12 at a zero row."""
    norm: Tensor = torch.linalg.vector_norm(values, dim=-1, keepdim=True)
    return values / norm.where(norm > 0, 1.0)


def _max_pool(z: Tensor, pool: int) -> Tensor:
    length = z.shape[-2] // pool
    windows = z[..., : length * pool, :].reshape(*z.shape[:-2], length, pool, z.shape[-1])
    return _MaxPool.apply(windows)  # type: ignore[no-untyped-call]


class _MaxPool(torch.autograd.Function):
    """`amax` over windows; the first of equal values gets the gradient, 3 times as fast."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, windows: Tensor) -> Tensor:
        top = windows.amax(-2)
        ctx.save_for_backward(windows, top)
        return top

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        windows, top = ctx.saved_tensors  # type: ignore[attr-defined]
        out = torch.empty_like(windows)
        *places, last = out.unbind(-2)
        last.copy_(gradient)
        for place, values in zip(places, windows.unbind(-2), strict=False):
            torch.mul(last, values == top, out=place)
            last.sub_(place)
        return out


def _fit_masks(
    positive: Tensor, exclude: Tensor | None, shape: torch.Size
) -> tuple[Tensor, Tensor | None]:
    """Return both masks in the shape of the similarity, as views."""
    if positive.shape[-2:] != shape[-2:]:
        msg = (
            f"positive {tuple(positive.shape)} must end with queries and keys as the similarity "
            f"does, {tuple(shape)}; build it by positives_from_ids."
        )
        raise ShapeError(msg)
    positive = _fit_mask("positive", positive, shape)
    return positive, None if exclude is None else _fit_mask("exclude", exclude, shape)


def _fit_mask(name: str, mask: Tensor, shape: torch.Size) -> Tensor:
    if mask.dtype != torch.bool:
        msg = f"{name} must be bool, True = {name}; got {mask.dtype}. Compare, e.g. mask > 0."
        raise RefusedInputError(msg)
    try:
        return mask.expand(shape)
    except RuntimeError as error:
        msg = (
            f"{name} {tuple(mask.shape)} cannot be expanded to the similarity, {tuple(shape)} "
            "(..., queries, keys); give it length 1 or the same length on each axis."
        )
        raise ShapeError(msg) from error


def _refuse_features(q: Tensor, keys: Tensor) -> torch.Size:
    """Return the shape of the similarity of features that can be compared."""
    _refuse_dtype("q", q)
    _refuse_dtype("keys", keys)
    if q.dtype != keys.dtype:
        msg = f"q is {q.dtype} and keys are {keys.dtype}; convert one to the dtype of the other."
        raise RefusedInputError(msg)
    if q.ndim < 2 or keys.ndim < 2 or q.shape[-1] != keys.shape[-1]:
        msg = (
            f"q must be (..., queries, features) and keys (..., keys, features) with the same "
            f"number of features; got {tuple(q.shape)} and {tuple(keys.shape)}."
        )
        raise ShapeError(msg)
    for name, values in (("q", q), ("keys", keys)):
        if not values.isfinite().all():
            n_bad = int((~values.isfinite()).sum())
            msg = (
                f"{n_bad} of {values.numel()} values of {name} are NaN or infinite; features "
                "must be finite, padding too (fill it with 0 and exclude it)."
            )
            raise RefusedInputError(msg)
    leading = _broadcast("q", q.shape[:-2], "keys", keys.shape[:-2])
    return torch.Size((*leading, q.shape[-2], keys.shape[-2]))


def _broadcast(name: str, shape: torch.Size, other_name: str, other: torch.Size) -> torch.Size:
    try:
        return torch.Size(np.broadcast_shapes(shape, other))
    except ValueError as error:
        msg = (
            f"the leading axes of {name} {tuple(shape)} and of {other_name} {tuple(other)} "
            "must be equal or 1."
        )
        raise ShapeError(msg) from error


def _refuse_dtype(name: str, values: Tensor) -> None:
    if not values.is_floating_point():
        msg = (
            f"{name} must be real and floating; got {values.dtype}. Take the parts of complex "
            "values as features (torch.view_as_real)."
        )
        raise RefusedInputError(msg)


def _refuse_reduction(reduction: str) -> None:
    if reduction not in ("anchor", "pair"):
        msg = f"reduction must be 'anchor' or 'pair'; got {reduction!r}."
        raise RefusedInputError(msg)


def _refuse_settings(tau: float | int, chunk: int | None) -> None:
    if not (tau > 0 and math.isfinite(tau)):
        msg = f"tau must be positive and finite; got {tau}. Usual are 0.07 to 0.5."
        raise RefusedInputError(msg)
    if chunk is not None and chunk < 1:
        msg = f"chunk must be at least 1 query, or None for all at once; got {chunk}."
        raise RefusedInputError(msg)
