"""Channels of model observers, round and centred on the patch, and what patches give in them."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from medconsist.errors import RefusedInputError

__all__ = ["channel_outputs", "dense_gaussian_channels", "laguerre_gauss_channels"]

Channels = Float[Tensor, "channels side side"]
Outputs = Float[Tensor, "trials channels"]

_NYQUIST = 0.5


def dense_gaussian_channels(
    side: int,
    *,
    count: int = 10,
    first: float | int = 0.005,
    ratio: float | int = 1.4,
    width: float | int = 1.67,
) -> Channels:
    r"""Return dense differences of Gaussians over radial frequency, of unit norm.

    :math:`C_j(\rho) = e^{-\rho^2 / 2 (Q \sigma_j)^2} - e^{-\rho^2 / 2 \sigma_j^2}` with
    :math:`\sigma_j = \sigma_0 \alpha^j`, j = 0 ... ``count`` - 1, is highest at
    :math:`\sigma_j \sqrt{2 \ln Q^2 / (1 - Q^{-2})}`, 1.79 sigma_j for the published Q. They are
    sampled in space, :math:`2\pi [Q^2 \sigma_j^2 e^{-2 \pi^2 Q^2 \sigma_j^2 r^2} - \sigma_j^2
    e^{-2 \pi^2 \sigma_j^2 r^2}]`, cut off by the patch, and less their mean: like the published
    ones they do not see a constant.

    Parameters
    ----------
    side
        Rows and columns of a patch, odd, so that it has a middle.
    count
        Number of channels.
    first
        sigma_0 [cycles per pixel]. The published value needs patches of 100 pixels and more: on
        small ones the channels of low frequency are cut off and cannot be told apart.
    ratio, width
        alpha and Q, above 1.

    Raises
    ------
    RefusedInputError
        A number out of its range, or a last channel that is highest beyond 0.5 cycles per pixel.

    References
    ----------
    C. K. Abbey, H. H. Barrett, J. Opt. Soc. Am. A 18 (2001) 473, doi:10.1364/JOSAA.18.000473:
    ten channels, sigma_0 = 0.005, alpha = 1.4, Q = 1.67.

    Examples
    --------
    >>> channels = dense_gaussian_channels(33, count=6, first=0.02)
    >>> channels.shape, bool(channels.sum((1, 2)).abs().max() < 1e-9)
    (torch.Size([6, 33, 33]), True)
    """
    _refuse_side(side, count)
    if not (first > 0 and ratio > 1 and width > 1):
        msg = f"got first {first}, ratio {ratio}, width {width}; allowed: above 0, 1 and 1."
        raise RefusedInputError(msg)
    highest = math.sqrt(4 * math.log(width) / (1 - width**-2))
    levels = [first * ratio**j for j in range(count)]
    if levels[-1] * highest > _NYQUIST:
        msg = (
            f"channel {count} is highest at {levels[-1] * highest:.2f} cycles per pixel; allowed: "
            f"up to {_NYQUIST}. Take fewer channels or a lower first."
        )
        raise RefusedInputError(msg)
    squared = _squared_radius(side)
    profiles = [_gaussian(squared, width * sigma) - _gaussian(squared, sigma) for sigma in levels]
    found = torch.stack(profiles)
    found = found - found.mean((1, 2), keepdim=True)
    return found / torch.linalg.vector_norm(found, dim=(1, 2), keepdim=True)


def laguerre_gauss_channels(side: int, *, count: int = 5, width_px: float | int) -> Channels:
    r"""Return :math:`\frac{\sqrt 2}{a} e^{-\pi r^2 / a^2} L_p(2 \pi r^2 / a^2)`, p = 0, 1, ...

    Orthonormal over the plane, for a signal that is round and whose place is known; the first one
    is a Gaussian and sees constants.

    Parameters
    ----------
    side
        Rows and columns of a patch, odd.
    count
        Number of channels.
    width_px
        a [pixels], positive; that of the signal is usual.

    Raises
    ------
    RefusedInputError
        A number out of its range.

    References
    ----------
    B. D. Gallas, H. H. Barrett, J. Opt. Soc. Am. A 20 (2003) 1725, doi:10.1364/JOSAA.20.001725.

    Examples
    --------
    >>> laguerre_gauss_channels(33, count=3, width_px=8.0).shape
    torch.Size([3, 33, 33])
    """
    _refuse_side(side, count)
    if not 0 < width_px < math.inf:
        msg = f"width_px got {width_px}; allowed: a positive number of pixels."
        raise RefusedInputError(msg)
    x = 2 * math.pi * _squared_radius(side) / width_px**2
    before, here, found = torch.zeros_like(x), torch.ones_like(x), []
    for p in range(count):
        found.append(math.sqrt(2) / width_px * torch.exp(-x / 2) * here)
        before, here = here, ((2 * p + 1 - x) * here - p * before) / (p + 1)
    return torch.stack(found)


def channel_outputs(patches: Float[Tensor, "trials side side"], channels: Channels) -> Outputs:
    """Return ``U^T g`` of each patch, in double precision."""
    outputs: Tensor = torch.einsum("tij,cij->tc", patches.double(), channels.to(patches.device))
    return outputs


def _gaussian(squared_radius: Tensor, sigma: float) -> Tensor:
    """Return the inverse Fourier transform of ``exp(-rho^2 / 2 sigma^2)`` in the plane."""
    power = 2 * math.pi * sigma**2
    return power * torch.exp(-math.pi * power * squared_radius)


def _squared_radius(side: int) -> Tensor:
    steps = (torch.arange(side, dtype=torch.float64) - side // 2) ** 2
    return steps[:, None] + steps[None, :]


def _refuse_side(side: int, count: int) -> None:
    if side < 3 or side % 2 == 0 or not 1 <= count < side**2:
        msg = (
            f"got patches of {side} pixels and {count} channels; allowed: an odd side of 3 or more "
            "and at least one channel."
        )
        raise RefusedInputError(msg)
