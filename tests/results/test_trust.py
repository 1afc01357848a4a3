"""The trust record and the history that judges it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medconsist._records import make_record
from medconsist.errors import RefusedInputError
from medconsist.metrics.conformal import Direction, conformal_p
from medconsist.results.history import History, HistoryLine
from medconsist.results.trust import (
    Score,
    TrustRecord,
    fewest_cases,
    judge_against_history,
)

VALUES = st.lists(st.floats(-5, 5), max_size=40)


def score(value: float, **changes: Any) -> Score:
    known = {"name": "residual", "unit": "1", "n": 9, "meaning": "Fit to the samples."}
    return make_record(Score, value=value, **known | changes)


def line(number: int, value: float, **changes: Any) -> HistoryLine:
    known = {"case": f"case-{number}", "key": "0" * 64, "group": "cs"}
    return HistoryLine(**known | {"scores": {"residual": value}} | changes)


def history(*values: float) -> list[HistoryLine]:
    return [line(number, value) for number, value in enumerate(values)]


@given(value=st.floats(-5, 5), earlier=VALUES)
def test_a_p_value_is_never_smaller_than_one_over_n_plus_one(
    value: float, earlier: list[float]
) -> None:
    for direction in ("high_is_bad", "low_is_bad", "two_sided"):
        p = conformal_p(value, earlier, direction=direction)
        assert 1 / (len(earlier) + 1) <= p <= 1


@given(value=st.floats(-5, 5), earlier=VALUES)
def test_low_is_bad_is_high_is_bad_of_the_negated_scores(
    value: float, earlier: list[float]
) -> None:
    low = conformal_p(value, earlier, direction="low_is_bad")
    assert low == conformal_p(-value, [-s for s in earlier], direction="high_is_bad")


@pytest.mark.parametrize("direction", ["high_is_bad", "low_is_bad", "two_sided"])
def test_false_flags_of_exchangeable_cases_stay_at_alpha(direction: Direction) -> None:
    draw = np.random.default_rng(20221111)
    runs, alpha = 4000, 0.05
    flags = 0
    for _ in range(runs):
        values = draw.normal(size=60).tolist()
        flags += conformal_p(values[0], values[1:], direction=direction) <= alpha
    # Three standard errors of a binomial share of 0.05 in 4000 runs.
    assert flags / runs <= alpha + 3 * (alpha * (1 - alpha) / runs) ** 0.5


def test_without_history_a_score_says_so() -> None:
    (judged,) = judge_against_history([score(9.0)], [], case="new", group="cs")
    assert judged.state == "no_history"
    assert judged.p is None
    assert "No history yet" in judged.judgement


def test_a_short_history_cannot_call_a_case_within_or_outside() -> None:
    (judged,) = judge_against_history([score(99.0)], history(*range(18)), case="new", group="cs")
    assert (judged.state, judged.p, judged.n_history) == ("no_history", None, 18)


@pytest.mark.parametrize(
    ("value", "direction", "state"),
    [
        (99.0, "high_is_bad", "outside"),
        (-99.0, "high_is_bad", "within"),
        (-99.0, "low_is_bad", "outside"),
        (99.0, "two_sided", "outside"),
        (-99.0, "two_sided", "outside"),
        (20.0, "two_sided", "within"),
    ],
)
def test_an_extreme_case_is_outside_in_the_named_direction_only(
    value: float, direction: str, state: str
) -> None:
    given_score = score(value, direction=direction)
    (judged,) = judge_against_history(
        [given_score], history(*map(float, range(39))), case="new", group="cs"
    )
    assert judged.state == state
    assert judged.calibration_id is not None
    assert ("Outside" in judged.judgement) == (state == "outside")


def test_a_case_is_not_in_its_own_calibration_set() -> None:
    lines = [*history(*[0.0] * 19), line(100, 5.0, case="mine")]
    (judged,) = judge_against_history([score(5.0)], lines, case="mine", group="cs")
    assert judged.n_history == 19
    assert judged.p == 1 / 20


def test_each_earlier_case_counts_once_and_only_in_its_group() -> None:
    lines = [*history(*[0.0] * 19), line(0, 9.0, key="1" * 64), line(50, 9.0, group="tv")]
    (judged,) = judge_against_history([score(5.0)], lines, case="new", group="cs")
    assert judged.n_history == 19
    assert judged.p == 2 / 20


def test_a_score_that_the_history_does_not_know_is_not_judged() -> None:
    known, unknown = judge_against_history(
        [score(5.0), score(5.0, name="withheld")], history(*[0.0] * 19), case="new", group="cs"
    )
    assert (known.state, unknown.state) == ("outside", "no_history")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"alpha": 0.0}, "alpha must lie between 0 and 1, got 0.0"),
        ({"alpha": 1.0}, "alpha must lie between 0 and 1"),
        ({"min_n": 5}, "min_n 5 is too few.*Use 19 or more"),
    ],
)
def test_a_judgement_that_could_never_flag_is_refused(
    arguments: dict[str, Any], match: str
) -> None:
    with pytest.raises(RefusedInputError, match=match):
        judge_against_history([score(1.0)], [], case="new", group="cs", **arguments)


@pytest.mark.parametrize("alpha", [0.5, 0.1, 0.05, 0.01, 0.001, 1 / 3])
def test_the_fewest_cases_just_reach_alpha(alpha: float) -> None:
    n = fewest_cases(alpha, "high_is_bad")
    assert 1 / (n + 1) <= alpha * (1 + 1e-12)  # rounding of 1/3
    assert n == 0 or 1 / n > alpha


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"p": 0.5}, "p is null exactly when"),
        ({"state": "within"}, "p is null exactly when"),
        ({"state": "outside", "p": 0.01, "n_history": 19}, "smaller than 1/"),
        ({"meaning": ""}, "at least 1 character"),
        ({"state": "fine"}, "'state' is not allowed"),
    ],
)
def test_a_score_that_claims_too_much_is_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(RefusedInputError, match=match):
        score(1.0, **changes)


def test_a_trust_record_names_its_condition_and_each_score_once() -> None:
    record = TrustRecord(scores=(score(1.0),), settings={"probes": 2})
    assert "exchangeability only" in record.validity
    with pytest.raises(RefusedInputError, match="score names must be unique"):
        make_record(TrustRecord, scores=(score(1.0), score(2.0)))


def test_history_is_appended_once_for_each_result(tmp_path: Path) -> None:
    site = History(tmp_path / "study" / "history.jsonl")
    assert site.read().lines == ()
    assert site.append(line(1, 0.5))
    assert not site.append(line(1, 0.7))
    assert site.append(line(1, 0.7, key="1" * 64))
    assert [old.scores["residual"] for old in site.read().lines] == [0.5, 0.7]
    assert site.read().problems == ()


def test_a_torn_last_line_is_left_out_reported_and_never_joined(tmp_path: Path) -> None:
    site = History(tmp_path / "history.jsonl")
    site.append(line(1, 0.5))
    whole = site.path.read_bytes()
    site.path.write_bytes(whole + whole[:20])

    torn = site.read()
    assert [old.case for old in torn.lines] == ["case-1"]
    assert "history.jsonl line 2" in torn.problems[0]

    assert site.append(line(2, 0.6))
    assert [old.case for old in site.read().lines] == ["case-1", "case-2"]
    assert site.path.read_bytes().startswith(whole + whole[:20])


def test_writers_at_the_same_time_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    code = (
        "import sys; from pathlib import Path\n"
        "from medconsist.results.history import History, HistoryLine\n"
        "for i in range(25):\n"
        "    case = f'{sys.argv[2]}-{i}'\n"
        "    line = HistoryLine(case=case, key='0'*64, group='g', scores={'s': 1.0})\n"
        "    History(Path(sys.argv[1])).append(line)\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in ("a", "b")
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    report = History(path).read()
    assert len(report.lines) == 50
    assert report.problems == ()
