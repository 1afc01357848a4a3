"""The combined score of the trust record against a plain one, as alarms on the same streams."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch

from medconsist.errors import RefusedInputError
from medconsist.metrics.alarm_delay import (
    AlarmPools,
    CasePool,
    Delays,
    Standing,
    Streams,
    Values,
    alarms_in,
    delays,
)
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.delong import AreaDifference, delong_test
from medconsist.metrics.report import Estimate, Proportion, exact_binomial_interval

__all__ = ["AlarmContest", "ContestSizes", "FalseAlarms", "Race", "run_contest"]

_LIMITS = (0.025, 0.975)


@dataclass(frozen=True, kw_only=True)
class ContestSizes:
    """How much is drawn.

    Parameters
    ----------
    streams
        With a change, for the median delay.
    clean_streams
        Each of all clean cases in an order of its own, for false alarms.
    draws, streams_each
        Bootstrap draws of the pools, and streams of each.

    Raises
    ------
    RefusedInputError
        Fewer than one clean stream or stream of a draw, or than 20 draws, which have no tails.

    Examples
    --------
    >>> ContestSizes().draws
    200
    """

    streams: Streams = field(default_factory=Streams)
    clean_streams: int = 100
    draws: int = 200
    streams_each: int = 20

    def __post_init__(self) -> None:
        if self.clean_streams < 1 or self.draws < 20 or self.streams_each < 1:
            msg = f"got {self}; allowed: 1 clean stream, 20 draws, 1 stream of a draw or more."
            raise RefusedInputError(msg)


@dataclass(frozen=True, eq=False)
class Race:
    """What one change did.

    Parameters
    ----------
    combined_delays, plain_delays
        Changed cases up to the alarm, stream by stream; both saw the same cases.
    combined, plain, difference
        Median of each, and the first less the second, with percentile intervals over draws of the
        pools, calibration included. The few streams of a draw add their own noise to them.
    area
        Changed against clean cases, one by one: area under the ROC curve of both (`delong_test`).
    areas
        The same of each single score of the trust record.

    Examples
    --------
    ::

        run_contest(pools, ContestSizes(), seed=0).races["stain"].difference
    """

    combined_delays: Delays
    plain_delays: Delays
    combined: Estimate
    plain: Estimate
    difference: Estimate
    area: AreaDifference
    areas: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class FalseAlarms:
    """Alarms where nothing changed.

    Parameters
    ----------
    shuffled
        Per case, in clean streams of all cases in random order. Any order of the same cases is as
        likely, so this tests the alarm and its code; streams share their cases, and the exact
        interval takes each step for a trial.
    in_order
        Per case, in the one stream in which they were made: each case once.

    Examples
    --------
    ::

        run_contest(pools, ContestSizes(), seed=0).false_plain.shuffled.ci_high
    """

    shuffled: Proportion
    in_order: Proportion


@dataclass(frozen=True, eq=False)
class AlarmContest:
    """All of one domain.

    Parameters
    ----------
    races
        By change, in the order of the pools.
    false_combined, false_plain
        Of both scores.

    Examples
    --------
    ::

        run_contest(pools, ContestSizes(), seed=0).races
    """

    races: Mapping[str, Race]
    false_combined: FalseAlarms
    false_plain: FalseAlarms


def run_contest(pools: AlarmPools, sizes: ContestSizes, *, seed: int) -> AlarmContest:
    """Run both scores through the same streams.

    Parameters
    ----------
    pools
        Of one domain.
    sizes
        See `ContestSizes`.
    seed
        Of the streams and of the draws of the pools.

    Raises
    ------
    RefusedInputError
        Pools smaller than a stream.
    """
    rng = np.random.default_rng(seed)
    combined, plain = _both(pools, sizes.streams, rng)
    few = replace(sizes.streams, count=sizes.streams_each)
    again = [_both(pools.drawn_again(rng), few, rng) for _ in range(sizes.draws)]
    standing = Standing.of(pools)
    races = {}
    for name, changed in pools.changed.items():
        medians = np.array([[np.median(part[name]) for part in pair] for pair in again])
        here = np.median(combined[name]), np.median(plain[name])
        races[name] = Race(
            combined[name],
            plain[name],
            _estimate(here[0], medians[:, 0], pools, changed),
            _estimate(here[1], medians[:, 1], pools, changed),
            _estimate(here[0] - here[1], medians[:, 0] - medians[:, 1], pools, changed),
            _area(standing, pools, changed),
            _areas(standing, pools, changed),
        )
    clean = standing.score(pools.clean)
    return AlarmContest(
        races,
        _false_alarms(clean, pools, sizes, np.random.default_rng(seed)),
        _false_alarms(pools.clean.plain, pools, sizes, np.random.default_rng(seed)),
    )


def _both(
    pools: AlarmPools, streams: Streams, rng: np.random.Generator
) -> tuple[dict[str, Delays], dict[str, Delays]]:
    """Return the delays of the combined and of the plain score on the same streams."""
    standing = Standing.of(pools)
    seed = int(rng.integers(2**63))
    combined = delays(
        standing.score(pools.clean),
        {name: standing.score(pool) for name, pool in pools.changed.items()},
        streams,
        rng=np.random.default_rng(seed),
    )
    plain = delays(
        pools.clean.plain,
        {name: pool.plain for name, pool in pools.changed.items()},
        streams,
        rng=np.random.default_rng(seed),
    )
    return combined, plain


def _estimate(
    value: float, drawn: npt.NDArray[np.float64], pools: AlarmPools, changed: CasePool
) -> Estimate:
    low, high = np.quantile(drawn, _LIMITS)
    return Estimate(
        mean=float(value),
        ci_low=float(low),
        ci_high=float(high),
        n=len(changed),
        unit_of_analysis=pools.unit,
    )


def _area(standing: Standing, pools: AlarmPools, changed: CasePool) -> AreaDifference:
    positive = torch.arange(len(pools.clean) + len(changed)) >= len(pools.clean)
    both = CasePool.joined([pools.clean, changed])
    scores = torch.from_numpy(standing.score(both)), torch.from_numpy(both.plain)
    return delong_test(*scores, positive, unit=pools.unit)


def _areas(standing: Standing, pools: AlarmPools, changed: CasePool) -> dict[str, float]:
    positive = torch.arange(len(pools.clean) + len(changed)) >= len(pools.clean)
    each = torch.from_numpy(standing.each(CasePool.joined([pools.clean, changed])))
    pairs = zip(pools.names, each.T, strict=True)
    return {name: area_under_roc(score, positive) for name, score in pairs}


def _false_alarms(
    scores: Values, pools: AlarmPools, sizes: ContestSizes, rng: np.random.Generator
) -> FalseAlarms:
    settings = sizes.streams.settings
    found = [alarms_in(rng.permutation(scores), settings) for _ in range(sizes.clean_streams)]
    return FalseAlarms(
        exact_binomial_interval(sum(found), len(found) * len(scores), unit=pools.unit),
        exact_binomial_interval(alarms_in(scores, settings), len(scores), unit=pools.unit),
    )
