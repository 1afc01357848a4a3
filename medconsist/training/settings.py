"""The settings of a training run: plain frozen values that go into the run folder."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from medconsist.errors import RefusedInputError

__all__ = ["EarlyStop", "OptimiserConfig", "TrainConfig"]

OptimiserName = Literal["adam", "adamw"]
ScheduleName = Literal["cosine", "constant", "inverse_sqrt"]
Precision = Literal["32", "bf16"]
DeviceName = Literal["cpu", "cuda"]
Mode = Literal["min", "max"]
Keep = Literal["best", "last"]


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """How the weights move.

    Parameters
    ----------
    steps
        Optimiser steps, at least 1; the schedule ends there.
    lr
        Largest learning rate, positive.
    optimiser
        ``"adam"`` or ``"adamw"`` (decoupled weight decay).
    weight_decay
        0 for none.
    warmup
        Steps over which the learning rate rises to ``lr``, the first of them with ``lr / warmup``.
    schedule
        After the warm-up: half a cosine down to 0, constant, or ``lr sqrt(w / t)`` at step t with
        ``w = max(warmup, 1)``.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> OptimiserConfig(steps=100).optimiser
    'adam'
    """

    steps: int
    lr: float | int = 1e-3
    optimiser: OptimiserName = "adam"
    weight_decay: float | int = 0.0
    warmup: int = 0
    schedule: ScheduleName = "cosine"

    def __post_init__(self) -> None:
        require_at_least("steps", self.steps, 1)
        require_positive("lr", self.lr)
        require_one_of("optimiser", self.optimiser, get_args(OptimiserName))
        require_one_of("schedule", self.schedule, get_args(ScheduleName))
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            msg = f"weight_decay got {self.weight_decay}; allowed: 0 or a positive number."
            raise RefusedInputError(msg)
        if not 0 <= self.warmup < self.steps:
            msg = f"warmup got {self.warmup}; allowed: 0 to {self.steps - 1}, fewer than the steps."
            raise RefusedInputError(msg)


@dataclass(frozen=True, kw_only=True)
class EarlyStop:
    """When to stop before the last step: ``patience`` evaluations in a row without improvement.

    Parameters
    ----------
    metric
        Name as recorded, ``"val_..."``.
    mode
        Whether less or more is better.
    patience
        Evaluations without improvement after which the run stops, at least 1.
    least_change
        What counts as improvement: more than this, at least 0.
    keep
        Which weights are saved: those of the best evaluation, or the last.

    Examples
    --------
    >>> EarlyStop(metric="val_loss").mode
    'min'
    """

    metric: str
    mode: Mode = "min"
    patience: int = 10
    least_change: float | int = 0.0
    keep: Keep = "best"

    def __post_init__(self) -> None:
        require_at_least("patience", self.patience, 1)
        require_one_of("mode", self.mode, get_args(Mode))
        require_one_of("keep", self.keep, get_args(Keep))
        if not self.metric.startswith("val_"):
            msg = f"metric got {self.metric!r}; allowed: a score of evaluate, written val_<name>."
            raise RefusedInputError(msg)
        if not (math.isfinite(self.least_change) and self.least_change >= 0):
            msg = f"least_change got {self.least_change}; allowed: 0 or a positive number."
            raise RefusedInputError(msg)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(OptimiserConfig):
    """One training run; with the recipe it is what the run folder belongs to.

    Parameters
    ----------
    steps, lr, optimiser, weight_decay, warmup, schedule
        As of :class:`OptimiserConfig`.
    clip
        Largest norm of the whole gradient; None leaves it as it is.
    accumulate
        Micro-batches that make one step; their gradients are averaged.
    precision
        ``"bf16"`` is autocast around ``losses``; weights stay 32 bits wide. Fourier transforms of
        complex64 are not touched by it.
    seed
        Of weights, batches and torch's own generators.
    evaluate_every, checkpoint_every
        Steps between two evaluations (None: never) and between two checkpoints; both also happen
        after the last step.
    device, devices
        Kind, and number of processes with one device each (data parallel; every rank draws its
        own batches and the gradients are averaged).
    ema
        Share of the old value in the average of the weights, in [0, 1], warmed up by
        ``min(1 - 1 / (t + 1), ema)``; the average is evaluated and saved. 1 is the plain mean of
        the first weights and those after every step. None: no average.
    stop
        When to stop early; needs ``evaluate_every``.

    Examples
    --------
    >>> TrainConfig(steps=2000, warmup=100, ema=0.999).precision
    '32'
    """

    clip: float | int | None = 1.0
    accumulate: int = 1
    precision: Precision = "32"
    seed: int = 0
    evaluate_every: int | None = None
    checkpoint_every: int = 100
    device: DeviceName = "cpu"
    devices: int = 1
    ema: float | int | None = None
    stop: EarlyStop | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clip is not None:
            require_positive("clip", self.clip)
        for name in ("accumulate", "checkpoint_every", "devices"):
            require_at_least(name, getattr(self, name), 1)
        if self.evaluate_every is not None:
            require_at_least("evaluate_every", self.evaluate_every, 1)
        require_one_of("precision", self.precision, get_args(Precision))
        require_one_of("device", self.device, get_args(DeviceName))
        if self.ema is not None and not 0 <= self.ema <= 1:
            msg = f"ema got {self.ema}; allowed: None or the share of the old value, in [0, 1]."
            raise RefusedInputError(msg)
        if self.stop is not None and self.evaluate_every is None:
            msg = "stop needs evaluations, and evaluate_every is None; give the steps between two."
            raise RefusedInputError(msg)


def require_at_least(name: str, value: int, least: int) -> None:
    """Refuse a count below ``least``."""
    if value < least:
        msg = f"{name} got {value}; allowed: {least} or more."
        raise RefusedInputError(msg)


def require_positive(name: str, value: float | int) -> None:
    """Refuse what is not positive and finite."""
    if not (math.isfinite(value) and value > 0):
        msg = f"{name} got {value}; allowed: a positive number."
        raise RefusedInputError(msg)


def require_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a word that is not in the list."""
    if value not in allowed:
        msg = f"{name} got {value!r}; allowed: {', '.join(allowed)}."
        raise RefusedInputError(msg)
