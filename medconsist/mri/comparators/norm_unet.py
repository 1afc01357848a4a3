"""The U-Net of fastMRI on complex images, which it sees with mean 0 and spread 1."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from medconsist.mri.comparators.channels import (
    ComplexChannels,
    MadeChannels,
    RealChannels,
    as_channels,
    as_complex,
)
from medconsist.mri.comparators.start_values import draw_as_torch

__all__ = ["NormUnet"]

_SLOPE = 0.2
_RESIDUAL_GAIN = 0.1
_LEAST_VARIANCE = 1e-24  # of a coil that is switched off: its output is 0, not NaN


# MONAI's BasicUNet halves by the maximum, and its transposed convolutions have biases and no norm:
# another network, with another number of parameters. So are ComplexUnet and CoilSensitivityModel,
# which stand on it.
class _Level(nn.Sequential):
    """Twice: conv 3 x 3 without bias, instance norm, LeakyReLU of slope .2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(*_normalised(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)))
        self.extend(_normalised(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)))


class _Double(nn.Sequential):
    """Transposed conv 2 x 2 of stride 2 without bias, instance norm, LeakyReLU of slope .2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(*_normalised(nn.ConvTranspose2d(inputs, outputs, 2, stride=2, bias=False)))


def _normalised(conv: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    return [conv, nn.InstanceNorm2d(conv.out_channels), nn.LeakyReLU(_SLOPE)]


class NormUnet(nn.Module):
    """U-Net between a normalisation of real and imaginary parts and its inverse.

    Real parts and imaginary parts are two groups; of each, over all channels, the mean is
    subtracted and the standard deviation divided by, and both are put back after the U-Net. It
    has ``pools`` halvings by the average, doubles its features at each, and pads with zeros to a
    multiple of ``2^pools``. A positive factor of the input is a factor of the output; a phase is
    not.

    The U-Net of Ronneberger et al. 2015 (arXiv:1505.04597) as in Zbontar et al. 2018
    (arXiv:1811.08839), with the normalisation of Sriram et al. 2020 (arXiv:2004.06688). Other than
    theirs: a plane so small that one pixel would be left, which an instance norm cannot scale, is
    padded to two.

    Parameters
    ----------
    inputs, outputs
        Complex channels.
    features
        Channels of the finest level.
    pools
        Halvings.
    adds
        Its output will be added to its input (ours): the mean is not put back, which would be added
        again at each iteration, and the head starts with a tenth of its weights.
    generator
        Draws the start values; None uses torch's global state.

    Examples
    --------
    >>> NormUnet(1, 1, features=4, pools=2)(torch.ones(3, 1, 13, 10) + 0j).shape
    torch.Size([3, 1, 13, 10])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        features: int,
        pools: int,
        adds: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        widths = [features * 2**level for level in range(pools + 1)]
        steps = list(pairwise(widths))
        self.first = _Level(2 * inputs, features)
        self.down = nn.ModuleList(_Level(fine, coarse) for fine, coarse in steps)
        self.enlarge = nn.ModuleList(_Double(coarse, fine) for fine, coarse in reversed(steps))
        self.up = nn.ModuleList(_Level(coarse, fine) for fine, coarse in reversed(steps))
        self.head = nn.Conv2d(features, 2 * outputs, 1)
        draw_as_torch(self, generator)
        self._adds = adds
        if adds:
            with torch.no_grad():
                self.head.weight.mul_(_RESIDUAL_GAIN)

    def forward(self, x: ComplexChannels) -> MadeChannels:
        """Return the images that the U-Net makes, in the precision of the input."""
        channels = as_channels(x, self.head.weight.dtype)
        mean, spread = _statistics(channels)
        normal = ((_groups(channels) - mean) / spread).flatten(1, 2)
        height, width = x.shape[-2:]
        (top, bottom), (left, right) = self._margin(height), self._margin(width)
        padded = self._unet(functional.pad(normal, (left, right, top, bottom)))
        found = padded[..., top : top + height, left : left + width]
        found = (_groups(found) * spread + (0 if self._adds else mean)).flatten(1, 2)
        return as_complex(found, x.real.dtype)

    def _unet(self, x: RealChannels) -> Tensor:
        x, finer = self.first(x), list[Tensor]()
        for level in self.down:
            finer.append(x)
            x = level(functional.avg_pool2d(x, 2))
        for enlarge, level in zip(self.enlarge, self.up, strict=True):
            x = level(torch.cat([enlarge(x), finer.pop()], dim=1))
        return self.head(x)

    def _margin(self, size: int) -> tuple[int, int]:
        unit = 2 ** len(self.down)
        missing = max(-(-size // unit), 2) * unit - size
        return missing // 2, missing - missing // 2


def _groups(channels: RealChannels) -> Float[Tensor, "images 2 channels height width"]:
    """Return real parts and imaginary parts."""
    return torch.stack(channels.chunk(2, dim=1), dim=1)


def _statistics(
    channels: RealChannels,
) -> tuple[Float[Tensor, "images 2 1 1 1"], Float[Tensor, "images 2 1 1 1"]]:
    """Return mean and standard deviation of real and of imaginary parts."""
    variance, mean = torch.var_mean(_groups(channels), dim=(2, 3, 4), keepdim=True)
    return mean, variance.clamp_min(_LEAST_VARIANCE).sqrt()
