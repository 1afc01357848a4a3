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
from torch.utils.checkpoint import checkpoint

from medconsist.errors import ShapeError
from medconsist.mri.cirim.block import Hidden, RimBlock
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.inference import Inference, Shown
from medconsist.mri.data_gradient import DataGradient
from medconsist.mri.reconstruction_network import Compiled, Predictions, ReconstructionNetwork
from medconsist.shapes import CoilKSpace, CoilMaps, SamplingMask
from medconsist.training.settings import Precision

__all__ = ["Cirim"]

Images = Complex[Tensor, "slices sets height width"]

_NOISE_OFFSET = 2.0  # the noise channel is 0 at one hundredth of the intensity
_LEAST_SIGMA = 1e-6


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
        samples, mask, maps, sigma
            See `ReconstructionNetwork.forward`.
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

    @torch.no_grad()
    def reconstruct(
        self,
        samples: CoilKSpace,
        mask: SamplingMask,
        maps: CoilMaps,
        sigma: Float[Tensor, " slices"],
        *,
        precision: Precision = "32",
        compiled: Compiled = None,
    ) -> Images:
        """Return the last image, ``forward(...)[-1, -1]`` but for rounding, and keep nothing else.

        Parameters
        ----------
        samples, mask, maps, sigma
            As in `forward`.
        precision
            ``"32"``: all in the precision of weights and samples; ``"bf16"``: convolutions and
            hidden states in bfloat16, images and Fourier transforms as before.
        compiled
            Mode of ``torch.compile`` for convolutions and units, or None; for GPUs.
        """
        if not all(bool(one.isfinite().all()) for one in self.parameters()):
            # a fused ReLU makes 0 of NaN, which would hide it; the plain form does not
            return self.forward(samples, mask, maps, sigma)[-1, -1]
        device = samples.device.type
        dtype = torch.bfloat16 if precision == "bf16" else next(self.parameters()).dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        with torch.autocast(device, enabled=False):
            gradient = DataGradient(samples, mask, maps)
            x = gradient.zerofilled
            per_image = sigma.to(samples.real.dtype)[:, None, None, None]
            scale = _gradient_scale(per_image, self.config.gradient_scale)
            level = _level(per_image) if self.config.noise_input else None
            shown = Shown(x, scale=scale, level=level, dtype=dtype)
            run = Inference(self.config, gradient, shown, dtype=dtype, compiled=compiled)
            return run(cast("list[RimBlock]", self.cascades), x)

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
        elif self.config.consistency == "weighted":
            images[-1] = x - block.dc_weight * gradient.weighted(x)
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
        scale = _gradient_scale(per_image, self.config.gradient_scale)
        scaled = gradient if scale is None else gradient * scale
        channels = [x.real, x.imag, scaled.real, scaled.imag]
        if self.config.noise_input:
            channels.append(_level(per_image).expand_as(x.real))
        stacked = torch.stack(channels, dim=2).flatten(0, 1)
        return stacked.contiguous(memory_format=torch.channels_last)


def _level(sigma: Tensor) -> Tensor:
    return _NOISE_OFFSET + sigma.clamp_min(_LEAST_SIGMA).log10()


def _gradient_scale(sigma: Tensor, name: str) -> Tensor | None:
    match name:
        case "inverse_variance":
            return 1 / sigma.clamp_min(_LEAST_SIGMA).square()
        case "clamped_sigma":
            return 1 / sigma.clamp_min(1)
    return None


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
