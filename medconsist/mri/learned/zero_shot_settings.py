"""The settings of a zero-shot adaptation."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from medconsist.errors import RefusedInputError
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.evidence.withheld import Unit
from medconsist.mri.learned.loss import Weighting
from medconsist.mri.learned.sample_splits import SplitConfig
from medconsist.mri.learned.ssdu import SsduConfig
from medconsist.mri.learned.withheld_loss import WithheldLoss
from medconsist.mri.reconstruction_network import Architecture
from medconsist.training.settings import OptimiserConfig, require_positive

__all__ = ["SCRATCH", "Trained", "ZeroShot"]

Trained = Literal["all", "per_channel", "last_cascade"]
Label = Literal["zero-shot", "adapted"]

SCRATCH = CirimConfig(cascades=6, steps=1, features=32, consistency="explicit", noise_input=True)
"""What learns from scratch in minutes: each step of the network takes one down the gradient."""


@dataclass(frozen=True, kw_only=True)
class ZeroShot:
    """How a network is adapted to one measurement.

    Yaman et al. 2022, arXiv:2102.07737 (ZS-SSL). There an epoch is one step for each of 25 pairs,
    at most 300 epochs with Adam at 5e-4, and the run ends after 25 epochs without a new minimum on
    Gamma: `published`. The defaults end much earlier, so that one slice costs minutes on a CPU.

    Parameters
    ----------
    pairs
        Divisions (Theta, Lambda) of what is not Gamma, drawn once.
    fraction
        ``|Lambda|`` as a share of what may be withheld in a pair.
    validation_fraction
        ``|Gamma|`` as a share of what may be withheld at all; fixed for the whole run. From a
        trained start, half of its blocks (`sample_blocks`) select and the others judge.
    level
        Of the acceptance test, one-sided, in (0, 0.5): the error of the samples that judge must
        fall by more than this quantile of Student's t. At .025, steps that gain nothing pass in
        about one scan of forty. None takes the chosen step without a test, for comparisons alone.
        From scratch nothing is judged.
    signal_level
        Level of `signal_weight` as a share of the scale of the scan, the 99th percentile of the
        zero-filled root sum of squares; positive. Below it, the image of the start is kept more
        than half. None takes the image of the adapted network wherever a coil sees. From scratch
        there is nothing to keep.
    unit, calibration
        See `SplitConfig`.
    steps
        The budget; each step sees ``batch`` pairs.
    evaluate_every
        Steps between two looks at Gamma.
    patience
        Looks at Gamma in a row without a new minimum, after which the run ends.
    lr, schedule
        Of Adam; see `OptimiserConfig`.
    batch
        Pairs a step.
    loss, scale, weighting
        See `withheld_loss`.
    trained
        ``"all"`` parameters; ``"per_channel"``: biases and IndRNN's recurrent weights, one number
        a channel; ``"last_cascade"``.
    clip
        Largest norm of the gradient, positive; None leaves it as it is.
    precision
        Of convolutions while it trains: ``"bf16"`` or ``"32"``. The image is made in 32 bits, and
        judged in 32 bits.
    label
        What the method is called, behind the name of the weights.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> ZeroShot.published().steps
    7500
    """

    pairs: int = 25
    fraction: float = 0.4
    validation_fraction: float = 0.2
    level: float | None = 0.025
    signal_level: float | None = 0.5
    unit: Unit = "point"
    calibration: int = 24
    steps: int = 120
    evaluate_every: int = 10
    patience: int = 5
    lr: float = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    batch: int = 1
    loss: WithheldLoss = "ssdu"
    scale: float | None = None
    weighting: Weighting = "last"
    trained: Trained = "all"
    clip: float | None = 1.0
    precision: Literal["32", "bf16"] = "bf16"
    label: Label = "zero-shot"

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("evaluate_every", "patience")}
        wrong = {name: n for name, n in counts.items() if n < 1}
        if wrong or self.trained not in get_args(Trained) or self.precision not in ("32", "bf16"):
            msg = (
                f"got {counts}, trained {self.trained!r}, precision {self.precision!r}; allowed: "
                f"at least 1, one of {', '.join(get_args(Trained))}, '32' or 'bf16'."
            )
            raise RefusedInputError(msg)
        level = 0.025 if self.level is None else self.level
        if not 0 < level < 0.5 or self.label not in get_args(Label):
            msg = (
                f"got level {self.level} and label {self.label!r}; allowed: (0, 0.5), and one of "
                f"{', '.join(get_args(Label))}. A level of .025 is usual."
            )
            raise RefusedInputError(msg)
        for name in ("clip", "signal_level"):
            value = getattr(self, name)
            if value is not None:
                require_positive(name, value)
        self.optimiser, self.task(CirimConfig(), 0), self.gamma  # each refuses its own values

    @classmethod
    def published(cls) -> "ZeroShot":
        """Return the settings of ZS-SSL: 300 epochs of 25 pairs, patience of 25 epochs."""
        return cls(
            steps=7500,
            evaluate_every=25,
            patience=25,
            lr=5e-4,
            schedule="constant",
            precision="32",
            signal_level=None,
        )

    @classmethod
    def from_scratch(cls) -> "ZeroShot":
        """Return settings for `SCRATCH`: more and longer steps, as all is to be learnt."""
        return cls(steps=300, evaluate_every=20, lr=2e-3)

    @classmethod
    def everyday(cls) -> "ZeroShot":
        """Return settings for every scan: 960 of the 80,160 numbers of CIRIM, and few steps.

        What a slice takes, and whom it harms, ``medconsist bench mri-adapt`` measures. The rate and
        the level of the signal (`SignalBlend`) were chosen on few scans of the role
        ``"validation"``, the rate on a single head.
        """
        return cls(
            pairs=10,
            steps=10,
            evaluate_every=2,
            patience=2,
            lr=7e-3,
            trained="per_channel",
            precision="32",
            label="adapted",
        )

    @property
    def optimiser(self) -> OptimiserConfig:
        """Adam and the course of its learning rate."""
        return OptimiserConfig(steps=self.steps, lr=self.lr, schedule=self.schedule)

    @property
    def gamma(self) -> SplitConfig:
        """How Gamma is drawn."""
        return SplitConfig(
            fraction=self.validation_fraction, unit=self.unit, calibration=self.calibration
        )

    def task(self, network: Architecture, seed: int) -> SsduConfig:
        """Return how the pairs are drawn and compared."""
        return SsduConfig(
            network=network,
            split=replace(self.gamma, fraction=self.fraction),
            pairs=self.pairs,
            loss=self.loss,
            scale=self.scale,
            weighting=self.weighting,
            batch=self.batch,
            seed=seed,
        )
