"""The losses of COMET's levels, of two views of every window."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from medconsist.consistency.contrast import masked_info_nce
from medconsist.consistency.dense_contrast import dense_info_nce

__all__ = ["group_loss", "observation_loss", "sample_loss", "window_similarity"]

View = Float[Tensor, "batch time dim"]


def window_similarity(z1: View, z2: View, *, steps: int | None = None) -> Float[Tensor, "b1 b2"]:
    r"""Return the cosine of whole windows, each channel at norm 1 over time before.

    :math:`u = z / \lVert z \rVert_2` along time for each of the features, flattened to one vector;
    :math:`S_{ij} = \cos(u^1_i, u^2_j)`. It compares phase: windows match where they are aligned.
    In float32 where the views are of half precision.

    Parameters
    ----------
    z1, z2
        The views.
    steps
        Max-pool by 2 over time until at most so many steps are left; None pools nothing.
    """
    while steps is not None and z1.shape[1] > steps:
        z1, z2 = (torch.maximum(z[:, :-1:2], z[:, 1::2]) for z in (z1, z2))
    wide = [z.float() if z.dtype in (torch.float16, torch.bfloat16) else z for z in (z1, z2)]
    return _WindowCosine.apply(*wide)  # type: ignore[no-untyped-call]


def group_loss(
    similarity: Float[Tensor, "batch batch"],
    same: Bool[Tensor, "batch batch"],
    exclude: Bool[Tensor, "batch batch"] | None = None,
) -> Float[Tensor, ""]:
    r"""Pull windows of one group together: the loss of patient and trial level.

    Over the pairs i < j of one group, the mean of :math:`\log\sum_k e^{s_{ik}} - s_{ij}` and, with
    the roles of the views exchanged, of :math:`\log\sum_k e^{s_{ki}} - s_{ji}`, halved. A window
    is no positive of itself, but one of the keys. Without a pair it is 0, with a gradient of 0.

    Parameters
    ----------
    similarity
        Of the first views with the second ones, over the temperature.
    same
        True for two windows of one group.
    exclude
        True for two windows that are neither positives nor negatives; symmetric.
    """
    pairs = same.triu(1)
    losses = [
        masked_info_nce(view, pairs, exclude, reduction="pair")
        for view in (similarity, similarity.mT)
    ]
    return torch.stack(losses).mean()


def sample_loss(
    z1: View, z2: View, exclude: Bool[Tensor, "batch batch"] | None = None
) -> Float[Tensor, ""]:
    """Tell a window from the others of the batch at each time step, at one scale.

    Parameters
    ----------
    z1, z2
        The views.
    exclude
        True for two windows that are not told apart.
    """
    return dense_info_nce(z1.transpose(0, 1), z2.transpose(0, 1), exclude)


def observation_loss(z1: View, z2: View) -> Float[Tensor, ""]:
    """Tell a time step from the others of its window, at one scale."""
    return dense_info_nce(z1, z2)


class _WindowCosine(torch.autograd.Function):
    """The products of `window_similarity`; 3 times as fast as torch's gradient of the norms."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, z1: Tensor, z2: Tensor) -> Tensor:
        u1, scale1, alive1 = _unit(z1)
        u2, scale2, alive2 = _unit(z2)
        ctx.save_for_backward(u1, u2, scale1, scale2, alive1, alive2)
        with torch.autocast(z1.device.type, enabled=False):
            return (u1 @ u2.mT).sum(0)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, g: Tensor) -> tuple[Tensor, Tensor]:
        u1, u2, scale1, scale2, alive1, alive2 = ctx.saved_tensors  # type: ignore[attr-defined]
        first = _through_unit(g @ u2, u1, scale1, alive1)
        second = _through_unit(g.mT @ u1, u2, scale2, alive2)
        return first.transpose(0, 1), second.transpose(0, 1)


def _unit(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return u (time first), what z was multiplied by, and the number of channels not all zero."""
    steps = z.transpose(0, 1)
    norm = steps.square().sum(0).sqrt()
    alive = (norm > 0).sum(-1, keepdim=True).clamp(min=1).to(z.dtype)
    scale = 1 / (norm.where(norm > 0, 1.0) * alive.sqrt())
    return steps * scale, scale, alive


def _through_unit(of_u: Tensor, u: Tensor, scale: Tensor, alive: Tensor) -> Tensor:
    """Return the gradient of z from that of u, whose channels have the norm 1 / sqrt(alive)."""
    along = (of_u * u).sum(0) * alive
    return of_u.addcmul_(u, along, value=-1).mul_(scale)
