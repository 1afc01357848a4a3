"""The score interval of an area against its definition, and what it covers."""

import math

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.metrics.area_score import area_score_interval

Z = 1.959963984540054


def spread(area: float, m: int, n: int) -> float:
    """The variance of Hanley and McNeil with exponential scores and m = n = their mean."""
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    more = (m + n) / 2 - 1
    return (area * (1 - area) + more * (one - area**2) + more * (two - area**2)) / (m * n)


@pytest.mark.parametrize("sizes", [(8, 8), (3, 12), (40, 25)])
def test_limits_are_areas_at_the_edge_of_being_contradicted(sizes: tuple[int, int]) -> None:
    m, n = sizes
    for area in (0.2, 0.5, 0.8125, 0.97):
        found = area_score_interval(area, positives=m, negatives=n, unit="patient")
        assert found.ci_low is not None
        assert found.ci_high is not None
        assert 0 < found.ci_low < area < found.ci_high < 1
        for limit in (found.ci_low, found.ci_high):
            # brentq stops at 2e-12
            assert abs(area - limit) == pytest.approx(Z * math.sqrt(spread(limit, m, n)), abs=1e-9)


def test_the_interval_mirrors_and_exists_at_the_ends() -> None:
    low = area_score_interval(0.3, positives=5, negatives=9, unit="patient")
    high = area_score_interval(0.7, positives=5, negatives=9, unit="patient")
    assert low.ci_low is not None
    assert high.ci_high is not None
    assert low.ci_low == pytest.approx(1 - high.ci_high, abs=1e-9)
    perfect = area_score_interval(1.0, positives=8, negatives=8, unit="patient")
    assert perfect.ci_high == 1
    assert perfect.ci_low == pytest.approx(0.7556, abs=1e-4)  # of the definition, by hand


def test_inflation_is_that_of_the_variance() -> None:
    wide = area_score_interval(0.6, positives=8, negatives=8, unit="patient", inflation=2)
    assert wide.ci_low is not None
    half = Z * math.sqrt(2 * spread(wide.ci_low, 8, 8))
    assert 0.6 - wide.ci_low == pytest.approx(half, abs=1e-9)


def test_numbers_out_of_range_are_refused() -> None:
    for area, positives, inflation in ((1.1, 8, 1), (0.5, 0, 1), (0.5, 8, 0.5), (np.nan, 8, 1)):
        with pytest.raises(RefusedInputError, match="allowed: 0 to 1"):
            area_score_interval(
                area, positives=positives, negatives=8, unit="patient", inflation=inflation
            )
