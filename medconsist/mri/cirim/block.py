"""The block that RIM, IRIM and CIRIM are made of."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.units import unit_named

__all__ = ["Hidden", "RimBlock"]

Hidden = tuple[Tensor, Tensor]


class _Padded(nn.Conv2d):
    """Convolution that repeats the edge, ``padding_mode="replicate"`` by name."""

    def __init__(self, inputs: int, outputs: int, size: int, *, dilation: int, bias: bool) -> None:
        super().__init__(
            inputs,
            outputs,
            size,
            padding=dilation * (size // 2),
            dilation=dilation,
            bias=bias,
            padding_mode="replicate",
        )


class RimBlock(nn.Module):
    """One time-step of a recurrent inference machine; the same weights at every step.

    conv 5 x 5 - ReLU - unit - conv 3 x 3 dilated by 2 - ReLU - unit - conv 3 x 3 without bias,
    every convolution padded with the edge. Kaiming-normal start, biases 0.

    Examples
    --------
    >>> import torch
    >>> update, hidden = RimBlock(CirimConfig(features=8))(torch.ones(1, 4, 6, 6), None)
    >>> update.shape
    torch.Size([1, 2, 6, 6])
    """

    def __init__(self, config: CirimConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        n = config.features
        self.conv1 = _Padded(config.input_channels, n, 5, dilation=1, bias=True)
        self.unit1 = unit_named(config.unit, n, generator)
        self.conv2 = _Padded(n, n, 3, dilation=2, bias=True)
        self.unit2 = unit_named(config.unit, n, generator)
        self.out = _Padded(n, 2, 3, dilation=1, bias=False)
        for conv in (self.conv1, self.conv2, self.out):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)
        if config.consistency != "implicit":
            self.dc_weight = nn.Parameter(torch.ones(1))

    def forward(
        self, features: Float[Tensor, "slices channels height width"], hidden: Hidden | None
    ) -> tuple[Float[Tensor, "slices 2 height width"], Hidden]:
        """Return the update (real and imaginary part) and the new hidden states."""
        first, second = hidden or (None, None)
        first = self.unit1(functional.relu(self.conv1(features)), first)
        second = self.unit2(functional.relu(self.conv2(first)), second)
        return self.out(second), (first, second)
