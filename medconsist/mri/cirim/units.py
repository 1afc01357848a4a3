"""Recurrent units with 1 x 1 convolutions: IndRNN, GRU, MGU.

Each takes features and the hidden state before them (None at the first step, which counts as 0)
and returns the new hidden state; all are ``slices features height width``.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medconsist.mri.cirim.fused import conv_add_relu, conv_relu

__all__ = ["ConvGRU", "ConvMGU", "IndRNN", "unit_named"]

Features = Float[Tensor, "slices features height width"]


class IndRNN(nn.Module):
    """Independently recurrent unit, ``h' = ReLU(W u + b + w * h)``, one w per channel.

    Li et al. 2018, arXiv:1803.04831, eq. 4. W and w start from ``N(0, s)`` with the released
    code's standard deviation ``s = 1 / (F (1 + k^2))``, k = 1, and b from 0. The bound
    ``|w| <= 2^(1/T)`` that Li et al. recommend is not imposed, as in the released code.

    Examples
    --------
    >>> import torch
    >>> IndRNN(8)(torch.ones(1, 8, 4, 4), None).shape
    torch.Size([1, 8, 4, 4])
    """

    def __init__(self, features: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.input = nn.Conv2d(features, features, 1)
        self.recurrent = nn.Parameter(torch.empty(1, features, 1, 1))
        spread = 1 / (2 * features)
        nn.init.normal_(self.input.weight, std=spread, generator=generator)
        nn.init.normal_(self.recurrent, std=spread, generator=generator)
        nn.init.zeros_(self.input.bias)  # type: ignore[arg-type]  # there is one: the default

    def forward(self, u: Features, hidden: Features | None) -> Features:
        """Return the new hidden state."""
        new = self.input(u)
        if hidden is not None:
            new = new + self.recurrent.to(new.dtype) * hidden
        return new.relu()

    def advance(self, u: Features, hidden: Features | None) -> Features:
        """Return `forward`, for inference: the memory of ``hidden`` may be overwritten."""
        if hidden is None:
            return conv_relu(self.input, u)
        return conv_add_relu(self.input, u, self.recurrent, hidden)


class _Gated(nn.Module):
    """Input and recurrent 1 x 1 convolutions to several gates."""

    def __init__(self, features: int, gates: int) -> None:
        super().__init__()
        self.input = nn.Conv2d(features, gates * features, 1)
        self.recurrent = nn.Conv2d(features, gates * features, 1, bias=False)
        self._gates = gates
        nn.init.zeros_(self.input.bias)  # type: ignore[arg-type]  # there is one: the default

    def advance(self, u: Features, hidden: Features | None) -> Features:
        """Return `forward`, for inference."""
        new: Tensor = self(u, hidden)
        return new

    def _split(self, u: Tensor, hidden: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        return self.input(u).chunk(self._gates, 1), self.recurrent(hidden).chunk(self._gates, 1)


class ConvGRU(_Gated):
    """Gated recurrent unit, ``h' = n (1 - z) + z h``, as RIM uses it.

    ``r = sig(i_0 + h_0)``, ``z = sig(i_1 + h_1)``, ``n = tanh(i_2 + r h_2)`` with i the input and
    h the recurrent convolution (Cho et al. 2014, arXiv:1406.1078). Orthogonal start.

    Examples
    --------
    >>> import torch
    >>> ConvGRU(8)(torch.ones(1, 8, 4, 4), None).shape
    torch.Size([1, 8, 4, 4])
    """

    def __init__(self, features: int, generator: torch.Generator | None = None) -> None:
        super().__init__(features, 3)
        nn.init.orthogonal_(self.input.weight, generator=generator)
        nn.init.orthogonal_(self.recurrent.weight, generator=generator)

    def forward(self, u: Features, hidden: Features | None) -> Features:
        """Return the new hidden state."""
        before = torch.zeros_like(u) if hidden is None else hidden
        (i0, i1, i2), (h0, h1, h2) = self._split(u, before)
        keep = torch.sigmoid(i1 + h1)
        new = torch.tanh(i2 + torch.sigmoid(i0 + h0) * h2)
        return new * (1 - keep) + keep * before


class ConvMGU(_Gated):
    """Minimal gated unit, ``h' = c + f (h - c)``.

    ``f = sig(i_0 + h_0)``, ``c = tanh(i_1 + f h_1)`` (Zhou et al. 2016, arXiv:1603.09420).
    Xavier-uniform start, with the gain of ReLU for the input.

    Examples
    --------
    >>> import torch
    >>> ConvMGU(8)(torch.ones(1, 8, 4, 4), None).shape
    torch.Size([1, 8, 4, 4])
    """

    def __init__(self, features: int, generator: torch.Generator | None = None) -> None:
        super().__init__(features, 2)
        nn.init.xavier_uniform_(self.input.weight, gain=math.sqrt(2), generator=generator)
        nn.init.xavier_uniform_(self.recurrent.weight, generator=generator)

    def forward(self, u: Features, hidden: Features | None) -> Features:
        """Return the new hidden state."""
        before = torch.zeros_like(u) if hidden is None else hidden
        (i0, i1), (h0, h1) = self._split(u, before)
        forget = torch.sigmoid(i0 + h0)
        candidate = torch.tanh(i1 + forget * h1)
        return candidate + forget * (before - candidate)


def unit_named(
    name: str, features: int, generator: torch.Generator | None = None
) -> IndRNN | ConvGRU | ConvMGU:
    """Return the unit of that name; `CirimConfig` has checked it."""
    match name:
        case "gru":
            return ConvGRU(features, generator)
        case "mgu":
            return ConvMGU(features, generator)
    return IndRNN(features, generator)
