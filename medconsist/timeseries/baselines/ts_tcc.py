"""TS-TCC: one view's past predicts the other view's future, and both pasts agree."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medconsist.consistency.contrast import info_nce
from medconsist.errors import RefusedInputError
from medconsist.timeseries.augment import PermutedChannels, jitter, permutation, scaling
from medconsist.timeseries.baselines.first_weights import first_weights
from medconsist.timeseries.baselines.inputs import require_pairs, require_windows
from medconsist.timeseries.baselines.settings import require_settings
from medconsist.timeseries.baselines.two_views import projection, two_view_info_nce, widened
from medconsist.timeseries.pretext import DrawnWindows, Pretext, PretextSize

__all__ = ["TsTcc", "TsTccConfig", "temporal_loss"]


@dataclass(frozen=True, kw_only=True)
class TsTccConfig:
    """Settings of TS-TCC.

    Parameters
    ----------
    widths, kernels
        Of the three convolutions; the last width is that of a frame.
    dropout
        After the first of them.
    context, depth, heads, feedforward
        Of the transformer that summarises a past.
    steps
        Future frames that are predicted; fewer than there are frames, an eighth of the samples.
    weights
        Of the temporal and the contextual loss, as published.
    tau
        Temperature of the contextual loss.
    scaling
        Mean and standard deviation of the factor of the weak view, as released.
    weak_noise
        Of the weak view, which the paper calls jitter-and-scale without a number; 0 as released.
    segments
        Parts of the strong view's permutation at most; ours, as data sets differ.
    noise
        Of the strong view, as released.
    permuted
        ``"together"``: channels keep their alignment. The released code copies the first channel
        into all others, which no setting does.
    softmax
        ``"futures"``: a prediction finds its future among those of the batch (the paper's
        equation); ``"predictions"``: a future finds its prediction. Which of them the released code
        takes is disputed (emadeldeen24/TS-TCC#42).
    features
        ``"pooled"``: the largest value over time, of one length for any window; ``"flat"``: all
        frames, as the paper's linear classifier sees them.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> TsTccConfig().weights
    (1.0, 0.7)
    """

    widths: tuple[int, int, int] = (32, 64, 128)
    kernels: tuple[int, int, int] = (8, 8, 8)
    dropout: float | int = 0.35
    context: int = 64
    depth: int = 4
    heads: int = 4
    feedforward: int = 64
    steps: int = 6
    weights: tuple[float | int, float | int] = (1.0, 0.7)
    tau: float | int = 0.2
    scaling: tuple[float | int, float | int] = (2.0, 1.1)
    weak_noise: float | int = 0.0
    segments: int = 8
    noise: float | int = 0.8
    permuted: PermutedChannels = "together"
    softmax: Literal["futures", "predictions"] = "futures"
    features: Literal["pooled", "flat"] = "pooled"

    def __post_init__(self) -> None:
        require_settings(self, zero=frozenset({"weights", "scaling", "weak_noise", "noise"}))
        if self.context % self.heads or not any(self.weights):
            msg = (
                f"got a context of {self.context} for {self.heads} heads and weights "
                f"{self.weights}; allowed: a multiple of the heads, one weight above 0."
            )
            raise RefusedInputError(msg)


class TsTcc(Pretext):
    """TS-TCC (Eldele et al. 2021, arXiv:2106.14112).

    A weak view (scaled) and a strong one (permuted, with noise) are cut to frames by three blocks
    of convolution, BatchNorm, ReLU and pooling by 2. A transformer with a token of its own
    summarises the frames up to a step drawn for the batch. Temporal contrast: from one view's
    summary linear maps predict the other view's next frames, see `temporal_loss`. Contextual
    contrast: NT-Xent between the projected summaries.

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
        Windows of too few frames.

    Examples
    --------
    >>> size = PretextSize(channels=1, samples=32, rate=32.0)
    >>> config = TsTccConfig(widths=(4, 4, 8), context=8, depth=1, heads=2, steps=2)
    >>> number = torch.arange(3)
    >>> windows = DrawnWindows(torch.randn(3, 32, 1), number, number, 0 * number, seed=0)
    >>> sorted(TsTcc(size, config=config)(windows))
    ['contextual', 'loss', 'temporal']
    """

    size: PretextSize

    def __init__(
        self,
        size: PretextSize,
        *,
        config: TsTccConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.config = config = config or TsTccConfig()
        self.frames = _frames(size.samples, config)
        width = config.widths[-1]
        self.dim = width * (self.frames if config.features == "flat" else 1)
        inputs = (size.channels, *config.widths[:-1])
        dropouts = (config.dropout, 0.0, 0.0)
        with first_weights(generator):
            self.blocks = nn.Sequential(
                *map(_block, inputs, config.widths, config.kernels, dropouts)
            )
            self.summary = _Summary(config)
            self.predictors = nn.Linear(config.context, config.steps * width)
            self.head = projection(config.context, width // 2, max(1, width // 4))

    def forward(self, batch: DrawnWindows) -> dict[str, Tensor]:
        """Return both losses before their weights, and their sum."""
        require_pairs(batch.signals)
        generator = batch.generator()
        weak, strong = self._views(batch.signals, generator)
        last = int(torch.randint(self.frames - self.config.steps, (), generator=generator))
        frames = [self._framed(view) for view in (weak, strong)]
        past = [self.summary(z[:, : last + 1]) for z in frames]
        future = [z[:, last + 1 : last + 1 + self.config.steps] for z in frames]
        both = [
            temporal_loss(self._predicted(c), z, softmax=self.config.softmax)
            for c, z in zip(past, reversed(future), strict=True)
        ]
        temporal = torch.stack(both).sum()
        contextual = two_view_info_nce(*map(self.head, past), tau=self.config.tau)
        of_temporal, of_contextual = self.config.weights
        loss = of_temporal * temporal + of_contextual * contextual
        return {"temporal": temporal, "contextual": contextual, "loss": loss}

    def encode(self, signals: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch dim"]:
        """Return the features that ``config.features`` names."""
        if self.config.features == "flat":
            require_windows(signals, channels=self.size.channels, samples=self.size.samples)
            return self._framed(signals).flatten(1)
        return self._framed(signals).amax(1)

    def _framed(self, signals: Tensor) -> Tensor:
        require_windows(signals, channels=self.size.channels)
        return self.blocks(signals.mT).mT

    def _predicted(self, past: Tensor) -> Tensor:
        return self.predictors(past).unflatten(1, (self.config.steps, -1))

    def _views(self, signals: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        config = self.config
        mean, sigma = config.scaling
        noisy = jitter(signals, sigma=config.weak_noise, generator=generator)
        weak = scaling(noisy, mean=mean, sigma=sigma, generator=generator)
        strong = permutation(
            signals, segments=config.segments, channels=config.permuted, generator=generator
        )
        return weak, jitter(strong, sigma=config.noise, generator=generator)


def temporal_loss(
    predicted: Float[Tensor, "batch steps dim"],
    future: Float[Tensor, "batch steps dim"],
    *,
    softmax: Literal["futures", "predictions"] = "futures",
) -> Float[Tensor, ""]:
    r"""Return the InfoNCE of predicted with true frames, the batch's frames at one step compared.

    With the products :math:`s_{ij} = \hat z_i \cdot z_j` of prediction i and future j of one step,
    the mean over steps and i of :math:`\log\sum_j e^{s_{ij}} - s_{ii}`; ``"predictions"`` sums over
    i instead.

    Parameters
    ----------
    predicted, future
        Of each window and step.
    softmax
        What the logarithm sums over.

    Examples
    --------
    >>> temporal_loss(torch.eye(2)[:, None], torch.eye(2)[:, None])
    tensor(0.3133)
    """
    queries, keys = widened(predicted).transpose(0, 1), widened(future).transpose(0, 1)
    if softmax == "predictions":
        queries, keys = keys, queries
    own = torch.eye(len(predicted), dtype=torch.bool, device=predicted.device)
    return info_nce(queries, keys, own, tau=1, normalize=False)


class _Summary(nn.Module):
    """A transformer over a past and one token of its own, whose output is the summary."""

    def __init__(self, config: TsTccConfig) -> None:
        super().__init__()
        self.input = nn.Linear(config.widths[-1], config.context)
        self.token = nn.Parameter(torch.randn(1, 1, config.context))
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    config.context,
                    config.heads,
                    config.feedforward,
                    batch_first=True,
                    norm_first=True,
                )
                for _ in range(config.depth)
            )
        )

    def forward(self, frames: Tensor) -> Tensor:
        tokens = self.input(frames)
        token = self.token.to(tokens.dtype).expand(len(tokens), -1, -1)
        return self.layers(torch.cat([token, tokens], 1))[:, 0]


def _block(inputs: int, outputs: int, kernel: int, dropout: float | int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm1d(outputs),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Dropout(dropout),
    )


def _frames(samples: int, config: TsTccConfig) -> int:
    frames = samples
    for kernel in config.kernels:
        frames = (frames + 2 * (kernel // 2) - kernel + 1) // 2
    if frames <= config.steps or config.segments > samples:
        msg = (
            f"windows of {samples} samples have {max(frames, 0)} frames, of which {config.steps} "
            f"are to be predicted, and {config.segments} segments; allowed: fewer steps than "
            "frames, no more segments than samples. Give longer windows, or fewer of them."
        )
        raise RefusedInputError(msg)
    return frames
