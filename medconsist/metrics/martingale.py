r"""Alarms on a stream of cases: evidence against exchangeability, with its false alarms bounded.

Each score is ranked among all before it (`conformal_p`'s rank, the stream being its own
calibration). If the scores, of one model that learns from none of them, are exchangeable and ties
are broken by chance, those p-values are independent and uniform (Vovk, Gammerman, Shafer 2005,
Algorithmic Learning in a Random World, chapter 2). Bets
:math:`f_\epsilon(p) = \epsilon p^{\epsilon - 1}` then multiply to a test
martingale for each change point i, and a prior over the powers mixes them,

.. math:: M_i^n = \sum_\epsilon \pi_\epsilon \prod_{j=i}^{n} f_\epsilon(p_j), \qquad
          E[M_i^n] = 1

What is guaranteed on a clean stream, with c = 1 / rate:

``"ville"``
    :math:`S_n = \sum_{i \le n} M_i^n / (i (i+1)) + 1/(n+1)` starts at 1 and is a martingale, so by
    Ville's inequality :math:`P(\exists n: S_n \ge c) \le` rate: the chance that a stream, however
    long, EVER raises an alarm. The price: after n clean cases a change starts with a capital of
    about :math:`1/n^2`.
``"shiryaev_roberts"``
    :math:`R_n = \sum_{i \le n} M_i^n`; :math:`R_n - n` is a martingale. It starts again from 0
    after each alarm, at :math:`R_n \ge c`. The mean number of cases to the first false alarm is at
    least c, and the mean number of false alarms among the first n cases at most n * rate, for
    every n (each alarm takes c or more from :math:`R_n`, whose gains are 1 a case). A clean stream
    of no end is likely to raise one.
``"cusum"``
    :math:`\sum_\epsilon \pi_\epsilon \max_{i \le n} \prod_{j=i}^n f_\epsilon(p_j) \le R_n`: the
    same guarantee, kept by a wider margin.

Several alarms side by side (scores, sites): rates add. Ties without chance, ``generator=None``,
take the highest p, as `conformal_p` does. All bets fall with p, the mixture is fixed beforehand and
each statistic is lower if it starts later: no path lies above that of broken ties, and no n-th
alarm comes before theirs. So the guarantees hold, the same each time, at the price of power where
many scores are equal. p-values against one fixed calibration set are not independent, and no such
guarantee holds for them: do not bet on those.

Volkhonskiy et al. 2017, arXiv:1706.03415; Vovk et al. 2021, "Retrain or not retrain: conformal test
martingales for change-point detection", arXiv:2102.10439.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.metrics.conformal import Direction

__all__ = ["AlarmSettings", "Rule", "Step", "StreamAlarm", "watch"]

Rule = Literal["ville", "shiryaev_roberts", "cusum"]


@dataclass(frozen=True, kw_only=True)
class AlarmSettings:
    """What counts as an alarm; fixed before the first case is seen.

    Parameters
    ----------
    rate
        Of false alarms, in (0, 1): per stream with ``"ville"``, per case with the other two.
    rule
        See the module.
    direction
        Which scores are unusual in the bad sense.
    warm_up
        First cases that are ranked among, but not bet on.
    powers
        The epsilons, each in (0, 1), of equal weight: small ones for changes that put each case
        beyond all earlier ones, large ones for slight changes.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> AlarmSettings(rule="ville").threshold
    1000.0
    """

    rate: float = 1e-3
    rule: Rule = "shiryaev_roberts"
    direction: Direction = "high_is_bad"
    warm_up: int = 20
    powers: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1 or self.warm_up < 0 or not self.powers:
            msg = (
                f"got rate {self.rate}, warm_up {self.warm_up} and {len(self.powers)} powers; "
                "allowed: above 0 and below 1, 0 or more, 1 or more. 0.001 is 1 in 1,000."
            )
            raise RefusedInputError(msg)
        if not all(0 < power < 1 for power in self.powers):
            msg = f"powers got {self.powers}; allowed: each above 0 and below 1."
            raise RefusedInputError(msg)
        for name, allowed in (("rule", Rule), ("direction", Direction)):
            if getattr(self, name) not in get_args(allowed):
                msg = f"{name} got {getattr(self, name)!r}; allowed: {', '.join(get_args(allowed))}"
                raise RefusedInputError(msg)

    @property
    def threshold(self) -> float:
        """``1 / rate``."""
        return 1 / self.rate

    @property
    def guarantee(self) -> str:
        """What holds on a clean stream, as a sentence for the screen."""
        c = f"{self.threshold:,.0f}"
        if self.rule == "ville":
            return f"A stream of exchangeable cases ever raises an alarm with probability <= 1/{c}."
        return (
            f"Among exchangeable cases, on average at most one false alarm in {c} cases; the mean "
            f"number of cases to the first is at least {c}."
        )


@dataclass(frozen=True)
class Step:
    """One case of the stream.

    Parameters
    ----------
    number
        Of the case, counted from 1.
    p
        Its rank among all cases up to it; at least ``1 / number`` unless ties are broken.
    log_evidence
        Natural logarithm of the statistic, before it starts again; -inf during the warm-up of the
        rules that start from 0.
    alarm
        Whether this case raises an alarm. With ``"ville"`` only the first one does.

    Examples
    --------
    >>> Step(number=4, p=0.25, log_evidence=0.1, alarm=False).alarm
    False
    """

    number: int
    p: float
    log_evidence: float
    alarm: bool


class StreamAlarm:
    """The alarm of one stream; goes on tomorrow from its `state`, or by seeing the stream again.

    Without a generator, each step is a function of the scores alone.

    Parameters
    ----------
    settings
        None takes the defaults.

    Examples
    --------
    >>> alarm = StreamAlarm(AlarmSettings(rate=0.01))
    >>> steps = [alarm.update(score) for score in [*[0.1, 0.3, 0.2] * 20, 0.7, 0.8, 0.9]]
    >>> [step.number for step in steps if step.alarm], alarm.alarms
    ([63], (63,))
    """

    def __init__(self, settings: AlarmSettings | None = None) -> None:
        self.settings = settings or AlarmSettings()
        self._earlier: list[float] = []
        self._alarms: list[int] = []
        self._powers = np.array(self.settings.powers)
        self._log_bets = np.full(len(self._powers), -math.inf)

    @property
    def alarms(self) -> tuple[int, ...]:
        """Numbers of the cases that raised an alarm, counted from 1."""
        return tuple(self._alarms)

    def update(self, score: float | int, *, generator: Generator | None = None) -> Step:
        """Take the next case into the stream.

        Parameters
        ----------
        score
            Finite.
        generator
            Breaks ties by chance, which makes the p-values exactly uniform; None takes the highest
            p. One choice for a whole stream.

        Raises
        ------
        RefusedInputError
            A score that is not finite.
        """
        if not math.isfinite(score):
            msg = f"got the score {score}, which has no rank. Leave the case out, and say so."
            raise RefusedInputError(msg)
        settings = self.settings
        chance = None if generator is None else _between_0_and_1(generator)
        insort(self._earlier, float(score))
        number = len(self._earlier)
        p = _rank(float(score), self._earlier, settings.direction, chance)
        if number > settings.warm_up:
            self._bet(p, number - settings.warm_up)
        log_evidence = self._log_evidence(max(0, number - settings.warm_up))
        alarm = log_evidence >= math.log(settings.threshold)
        if self._once:
            alarm = alarm and not self._alarms
        elif alarm:
            self._log_bets = np.full(len(self._powers), -math.inf)
        if alarm:
            self._alarms.append(number)
        return Step(number, p, log_evidence, alarm)

    def state(self) -> dict[str, Any]:
        """Return the settings and all that was seen, as JSON values (minus infinity is None)."""
        bets = [None if bet == -math.inf else bet for bet in self._log_bets.tolist()]
        return {
            "settings": {**asdict(self.settings), "powers": list(self.settings.powers)},
            "earlier": list(self._earlier),
            "alarms": list(self._alarms),
            "log_bets": bets,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "StreamAlarm":
        """Return the alarm that had this state, bit by bit.

        Raises
        ------
        RefusedInputError
            Settings out of range, or another number of bets than of powers.
        """
        settings = dict(state["settings"])
        alarm = cls(AlarmSettings(**settings | {"powers": tuple(settings["powers"])}))
        bets = [-math.inf if bet is None else float(bet) for bet in state["log_bets"]]
        if len(bets) != len(alarm.settings.powers):
            msg = f"the state has {len(bets)} bets for {len(alarm.settings.powers)} powers."
            raise RefusedInputError(msg)
        alarm._log_bets = np.array(bets)
        alarm._earlier = sorted(map(float, state["earlier"]))
        alarm._alarms = list(map(int, state["alarms"]))
        return alarm

    @property
    def _once(self) -> bool:
        return self.settings.rule == "ville"

    def _bet(self, p: float, n: int) -> None:
        """Multiply the bets of the n-th case that is bet on, which may be a change point too."""
        rule = self.settings.rule
        # the prior of a change at case n, and of each power
        log_new = -math.log(len(self._powers)) - (math.log(n * (n + 1)) if rule == "ville" else 0.0)
        join = np.maximum if rule == "cusum" else np.logaddexp
        log_gain = np.log(self._powers) + (self._powers - 1) * math.log(p)
        self._log_bets = join(self._log_bets, log_new) + log_gain

    def _log_evidence(self, n: int) -> float:
        mixed = float(np.logaddexp.reduce(self._log_bets))
        # what Ville's prior keeps for changes after n
        return float(np.logaddexp(mixed, -math.log(n + 1))) if self._once else mixed


def watch(
    scores: Iterable[float | int],
    settings: AlarmSettings | None = None,
    *,
    generator: Generator | None = None,
) -> list[Step]:
    """Return the steps of a whole stream; see `StreamAlarm`.

    Raises
    ------
    RefusedInputError
        A score that is not finite.
    """
    alarm = StreamAlarm(settings)
    return [alarm.update(score, generator=generator) for score in scores]


def _rank(score: float, seen: list[float], direction: Direction, chance: float | None) -> float:
    """Return the p-value of one of the sorted scores; None gives all ties to both sides."""
    below, up_to = bisect_left(seen, score), bisect_right(seen, score)
    ties, n = up_to - below, len(seen)
    to_high, to_low = (1.0, 1.0) if chance is None else (chance, 1.0 - chance)
    high, low = (n - up_to + to_high * ties) / n, (below + to_low * ties) / n
    if direction == "two_sided":
        return min(1.0, 2 * min(high, low))
    return high if direction == "high_is_bad" else low


def _between_0_and_1(generator: Generator) -> float:
    """Draw from the open interval: a p-value of 0 would be infinite evidence."""
    return float(torch.rand((), generator=generator)) + 2.0**-25  # half a step of float32's grid
