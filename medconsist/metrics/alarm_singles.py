"""How often each single score raises an alarm: on clean cases, and on cases with a planted change.

The two alarms of a site, score by score, as they are in use: one case that is outside the history
(`conformal_p` at most ``alpha``), and a stream of cases that changed (`martingale`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from medconsist.errors import RefusedInputError
from medconsist.metrics.alarm_contest import ContestSizes
from medconsist.metrics.alarm_delay import AlarmPools, Streams, Values, alarms_in, delays
from medconsist.metrics.conformal import Direction, conformal_p
from medconsist.metrics.report import Proportion, exact_binomial_interval

__all__ = ["SingleScore", "run_singles"]


@dataclass(frozen=True, eq=False)
class SingleScore:
    """What one score did.

    Parameters
    ----------
    outside
        Share of the clean cases that are outside the history, with its exact interval. It holds
        for this one calibration; over all of them the share is at most ``alpha``.
    outside_changed
        The same of the changed cases, by change.
    false_alarms
        Of the stream, per clean case, in random orders of all clean cases.
    missed
        By change: share of the streams without an alarm in the ``limit`` cases after it. Streams
        share their cases, so no interval is given.

    Examples
    --------
    ::

        run_singles(pools, ContestSizes(), seed=0)["novelty"].outside.ci_high
    """

    outside: Proportion
    outside_changed: Mapping[str, Proportion]
    false_alarms: Proportion
    missed: Mapping[str, float]


def run_singles(
    pools: AlarmPools, sizes: ContestSizes, *, seed: int, alpha: float = 0.05
) -> dict[str, SingleScore]:
    """Return what each score of the trust record does alone, in its own direction.

    Parameters
    ----------
    pools
        Of one domain; the calibration cases are the history of the first alarm.
    sizes
        Of the streams.
    seed
        Of the streams: the same for each score.
    alpha
        At most this p is outside, in (0, 1).

    Raises
    ------
    RefusedInputError
        ``alpha`` out of its range, or pools smaller than a stream.
    """
    if not 0 < alpha < 1:
        msg = f"alpha must lie between 0 and 1, got {alpha}. Use 0.05 for one false flag in 20."
        raise RefusedInputError(msg)
    return {
        name: _single(pools, place, direction, sizes, seed=seed, alpha=alpha)
        for place, (name, direction) in enumerate(pools.names.items())
    }


def _single(
    pools: AlarmPools,
    place: int,
    direction: Direction,
    sizes: ContestSizes,
    *,
    seed: int,
    alpha: float,
) -> SingleScore:
    settings = replace(sizes.streams.settings, direction=direction)
    streams = replace(sizes.streams, settings=settings)
    history = pools.calibration.trust[:, place].tolist()
    clean = pools.clean.trust[:, place]
    changed = {name: pool.trust[:, place] for name, pool in pools.changed.items()}

    def outside(values: Values) -> Proportion:
        found = [conformal_p(one, history, direction=direction) <= alpha for one in values.tolist()]
        return exact_binomial_interval(sum(found), len(found), unit=pools.unit)

    return SingleScore(
        outside(clean),
        {name: outside(values) for name, values in changed.items()},
        _false_alarms(clean, sizes, streams, seed, unit=pools.unit),
        {
            name: float((until > streams.limit).mean())
            for name, until in delays(
                clean, changed, streams, rng=np.random.default_rng(seed)
            ).items()
        },
    )


def _false_alarms(
    clean: Values, sizes: ContestSizes, streams: Streams, seed: int, *, unit: str
) -> Proportion:
    rng = np.random.default_rng(seed)
    found = sum(
        alarms_in(rng.permutation(clean), streams.settings) for _ in range(sizes.clean_streams)
    )
    return exact_binomial_interval(found, sizes.clean_streams * len(clean), unit=unit)
