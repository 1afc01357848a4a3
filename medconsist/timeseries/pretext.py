"""What is pre-trained on windows without labels: an encoder with the losses that teach it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from medconsist.timeseries.baselines.settings import require_settings
from medconsist.timeseries.window_set import WindowSet

__all__ = ["DrawnWindows", "Pretext", "PretextSize"]


@dataclass(frozen=True, eq=False)
class DrawnWindows:
    """One batch of windows, without labels on purpose.

    Parameters
    ----------
    signals
        ``batch time channels``, float32.
    patient, trial
        Equal numbers are one patient, one trial.
    start
        First sample of the window within its trial.
    seed
        Of everything that a step draws (masks, crops, jitter); see `generator`.

    Examples
    --------
    >>> number = torch.arange(2)
    >>> DrawnWindows(torch.zeros(2, 8, 1), number, number, 0 * number, seed=3).generator().device
    device(type='cpu')
    """

    signals: Float[Tensor, "batch time channels"]
    patient: Int64[Tensor, " batch"]
    trial: Int64[Tensor, " batch"]
    start: Int64[Tensor, " batch"]
    seed: int

    @staticmethod
    def of(windows: WindowSet, rows: npt.NDArray[np.int64], seed: int) -> "DrawnWindows":
        """Return some windows of a set as a batch."""
        table = windows.table.take(rows)
        return DrawnWindows(
            windows.batch(rows),
            torch.from_numpy(table.patient.copy()),
            torch.from_numpy(table.trial.copy()),
            torch.from_numpy(table.start.copy()),
            seed=seed,
        )

    def generator(self) -> torch.Generator:
        """Return a fresh generator on the CPU, the same at every call."""
        return torch.Generator().manual_seed(self.seed)


@dataclass(frozen=True, kw_only=True)
class PretextSize:
    """What the windows are that a pretext task is built for.

    Parameters
    ----------
    channels
        Of a window.
    samples
        Of a window.
    rate
        Samples per second.

    Raises
    ------
    RefusedInputError
        A number that is not positive and finite, or channels or samples that are not whole.

    Examples
    --------
    >>> PretextSize(channels=12, samples=2500, rate=250.0).samples
    2500
    """

    channels: int
    samples: int
    rate: float

    def __post_init__(self) -> None:
        require_settings(self)

    @staticmethod
    def of(windows: WindowSet) -> "PretextSize":
        """Return the size of the windows of a set."""
        return PretextSize(
            channels=len(windows.channels), samples=windows.samples, rate=windows.rate
        )


class Pretext(nn.Module, ABC):
    """An encoder and how it is taught without labels; one class for each published method.

    ``forward`` returns the losses of a batch, so that data-parallel wrappers see them;
    ``"loss"`` is minimised. What it draws comes from ``batch.generator()`` alone (dropout excepted,
    which torch's own generator drives). ``encode`` gives a window its features; in eval mode a
    row does not depend on the other rows.

    Attributes
    ----------
    dim
        Length of a feature.
    size
        Of the windows that it was built for, where it was told.
    """

    dim: int
    size: PretextSize | None = None

    @abstractmethod
    def forward(self, batch: DrawnWindows) -> dict[str, Tensor]:
        """Return the losses by name; ``"loss"`` is minimised and has a gradient always."""

    @abstractmethod
    def encode(self, signals: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch dim"]:
        """Return the features of each window."""
