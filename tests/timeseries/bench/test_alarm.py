"""Signals for the alarm: pools of different patients, and swapped electrodes that leads betray."""

import numpy as np
import pytest

from medconsist.metrics.alarm_delay import AlarmPools
from medconsist.timeseries.bench.alarm import NOISE, SCORES, SWAP, SignalStudy, signal_pools

SMALL = SignalStudy(train=24, calibration=12, clean=20, changed=10)


@pytest.fixture(scope="module")
def pools() -> AlarmPools:
    return signal_pools(SMALL, seed=3)


def test_pools_have_their_sizes_and_share_no_patient(pools: AlarmPools) -> None:
    parts = (pools.calibration, pools.clean, *pools.changed.values())
    assert [len(part) for part in parts] == [12, 20, 10, 10]
    rows = [tuple(row) for part in parts for row in part.trust]
    assert len(set(rows)) == len(rows)
    assert list(pools.changed) == [SWAP, NOISE]


def test_swapped_electrodes_are_told_by_the_leads_that_were_withheld(pools: AlarmPools) -> None:
    worst = list(SCORES).index("withheld_lead_worst")
    assert np.median(pools.changed[SWAP].trust[:, worst]) > pools.clean.trust[:, worst].max() / 2
    assert np.median(pools.changed[SWAP].trust[:, worst]) > 2 * np.median(
        pools.clean.trust[:, worst]
    )


def test_what_is_withheld_is_a_share(pools: AlarmPools) -> None:
    total = list(SCORES).index("withheld_leads")
    assert (pools.clean.trust >= 0).all()
    assert (pools.clean.trust[:, total] < 1).all()


def test_the_rival_is_unsure_between_none_and_half(pools: AlarmPools) -> None:
    assert (pools.clean.plain >= 0).all()
    assert (pools.clean.plain <= 0.5).all()
    assert pools.facts["AUC of the class"] > 0.5


def test_the_seed_is_all_that_is_drawn_from(pools: AlarmPools) -> None:
    again = signal_pools(SMALL, seed=3)
    np.testing.assert_array_equal(again.clean.trust, pools.clean.trust)
    np.testing.assert_array_equal(again.changed[NOISE].plain, pools.changed[NOISE].plain)
