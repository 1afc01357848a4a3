"""A score is ranked among earlier cases of its own group, each once, and never against itself."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from medconsist.results.history import HistoryLine
from medconsist.results.schema import ModelRecord, Result, Times
from medconsist.results.store import ResultStore
from medconsist.results.trust import Score, TrustRecord, judge_against_history
from medconsist.viewing.trust_panel_history import (
    SiteHistory,
    history_of_lines,
    history_of_results,
    place_of,
)

WHEN = datetime(2026, 11, 23, 9, tzinfo=UTC)


def score(value: float = 0.5, direction: Any = "high_is_bad") -> Score:
    return Score(name="r", value=value, unit="1", n=9, meaning="Fit.", direction=direction)


def result(case: str, *, minutes: int = 0, value: float = 0.5, **facts: Any) -> Result:
    when = WHEN + timedelta(minutes=minutes)
    settings: dict[str, Any] = {
        "kind": "mri.reconstruction",
        "study": "brain",
        "case": case,
        "inputs": {"kspace": "cd" * 32},
        "config": {"minutes": minutes},
        "result_version": 1,
        "times": Times(started=when, finished=when),
        "trust": TrustRecord(scores=(score(value),)),
        "arrays": (),
    }
    return Result(**settings | facts)


def line(case: str, value: float, *, key: str = "0" * 64, group: str = "cs") -> HistoryLine:
    return HistoryLine(case=case, key=key, group=group, scores={"r": value})


def test_only_what_stands_before_the_own_line_counts() -> None:
    own = result("own")
    lines = [line("a", 0.1), line("b", 0.2), line("own", 0.5, key=own.key), line("c", 0.3)]
    assert history_of_lines(lines, own).of("r") == (0.1, 0.2)


def test_each_case_counts_once_with_its_latest_line_and_other_groups_do_not() -> None:
    own = result("own")
    lines = [
        line("a", 0.1),
        line("a", 0.9, key="1" * 64),
        line("other", 0.4, group="another"),
        line("own", 0.7, key="2" * 64),
        line("own", 0.5, key=own.key),
    ]
    history = history_of_lines(lines, own)
    assert history.of("r") == (0.9,)
    assert history.words.startswith("1 earlier case of this site")


def test_a_result_without_a_line_has_no_place() -> None:
    history = history_of_lines([line("a", 0.1)], result("own"))
    assert not history.values
    assert "no line in the history" in history.words


def test_a_history_on_the_disk_gives_the_p_value_of_the_record(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, "brain")
    for number in range(30):
        store.history.append(line(f"case-{number}", number / 30))
    own = result("own", value=0.91)
    store.history.append(line("own", 0.91, key=own.key))
    lines = store.history.read().lines
    judged = judge_against_history(own.trust.scores, lines, case="own", group="cs")[0]
    place = place_of(own.trust.scores[0], history_of_lines(lines, own))
    assert place.n == judged.n_history == 30
    above = place.n - place.n_below
    assert judged.p == pytest.approx((1 + above) / (place.n + 1))


def test_results_of_other_weights_kinds_studies_or_later_ones_are_not_compared() -> None:
    own = result("own", minutes=10)
    others = [
        own,
        result("a", minutes=1, value=0.1),
        result("a", minutes=2, value=0.2),
        result("late", minutes=11),
        result("weights", minutes=1, model=ModelRecord(name="m", sha256="1" * 64)),
        result("kind", minutes=1, kind="mri.other"),
        result("study", minutes=1, study="knee"),
        result("version", minutes=1, result_version=2),
    ]
    assert history_of_results(others, own).of("r") == (0.2,)


@pytest.mark.parametrize(
    ("direction", "n", "is_known"),
    [("high_is_bad", 18, False), ("high_is_bad", 19, True), ("two_sided", 38, False)],
)
def test_too_few_cases_for_the_direction_are_no_history(
    direction: str, n: int, is_known: bool
) -> None:
    place = place_of(score(direction=direction), SiteHistory({"r": (0.1,) * n}))
    assert place.is_known == is_known
    assert ("no history: fewer than" in place.words) == (not is_known)


def test_equal_values_share_a_rank() -> None:
    place = place_of(score(0.5), SiteHistory({"r": (0.5,) * 10 + (0.1,) * 10}))
    assert place.words == "rank 11 to 21 of 21 from the lowest (percentile 75 of 20 earlier cases)"
