"""The alarm of a site: a function of its history file, each case once, each group on its own."""

from pathlib import Path

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.metrics.martingale import AlarmSettings
from medconsist.results.alarm import alarm_of_history
from medconsist.results.history import History, HistoryLine


def line(number: int, value: float, key: str = "0", group: str = "cs") -> HistoryLine:
    return HistoryLine(
        case=f"case-{number:03d}", key=key * 64, group=group, scores={"residual": value}
    )


def stream(clean: int = 120, changed: int = 20) -> list[HistoryLine]:
    values = torch.randn(clean + changed, generator=torch.Generator().manual_seed(1))
    values[clean:] += 4
    return [line(number, value) for number, value in enumerate(values.tolist())]


def test_a_change_is_found_in_the_file_and_the_first_case_of_the_alarm_is_named(
    tmp_path: Path,
) -> None:
    history = History(tmp_path / "history.jsonl")
    for one in stream():
        history.append(one)
    found = alarm_of_history(history.read().lines, group="cs", score="residual")
    assert "case-120" <= found.alarms[0] <= "case-127"
    assert len(found.cases) == len(found.steps) == 140
    assert found.sentence.startswith(f"residual: alarm at {found.alarms[0]}")
    assert "at most one false alarm in 1,000 cases" in found.sentence


def test_a_clean_history_says_so() -> None:
    found = alarm_of_history(stream(changed=0), group="cs", score="residual")
    assert found.alarms == ()
    assert found.sentence.startswith("residual: no alarm in 120 cases.")


def test_a_case_that_is_done_again_changes_nothing_that_was_counted() -> None:
    lines = stream()
    again = [*lines[:60], line(3, 99.0, key="1"), *lines[60:]]
    found, wanted = (alarm_of_history(one, group="cs", score="residual") for one in (again, lines))
    assert found.steps == wanted.steps
    assert found.cases == wanted.cases


def test_other_groups_and_lines_without_the_score_are_no_part_of_the_stream() -> None:
    lines = stream()
    bare = HistoryLine(case="bare", key="0" * 64, group="cs", scores={})
    mixed = [bare, *(line(number + 500, 9.0, group="cirim") for number in range(30)), *lines]
    found = alarm_of_history(mixed, group="cs", score="residual")
    assert found.cases == alarm_of_history(lines, group="cs", score="residual").cases


def test_tomorrow_begins_where_today_ended() -> None:
    lines = stream()
    whole = alarm_of_history(lines, group="cs", score="residual")
    today = alarm_of_history(lines[:100], group="cs", score="residual")
    assert whole.steps[:100] == today.steps


def test_the_direction_is_that_of_the_settings() -> None:
    settings = AlarmSettings(direction="low_is_bad")
    assert alarm_of_history(stream(), group="cs", score="residual", settings=settings).alarms == ()


def test_an_unknown_score_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(RefusedInputError, match="score 'chi'; they have residual"):
        alarm_of_history(stream(), group="cs", score="chi")
