"""The loss of two views of a batch that several methods share, and their projection heads."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medconsist.consistency.contrast import info_nce, positives_from_ids

__all__ = ["projection", "two_view_info_nce", "widened"]


def two_view_info_nce(
    z1: Float[Tensor, "batch dim"], z2: Float[Tensor, "batch dim"], *, tau: float | int
) -> Float[Tensor, ""]:
    """Return SimCLR's NT-Xent: each of the 2 B views finds its partner among all others.

    `info_nce` of cosines (Chen et al. 2020, arXiv:2002.05709), a view itself left out.

    Parameters
    ----------
    z1, z2
        The views; half precision is computed in float32.
    tau
        Temperature > 0.

    Examples
    --------
    >>> two_view_info_nce(torch.eye(2), torch.eye(2), tau=1)
    tensor(0.5514)
    """
    window = torch.arange(len(z1), device=z1.device).repeat(2)
    itself = torch.eye(len(window), dtype=torch.bool, device=z1.device)
    partner = positives_from_ids(window, window) & ~itself
    z = widened(torch.cat([z1, z2]))
    return info_nce(z, z, partner, itself, tau=tau)


def widened(values: Tensor) -> Tensor:
    """Return half precision as float32, other dtypes as they are; losses are computed so.

    Parameters
    ----------
    values
        As autocast left them.

    Examples
    --------
    >>> widened(torch.zeros(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def projection(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return Linear, BatchNorm, ReLU, Linear.

    Parameters
    ----------
    inputs, hidden, outputs
        Widths.

    Examples
    --------
    >>> projection(4, 8, 2)(torch.zeros(3, 4)).shape
    torch.Size([3, 2])
    """
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )
