"""TS2Vec: two overlapping crops of a window agree where they overlap, at all scales."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from medconsist.consistency.contrast import multi_scale
from medconsist.consistency.dense_contrast import dense_info_nce
from medconsist.errors import RefusedInputError
from medconsist.networks.dilated import DilatedConfig, DilatedEncoder
from medconsist.timeseries.baselines.settings import require_settings
from medconsist.timeseries.baselines.two_views import widened
from medconsist.timeseries.masks import MaskKind, draw_mask
from medconsist.timeseries.pretext import DrawnWindows, Pretext, PretextSize

__all__ = ["Crops", "Ts2Vec", "Ts2VecConfig", "draw_crops"]


@dataclass(frozen=True, kw_only=True)
class Ts2VecConfig:
    """Settings of TS2Vec as published.

    Parameters
    ----------
    hidden, dim, depth, dropout, recompute
        Of the encoder, see `DilatedConfig`.
    alpha
        Weight of the instance term, at most 1; the temporal one has the rest.
    temporal_unit
        The overlap has ``2**(temporal_unit + 1)`` samples at least.
    mask
        Of the time steps in training.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> Ts2VecConfig().alpha
    0.5
    """

    hidden: int = 64
    dim: int = 320
    depth: int = 10
    dropout: float | int = 0.1
    recompute: bool = False
    alpha: float | int = 0.5
    temporal_unit: int = 0
    mask: MaskKind = "binomial"

    def __post_init__(self) -> None:
        require_settings(self, zero=frozenset({"alpha", "temporal_unit"}))
        if self.alpha > 1:
            msg = f"alpha got {self.alpha}; allowed: 0 to 1."
            raise RefusedInputError(msg)


@dataclass(frozen=True, eq=False)
class Crops:
    """Where two crops of each window lie; ``[begin, middle_end)`` and ``[middle, end)``.

    Parameters
    ----------
    begin, middle, middle_end, end
        The overlap is ``[middle, middle_end)``.
    offset
        Of each window, added to all of them.

    Examples
    --------
    >>> Crops(0, 2, 5, 6, torch.zeros(1, dtype=torch.int64)).overlap
    3
    """

    begin: int
    middle: int
    middle_end: int
    end: int
    offset: Int64[Tensor, " batch"]

    @property
    def overlap(self) -> int:
        """Samples that both crops have."""
        return self.middle_end - self.middle

    def of(
        self, signals: Float[Tensor, "batch time channels"]
    ) -> tuple[Float[Tensor, "batch first channels"], Float[Tensor, "batch second channels"]]:
        """Return both crops of every window."""
        return (
            self._cut(signals, self.begin, self.middle_end),
            self._cut(signals, self.middle, self.end),
        )

    def _cut(self, signals: Tensor, begin: int, end: int) -> Tensor:
        places = (self.offset[:, None] + torch.arange(begin, end)).to(signals.device)
        return signals.gather(1, places[..., None].expand(-1, -1, signals.shape[2]))


class Ts2Vec(Pretext):
    """TS2Vec (Yue et al. 2022, arXiv:2106.10466).

    Two crops that overlap, at places drawn for the batch and moved within each window, are masked
    and encoded; on the overlap each time step is told from the other windows at this step (instance
    term) and from the other steps of its window (temporal term). Both are summed with ``alpha`` and
    averaged over scales, max-pooled by 2 down to 1 step, where the instance term is alone.

    Time steps with NaN are masked, as published.

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
        Windows shorter than the smallest overlap.

    Examples
    --------
    >>> size = PretextSize(channels=1, samples=16, rate=16.0)
    >>> ts2vec = Ts2Vec(size, config=Ts2VecConfig(hidden=4, dim=8, depth=2))
    >>> number = torch.arange(3)
    >>> sorted(ts2vec(DrawnWindows(torch.randn(3, 16, 1), number, number, 0 * number, seed=0)))
    ['instance', 'loss', 'temporal']
    """

    size: PretextSize

    def __init__(
        self,
        size: PretextSize,
        *,
        config: Ts2VecConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.config = config = config or Ts2VecConfig()
        self.dim = config.dim
        self.encoder = DilatedEncoder(
            DilatedConfig(
                channels=size.channels,
                hidden=config.hidden,
                dim=config.dim,
                depth=config.depth,
                dropout=config.dropout,
                recompute=config.recompute,
            ),
            generator=generator,
        )
        _least(size.samples, config.temporal_unit)

    def forward(self, batch: DrawnWindows) -> dict[str, Tensor]:
        """Return both terms before their weights, and the loss."""
        generator = batch.generator()
        windows, time, _ = batch.signals.shape
        least = _least(time, self.config.temporal_unit)
        crops = draw_crops(windows, time, least=least, generator=generator)
        first, second = (self._encoded(crop, generator) for crop in crops.of(batch.signals))
        instance, temporal = multi_scale(
            _terms, first[:, -crops.overlap :], second[:, : crops.overlap]
        )
        alpha = self.config.alpha
        loss = alpha * instance + (1 - alpha) * temporal
        return {"instance": instance, "temporal": temporal, "loss": loss}

    def encode(self, signals: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch dim"]:
        """Return the largest value over time of each feature."""
        return self.encoder(signals).amax(1)

    def _encoded(self, crop: Tensor, generator: torch.Generator) -> Tensor:
        windows, time, _ = crop.shape
        hidden = self.config.hidden
        kind = self.config.mask
        mask = draw_mask(kind, batch=windows, time=time, hidden=hidden, generator=generator)
        return widened(self.encoder(crop, mask.to(crop.device)))


def draw_crops(windows: int, time: int, *, least: int, generator: torch.Generator) -> Crops:
    r"""Draw two overlapping crops, the same for all windows, and a shift for each of them.

    Overlap c in [least, T]; its begin in [0, T - c]; the first crop's begin before and the second
    one's end behind it, all uniform; the shift such that no crop leaves its window.

    Parameters
    ----------
    windows, time
        How many, and their length T.
    least
        Smallest overlap, 1 to T.
    generator
        On the CPU.

    Examples
    --------
    >>> draw_crops(2, 8, least=8, generator=torch.Generator()).offset
    tensor([0, 0])
    """

    def between(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    overlap = between(least, time)
    middle = between(0, time - overlap)
    middle_end = middle + overlap
    begin, end = between(0, middle), between(middle_end, time)
    offset = torch.randint(-begin, time - end + 1, (windows,), generator=generator)
    return Crops(begin, middle, middle_end, end, offset)


def _terms(z1: Tensor, z2: Tensor) -> Tensor:
    instance = dense_info_nce(z1.transpose(0, 1), z2.transpose(0, 1))
    return torch.stack([instance, dense_info_nce(z1, z2)])


def _least(time: int, unit: int) -> int:
    least: int = 2 ** (unit + 1)
    if time < least:
        msg = f"windows have {time} samples, crops overlap in {least} or more; give longer windows."
        raise RefusedInputError(msg)
    return least
