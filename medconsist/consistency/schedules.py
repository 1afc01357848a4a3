"""Schedules: pure functions of the step, picklable, for momenta, weights, lengths and rates.

A :data:`Schedule` maps the step ``t = 0, 1, 2, ...`` to a float. The classes keep the lower-case
names under which they are used as functions; each is frozen, compares by value and has no state,
so resuming at step t needs nothing but t. Past its length T a schedule stays at its end.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from medconsist.errors import RefusedInputError

__all__ = [
    "Schedule",
    "as_lr_lambda",
    "constant",
    "cosine",
    "doubling",
    "ema_warmup",
    "linear",
    "sigmoid_ramp",
]

Schedule: TypeAlias = Callable[[int], float]


@dataclass(frozen=True)
class constant:  # noqa: N801 - read as a function: momentum=constant(0.999)
    """The value v at every step.

    Parameters
    ----------
    v
        The value, finite.

    Examples
    --------
    >>> constant(0.5)(7)
    0.5
    """

    v: float | int

    def __post_init__(self) -> None:
        _require_finite(v=self.v)

    def __call__(self, step: int) -> float:
        """Return the value at ``step``."""
        _require_step(step)
        return float(self.v)


@dataclass(frozen=True)
class linear:  # noqa: N801 - read as a function
    """From a to b in T equal steps: ``a + (b - a) min(t / T, 1)``; a at 0, b from T on, exactly.

    Parameters
    ----------
    a, b
        First and last value, finite.
    T
        Number of steps from a to b, at least 1.

    Examples
    --------
    >>> [linear(0, 1, 4)(t) for t in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """

    a: float | int
    b: float | int
    T: int

    def __post_init__(self) -> None:
        _require_finite(a=self.a, b=self.b)
        _require_length(self.T)

    def __call__(self, step: int) -> float:
        """Return the value at ``step``."""
        return _between(self.a, self.b, _progress(step, self.T))


@dataclass(frozen=True)
class cosine:  # noqa: N801 - read as a function
    """From a to b along half a cosine: ``b + (a - b) (1 + cos(pi min(t / T, 1))) / 2``.

    Exactly a at 0 and b from T on, monotone between. ``cosine(0.9997, 1.0, T)`` is the momentum
    that freezes a teacher slowly.

    Parameters
    ----------
    a, b
        First and last value, finite.
    T
        Number of steps from a to b, at least 1.

    Examples
    --------
    >>> [round(cosine(1, 0, 4)(t), 3) for t in (0, 1, 2, 4, 9)]
    [1.0, 0.854, 0.5, 0.0, 0.0]
    """

    a: float | int
    b: float | int
    T: int

    def __post_init__(self) -> None:
        _require_finite(a=self.a, b=self.b)
        _require_length(self.T)

    def __call__(self, step: int) -> float:
        """Return the value at ``step``."""
        share = (1.0 - math.cos(math.pi * _progress(step, self.T))) / 2.0
        return _between(self.a, self.b, share)


@dataclass(frozen=True)
class sigmoid_ramp:  # noqa: N801 - read as a function
    """Weight that rises slowly to v: ``v exp(-5 (1 - min(t / T, 1))^2)``; ``v e^-5`` at step 0.

    The ramp of unsupervised weights of Laine and Aila 2017 (arXiv:1610.02242).

    Parameters
    ----------
    v
        Value from step T on, finite.
    T
        Number of steps of the ramp, at least 1.

    Examples
    --------
    >>> [round(sigmoid_ramp(1, 10)(t), 4) for t in (0, 5, 10)]
    [0.0067, 0.2865, 1.0]
    """

    v: float | int
    T: int

    def __post_init__(self) -> None:
        _require_finite(v=self.v)
        _require_length(self.T)

    def __call__(self, step: int) -> float:
        """Return the value at ``step``."""
        return float(self.v) * math.exp(-5.0 * (1.0 - _progress(step, self.T)) ** 2)


@dataclass(frozen=True)
class ema_warmup:  # noqa: N801 - read as a function
    """Momentum that grows from 0 to alpha: ``min(1 - 1 / (t + 1), alpha)``.

    With ``alpha = 1`` the moving average is the arithmetic mean of all it has met.

    Parameters
    ----------
    alpha
        Share of the old value in the long run, in [0, 1].

    Examples
    --------
    >>> [ema_warmup(0.7)(t) for t in (0, 1, 3)]
    [0.0, 0.5, 0.7]
    """

    alpha: float | int

    def __post_init__(self) -> None:
        if not 0.0 <= self.alpha <= 1.0:
            msg = f"alpha is a share of the old value, in [0, 1]; got {self.alpha}."
            raise RefusedInputError(msg)

    def __call__(self, step: int) -> float:
        """Return the momentum at ``step``."""
        _require_step(step)
        return min(1.0 - 1.0 / (step + 1), float(self.alpha))


@dataclass(frozen=True)
class doubling:  # noqa: N801 - read as a function
    """A count that doubles from s0 to s1 in equal stretches: ``min(s0 2^floor(t / T'), s1) + 1``.

    ``T' = floor(T / (log2 floor(s1 / s0) + 1))``. With ``T = 800, s0 = 10, s1 = 1280`` it is 11 for
    100 steps, 21 for the next 100, and 1281 in the last. The curriculum of discretisation points
    of Song and Dhariwal 2024 (arXiv:2310.14189); intervals are one fewer than points.

    Parameters
    ----------
    T
        Length of the run in steps; at least one step for each doubling.
    s0, s1
        First and last number of intervals, ``1 <= s0 <= s1``.

    Examples
    --------
    >>> [doubling(800, 10, 1280)(t) for t in (0, 99, 100, 799)]
    [11.0, 11.0, 21.0, 1281.0]
    """

    T: int
    s0: int
    s1: int

    def __post_init__(self) -> None:
        if not 1 <= self.s0 <= self.s1:
            msg = f"s0 and s1 must satisfy 1 <= s0 <= s1; got s0={self.s0}, s1={self.s1}."
            raise RefusedInputError(msg)
        if self._stretch() < 1:
            needed = math.ceil(self._stretches())
            msg = (
                f"T must hold one step for each doubling from {self.s0} to {self.s1}, at least "
                f"{needed}; got {self.T}."
            )
            raise RefusedInputError(msg)

    def __call__(self, step: int) -> float:
        """Return the count at ``step``, a whole number as a float."""
        _require_step(step)
        # past this many doublings s1 is reached; 2**step itself would be a huge integer
        doublings = min(step // self._stretch(), self.s1.bit_length())
        return float(min(self.s0 * 2**doublings, self.s1) + 1)

    def _stretches(self) -> float:
        return math.log2(self.s1 // self.s0) + 1.0

    def _stretch(self) -> int:
        return math.floor(self.T / self._stretches())


def as_lr_lambda(schedule: Schedule, base_lr: float | int = 1.0) -> Callable[[int], float]:
    """Return the factor that makes ``LambdaLR`` follow ``schedule``: ``schedule(t) / base_lr``.

    It is a plain function on purpose: ``LambdaLR`` saves the attributes of callable objects in its
    state, which a load with ``weights_only=True`` then refuses; schedules have nothing to save.

    Parameters
    ----------
    schedule
        The learning rate itself, or with ``base_lr=1`` a factor of the optimiser's own.
    base_lr
        The ``lr`` that the optimiser was built with, positive.

    Raises
    ------
    RefusedInputError
        ``base_lr`` is not positive and finite.

    Examples
    --------
    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> factor = as_lr_lambda(linear(0.1, 0, 4), base_lr=0.1)
    >>> torch.optim.lr_scheduler.LambdaLR(optimizer, factor).get_last_lr()
    [0.1]
    """
    if not (math.isfinite(base_lr) and base_lr > 0.0):
        msg = f"base_lr is the lr of the optimiser, positive and finite; got {base_lr}."
        raise RefusedInputError(msg)

    def factor(step: int) -> float:
        return schedule(step) / base_lr

    return factor


def _between(a: float | int, b: float | int, share: float) -> float:
    """Return ``a + (b - a) share``, never outside [a, b], the ends exact."""
    if share >= 1.0:
        return float(b)
    value = a + (b - a) * share
    return float(min(max(value, min(a, b)), max(a, b)))


def _progress(step: int, length: int) -> float:
    _require_step(step)
    return min(step / length, 1.0)


def _require_step(step: int) -> None:
    if not step >= 0:  # NaN too
        msg = f"a step is counted from 0; got {step}."
        raise RefusedInputError(msg)


def _require_length(length: int) -> None:
    if not 1 <= length < math.inf:  # NaN too
        msg = f"T is a number of steps, at least 1; got {length}. For no ramp use constant()."
        raise RefusedInputError(msg)


def _require_finite(**values: float | int) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            msg = f"{name} must be finite; got {value}."
            raise RefusedInputError(msg)
