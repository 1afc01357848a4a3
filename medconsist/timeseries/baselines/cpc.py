"""CPC: a causal summary of a window's past finds its future among other frames."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from medconsist.consistency.contrast import masked_info_nce, positives_from_ids
from medconsist.errors import RefusedInputError
from medconsist.timeseries.baselines.first_weights import first_weights
from medconsist.timeseries.baselines.inputs import require_windows
from medconsist.timeseries.baselines.settings import require_settings
from medconsist.timeseries.baselines.two_views import widened
from medconsist.timeseries.pretext import DrawnWindows, Pretext, PretextSize

__all__ = ["Cpc", "CpcConfig", "future_loss"]


@dataclass(frozen=True, kw_only=True)
class CpcConfig:
    """Settings of CPC; the sizes are ours, small enough for a CPU.

    Parameters
    ----------
    widths, kernels, strides
        Of the convolutions, as many of each; kernels are odd. The last width is that of a frame.
    recurrent
        What summarises the past.
    context, depth
        Its width, the length of a feature, and its layers.
    steps
        Future frames that are predicted; fewer than there are frames.
    negatives
        Frames, at most, that a future frame is told from.
    negatives_from
        ``"window"``: frames of the same window, so that who it is does not help; ``"batch"``:
        frames of all windows of the batch.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> CpcConfig().recurrent
    'lstm'
    """

    widths: tuple[int, ...] = (128, 128, 128, 128)
    kernels: tuple[int, ...] = (7, 5, 3, 3)
    strides: tuple[int, ...] = (2, 2, 1, 1)
    recurrent: Literal["lstm", "gru"] = "lstm"
    context: int = 256
    depth: int = 2
    steps: int = 12
    negatives: int = 128
    negatives_from: Literal["window", "batch"] = "window"

    def __post_init__(self) -> None:
        require_settings(self)
        lengths = {len(self.widths), len(self.kernels), len(self.strides)}
        if len(lengths) > 1 or not all(kernel % 2 for kernel in self.kernels):
            msg = (
                f"got widths {self.widths}, kernels {self.kernels}, strides {self.strides}; "
                "allowed: as many of each, odd kernels."
            )
            raise RefusedInputError(msg)


class Cpc(Pretext):
    """Contrastive predictive coding (van den Oord et al. 2018, arXiv:1807.03748).

    Of the self-supervised methods that Mehari & Strodthoff 2022 (arXiv:2103.12676) compared on
    12-lead ECG, an adaptation of it did best. Convolutions cut a window to frames, an LSTM or GRU
    runs over them, and from its state a linear map for each of the next steps predicts the frame,
    see `future_loss`. A window's feature is the mean of the states.

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
        Windows of no more frames than steps.

    Examples
    --------
    >>> size = PretextSize(channels=1, samples=32, rate=32.0)
    >>> small = CpcConfig(widths=(4, 4), kernels=(3, 3), strides=(2, 2), context=8, steps=2)
    >>> number = torch.arange(3)
    >>> windows = DrawnWindows(torch.randn(3, 32, 1), number, number, 0 * number, seed=0)
    >>> sorted(Cpc(size, config=small)(windows))
    ['loss']
    """

    size: PretextSize

    def __init__(
        self,
        size: PretextSize,
        *,
        config: CpcConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.config = config = config or CpcConfig()
        self.dim = config.context
        self.frames = _frames(size.samples, config)
        inputs, width = (size.channels, *config.widths[:-1]), config.widths[-1]
        kind = nn.LSTM if config.recurrent == "lstm" else nn.GRU
        with first_weights(generator):
            self.blocks = nn.Sequential(
                *map(_block, inputs, config.widths, config.kernels, config.strides)
            )
            self.past = kind(width, config.context, config.depth, batch_first=True)
            self.predictors = nn.Linear(config.context, config.steps * width)

    def forward(self, batch: DrawnWindows) -> dict[str, Tensor]:
        """Return the loss."""
        frames = self._framed(batch.signals)
        predicted = self.predictors(self._states(frames))
        windows, count, width = frames.shape
        drawn = self._drawn(windows, count, batch.generator()).to(frames.device)
        predicted = predicted.view(windows, count, self.config.steps, width)
        return {"loss": future_loss(widened(predicted), widened(frames), drawn)}

    def encode(self, signals: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch dim"]:
        """Return the mean over time of the states."""
        return self._states(self._framed(signals)).mean(1)

    def _framed(self, signals: Tensor) -> Tensor:
        require_windows(signals, channels=self.size.channels, samples=self.size.samples)
        return self.blocks(signals.mT).mT

    def _states(self, frames: Tensor) -> Tensor:
        states: Tensor = self.past(frames)[0]
        return states

    def _drawn(
        self, windows: int, count: int, generator: torch.Generator
    ) -> Int64[Tensor, "sets negatives"]:
        most = self.config.negatives
        if self.config.negatives_from == "batch":
            return torch.randperm(windows * count, generator=generator)[None, :most]
        order = torch.rand(windows, count, generator=generator).argsort(1)
        return order[:, :most] + count * torch.arange(windows)[:, None]


def future_loss(
    predicted: Float[Tensor, "batch frames steps dim"],
    frames: Float[Tensor, "batch frames dim"],
    drawn: Int64[Tensor, "sets negatives"],
) -> Float[Tensor, ""]:
    r"""Return the InfoNCE of predictions with the frames that come.

    With :math:`\hat z_{t,k}` the prediction at frame t for k frames ahead and N the drawn frames,
    the mean over k of the mean over windows and t of
    :math:`\log \sum_{j \in N \cup \{t + k\}} e^{\hat z_{t,k} \cdot z_j} - \hat z_{t,k} \cdot
    z_{t+k}`.

    Parameters
    ----------
    predicted
        Predictions for 1, 2, ... frames ahead, at each frame.
    frames
        What is predicted.
    drawn
        Negatives of each window, or one set for all: frame t of window b is ``b * frames + t``.

    Examples
    --------
    >>> frames = torch.eye(2)[None]
    >>> future_loss(frames.flip(1)[:, :, None], frames, torch.tensor([[0, 1]]))
    tensor(0.3133)
    """
    windows, count, ahead, _ = predicted.shape
    number = torch.arange(windows * count, device=frames.device).view(windows, count)
    keys = frames.flatten(0, 1)[drawn]
    losses = []
    for k in range(1, ahead + 1):
        queries, wanted = predicted[:, :-k, k - 1], frames[:, k:]
        # the logits would be rounded to half precision
        with torch.autocast(frames.device.type, enabled=False):
            own = (queries * wanted).sum(-1, keepdim=True)
            logits = torch.cat([own, queries @ keys.mT], -1)
        again = positives_from_ids(number[:, k:], drawn.expand(windows, -1))
        first = torch.zeros(logits.shape[-1], dtype=torch.bool, device=frames.device)
        first[0] = True
        exclude = torch.cat([torch.zeros_like(again[..., :1]), again], -1)
        positive = first.expand(logits.shape[-2:])
        losses.append(masked_info_nce(logits, positive, exclude))
    return torch.stack(losses).mean()


def _block(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm1d(outputs),
        nn.ReLU(),
    )


def _frames(samples: int, config: CpcConfig) -> int:
    frames = samples
    for stride in config.strides:
        frames = (frames - 1) // stride + 1
    if frames <= config.steps:
        msg = (
            f"windows of {samples} samples have {frames} frames, of which {config.steps} are to be "
            f"predicted; allowed: 1 to {frames - 1} steps. Predict fewer, or stride less."
        )
        raise RefusedInputError(msg)
    return frames
