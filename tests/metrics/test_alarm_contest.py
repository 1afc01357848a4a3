"""The contest sees what a score sees: a change in one column is won by the side that has it."""

import pickle
from collections.abc import Mapping

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.metrics.alarm_contest import AlarmContest, ContestSizes, run_contest
from medconsist.metrics.alarm_delay import AlarmPools, CasePool, Streams
from medconsist.metrics.conformal import Direction

NAMES: Mapping[str, Direction] = {"first": "high_is_bad", "second": "high_is_bad"}
SIZES = ContestSizes(
    streams=Streams(count=12, before=100, limit=40), clean_streams=3, draws=20, streams_each=3
)


def pool(count: int, rng: np.random.Generator, *, trust: float = 0, plain: float = 0) -> CasePool:
    shift = np.array([trust, 0.0])
    return CasePool(rng.normal(size=(count, 2)) + shift, rng.normal(size=count) + plain)


@pytest.fixture(scope="module")
def contest() -> AlarmContest:
    rng = np.random.default_rng(0)
    pools = AlarmPools(
        NAMES,
        "noise",
        "case",
        pool(200, rng),
        pool(400, rng),
        {"ours": pool(60, rng, trust=5), "theirs": pool(60, rng, plain=5)},
    )
    return run_contest(pools, SIZES, seed=1)


def test_the_side_that_sees_the_change_wins(contest: AlarmContest) -> None:
    ours, theirs = contest.races["ours"], contest.races["theirs"]
    assert ours.difference.ci_high is not None
    assert ours.difference.ci_high < 0 < ours.area.mean
    assert theirs.difference.ci_low is not None
    assert theirs.difference.ci_low > 0 > theirs.area.mean


def test_figures_are_those_of_the_streams(contest: AlarmContest) -> None:
    race = contest.races["ours"]
    assert race.combined.mean == np.median(race.combined_delays)
    assert race.difference.mean == race.combined.mean - race.plain.mean
    assert (race.combined.n, race.combined.unit_of_analysis) == (60, "case")
    assert len(race.combined_delays) == SIZES.streams.count


def test_single_scores_say_which_one_saw_it(contest: AlarmContest) -> None:
    areas = contest.races["ours"].areas
    assert areas["first"] > 0.95
    assert 0.3 < areas["second"] < 0.7


def test_clean_streams_count_every_step(contest: AlarmContest) -> None:
    assert contest.false_plain.shuffled.n == 3 * 400
    assert contest.false_plain.in_order.n == 400
    # 1 in 1,000 on average; 5 in 1,200 has a chance of 1 % or less
    assert contest.false_combined.shuffled.k < 5


def test_a_contest_travels_between_processes(contest: AlarmContest) -> None:
    again = pickle.loads(pickle.dumps(contest))  # noqa: S301  our own bytes
    assert again.races["ours"].combined == contest.races["ours"].combined


def test_sizes_without_a_tail_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="20 draws"):
        ContestSizes(draws=5)
