"""COMET written out: padded convolutions, two passes a level, every similarity held at once.

What `Comet` is compared with, for its figures and in its speed; the same weights and masks.
"""

from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from medconsist.networks.dilated import DilatedEncoder
from medconsist.timeseries.pretext import DrawnWindows

__all__ = ["PlainComet", "PlainEncoder"]

_TAU = 0.1
Mask = Bool[Tensor, "batch time"]


class PlainEncoder(nn.Module):
    """`DilatedEncoder` by torch's padded convolutions, all taps included, without dropout.

    Parameters
    ----------
    encoder
        Its weights are copied.

    Examples
    --------
    >>> from medconsist.networks.dilated import DilatedConfig
    >>> plain = PlainEncoder(DilatedEncoder(DilatedConfig(channels=2, depth=2)))
    >>> plain(torch.zeros(3, 10, 2)).shape
    torch.Size([3, 10, 320])
    """

    def __init__(self, encoder: DilatedEncoder) -> None:
        super().__init__()
        config = encoder.config
        self.input = nn.Linear(config.channels, config.hidden)
        widths = [config.hidden] * (config.depth + 1) + [config.dim]
        self.blocks = nn.ModuleList(_block(i, *two) for i, two in enumerate(pairwise(widths)))
        state = {k: v.detach().clone() for k, v in encoder.state_dict().items()}
        for name, wanted in self.state_dict().items():
            state[name] = state[name].view_as(wanted)
        self.load_state_dict(state)

    def forward(
        self, signals: Float[Tensor, "batch time channels"], mask: Mask | None = None
    ) -> Float[Tensor, "batch time dim"]:
        """Return the features of every time step."""
        hidden = self.input(signals)
        if mask is not None:
            hidden = hidden * mask[..., None]
        hidden = hidden.transpose(1, 2)
        for block in self.blocks:
            assert isinstance(block, nn.ModuleDict)  # noqa: S101  as built
            out = block["conv1"](functional.gelu(hidden))
            hidden = block["conv2"](functional.gelu(out)) + block["skip"](hidden)
        return hidden.transpose(1, 2)


class PlainComet(nn.Module):
    """The loss of COMET's released code with its 8 passes, for masks that are given.

    Parameters
    ----------
    encoder
        Its weights are copied.
    weights
        Of sample and observation level; patient and trial weigh 1.
    """

    def __init__(self, encoder: DilatedEncoder, weights: tuple[float, float]) -> None:
        super().__init__()
        self.encoder = PlainEncoder(encoder)
        self.weights = weights

    def forward(self, batch: DrawnWindows, masks: tuple[Mask, Mask]) -> Float[Tensor, ""]:
        """Return the loss; both masks are taken by sample and by observation level."""
        groups = [
            _group_loss(self.encoder(batch.signals), self.encoder(batch.signals), ids)
            for ids in (batch.patient, batch.trial)
        ]
        scales = []
        for over_samples in (True, False):
            z1, z2 = (self.encoder(batch.signals, mask) for mask in masks)
            scales.append(_scales_loss(z1, z2, over_samples=over_samples))
        with_weights = zip(self.weights, scales, strict=True)
        return torch.stack(groups + [weight * loss for weight, loss in with_weights]).sum()


def _block(number: int, inputs: int, outputs: int) -> nn.ModuleDict:
    dilation = 2**number
    skip = nn.Identity() if inputs == outputs else nn.Conv1d(inputs, outputs, 1)
    sizes = {"kernel_size": 3, "padding": dilation, "dilation": dilation}
    first, second = nn.Conv1d(inputs, outputs, **sizes), nn.Conv1d(outputs, outputs, **sizes)
    return nn.ModuleDict({"conv1": first, "conv2": second, "skip": skip})


def _group_loss(z1: Tensor, z2: Tensor, ids: Tensor) -> Tensor:
    with torch.autocast(z1.device.type, enabled=False):
        u1, u2 = ((z / z.norm(dim=1, keepdim=True)).flatten(1) for z in (z1.float(), z2.float()))
        similarity = functional.normalize(u1, dim=1) @ functional.normalize(u2, dim=1).T / _TAU
    pairs = (ids[:, None] == ids).triu(1)
    if not pairs.any():
        return similarity.sum() * 0
    views = (similarity, similarity.T)
    return torch.stack([-view.log_softmax(1)[pairs].mean() for view in views]).mean()


def _scales_loss(z1: Tensor, z2: Tensor, *, over_samples: bool) -> Tensor:
    losses = []
    while z1.shape[1] > 1:
        losses.append(
            _dense(z1.transpose(0, 1), z2.transpose(0, 1)) if over_samples else _dense(z1, z2)
        )
        z1, z2 = (functional.max_pool1d(z.transpose(1, 2), 2).transpose(1, 2) for z in (z1, z2))
    return torch.stack(losses).mean()


def _dense(z1: Tensor, z2: Tensor) -> Tensor:
    with torch.autocast(z1.device.type, enabled=False):
        z, items = torch.cat([z1, z2], 1).float(), z1.shape[1]
        itself = torch.eye(2 * items, dtype=torch.bool, device=z.device)
        share = (z @ z.mT).masked_fill(itself, -torch.inf).log_softmax(-1)
    first = share[:, :items, items:].diagonal(dim1=1, dim2=2)
    second = share[:, items:, :items].diagonal(dim1=1, dim2=2)
    return -(first.mean() + second.mean()) / 2
