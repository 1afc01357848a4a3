"""Contrast of two views in which every item is a query and a key, without storing what it compares.

The loss of TS2Vec (arXiv:2106.10466) at each level of its hierarchy; SimCLR's NT-Xent
(arXiv:2002.05709) where features have unit length.
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError

__all__ = ["dense_info_nce"]

# similarities held at once: of whole groups while they fit the cache, of one group at most
_CACHED, _LARGEST = 2**20, 2**25


def dense_info_nce(
    z1: Float[Tensor, "groups items features"],
    z2: Float[Tensor, "groups items features"],
    exclude: Bool[Tensor, "items items"] | None = None,
    *,
    tau: float | int = 1.0,
    chunk: int | None = None,
) -> Float[Tensor, ""]:
    r"""Pull the two views of an item together against both views of all other items of its group.

    With :math:`z = [z_1; z_2]` of N items each and p(i) the other view of i, the mean over the 2 N
    rows of all groups of :math:`\log\sum_{k \ne i} e^{z_i \cdot z_k / \tau} - z_i \cdot z_{p(i)} /
    \tau`: `masked_info_nce` of :math:`z z^T / \tau` with p as positives and the diagonal excluded.

    The gradient :math:`(P + P^T) z`, P = softmax - positive, is taken along with the value. Beside
    input and gradient it holds ``chunk`` rows of similarities, never those of all groups. One item
    has nothing to be told from: the loss is 0. Half-precision input is computed in float32,
    and so is the loss.

    Parameters
    ----------
    z1, z2
        Two views; not normalised here.
    exclude
        True where item k takes no part against item i, in neither view; the two views of one item
        stay positives whatever it says. None excludes nothing.
    tau
        Temperature > 0.
    chunk
        Rows of similarities held at once, >= 1; None chooses. Value and gradient do not depend on
        it but for rounding. Below ``2 * items`` costs half as much again.

    Raises
    ------
    RefusedInputError
        ``tau`` or ``chunk`` out of range, or a loss that is not finite.
    ShapeError
        Views of different shapes, without items, or an ``exclude`` that does not fit.

    Examples
    --------
    >>> import torch
    >>> z = torch.eye(3)[None]
    >>> dense_info_nce(z, z)
    tensor(0.9048)
    """
    _refuse(z1, z2, exclude, tau, chunk)
    wide = [z.float() if z.dtype in (torch.float16, torch.bfloat16) else z for z in (z1, z2)]
    loss: Tensor = _Contrast.apply(*wide, exclude, 1 / tau, chunk)  # type: ignore[no-untyped-call]
    if not loss.isfinite():
        msg = (
            "the contrast is NaN or infinite: features are, or their products overflow; mend the "
            "features, normalise them or raise the temperature."
        )
        raise RefusedInputError(msg)
    return loss


class _Contrast(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        z1: Tensor,
        z2: Tensor,
        exclude: Tensor | None,
        scale: float,
        chunk: int | None,
    ) -> Tensor:
        groups, items, _ = z1.shape
        chunk = chunk or _rows_at_once(items)
        of_z1, of_z2 = torch.empty_like(z1), torch.empty_like(z2)
        total = z1.new_zeros(())
        with torch.autocast(z1.device.type, enabled=False):
            for part in _parts(groups, max(1, chunk // (2 * items))):
                take = _whole if 2 * items <= chunk else _by_rows
                terms, of_z1[part], of_z2[part] = take(z1[part], z2[part], exclude, scale, chunk)
                total += terms
        count = 2 * groups * items
        ctx.save_for_backward(of_z1, of_z2)
        ctx.factor = scale / count  # type: ignore[attr-defined]
        return total / count

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: torch.autograd.function.FunctionCtx, gradient: Tensor
    ) -> tuple[Tensor, Tensor, None, None, None]:
        of_z1, of_z2 = ctx.saved_tensors  # type: ignore[attr-defined]
        factor = gradient * ctx.factor  # type: ignore[attr-defined]
        return of_z1 * factor, of_z2 * factor, None, None, None


def _whole(
    z1: Tensor,
    z2: Tensor,
    exclude: Tensor | None,
    scale: float,
    chunk: int,  # noqa: ARG001  as _by_rows
) -> tuple[Tensor, Tensor, Tensor]:
    """Return sum and gradient over ``scale`` of whole groups; each similarity is taken once."""
    own1, own2, across = (_products(a, b, scale) for a, b in ((z1, z1), (z2, z2), (z1, z2)))
    pairs = across.diagonal(dim1=-2, dim2=-1).clone()
    back = across.clone()  # of the second view with the first, transposed
    if exclude is not None:
        others = exclude & ~torch.eye(len(exclude), dtype=torch.bool, device=exclude.device)
        for block, out in ((own1, others), (own2, others), (across, others), (back, others.mT)):
            block.masked_fill_(out, -math.inf)
    for own in (own1, own2):
        own.diagonal(dim1=-2, dim2=-1).fill_(-math.inf)
    terms = _to_shares(own1, across, -1) + _to_shares(own2, back, -2) - 2 * pairs
    across += back
    across.diagonal(dim1=-2, dim2=-1).sub_(2)
    of_z1 = torch.bmm(own1 + own1.mT, z1).baddbmm_(across, z2)
    of_z2 = torch.bmm(own2 + own2.mT, z2).baddbmm_(across.mT, z1)
    return terms.sum(), of_z1, of_z2


def _to_shares(own: Tensor, other: Tensor, dim: int) -> Tensor:
    """Turn similarities into shares of their row in place and return its log-sum-exp."""
    top = torch.maximum(own.amax(-1), other.amax(dim))
    own.sub_(top[..., None]).exp_()
    other.sub_(top.unsqueeze(dim)).exp_()
    total = own.sum(-1) + other.sum(dim)
    own.div_(total[..., None])
    other.div_(total.unsqueeze(dim))
    return top + total.log()


def _by_rows(
    z1: Tensor, z2: Tensor, exclude: Tensor | None, scale: float, chunk: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `_whole` does of one group, some rows at a time."""
    z = torch.cat([z1, z2], 1)[0]
    items = z1.shape[1]
    gradient, total = torch.zeros_like(z), z.new_zeros(())
    for part in _parts(len(z), chunk):
        row = torch.arange(len(z), device=z.device)[part]
        here, partner = torch.arange(len(row), device=z.device), (row + items) % len(z)
        share = (z[part] @ z.mT).mul_(scale)
        pairs = share[here, partner]
        if exclude is not None:
            share.masked_fill_(exclude[row % items].repeat(1, 2), -math.inf)
            share[here, partner] = pairs
        share[here, row] = -math.inf
        log_sum = share.logsumexp(-1)
        share.sub_(log_sum[:, None]).exp_()
        share[here, partner] -= 1
        total += (log_sum - pairs).sum()
        gradient.addmm_(share.mT, z[part])
        gradient[part].addmm_(share, z)
    return total, *gradient.view(2, 1, items, -1)


