"""SimCLR on signals: two augmented views of a window find each other in the batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.timeseries.augment import jitter, negation, permutation, scaling, time_flip
from medconsist.timeseries.baselines.first_weights import first_weights
from medconsist.timeseries.baselines.inputs import require_pairs, require_windows
from medconsist.timeseries.baselines.settings import require_settings
from medconsist.timeseries.baselines.two_views import two_view_info_nce
from medconsist.timeseries.pretext import DrawnWindows, Pretext, PretextSize

__all__ = ["SimClr", "SimClrConfig"]

ViewName = Literal["noise", "scaling", "negation", "time flip", "permutation"]


@dataclass(frozen=True, kw_only=True)
class SimClrConfig:
    """Settings of SimCLR on signals.

    Parameters
    ----------
    widths, kernels
        Of the three convolutions, as published; the last width is the length of a feature.
    dropout
        After each of them.
    head
        Widths of the projection, as published.
    tau
        Temperature.
    views
        What is done to make a view, in this order.
    sigma
        Of noise, and of the factor around 1, in units of a z-scored signal; ours.
    share
        Of the windows that are negated or flipped; 1 does it to both views of all, which then
        differ by the rest alone.
    segments
        Parts of a permutation at most; ours.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> SimClrConfig().views
    ('scaling', 'negation')
    """

    widths: tuple[int, int, int] = (32, 64, 96)
    kernels: tuple[int, int, int] = (24, 16, 8)
    dropout: float | int = 0.1
    head: tuple[int, int, int] = (256, 128, 50)
    tau: float | int = 0.1
    views: tuple[ViewName, ...] = ("scaling", "negation")
    sigma: float | int = 0.1
    share: float | int = 0.5
    segments: int = 8

    def __post_init__(self) -> None:
        require_settings(self, zero=frozenset({"sigma", "share"}))


_View = Callable[[Tensor, SimClrConfig, torch.Generator], Tensor]
_VIEWS: Mapping[ViewName, _View] = MappingProxyType(
    {
        "noise": lambda x, config, g: jitter(x, sigma=config.sigma, generator=g),
        "scaling": lambda x, config, g: scaling(x, sigma=config.sigma, generator=g),
        "negation": lambda x, config, g: negation(x, share=config.share, generator=g),
        "time flip": lambda x, config, g: time_flip(x, share=config.share, generator=g),
        "permutation": lambda x, config, g: permutation(x, segments=config.segments, generator=g),
    }
)


class SimClr(Pretext):
    """SimCLR as adapted to signals (Tang et al. 2020, arXiv:2011.11542).

    Three convolutions without padding, ReLU and dropout, the largest value over time, a head of
    three linear layers; NT-Xent (Chen et al. 2020, arXiv:2002.05709) between two views. The default
    views are those that the fork in TF-C's code uses; others are there by name.

    Parameters
    ----------
    size
        Of the windows.
    config
        See its class.
    generator
        Draws the first weights.

    Raises
    ------
    RefusedInputError
        Windows shorter than what a feature sees, 46 samples as published.

    Examples
    --------
    >>> size = PretextSize(channels=1, samples=16, rate=16.0)
    >>> config = SimClrConfig(widths=(4, 4, 8), kernels=(3, 3, 3), head=(8, 8, 8))
    >>> number = torch.arange(3)
    >>> windows = DrawnWindows(torch.randn(3, 16, 1), number, number, 0 * number, seed=0)
    >>> sorted(SimClr(size, config=config)(windows))
    ['loss']
    """

    size: PretextSize

    def __init__(
        self,
        size: PretextSize,
        *,
        config: SimClrConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.config = config = config or SimClrConfig()
        self.dim = config.widths[-1]
        needed = sum(config.kernels) - len(config.kernels) + 1
        if size.samples < needed:
            msg = f"windows have {size.samples} samples, SimCLR's kernels see {needed}; give longer"
            msg += " windows, or shorter kernels."
            raise RefusedInputError(msg)
        inputs = (size.channels, *config.widths[:-1])
        first, second, last = config.head
        with first_weights(generator):
            self.blocks = nn.Sequential(
                *(
                    nn.Sequential(nn.Conv1d(*sizes), nn.ReLU(), nn.Dropout(config.dropout))
                    for sizes in zip(inputs, config.widths, config.kernels, strict=True)
                )
            )
            self.head = nn.Sequential(
                nn.Linear(self.dim, first),
                nn.ReLU(),
                nn.Linear(first, second),
                nn.ReLU(),
                nn.Linear(second, last),
            )

    def forward(self, batch: DrawnWindows) -> dict[str, Tensor]:
        """Return the loss."""
        require_pairs(batch.signals)
        generator = batch.generator()
        z1, z2 = (self.head(self.encode(self._view(batch.signals, generator))) for _ in range(2))
        return {"loss": two_view_info_nce(z1, z2, tau=self.config.tau)}

    def encode(self, signals: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch dim"]:
        """Return the largest value over time of each feature."""
        require_windows(signals, channels=self.size.channels)
        return self.blocks(signals.mT).amax(-1)

    def _view(self, signals: Tensor, generator: torch.Generator) -> Tensor:
        for name in self.config.views:
            signals = _VIEWS[name](signals, self.config, generator)
        return signals
