"""Ordering: groups of keys ranked by similarity to their query, through a soft sorting network."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from medconsist.consistency.contrast import _unit, _widen
from medconsist.errors import RefusedInputError, ShapeError

__all__ = ["groco", "ordered_groups", "soft_sort"]

_LEFT_OUT = -1


def soft_sort(
    values: Float[Tensor, "... items"], *, steepness: float | int
) -> tuple[Float[Tensor, "... items"], Float[Tensor, "... items items"]]:
    r"""Sort upwards by an odd-even network of soft swaps; return values and permutation.

    Neighbours (a, b) stay in place with weight
    :math:`\alpha = \tfrac1\pi \arctan(s (b - a)) + \tfrac12` and swap with :math:`1 - \alpha`:
    :math:`a' = \alpha a + (1 - \alpha) b`, :math:`b' = (1 - \alpha) a + \alpha b`. n layers, even
    and odd pairs in turn, sort n values; the same swaps of the rows of the identity give the
    relaxed permutation P: ``P[r, j]`` is the share of item j at rank r, and rows and columns sum
    to 1. Petersen et al. 2022, "Monotonic differentiable sorting networks", arXiv:2203.09630 (the
    Cauchy distribution).

    Parameters
    ----------
    values
        What is sorted; n^3 operations each row.
    steepness
        s > 0; the larger, the harder the swaps.

    Raises
    ------
    RefusedInputError
        ``steepness`` not positive and finite.

    Examples
    --------
    >>> soft_sort(torch.tensor([3.0, 1.0, 2.0]), steepness=1e6)[1].argmax(-1)
    tensor([1, 2, 0])
    """
    _refuse_steepness(steepness)
    return _sort(values, torch.ones_like(values, dtype=torch.bool), steepness)


def ordered_groups(
    similarity: Float[Tensor, "queries keys"],
    level: Int[Tensor, "queries keys"],
    *,
    keep: Sequence[int],
    steepness: float | int = 20,
) -> Float[Tensor, ""]:
    r"""Ask that every key of a level be more similar to the query than those of later levels.

    The kept keys stand in their wanted order, last level first; `soft_sort` says which share
    :math:`q_{jg}` of key j comes to rest among the ranks of level g. The loss is the mean over the
    levels of the binary cross-entropy of :math:`q_{jg}` against "j is of level g", meaned over the
    keys of a query and over the queries. With two levels it is GroCo's.

    A query needs keys of two levels at least, otherwise it counts nothing; a level that it lacks
    is passed over. Computed in float32, or float64 if the similarity is.

    Parameters
    ----------
    similarity
        Cosines, or other numbers of that size.
    level
        0 for the most similar group, 1 for the next, ...; -1 leaves a key out.
    keep
        Keys of each level that take part, at most: the least similar of level 0, the most similar
        of the last, of those between both in equal parts. Their sum n costs n^3 a query.
    steepness
        See `soft_sort`. Released GroCo takes 1, at which perfect order (a cosine of 0.9 above ten
        of -0.3 to 0.3) still costs 0.18 and a key at the wrong end 0.23; at 20 it is 0.02 and 0.50.

    Returns
    -------
    Tensor
        Scalar; 0 if no query has two levels.

    Raises
    ------
    ShapeError
        Shapes that differ.
    RefusedInputError
        Fewer than two levels, a level without a place, or a level beyond ``keep``.

    Examples
    --------
    >>> level = torch.tensor([[0, 1, 2]])
    >>> right = ordered_groups(torch.tensor([[0.9, 0.5, 0.1]]), level, keep=(1, 1, 1))
    >>> bool(right < ordered_groups(torch.tensor([[0.1, 0.5, 0.9]]), level, keep=(1, 1, 1)))
    True
    """
    _refuse_levels(similarity, level, keep)
    _refuse_steepness(steepness)
    with torch.autocast(similarity.device.type, enabled=False):
        values, place = _in_wanted_order(_widen(similarity), level, keep)
        item = place != _LEFT_OUT
        _, permutation = _sort(values, item, steepness)
        levels = torch.arange(len(keep), device=place.device)
        wanted = (place[..., None] == levels).to(values.dtype)  # queries items levels
        share = (permutation.mT @ wanted).clamp(0, 1)
        terms = functional.binary_cross_entropy(share, wanted, reduction="none")
        has = wanted.any(1)  # queries levels
        counted = item[..., None] & has[:, None]
        per_query = (terms * counted).sum((1, 2)) / counted.sum((1, 2)).clamp(min=1)
        ordered = has.sum(1) > 1
        loss = (per_query * ordered).sum() / ordered.sum().clamp(min=1)
    return loss.to(similarity.dtype)


def groco(
    q: Float[Tensor, "queries features"],
    positives: Float[Tensor, "queries positives features"],
    negatives: Float[Tensor, "negatives features"] | Float[Tensor, "queries negatives features"],
    *,
    topk: int = 10,
    steepness: float | int = 20,
    exclude: Bool[Tensor, "queries negatives"] | None = None,
) -> Float[Tensor, ""]:
    """Group ordering contrast: each positive is more similar to the query than each negative.

    `ordered_groups` of the cosines, with all positives of a query and its ``topk`` most similar
    negatives; gradients flow into ``q`` alone, as published (call it a second time with the sides
    changed). Shvetsova et al. 2023, "Learning by Sorting: Self-supervised Learning with Group
    Ordering Constraints", arXiv:2301.02009. Released code takes ``steepness`` 1 and ``topk`` 10;
    its ``art_lambda`` does nothing.

    Parameters
    ----------
    q
        Normalised here, as are the keys; rows of 0 stay 0.
    positives
        Of each query.
    negatives
        For all queries, or of each.
    topk
        Negatives of a query that take part, at most.
    steepness
        See `ordered_groups`.
    exclude
        Negatives that a query must not be compared with, e.g. those of its own id; queries that
        have no other count nothing.

    Raises
    ------
    ShapeError
        Shapes that do not fit.
    RefusedInputError
        ``topk`` below 1, or ``steepness`` not positive and finite.

    Examples
    --------
    >>> q, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    >>> bool(groco(q, q[:, None], other) < groco(q, other[:, None], q))
    True
    """
    _refuse_keys(q, positives, negatives, exclude)
    negatives = negatives.expand(len(q), -1, -1)
    if topk < 1:
        msg = f"topk is the number of negatives of a query, 1 or more; got {topk}. 10 is usual."
        raise RefusedInputError(msg)
    keys = torch.cat([positives, negatives], 1).detach()
    with torch.autocast(q.device.type, enabled=False):
        similarity = torch.einsum("qf,qkf->qk", _unit(_widen(q)), _unit(_widen(keys)))
    level = torch.ones_like(similarity, dtype=torch.int64)
    n_positive = positives.shape[1]
    level[:, :n_positive] = 0
    if exclude is not None:
        level[:, n_positive:][exclude] = _LEFT_OUT
    return ordered_groups(similarity, level, keep=(n_positive, topk), steepness=steepness).to(
        q.dtype
    )


def _sort(values: Tensor, item: Tensor, steepness: float | int) -> tuple[Tensor, Tensor]:
    """Sort as `soft_sort` does what is an item; the places after the last item stay empty.

    Each row goes through the network of its own length, so that empty places change nothing.
    """
    n = values.shape[-1]
    rows = torch.eye(n, dtype=values.dtype, device=values.device).expand(*values.shape, n)
    # values and rows of the permutation take the same swaps
    state = torch.cat([values[..., None], rows], -1)
    for layer in range(n):
        goes_on = (item.sum(-1, keepdim=True) > layer) & item
        state = _swap(state, goes_on, layer % 2, steepness)
    return state[..., 0], state[..., 1:]


def _swap(state: Tensor, item: Tensor, first: int, steepness: float | int) -> Tensor:
    """Softly swap the pairs (first, first + 1), (first + 2, first + 3), ... of the items."""
    n_pairs = (state.shape[-2] - first) // 2
    end = first + 2 * n_pairs
    a, b = state[..., first:end:2, :], state[..., first + 1 : end : 2, :]
    stay = torch.atan(steepness * (b[..., :1] - a[..., :1])) / math.pi + 0.5
    # a value far below all would not do: the tail of the arctangent mixes 1 / (pi s) of it in
    stay = stay.where(item[..., first + 1 : end : 2, None], 1.0)
    swapped = torch.stack([stay * a + (1 - stay) * b, (1 - stay) * a + stay * b], -2)
    return torch.cat([state[..., :first, :], swapped.flatten(-3, -2), state[..., end:, :]], -2)


def _in_wanted_order(
    similarity: Tensor, level: Tensor, keep: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return kept values and their levels: the last level first, upwards; empty places after."""
    last = len(keep) - 1
    parts = [
        _kept(similarity, level == g, n_low={0: n, last: 0}.get(g, n // 2), n=n)
        for g, n in enumerate(keep)
    ]
    values = torch.cat([similarity.gather(1, index) for index, _ in parts], 1)
    levels = [torch.full_like(index, g) for g, (index, _) in enumerate(parts)]
    place = torch.cat(levels, 1).where(torch.cat([valid for _, valid in parts], 1), _LEFT_OUT)
    upwards = values.detach().argsort(dim=1)
    by_level = place.gather(1, upwards).argsort(dim=1, descending=True, stable=True)
    order = upwards.gather(1, by_level)
    return values.gather(1, order), place.gather(1, order)


def _kept(similarity: Tensor, member: Tensor, *, n_low: int, n: int) -> tuple[Tensor, Tensor]:
    """Return places and validity of the ``n_low`` lowest and ``n - n_low`` highest members."""
    low, is_low = _lowest(similarity, member, n_low)
    high, is_high = _lowest(-similarity, member.scatter(1, low, value=False), n - n_low)
    return torch.cat([low, high], 1), torch.cat([is_low, is_high], 1)


def _lowest(values: Tensor, member: Tensor, n: int) -> tuple[Tensor, Tensor]:
    index = values.detach().where(member, math.inf).argsort(dim=1, stable=True)[:, :n]
    return index, member.gather(1, index)


def _refuse_steepness(steepness: float | int) -> None:
    if not 0 < steepness < math.inf:
        msg = f"steepness must be positive and finite; got {steepness}. Usual are 1 to 20."
        raise RefusedInputError(msg)


def _refuse_levels(similarity: Tensor, level: Tensor, keep: Sequence[int]) -> None:
    if similarity.shape != level.shape:
        msg = (
            f"similarity {tuple(similarity.shape)} and level {tuple(level.shape)} differ; both are "
            "(queries, keys)."
        )
        raise ShapeError(msg)
    if len(keep) < 2 or min(keep) < 1:
        msg = f"keep got {tuple(keep)}; allowed: two levels or more, 1 key or more of each."
        raise RefusedInputError(msg)
    if level.numel() and not (int(level.min()) >= _LEFT_OUT and int(level.max()) < len(keep)):
        msg = (
            f"levels lie in {int(level.min())} to {int(level.max())}; allowed: 0 to "
            f"{len(keep) - 1}, as keep has {len(keep)}, and -1 for keys left out."
        )
        raise RefusedInputError(msg)
    if not bool(similarity.isfinite().all()):
        n_bad = int((~similarity.isfinite()).sum())
        msg = f"{n_bad} of {similarity.numel()} similarities are not finite, so they have no rank."
        raise RefusedInputError(msg)


def _refuse_keys(q: Tensor, positives: Tensor, negatives: Tensor, exclude: Tensor | None) -> None:
    shapes = [tuple(one.shape) for one in (q, positives, negatives)]
    n_queries, n_features = q.shape
    fits = all(one.shape[-1] == n_features for one in (positives, negatives))
    fits = fits and {len(positives), *negatives.shape[:-2]} == {n_queries}
    if not fits or not positives.shape[1]:
        msg = (
            f"q, positives and negatives have the shapes {shapes}; allowed: (queries, features), "
            "(queries, 1 or more, features) and (queries, any, features) or (any, features)."
        )
        raise ShapeError(msg)
    wanted = (n_queries, negatives.shape[-2])
    if exclude is not None and (exclude.shape != wanted or exclude.dtype != torch.bool):
        msg = (
            f"exclude must be bool, {wanted} (queries, negatives); got "
            f"{tuple(exclude.shape)} {exclude.dtype}."
        )
        raise ShapeError(msg)
