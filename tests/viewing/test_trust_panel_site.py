"""A panel follows the history of its study, which is read again only when it grew."""

from pathlib import Path

import pytest

from medconsist.results.history import History, HistoryReport
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore
from medconsist.viewing.trust_panel_site import SitePanels
from tests.viewing.test_trust_panel_history import line, result


def with_history(root: Path, cases: int) -> Result:
    own = result("own", value=0.5)
    store = ResultStore(root, "brain")
    for number in range(cases):
        store.history.append(line(f"case-{number}", number / cases))
    store.history.append(line("own", 0.5, key=own.key))
    return own


def test_the_place_is_that_of_the_history_on_the_disk(tmp_path: Path) -> None:
    panel = SitePanels(tmp_path).panel(with_history(tmp_path, 40))
    assert panel.scores[0].place.startswith("rank 21 to 22 of 41")
    assert panel.history.startswith("40 earlier cases of this site")


def test_a_study_without_a_history_has_no_place(tmp_path: Path) -> None:
    panel = SitePanels(tmp_path).panel(result("own"))
    assert panel.scores[0].place.startswith("no history")
    assert panel.tone == "neutral"


def test_the_history_is_read_again_only_when_it_grew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = with_history(tmp_path, 3)
    times: list[Path] = []
    read = History.read

    def counted(history: History) -> HistoryReport:
        times.append(history.path)
        return read(history)

    monkeypatch.setattr(History, "read", counted)
    panels = SitePanels(tmp_path)
    assert panels.panel(own) == panels.panel(own)
    assert len(times) == 1
    ResultStore(tmp_path, "brain").history.append(line("late", 0.1))
    assert panels.panel(own).history.startswith("3 earlier cases")
    assert len(times) == 2


def test_the_alarm_of_the_stream_reaches_the_panel(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, "brain")
    for number in range(60):
        store.history.append(line(f"case-{number}", (number * 37 % 60) / 60))
    for number in range(8):
        shifted = line(f"new-{number}", 9.0 + number)
        store.history.append(shifted)
    own = result("own", value=20.0)
    store.history.append(line("own", 20.0, key=own.key))
    panel = SitePanels(tmp_path).panel(own)
    (raised,) = [one for one in panel.raised if one.alarm.name == "stream"]
    assert "r: alarm at new-" in raised.reasons[0]
    assert panel.tone == "advise"


def test_no_id_of_another_case_is_in_a_panel_without_an_alarm(tmp_path: Path) -> None:
    panel = SitePanels(tmp_path).panel(with_history(tmp_path, 40))
    assert "case-1" not in repr(panel)
