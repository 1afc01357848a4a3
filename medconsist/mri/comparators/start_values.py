"""First weights, out of a generator and never out of torch's global state alone."""

import math

import torch
from torch import nn

__all__ = ["draw_as_torch", "draw_kaiming"]


def draw_as_torch(network: nn.Module, generator: torch.Generator | None) -> None:
    """Draw convolutions as torch does by default: uniform within ``1 / sqrt(fan in)``.

    What fastMRI's U-Net starts from.

    Examples
    --------
    >>> conv = nn.Conv2d(1, 1, 2)
    >>> draw_as_torch(conv, torch.Generator().manual_seed(0))
    >>> bool(conv.weight.abs().max() <= 0.5)
    True
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            bound = 1 / math.sqrt(module.weight[0].numel())
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -bound, bound, generator=generator)


def draw_kaiming(conv: nn.Conv2d, generator: torch.Generator | None, *, gain: float = 1.0) -> None:
    """Draw a convolution before a ReLU (He et al. 2015, arXiv:1502.01852), times ``gain``."""
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)
    with torch.no_grad():
        conv.weight.mul_(gain)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
