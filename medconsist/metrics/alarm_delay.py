r"""Cases until alarm after a planted change, and false alarms without one, on pools of cases.

A pool holds scores of cases of one kind, each case once. A stream is so many clean cases in random
order without repetition, then changed cases likewise; the alarm is that of
`medconsist.metrics.martingale`. Streams reuse the cases of their pool, so the case is the unit and
intervals come from drawing the pools again, not from the number of streams.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Int64

from medconsist.errors import RefusedInputError
from medconsist.metrics.conformal import Direction
from medconsist.metrics.martingale import AlarmSettings, StreamAlarm, watch

__all__ = ["AlarmPools", "CasePool", "Delays", "Standing", "Streams", "alarms_in", "delays"]

_TAIL = 0.9

Values = Float64[npt.NDArray[np.float64], " cases"]
Delays = Int64[npt.NDArray[np.int64], " _"]
_OfAnyLength = Float64[npt.NDArray[np.float64], " _"]


@dataclass(frozen=True, eq=False)
class CasePool:
    """Scores of cases of one kind.

    Parameters
    ----------
    trust
        One row a case, one column a score of the trust record.
    plain
        The one number that the alarm is compared on; high is bad.

    Raises
    ------
    RefusedInputError
        Other numbers of cases, none, or a score that is not finite.

    Examples
    --------
    >>> pool = CasePool(np.array([[0.1, 2.0], [0.2, 3.0]]), np.array([0.5, 0.6]))
    >>> len(pool), len(pool.take(np.array([1, 1, 0])))
    (2, 3)
    """

    trust: Float64[npt.NDArray[np.float64], "cases scores"]
    plain: Values

    def __post_init__(self) -> None:
        if not 0 < len(self.trust) == len(self.plain):
            msg = f"got scores of {len(self.trust)} and {len(self.plain)} cases; give both of each."
            raise RefusedInputError(msg)
        if not (np.isfinite(self.trust).all() and np.isfinite(self.plain).all()):
            msg = "a score of a case is not finite, so it has no rank. Look at what made it."
            raise RefusedInputError(msg)

    def __len__(self) -> int:
        return len(self.plain)

    def take(self, rows: Int64[npt.NDArray[np.int64], " rows"]) -> "CasePool":
        """Return some cases, in that order."""
        return CasePool(self.trust[rows], self.plain[rows])

    @staticmethod
    def joined(pools: Sequence["CasePool"]) -> "CasePool":
        """Return all cases, in order."""
        return CasePool(
            np.concatenate([pool.trust for pool in pools]),
            np.concatenate([pool.plain for pool in pools]),
        )


@dataclass(frozen=True, eq=False)
class AlarmPools:
    """What a domain brings to the comparison: pools that share no case.

    Parameters
    ----------
    names
        Of the columns of ``trust``, with the direction of each.
    plain
        What the plain number is, in words.
    unit
        What a case is, e.g. ``"simulated scan"``.
    calibration
        Clean cases that no stream holds; they decide how scores are combined.
    clean
        Cases of the streams before the change, in the order in which they were made.
    changed
        What was changed, in words, to cases after it; the first was named beforehand.
    facts
        Other figures of the clean cases, e.g. how well the model tells the classes.

    Raises
    ------
    RefusedInputError
        Another number of names than of columns, or no change.

    Examples
    --------
    ::

        pools = alarm_pools(seed=0)
        delays(Standing.of(pools).score(pools.clean), ...)
    """

    names: Mapping[str, Direction]
    plain: str
    unit: str
    calibration: CasePool
    clean: CasePool
    changed: Mapping[str, CasePool]
    facts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pools = (self.calibration, self.clean, *self.changed.values())
        if not self.changed or any(pool.trust.shape[1] != len(self.names) for pool in pools):
            msg = (
                f"got {len(self.names)} names of scores and {len(self.changed)} changes; give each "
                "pool a column for each name, and one change or more."
            )
            raise RefusedInputError(msg)

    def drawn_again(self, rng: np.random.Generator) -> "AlarmPools":
        """Return pools of the same sizes, cases drawn with replacement: one bootstrap draw."""

        def again(pool: CasePool) -> CasePool:
            return pool.take(rng.integers(0, len(pool), len(pool)))

        return replace(
            self,
            calibration=again(self.calibration),
            clean=again(self.clean),
            changed={name: again(pool) for name, pool in self.changed.items()},
        )


@dataclass(frozen=True, eq=False)
class Standing:
    r"""How far out a case is among the calibration cases: several scores as one number.

    :math:`\max_k (s_k - m_k) / (q_k - m_k)`, with median m and 90 % quantile q of each score over
    the calibration; of a two-sided score the same below the median with the 10 % quantile, the
    larger. 1 is where a tenth of the cases are beyond it in one score. It learns from no case of a
    stream, so exchangeable cases keep exchangeable numbers. Scores without a spread are left out.

    Parameters
    ----------
    centre, above, below
        Of each score: m, q - m, and m less the 10 % quantile (infinite where low is not bad).

    Examples
    --------
    >>> Standing(np.array([1.0]), np.array([0.5]), np.array([np.inf])).score(
    ...     CasePool(np.array([[2.0], [0.0]]), np.zeros(2))).tolist()
    [2.0, 0.0]
    """

    centre: Float64[npt.NDArray[np.float64], " scores"]
    above: Float64[npt.NDArray[np.float64], " scores"]
    below: Float64[npt.NDArray[np.float64], " scores"]

    @classmethod
    def of(cls, pools: AlarmPools) -> "Standing":
        """Return the rule that the calibration cases give.

        Raises
        ------
        RefusedInputError
            No score has a spread.
        """
        values = pools.calibration.trust
        low, centre, high = np.quantile(values, [1 - _TAIL, 0.5, _TAIL], axis=0)
        ways = np.array(list(pools.names.values()))
        above = np.where((ways != "low_is_bad") & (high > centre), high - centre, np.inf)
        below = np.where((ways != "high_is_bad") & (low < centre), centre - low, np.inf)
        if np.isinf(above).all() and np.isinf(below).all():
            msg = f"none of the scores {', '.join(pools.names)} differs between calibration cases."
            raise RefusedInputError(msg)
        return cls(centre, above, below)

    def each(self, pool: CasePool) -> Float64[npt.NDArray[np.float64], "cases scores"]:
        """Return one number a case and score; high is bad."""
        away = pool.trust - self.centre
        far: npt.NDArray[np.float64] = np.maximum(away / self.above, -away / self.below)
        return far

    def score(self, pool: CasePool) -> Values:
        """Return one number a case; high is bad."""
        far: Values = self.each(pool).max(axis=1)
        return far


@dataclass(frozen=True, kw_only=True)
class Streams:
    """How streams are drawn.

    Parameters
    ----------
    count
        Streams.
    before
        Clean cases before the change.
    limit
        Changed cases after which a stream without an alarm ends.
    settings
        Of the alarm.

    Raises
    ------
    RefusedInputError
        A number below 1.

    Examples
    --------
    >>> Streams(count=9).before
    200
    """

    count: int = 200
    before: int = 200
    limit: int = 100
    settings: AlarmSettings = field(default_factory=AlarmSettings)

    def __post_init__(self) -> None:
        if min(self.count, self.before, self.limit) < 1:
            msg = f"got {self}; allowed: 1 stream, clean and changed case or more."
            raise RefusedInputError(msg)


def delays(
    clean: Values,
    changed: Mapping[str, _OfAnyLength],
    streams: Streams,
    *,
    rng: np.random.Generator,
) -> dict[str, Delays]:
    """Return, for each change, the number of changed cases up to the alarm, the last one counted.

    ``limit + 1`` where there was none. The clean cases of a stream are the same for every change,
    and for the same ``rng`` the same for every score. An alarm before the change is a false one;
    the alarm then goes on, as in use.

    Parameters
    ----------
    clean, changed
        Scores of the cases of the pools.
    streams
        See `Streams`.
    rng
        Draws which cases come, and in which order.

    Raises
    ------
    RefusedInputError
        A pool with fewer cases than a stream takes.
    """
    fewest = min(map(len, changed.values()))
    if len(clean) < streams.before or fewest < streams.limit:
        msg = (
            f"pools of {len(clean)} clean and {fewest} changed cases; a stream takes "
            f"{streams.before} and {streams.limit}. Make more cases, or shorter streams."
        )
        raise RefusedInputError(msg)
    found: dict[str, list[int]] = {name: [] for name in changed}
    for _ in range(streams.count):
        alarm = StreamAlarm(streams.settings)
        for score in clean[rng.permutation(len(clean))[: streams.before]]:
            alarm.update(float(score))
        for name, scores in changed.items():
            after = scores[rng.permutation(len(scores))[: streams.limit]]
            found[name].append(_until_alarm(copy.deepcopy(alarm), after))
    return {name: np.array(counts, np.int64) for name, counts in found.items()}


def alarms_in(scores: Values, settings: AlarmSettings) -> int:
    """Return how many alarms a stream of clean cases raises in its order."""
    return sum(step.alarm for step in watch(scores.tolist(), settings))


def _until_alarm(alarm: StreamAlarm, scores: Values) -> int:
    for number, score in enumerate(scores.tolist(), 1):
        if alarm.update(score).alarm:
            return number
    return len(scores) + 1
