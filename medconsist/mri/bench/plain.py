"""CIRIM written out: the forward operator and its adjoint, padding by torch, every image kept.

What `Cirim.reconstruct` is compared with, for its figures and in its speed; the same weights.
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.mri.cirim.block import Hidden, RimBlock
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.forward import sense_operator
from medconsist.shapes import CoilKSpace, CoilMaps, SamplingMask

__all__ = ["PlainCirim"]


class PlainCirim(nn.Module):
    """CIRIM with its usual settings (IndRNN, implicit consistency), as its formulas say.

    Parameters
    ----------
    network
        Whose weights are used.

    Raises
    ------
    RefusedInputError
        Settings other than numbers of cascades, steps and features.

    Examples
    --------
    >>> plain = PlainCirim(Cirim(CirimConfig(cascades=1, steps=2, features=4)))
    >>> y = torch.ones(1, 2, 8, 8, dtype=torch.complex64)
    >>> plain(y, y[:, 0].real > 0, y[:, None] / 2).shape
    torch.Size([2, 1, 1, 8, 8])
    """

    def __init__(self, network: Cirim) -> None:
        super().__init__()
        config = network.config
        counts = {name: getattr(config, name) for name in ("cascades", "steps", "features")}
        if config != CirimConfig(**counts):
            msg = f"got {config}; allowed: other numbers of cascades, steps and features alone."
            raise RefusedInputError(msg)
        self.steps, self.cascades = config.steps, network.cascades

    def forward(
        self, samples: CoilKSpace, mask: SamplingMask, maps: CoilMaps
    ) -> Complex[Tensor, "images slices sets height width"]:
        """Return the image after every step of every cascade, one after another."""
        operator = sense_operator(mask, maps)
        x, hidden, images = operator.H(samples), None, list[Tensor]()
        for block in self.cascades:
            assert isinstance(block, RimBlock)  # noqa: S101  as built
            for _ in range(self.steps):
                gradient = operator.H(operator(x) - samples)
                parts = [x.real, x.imag, gradient.real, gradient.imag]
                update, hidden = _step(block, torch.stack(parts, 2).flatten(0, 1), hidden)
                x = x + torch.complex(update[:, 0], update[:, 1]).view(x.shape)
                images.append(x)
        return torch.stack(images)


def _step(
    block: RimBlock, features: Float[Tensor, "slices 4 height width"], hidden: Hidden | None
) -> tuple[Tensor, Hidden]:
    first = functional.relu(functional.conv2d(_padded(features, 2), *_weights(block.conv1)))
    first = _recurrent(block.unit1, first, None if hidden is None else hidden[0])
    second = functional.conv2d(_padded(first, 2), *_weights(block.conv2), dilation=2)
    second = functional.relu(second)
    second = _recurrent(block.unit2, second, None if hidden is None else hidden[1])
    return functional.conv2d(_padded(second, 1), block.out.weight), (first, second)


def _recurrent(unit: nn.Module, features: Tensor, hidden: Tensor | None) -> Tensor:
    new = functional.conv2d(features, *_weights(unit.get_submodule("input")))
    if hidden is not None:
        new = new + unit.get_parameter("recurrent") * hidden
    return functional.relu(new)


def _weights(conv: nn.Module) -> tuple[Tensor, Tensor]:
    return conv.get_parameter("weight"), conv.get_parameter("bias")


def _padded(features: Tensor, width: int) -> Tensor:
    return functional.pad(features, (width, width, width, width), mode="replicate")
