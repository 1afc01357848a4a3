"""EEGNet: the small supervised network that self-supervised encoders of EEG must beat."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.timeseries.baselines.inputs import require_windows
from medconsist.timeseries.baselines.settings import require_settings
from medconsist.timeseries.pretext import PretextSize

__all__ = ["EegNet", "EegNetConfig"]

_POOLS = (4, 8)
_SEPARABLE = 16  # taps at the rate after the first pooling
_LARGEST_SPATIAL = 1.0  # norm of a spatial filter, as published


@dataclass(frozen=True, kw_only=True)
class EegNetConfig:
    """EEGNet-8,2 as published.

    Parameters
    ----------
    temporal
        Filters over time (F1).
    depth
        Spatial filters for each of them (D).
    seconds
        Length of a temporal filter; half a second, half the rate in taps.
    dropout
        0.5 within, 0.25 across subjects, as published.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> EegNetConfig().temporal
    8
    """

    temporal: int = 8
    depth: int = 2
    seconds: float = 0.5
    dropout: float = 0.25

    def __post_init__(self) -> None:
        require_settings(self)


class EegNet(nn.Module):
    """Features of a window by a temporal, a spatial and a separable convolution.

    Lawhern et al. 2018, J Neural Eng 15:056013, arXiv:1611.08024: a temporal convolution without
    bias, a spatial one for each of its maps with filters of norm at most 1, ELU, average pooling by
    4, a separable convolution of 16 taps, ELU, pooling by 8. The linear layer that the paper puts
    behind it is the head of the classifier.

    Parameters
    ----------
    size
        Of the windows; at least 32 samples.
    config
        See its class.

    Raises
    ------
    RefusedInputError
        Windows too short for two poolings.

    Examples
    --------
    >>> import torch
    >>> network = EegNet(PretextSize(channels=4, samples=128, rate=128.0))
    >>> network.encode(torch.zeros(2, 128, 4)).shape
    torch.Size([2, 64])
    """

    def __init__(self, size: PretextSize, config: EegNetConfig | None = None) -> None:
        super().__init__()
        config = config or EegNetConfig()
        self.size, self.config = size, config
        first, second = _POOLS
        if size.samples < first * second:
            msg = (
                f"windows have {size.samples} samples; EEGNet pools by {first * second}: give "
                "longer windows or a higher rate."
            )
            raise RefusedInputError(msg)
        maps = config.temporal * config.depth
        taps = max(1, round(config.seconds * size.rate))
        self.dim = maps * (size.samples // first // second)
        self.temporal = nn.Sequential(
            _same(taps), nn.Conv2d(1, config.temporal, (1, taps), bias=False)
        )
        self.spatial = nn.Conv2d(
            config.temporal, maps, (size.channels, 1), groups=config.temporal, bias=False
        )
        self.separable = nn.Sequential(
            _same(_SEPARABLE),
            nn.Conv2d(maps, maps, (1, _SEPARABLE), groups=maps, bias=False),
            nn.Conv2d(maps, maps, 1, bias=False),
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(count) for count in (config.temporal, maps, maps))
        self.dropout = nn.Dropout(config.dropout)

    def encode(self, signals: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch dim"]:
        """Return the features of each window."""
        require_windows(signals, channels=self.size.channels, samples=self.size.samples)
        x = self.norms[0](self.temporal(signals.mT[:, None]))
        limited = torch.renorm(self.spatial.weight, 2, 0, _LARGEST_SPATIAL)
        x = nn.functional.conv2d(x, limited, groups=self.spatial.groups)
        x = nn.functional.avg_pool2d(nn.functional.elu(self.norms[1](x)), (1, _POOLS[0]))
        x = self.norms[2](self.separable(self.dropout(x)))
        x = nn.functional.avg_pool2d(nn.functional.elu(x), (1, _POOLS[1]))
        return self.dropout(x).flatten(1)


def _same(taps: int) -> nn.ZeroPad2d:
    """Return the padding that keeps the length; the longer side of an even filter is the right."""
    return nn.ZeroPad2d(((taps - 1) // 2, taps // 2, 0, 0))
