"""Mixing-up: a sum of two windows is as similar to each of them as its share in the sum."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from medconsist.consistency.contrast import info_nce, positives_from_ids
from medconsist.timeseries.baselines.first_weights import first_weights
from medconsist.timeseries.baselines.inputs import require_pairs, require_windows
from medconsist.timeseries.baselines.settings import require_settings
from medconsist.timeseries.baselines.two_views import projection, widened
from medconsist.timeseries.pretext import DrawnWindows, Pretext, PretextSize

__all__ = ["MixingUp", "MixingUpConfig", "mixing_loss"]

Twins = Literal["negatives", "left out"]


@dataclass(frozen=True, kw_only=True)
class MixingUpConfig:
    """Settings of Mixing-up.

    Parameters
    ----------
    widths, kernels, dilations
        Of the three convolutions, as published; the last width is the length of a feature.
    projected
        Width of the head.
    alpha
        The share is drawn from Beta(alpha, alpha), once a batch; 1 in the released code.
    tau
        Temperature.
    twins
        The second batch is the first one shuffled, as released, so that each window is a key twice.
        ``"negatives"``: the other copies of the two mixed windows are negatives, as released;
        ``"left out"``: they are not compared, as where the batches are two draws (the paper).

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> MixingUpConfig().tau
    0.5
    """

    widths: tuple[int, int, int] = (128, 256, 128)
    kernels: tuple[int, int, int] = (7, 5, 3)
    dilations: tuple[int, int, int] = (2, 4, 8)
    projected: int = 128
    alpha: float | int = 1.0
    tau: float | int = 0.5
    twins: Twins = "left out"

    def __post_init__(self) -> None:
        require_settings(self)


class MixingUp(Pretext):
    r"""Mixing-up (Wickstrøm et al. 2022, Pattern Recognit Lett 155:54-61, arXiv:2203.09270).

    :math:`\tilde x = \lambda x_1 + (1 - \lambda) x_2`; the loss is the cross-entropy of the cosines
    of :math:`\tilde z` with all :math:`z_1` and :math:`z_2` over ``tau``, with targets
    :math:`\lambda` and :math:`1 - \lambda` at the two windows that were mixed. The encoder is a
    fully convolutional network (dilated convolutions, BatchNorm, ReLU) meaned over time.

    Parameters
    ----------
    size
        Of the windows.
    config
        See its class.
    generator
        Draws the first weights.

    Examples
    --------
    >>> size = PretextSize(channels=1, samples=16, rate=16.0)
    >>> mixing = MixingUp(size, config=MixingUpConfig(widths=(4, 4, 8), projected=8))
    >>> number = torch.arange(3)
    >>> sorted(mixing(DrawnWindows(torch.randn(3, 16, 1), number, number, 0 * number, seed=0)))
    ['loss']
    """

    size: PretextSize

    def __init__(
        self,
        size: PretextSize,
        *,
        config: MixingUpConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.config = config = config or MixingUpConfig()
        self.dim = config.widths[-1]
        inputs = (size.channels, *config.widths[:-1])
        with first_weights(generator):
            self.blocks = nn.Sequential(
                *map(_block, inputs, config.widths, config.kernels, config.dilations)
            )
            self.head = projection(self.dim, config.projected, config.projected)

    def forward(self, batch: DrawnWindows) -> dict[str, Tensor]:
        """Return the loss."""
        signals, generator = batch.signals, batch.generator()
        require_pairs(signals)
        # the seed of numpy's, as torch draws no Beta from a generator
        seed = int(torch.randint(2**62, (), generator=generator))
        share = float(np.random.default_rng(seed).beta(self.config.alpha, self.config.alpha))
        order = torch.randperm(len(signals), generator=generator).to(signals.device)
        mixed = share * signals + (1 - share) * signals[order]
        z, z_mixed = (widened(self.head(self.encode(one))) for one in (signals, mixed))
        left_out = self.config.twins == "left out"
        loss = mixing_loss(z_mixed, z, order, share, tau=self.config.tau, twins_left_out=left_out)
        return {"loss": loss}

    def encode(self, signals: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch dim"]:
        """Return the mean over time of each feature."""
        require_windows(signals, channels=self.size.channels)
        return self.blocks(signals.mT).mean(-1)


def mixing_loss(
    mixed: Float[Tensor, "batch dim"],
    z: Float[Tensor, "batch dim"],
    order: Tensor,
    share: float,
    *,
    tau: float | int,
    twins_left_out: bool,
) -> Float[Tensor, ""]:
    """Return the cross-entropy of mixed windows with the windows that they are made of.

    Parameters
    ----------
    mixed, z
        Features of the mixed windows and of the windows.
    order
        Which window is the second part of each mixed one.
    share
        Of the first part, 0 to 1.
    tau
        Temperature > 0.
    twins_left_out
        See `MixingUpConfig`.

    Examples
    --------
    >>> z, order = torch.eye(2), torch.tensor([1, 0])
    >>> mixing_loss(z, z, order, 1.0, tau=1, twins_left_out=True)
    tensor(0.3133)
    """
    window = torch.arange(len(z), device=z.device)
    nothing = torch.zeros(len(z), len(z), dtype=torch.bool, device=z.device)
    same = positives_from_ids(window, window)
    first, second = torch.cat([same, nothing], 1), torch.cat([nothing, same], 1)
    key = torch.cat([window, order])
    twins = positives_from_ids(window, key) | positives_from_ids(order, key)
    twins &= ~(first | second)
    exclude = twins if twins_left_out else None
    keys = torch.cat([z, z[order]])
    of_first = info_nce(mixed, keys, first, exclude, tau=tau)
    of_second = info_nce(mixed, keys, second, exclude, tau=tau)
    return share * of_first + (1 - share) * of_second


def _block(inputs: int, outputs: int, kernel: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, dilation=dilation, padding="same"),
        nn.BatchNorm1d(outputs),
        nn.ReLU(),
    )
