"""Conformal p-values: never 0, valid under exchangeability, one or several scores."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.metrics.conformal import Direction, combine, conformal_p, joint_conformal_p
from medconsist.metrics.report import exact_binomial_interval

Values = st.lists(st.integers(0, 5).map(float), max_size=20)


@given(st.integers(0, 6).map(float), Values, st.sampled_from(["high_is_bad", "low_is_bad"]))
def test_p_is_never_below_one_over_n_plus_one(
    score: float, calibration: list[float], direction: Direction
) -> None:
    p = conformal_p(score, calibration, direction=direction)
    assert 1 / (len(calibration) + 1) <= p <= 1
    assert p == conformal_p(score, calibration[::-1], direction=direction)


def test_exchangeable_scores_are_flagged_no_more_often_than_said(generator: Generator) -> None:
    trials = 600
    flags = {"one": 0, "least": 0, "mean": 0, "joint": 0}
    for _ in range(trials):
        shared = torch.randn(40, 1, generator=generator)
        rows = (shared + torch.randn(40, 3, generator=generator)).tolist()
        new, earlier = rows[0], rows[1:]
        each = [conformal_p(new[j], [row[j] for row in earlier]) for j in range(3)]
        flags["one"] += each[0] <= 0.2
        flags["least"] += combine(each) <= 0.2
        flags["mean"] += combine(each, how="mean") <= 0.2
        flags["joint"] += joint_conformal_p(new, earlier) <= 0.2
    for name, count in flags.items():
        seen = exact_binomial_interval(count, trials, unit="draw", confidence=0.999)
        assert seen.ci_low < 0.2, name
    # the joint rank is exact but for ties, Bonferroni pays for the dependence
    assert flags["joint"] > flags["least"]


def test_one_score_alone_is_its_own_joint() -> None:
    calibration = [1.0, 2.0, 3.0, 4.0]
    for score in (0.0, 2.5, 9.0):
        joint = joint_conformal_p([score], [[s] for s in calibration])
        assert joint == conformal_p(score, calibration)


def test_unfit_scores_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="all must be finite"):
        conformal_p(math.nan, [1.0])
    with pytest.raises(RefusedInputError, match=r"got p-values \[0.0\]"):
        combine([0.0])
    with pytest.raises(RefusedInputError, match=r"got p-values \[\]"):
        combine([])
    with pytest.raises(RefusedInputError, match=r"got 2 scores, earlier units with \[1, 2\]"):
        joint_conformal_p([1.0, 2.0], [[1.0], [1.0, 2.0]])
    with pytest.raises(RefusedInputError, match="not finite, so it has no rank"):
        joint_conformal_p([1.0], [[math.inf]])
