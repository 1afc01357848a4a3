"""Each score alone, in its own direction: a change is seen by the score that has it."""

from collections.abc import Mapping

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.metrics.alarm_contest import ContestSizes
from medconsist.metrics.alarm_delay import AlarmPools, CasePool, Streams
from medconsist.metrics.alarm_singles import SingleScore, run_singles
from medconsist.metrics.conformal import Direction

NAMES: Mapping[str, Direction] = {"up": "high_is_bad", "down": "low_is_bad", "still": "two_sided"}
SIZES = ContestSizes(streams=Streams(count=8, before=100, limit=40), clean_streams=3)


def pool(count: int, rng: np.random.Generator, *, shift: float = 0) -> CasePool:
    moved = np.array([shift, -shift, 0.0])
    return CasePool(rng.normal(size=(count, 3)) + moved, rng.normal(size=count))


def pools() -> AlarmPools:
    rng = np.random.default_rng(0)
    changed = {"moved": pool(60, rng, shift=5)}
    return AlarmPools(NAMES, "noise", "case", pool(200, rng), pool(300, rng), changed)


@pytest.fixture(scope="module")
def singles() -> dict[str, SingleScore]:
    return run_singles(pools(), SIZES, seed=1)


def test_a_change_is_outside_in_the_direction_of_the_score(
    singles: dict[str, SingleScore],
) -> None:
    assert singles["up"].outside_changed["moved"].proportion == 1
    assert singles["down"].outside_changed["moved"].proportion == 1
    assert singles["still"].outside_changed["moved"].proportion < 0.25


def test_clean_cases_are_outside_about_as_often_as_asked_for(
    singles: dict[str, SingleScore],
) -> None:
    for one in singles.values():
        assert one.outside.n == 300
        # 0.05 and the spread of a quantile of 200 calibration cases, three standard deviations
        assert 0 < one.outside.proportion < 0.05 + 3 * 0.02


def test_a_stream_misses_what_did_not_change(singles: dict[str, SingleScore]) -> None:
    assert singles["up"].missed["moved"] == 0
    assert singles["down"].missed["moved"] == 0
    assert singles["still"].missed["moved"] > 0.5
    assert singles["up"].false_alarms.n == 3 * 300


def test_an_alpha_of_one_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="between 0 and 1, got 1"):
        run_singles(pools(), SIZES, seed=1, alpha=1.0)
