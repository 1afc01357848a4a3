"""Streams from pools: delays count changed cases; the combined score knows clean cases alone."""

from collections.abc import Mapping

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.metrics.alarm_delay import (
    AlarmPools,
    CasePool,
    Standing,
    Streams,
    alarms_in,
    delays,
)
from medconsist.metrics.conformal import Direction
from medconsist.metrics.martingale import AlarmSettings, watch

NAMES: Mapping[str, Direction] = {"high": "high_is_bad", "both": "two_sided", "low": "low_is_bad"}


def pool(count: int, *, seed: int, shift: tuple[float, float, float] = (0, 0, 0)) -> CasePool:
    rng = np.random.default_rng(seed)
    return CasePool(rng.normal(size=(count, 3)) + np.array(shift, float), rng.normal(size=count))


def pools(**changed: CasePool) -> AlarmPools:
    return AlarmPools(NAMES, "noise", "case", pool(200, seed=0), pool(300, seed=1), changed)


def test_standing_is_one_at_the_ninth_decile_and_grows_in_the_bad_direction_alone() -> None:
    standing = Standing.of(pools(any=pool(9, seed=2)))
    low, high = np.quantile(pool(200, seed=0).trust, [0.1, 0.9], axis=0)
    middle = np.median(pool(200, seed=0).trust, axis=0)
    rows = np.array([middle, middle, middle, middle, middle])
    rows[0, 0], rows[1, 1], rows[2, 2] = high[0], low[1], low[2]
    rows[3, 0], rows[4, 2] = -9.0, 9.0  # far out in the good direction
    found = standing.score(CasePool(rows, np.zeros(5)))
    np.testing.assert_allclose(found, [1, 1, 1, 0, 0], atol=1e-12)


def test_the_score_farthest_out_counts() -> None:
    standing = Standing.of(pools(any=pool(9, seed=2)))
    cases = pool(50, seed=3)
    np.testing.assert_array_equal(standing.score(cases), standing.each(cases).max(1))


def test_a_flat_score_is_left_out_and_flat_scores_alone_are_refused() -> None:
    made = pools(any=pool(9, seed=2))
    flat = made.calibration.trust.copy()
    flat[:, 0] = 3.0
    one = AlarmPools(
        NAMES, "", "case", CasePool(flat, made.calibration.plain), made.clean, made.changed
    )
    assert np.isfinite(Standing.of(one).score(pool(9, seed=4, shift=(99, 0, 0)))).all()
    flat[:] = 3.0
    with pytest.raises(RefusedInputError, match="none of the scores high, both, low"):
        Standing.of(one)


def test_delays_are_those_of_the_alarm_on_the_same_stream() -> None:
    clean, changed = np.arange(40.0) % 7, 7 + np.arange(30.0)
    streams = Streams(count=1, before=40, limit=30, settings=AlarmSettings(rate=0.01, warm_up=5))
    (found,) = delays(clean, {"x": changed}, streams, rng=np.random.default_rng(5))["x"]
    rng = np.random.default_rng(5)
    stream = [*clean[rng.permutation(40)], *changed[rng.permutation(30)]]
    alarms = [step.number for step in watch(stream, streams.settings) if step.alarm]
    assert found == next(number for number in alarms if number > 40) - 40


def test_a_stream_without_an_alarm_counts_one_more_than_its_limit() -> None:
    same = np.random.default_rng(0).normal(size=60)
    streams = Streams(count=3, before=50, limit=5, settings=AlarmSettings(rate=1e-6))
    found = delays(same, {"nothing": same}, streams, rng=np.random.default_rng(0))
    assert found["nothing"].tolist() == [6, 6, 6]


def test_both_scores_see_the_same_cases_of_a_stream() -> None:
    clean, changed = np.arange(60.0), {"x": np.arange(60.0) + 50}
    streams = Streams(count=5, before=50, limit=20)
    one, other = (
        delays(np.exp(k * clean / 50), {"x": np.exp(k * changed["x"] / 50)}, streams, rng=rng)
        for k, rng in ((1, np.random.default_rng(3)), (2, np.random.default_rng(3)))
    )
    # ranks decide alone: a growing function of the score changes nothing
    assert one["x"].tolist() == other["x"].tolist()


def test_a_larger_change_is_found_earlier() -> None:
    rng = np.random.default_rng(0)
    changed = {"small": rng.normal(0.7, 1, 100), "large": rng.normal(4, 1, 100)}
    streams = Streams(count=10, before=150, limit=60)
    found = delays(rng.normal(size=400), changed, streams, rng=rng)
    assert np.median(found["large"]) < np.median(found["small"])


def test_alarms_are_counted_over_the_whole_stream() -> None:
    settings = AlarmSettings(rate=0.05, warm_up=2)
    scores = np.arange(60.0)
    assert alarms_in(scores, settings) == sum(s.alarm for s in watch(scores.tolist(), settings))
    assert alarms_in(scores, settings) > 1


def test_pools_drawn_again_keep_their_sizes_and_hold_cases_of_their_own() -> None:
    made = pools(any=pool(9, seed=2))
    again = made.drawn_again(np.random.default_rng(0))
    assert [len(again.calibration), len(again.clean), len(again.changed["any"])] == [200, 300, 9]
    known = {tuple(row) for row in made.clean.trust}
    assert all(tuple(row) in known for row in again.clean.trust)
    assert len({tuple(row) for row in again.clean.trust}) < 300


def test_what_cannot_be_drawn_is_refused() -> None:
    few = np.zeros(3)
    with pytest.raises(RefusedInputError, match="3 clean and 9 changed cases; a stream takes 200"):
        delays(few, {"x": np.zeros(9)}, Streams(), rng=np.random.default_rng(0))
    with pytest.raises(RefusedInputError, match="allowed: 1 stream"):
        Streams(count=0)
    with pytest.raises(RefusedInputError, match="scores of 0 and 0 cases"):
        CasePool(np.zeros((0, 1)), np.zeros(0))
    with pytest.raises(RefusedInputError, match="not finite"):
        CasePool(np.full((2, 1), np.nan), np.zeros(2))
    with pytest.raises(RefusedInputError, match="3 names of scores and 0 changes"):
        pools()
