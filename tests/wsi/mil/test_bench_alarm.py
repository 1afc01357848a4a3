"""Slides for the alarm: known sites train and stay clean, the last site is the change."""

import numpy as np
import pytest

from medconsist.metrics.alarm_delay import AlarmPools
from medconsist.wsi.bench.alarm import NOISE, SCORES, STAIN, SlideStudy, slide_pools
from medconsist.wsi.mil.simulate import BagRecipe

SMALL = SlideStudy(
    train=16,
    validation=8,
    calibration=10,
    clean=14,
    changed=7,
    epochs=1,
    width=8,
    recipe=BagRecipe(dim=12, subspace=8, instances=(8, 14), sites=4, two_cases=0),
)


@pytest.fixture(scope="module")
def pools() -> AlarmPools:
    return slide_pools(SMALL, seed=5)


def test_pools_have_their_sizes_and_share_no_case(pools: AlarmPools) -> None:
    parts = (pools.calibration, pools.clean, *pools.changed.values())
    assert [len(part) for part in parts] == [10, 14, 7, 7]
    rows = [tuple(row) for part in parts for row in part.trust]
    assert len(set(rows)) == len(rows)


def test_the_bags_are_enough_for_every_site() -> None:
    assert SMALL.bags % 4 == 0
    assert SMALL.bags // 4 * 3 >= sum(SMALL.known)
    assert SMALL.bags // 4 >= SMALL.changed


def test_both_changes_make_tiles_unlike_those_of_training(pools: AlarmPools) -> None:
    novelty = list(SCORES).index("novelty")
    clean = np.median(pools.clean.trust[:, novelty])
    for change in (STAIN, NOISE):
        assert np.median(pools.changed[change].trust[:, novelty]) > clean


def test_the_rival_is_unsure_between_none_and_half(pools: AlarmPools) -> None:
    assert (pools.clean.plain >= 0).all()
    assert (pools.clean.plain <= 0.5).all()
    assert 0 <= pools.facts["AUC of the class"] <= 1