def _products(a: Tensor, b: Tensor, scale: float) -> Tensor:
    products = torch.bmm(a, b.mT)
    return products if scale == 1 else products.mul_(scale)


def _rows_at_once(items: int) -> int:
    rows = 2 * items
    if rows * rows <= _LARGEST:
        return rows * max(1, _CACHED // rows**2)
    return max(1, _LARGEST // rows)


def _parts(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(count, start + size))


def _refuse(
    z1: Tensor, z2: Tensor, exclude: Tensor | None, tau: float | int, chunk: int | None
) -> None:
    if not (tau > 0 and math.isfinite(tau)) or (chunk is not None and chunk < 1):
        msg = f"got tau {tau}, chunk {chunk}; allowed: tau positive and finite, chunk at least 1."
        raise RefusedInputError(msg)
    if z1.shape != z2.shape or z1.dtype != z2.dtype or z1.ndim != 3 or not z1.shape[:2].numel():
        msg = (
            f"the views must have one shape (groups, items, features) and dtype, with an item each;"
            f" got {tuple(z1.shape)} {z1.dtype} and {tuple(z2.shape)} {z2.dtype}."
        )
        raise ShapeError(msg)
    if exclude is not None and (exclude.shape != (z1.shape[1],) * 2 or exclude.dtype != torch.bool):
        msg = (
            f"exclude must be bool, {(z1.shape[1],) * 2} (items, items); got "
            f"{tuple(exclude.shape)} {exclude.dtype}."
        )
        raise ShapeError(msg)
