"""Convolutions in a row on complex images, as the first unrolled networks used them."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from medconsist.mri.comparators.channels import (
    ComplexChannels,
    MadeChannels,
    as_channels,
    as_complex,
)
from medconsist.mri.comparators.start_values import draw_kaiming

__all__ = ["ConvStack"]


class ConvStack(nn.Module):
    """``depth`` convolutions of 3 x 3 with biases, an activation between each two.

    Real and imaginary parts are channels. Kaiming-normal start; the last convolution is scaled by
    ``gain``, which a stack whose output is added to its input wants small.

    Parameters
    ----------
    inputs, outputs
        Complex channels.
    features, depth
        Channels between convolutions, and number of convolutions.
    activation
        ``"prelu"``: one learned slope for each activation; ``"relu"``; ``"shared"``: none of its
        own, it is an argument of each call.
    gain
        See above.
    generator
        Draws the start values; None uses torch's global state.

    Examples
    --------
    >>> ConvStack(1, 1, features=4, depth=3)(torch.ones(2, 1, 7, 5) + 0j).shape
    torch.Size([2, 1, 7, 5])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        features: int,
        depth: int,
        activation: str = "prelu",
        gain: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        widths = [2 * inputs, *[features] * (depth - 1), 2 * outputs]
        convs = [nn.Conv2d(*pair, 3, padding=1) for pair in pairwise(widths)]
        for conv in convs:
            draw_kaiming(conv, generator, gain=gain if conv is convs[-1] else 1.0)
        self.convs = nn.ModuleList(convs)
        kinds = {"prelu": nn.PReLU, "relu": nn.ReLU}
        own = [] if activation == "shared" else [kinds[activation]() for _ in convs[1:]]
        self.activations = nn.ModuleList(own)

    def forward(self, x: ComplexChannels, activation: nn.Module | None = None) -> MadeChannels:
        """Return the images, in the precision of the input; ``activation`` replaces its own."""
        *hidden, last = self.convs
        between = self.activations if activation is None else [activation] * len(hidden)
        found: Tensor = as_channels(x, last.weight.dtype)  # type: ignore[arg-type]  # a Conv2d
        for conv, act in zip(hidden, between, strict=True):
            found = act(conv(found))
        return as_complex(last(found), x.real.dtype)
