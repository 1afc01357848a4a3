"""RIM, IRIM and CIRIM: one block, cascaded.

A block turns image and data gradient into an update, T times, and remembers in two hidden layers::

    g_t = A^H (A x_t - y)
    x_t+1 = x_t + out(h2),  h2 = unit2(ReLU(conv2(h1)), h2),  h1 = unit1(ReLU(conv1[x_t, g_t]), h1)
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from medconsist.errors import ShapeError
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.units import unit_named
from medconsist.mri.data_gradient import DataGradient
from medconsist.mri.reconstruction_network import Predictions, ReconstructionNetwork
from medconsist.shapes import CoilKSpace, CoilMaps, SamplingMask

__all__ = ["Cirim", "RimBlock"]

Hidden = tuple[Tensor, Tensor]
Images = Complex[Tensor, "slices sets height width"]

_NOISE_OFFSET = 2.0  # the noise channel is 0 at one hundredth of the intensity
_LEAST_SIGMA = 1e-6


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


class Cirim(ReconstructionNetwork):
    """Cascades of recurrent inference machines; with one cascade RIM or IRIM.

    Any number of coils and any size: the network sees image and gradient alone. Each map set is
    updated by the same weights, with the gradient of all sets together. Images and gradients keep
    the precision of the samples; convolutions are of that of the weights.

    Parameters
    ----------
    config
        See `CirimConfig`.
    generator
        Draws the start values; None uses torch's global state.

    Examples
    --------
    >>> import torch
    >>> net = Cirim(CirimConfig(cascades=2, steps=3, features=8))
    >>> y = torch.ones(1, 4, 16, 16, dtype=torch.complex64)
    >>> net(y, y[:, 0].real > 0, y[:, None] / 2, torch.tensor([0.01])).shape
    torch.Size([2, 3, 1, 1, 16, 16])
    """

    def __init__(self, config: CirimConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config: CirimConfig = config
        self.cascades = nn.ModuleList(RimBlock(config, generator) for _ in range(config.cascades))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stub

    def forward(
        self,
        samples: CoilKSpace,
        mask: SamplingMask,
        maps: CoilMaps,
        sigma: Float[Tensor, " slices"],
        *,
        initial: Images | None = None,
        low_memory: bool = False,
    ) -> Predictions:
        """Return the image after every step of every cascade; the reconstruction is ``[-1, -1]``.

        Parameters
        ----------
        samples, mask, maps
            As in `Measurement`, divided by one scale so that images are of order one.
        sigma
            Standard deviation of the noise of one complex sample, ``E|n|^2 = sigma^2``, on the
            scale of the samples.
        initial
            Where to start; by default zero-filled, ``A^H y``.
        low_memory
            Keep the states between cascades alone, and within one those between steps while it is
            differentiated: a seventh of the memory and a third more time.

        Raises
        ------
        ShapeError
            The initial image does not fit.
        """
        gradient = DataGradient(samples, mask, maps)
        x = gradient.zerofilled if initial is None else initial
        if x.shape != gradient.zerofilled.shape:
            msg = (
                f"the initial image has shape {tuple(x.shape)}; allowed: "
                f"{tuple(gradient.zerofilled.shape)}, slices sets height width."
            )
            raise ShapeError(msg)
        sigma = sigma.to(samples.real.dtype)
        hidden: Hidden | None = None
        images = []
        for block in cast("list[RimBlock]", self.cascades):
            carried = hidden if self.config.hidden == "carried" else None
            first, second = carried or (None, None)
            steps, hidden = _maybe_checkpoint(
                self._cascade, block, x, first, second, gradient, sigma, low_memory, when=low_memory
            )
            images.append(steps)
            x = steps[-1]
            if self.config.detach_cascades:
                x, hidden = x.detach(), (hidden[0].detach(), hidden[1].detach())
        return torch.stack(images)

    def _cascade(
        self,
        block: RimBlock,
        start: Tensor,
        first: Tensor | None,
        second: Tensor | None,
        gradient: DataGradient,
        sigma: Tensor,
        low_memory: bool,  # noqa: FBT001 - handed through `checkpoint`, which takes no keywords
    ) -> tuple[Tensor, Hidden]:
        images, x = list[Tensor](), start
        for _ in range(self.config.steps):
            before = x if self.config.update == "accumulated" else start
            x, (first, second) = _maybe_checkpoint(
                self._step, block, before, first, second, gradient, sigma, when=low_memory
            )
            images.append(x)
        if self.config.consistency == "explicit":
            images[-1] = x - block.dc_weight * gradient(x)
        elif self.config.consistency == "varnet":
            images[-1] = x - block.dc_weight * gradient(start)
        return torch.stack(images), cast("Hidden", (first, second))

    def _step(
        self,
        block: RimBlock,
        x: Tensor,
        first: Tensor | None,
        second: Tensor | None,
        gradient: DataGradient,
        sigma: Tensor,
    ) -> tuple[Tensor, Hidden]:
        before = None if first is None else cast("Hidden", (first, second))
        features = self._features(x, gradient(x), sigma).to(block.out.weight.dtype)
        update, hidden = block(features, before)
        if self.config.update == "rectified":
            update = update.relu()
        change = torch.complex(*update.to(x.real.dtype).unbind(1))
        return x + change.reshape(x.shape), hidden

    def _features(self, x: Tensor, gradient: Tensor, sigma: Tensor) -> Tensor:
        """Return the input channels; map sets count as slices."""
        per_image = sigma[:, None, None, None]
        scaled = gradient * _gradient_scale(per_image, self.config.gradient_scale)
        channels = [x.real, x.imag, scaled.real, scaled.imag]
        if self.config.noise_input:
            level = _NOISE_OFFSET + per_image.clamp_min(_LEAST_SIGMA).log10()
            channels.append(level.expand_as(x.real))
        stacked = torch.stack(channels, dim=2).flatten(0, 1)
        return stacked.contiguous(memory_format=torch.channels_last)


def _gradient_scale(sigma: Tensor, name: str) -> Tensor | float:
    match name:
        case "inverse_variance":
            return 1 / sigma.clamp_min(_LEAST_SIGMA).square()
        case "clamped_sigma":
            return 1 / sigma.clamp_min(1)
    return 1.0


def _maybe_checkpoint(
    function: Callable[..., tuple[Tensor, Hidden]],
    *args: Any,  # noqa: ANN401 - what the function takes
    when: bool,
) -> tuple[Tensor, Hidden]:
    # Tensors must be arguments of their own: inside a tuple, `checkpoint` keeps them all alive.
    if when and torch.is_grad_enabled():
        found: tuple[Tensor, Hidden] = checkpoint(
            function, *args, use_reentrant=False, preserve_rng_state=False
        )
        return found
    return function(*args)
