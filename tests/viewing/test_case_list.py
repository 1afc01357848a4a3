from pathlib import Path
from typing import Any

from medconsist.results.store import ResultStore
from medconsist.viewing.case_list import CaseLine, case_lines, key_lines

WriteResult = Any


def test_cases_are_listed_by_patient_and_never_by_score(
    write_result: WriteResult, tmp_path: Path
) -> None:
    write_result(tmp_path, "scan-b", fields={"patient": "p-1"})
    write_result(tmp_path, "scan-a", fields={"patient": "p-2", "item": "flair"})
    lines = case_lines(ResultStore(tmp_path, "brain"))
    assert [line.title for line in lines] == ["p-1 › scan-b", "p-2 › scan-a › flair"]


def test_a_case_named_like_its_patient_is_named_once() -> None:
    assert CaseLine("head", "head", None, 1, "").title == "head"


def test_an_unreadable_case_stays_in_the_list_with_its_state(
    write_result: WriteResult, tmp_path: Path
) -> None:
    result = write_result(tmp_path)
    path = tmp_path / "brain" / "scan-1" / result.key / "result.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:100])
    (line,) = case_lines(ResultStore(tmp_path, "brain"))
    assert line.state == "result cannot be read"
    assert line.problem


def test_the_current_result_comes_first_and_older_ones_stay_reachable(
    write_result: WriteResult, tmp_path: Path
) -> None:
    store = ResultStore(tmp_path, "brain")
    old = write_result(tmp_path, lambda_=0.01, minutes=0)
    new = write_result(tmp_path, lambda_=0.02, minutes=5)
    assert [line.key for line in key_lines(store, "scan-1")] == [new.key, old.key]
    store.set_current("scan-1", old.key)
    lines = key_lines(store, "scan-1")
    assert [line.key for line in lines] == [old.key, new.key]
    assert lines[0].label.startswith("current · cs · 2026-11-22 08:30 UTC")
    assert lines[1].label.startswith("older · cs")


def test_a_damaged_pointer_hides_no_result(write_result: WriteResult, tmp_path: Path) -> None:
    result = write_result(tmp_path)
    pointer = tmp_path / "brain" / "scan-1" / "current"
    pointer.unlink()
    pointer.write_text("<script>")
    (line,) = key_lines(ResultStore(tmp_path, "brain"), "scan-1")
    assert (line.key, line.current) == (result.key, False)
