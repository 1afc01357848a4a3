"""TF-C: a window's features in time and in frequency agree, more than those of changed copies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.timeseries.augment import (
    add_frequencies,
    jitter,
    permutation,
    remove_frequencies,
    scaling,
    time_mask,
)
from medconsist.timeseries.baselines.first_weights import first_weights
from medconsist.timeseries.baselines.inputs import require_pairs, require_windows
from medconsist.timeseries.baselines.settings import require_settings
from medconsist.timeseries.baselines.two_views import projection, two_view_info_nce
from medconsist.timeseries.pretext import DrawnWindows, Pretext, PretextSize

__all__ = ["TfC", "TfCConfig"]

TimeChange = Literal["jitter", "scaling", "permutation", "mask"]


@dataclass(frozen=True, kw_only=True)
class TfCConfig:
    """Settings of TF-C.

    Parameters
    ----------
    patch
        Samples, or frequencies, of one token.
    width, depth, heads, feedforward, dropout
        Of the two transformers.
    projected
        Widths of the two projections; a feature has both outputs beside each other.
    bank
        Changes in time, of which one is drawn for each window; the released code has the jitter
        alone, drawn once for the whole training.
    noise, sigma, segments, masked
        Of the jitter, of the factor around 1, parts of a permutation at most, share of the samples
        that are zeroed; ours.
    budget
        Share of the amplitudes that are removed, and again of those that are added.
    tau
        Temperature.
    loss
        ``"paper"`` or ``"released"``, see `TfC`.
    share
        Weight of the losses within time and within frequency, lambda.
    margin
        Of the paper's consistency loss; it moves the value alone.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> TfCConfig().loss
    'paper'
    """

    patch: int = 8
    width: int = 64
    depth: int = 2
    heads: int = 2
    feedforward: int = 128
    dropout: float | int = 0.1
    projected: tuple[int, int] = (256, 128)
    bank: tuple[TimeChange, ...] = ("jitter", "scaling", "permutation", "mask")
    noise: float | int = 0.3
    sigma: float | int = 0.3
    segments: int = 8
    masked: float | int = 0.1
    budget: float | int = 0.1
    tau: float | int = 0.2
    loss: Literal["paper", "released"] = "paper"
    share: float | int = 0.2
    margin: float | int = 1.0

    def __post_init__(self) -> None:
        require_settings(self, zero=frozenset({"noise", "sigma", "masked", "budget", "margin"}))
        if self.width % (2 * self.heads) or not self.share < 1:
            msg = (
                f"got a width of {self.width} for {self.heads} heads and a share of {self.share}; "
                "allowed: a multiple of twice the heads, a share below 1."
            )
            raise RefusedInputError(msg)


_Change = Callable[[Tensor, TfCConfig, torch.Generator], Tensor]
_BANK: Mapping[TimeChange, _Change] = MappingProxyType(
    {
        "jitter": lambda x, config, g: jitter(x, sigma=config.noise, generator=g),
        "scaling": lambda x, config, g: scaling(x, sigma=config.sigma, generator=g),
        "permutation": lambda x, config, g: permutation(x, segments=config.segments, generator=g),
        "mask": lambda x, config, g: time_mask(x, share=config.masked, generator=g),
    }
)


class TfC(Pretext):
    r"""TF-C (Zhang et al. 2022, arXiv:2206.08496).

    A window and the amplitudes of its Fourier transform are encoded by a transformer each, meaned
    over tokens to h and projected to z; copies changed in time (one of a bank) and in frequency
    (amplitudes removed and added) likewise. With S(a, b) the NT-Xent between a and b,

    - ``"paper"``: :math:`\lambda (S(h_T, \tilde h_T) + S(h_F, \tilde h_F)) + (1 - \lambda) L_C`,
      :math:`L_C` the sum of :math:`S(z_T, z_F) - S + \delta` over the three pairs S of time and
      frequency with a changed copy; it has no hinge, so that S of changed copies is pushed up to
      what cosines over ``tau`` allow and the loss may fall below 0;
    - ``"released"``: :math:`\lambda (S(h_T, \tilde h_T) + S(h_F, \tilde h_F)) + S(z_T, z_F)`, which
      is all that the released code minimises.

    The released transformers get batch and time exchanged and attend over the batch, so that a
    window's feature depends on its batch mates; here tokens are patches of one window, with
    sinusoidal places. The amplitudes are those of the one-sided transform, scaled to keep the norm.

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
        More segments than samples.

    Examples
    --------
    >>> size = PretextSize(channels=1, samples=16, rate=16.0)
    >>> config = TfCConfig(width=8, depth=1, feedforward=8, projected=(8, 8))
    >>> number = torch.arange(3)
    >>> windows = DrawnWindows(torch.randn(3, 16, 1), number, number, 0 * number, seed=0)
    >>> sorted(TfC(size, config=config)(windows))
    ['consistency', 'frequency', 'loss', 'time']
    """

    size: PretextSize

    def __init__(
        self,
        size: PretextSize,
        *,
        config: TfCConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.config = config = config or TfCConfig()
        self.dim = 2 * config.projected[-1]
        if "permutation" in config.bank and config.segments > size.samples:
            msg = f"{config.segments} segments of {size.samples} samples; give fewer segments."
            raise RefusedInputError(msg)
        with first_weights(generator):
            self.in_time, self.in_frequency = (_Branch(size.channels, config) for _ in range(2))

    def forward(self, batch: DrawnWindows) -> dict[str, Tensor]:
        """Return the losses within time, within frequency, between both, and their sum."""
        signals, config = batch.signals, self.config
        require_pairs(signals)
        require_windows(signals, channels=self.size.channels)
        generator = batch.generator()
        amplitudes = _amplitudes(signals)
        h_t, z_t = zip(
            *map(self.in_time, (signals, self._changed(signals, generator))), strict=True
        )
        removed = remove_frequencies(amplitudes, share=config.budget, generator=generator)
        added = add_frequencies(removed, share=config.budget, generator=generator)
        h_f, z_f = zip(*map(self.in_frequency, (amplitudes, added)), strict=True)
        time, frequency = (two_view_info_nce(*h, tau=config.tau) for h in (h_t, h_f))
        consistency = self._consistency(z_t, z_f)
        within, between = config.share, 1.0 if config.loss == "released" else 1 - config.share
        loss = within * (time + frequency) + between * consistency
        return {"time": time, "frequency": frequency, "consistency": consistency, "loss": loss}

    def encode(self, signals: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch dim"]:
        """Return both projections beside each other."""
        require_windows(signals, channels=self.size.channels)
        _, in_time = self.in_time(signals)
        _, in_frequency = self.in_frequency(_amplitudes(signals))
        return torch.cat([in_time, in_frequency], 1)

    def _consistency(self, z_t: tuple[Tensor, ...], z_f: tuple[Tensor, ...]) -> Tensor:
        tau = self.config.tau
        if self.config.loss == "released":
            return two_view_info_nce(z_t[0], z_f[0], tau=tau)
        own, *changed = (two_view_info_nce(t, f, tau=tau) for t, f in product(z_t, z_f))
        return torch.stack([own - other + self.config.margin for other in changed]).sum()

    def _changed(self, signals: Tensor, generator: torch.Generator) -> Tensor:
        bank = self.config.bank
        which = torch.randint(len(bank), (len(signals), 1, 1), generator=generator)
        changed = signals
        for number, name in enumerate(bank):
            other = _BANK[name](signals, self.config, generator)
            changed = changed.where((which != number).to(signals.device), other)
        return changed


class _Branch(nn.Module):
    """A transformer over patches of ``batch length channels``: its mean, and that projected."""

    def __init__(self, channels: int, config: TfCConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.embed = nn.Conv1d(channels, config.width, config.patch, stride=config.patch)
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    config.width,
                    config.heads,
                    config.feedforward,
                    config.dropout,
                    batch_first=True,
                    norm_first=True,
                )
                for _ in range(config.depth)
            )
        )
        self.norm = nn.LayerNorm(config.width)
        self.head = projection(config.width, *config.projected)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        padded = functional.pad(values.mT, (0, -values.shape[1] % self.patch))
        tokens = self.embed(padded).mT
        tokens = tokens + _places(tokens.shape[1], tokens.shape[2]).to(tokens)
        h = self.norm(self.layers(tokens)).mean(1)
        return h, self.head(h)


def _places(tokens: int, width: int) -> Float[Tensor, "tokens width"]:
    """Return sines and cosines of the place (Vaswani et al. 2017, arXiv:1706.03762)."""
    rate = 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angle = torch.arange(tokens)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], 1)


def _amplitudes(signals: Tensor) -> Tensor:
    return torch.fft.rfft(signals, dim=1, norm="ortho").abs()
