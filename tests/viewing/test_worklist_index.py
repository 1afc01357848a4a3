import errno
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medconsist.errors import RefusedInputError
from medconsist.results.store import ResultStore
from medconsist.results.trust import TrustRecord
from medconsist.viewing.worklist_index import CaseIndex
from tests.viewing.worklist_cases import START, finish, many, score


def much_later() -> int:
    """Say that every folder was last changed long ago."""
    return time.time_ns() + 10**12


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the name of every file that is opened through a path."""
    names: list[str] = []
    real = Path.open

    def noted(self: Path, *args: object, **kwargs: object) -> object:
        names.append(self.name)
        return real(self, *args, **kwargs)  # type: ignore[call-overload]  # passed on as they are

    monkeypatch.setattr(Path, "open", noted)
    return names


def test_a_list_that_is_asked_again_opens_no_file(tmp_path: Path, opened: list[str]) -> None:
    many(tmp_path, 300)
    index = CaseIndex(tmp_path, clock_ns=much_later)
    opened.clear()
    first = index.lines(["brain"])
    assert opened.count("result.json") == len(first) == 300
    opened.clear()
    assert index.lines(["brain"]) == first
    assert opened == []


def test_a_folder_that_changed_a_moment_ago_is_listed_again_but_its_results_are_not_read_again(
    tmp_path: Path, opened: list[str]
) -> None:
    finish(tmp_path, "scan-1")
    index = CaseIndex(tmp_path)
    first = index.lines(["brain"])
    opened.clear()
    assert index.lines(["brain"]) == first
    assert set(opened) == {"current"}


def test_only_what_is_new_is_read(tmp_path: Path, opened: list[str]) -> None:
    many(tmp_path, 5)
    index = CaseIndex(tmp_path, clock_ns=much_later)
    index.lines(["brain"])
    new = finish(tmp_path, "scan-00003", seed=2, minutes=90)
    opened.clear()
    line = index.lines(["brain"])[3]
    assert opened.count("result.json") == 1
    assert line.current is not None
    assert (line.current.key, line.n_results) == (new.key, 2)


def test_the_pointer_decides_what_is_shown_and_its_change_is_seen(tmp_path: Path) -> None:
    old = finish(tmp_path, "scan-1", item="flair")
    finish(tmp_path, "scan-1", seed=2, minutes=5, item="t1")
    index = CaseIndex(tmp_path, clock_ns=much_later)
    (line,) = index.lines(["brain"])
    assert (line.item, line.items, line.state) == ("t1", ("flair", "t1"), "2 results")
    ResultStore(tmp_path, "brain").set_current("scan-1", old.key)
    (line,) = index.lines(["brain"])
    assert (line.item, line.finished, line.kind) == ("flair", START, "mri.reconstruction")


def test_a_line_counts_what_its_trust_record_says_and_keeps_its_numbers(tmp_path: Path) -> None:
    scores = (score("outside", 0.02), score("within", 0.4), score("no_history"))
    finish(tmp_path, "scan-1", trust=TrustRecord(scores=scores))
    facts = CaseIndex(tmp_path).lines(["brain"])[0].current
    assert facts is not None
    assert (facts.n_outside, facts.n_within, facts.n_no_history, facts.least_p) == (1, 1, 1, 0.02)
    assert facts.numbers["outside score"] == 1.5


def test_a_damaged_result_is_listed_and_hides_no_other(tmp_path: Path) -> None:
    result = finish(tmp_path, "scan-1")
    finish(tmp_path, "scan-2")
    file = tmp_path / "brain" / "scan-1" / result.key / "result.json"
    whole = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(whole.replace(b'"seed": 1', b'"seed": 7'))
    index = CaseIndex(tmp_path, clock_ns=much_later)
    bad, good = index.lines(["brain"])
    assert "not as it was written" in bad.problem
    assert (bad.state, bad.n_unreadable, bad.current) == ("result cannot be read", 1, None)
    assert good.state == "1 result"
    file.write_bytes(whole)
    index.forget()
    assert index.lines(["brain"])[0].problem == ""


@pytest.mark.parametrize(
    ("pointer", "said"),
    [(None, "none was chosen"), ("0" * 64 + "\n", "is not there"), ("<script>", "is damaged")],
)
def test_a_case_whose_pointer_leads_nowhere_says_so(
    tmp_path: Path, pointer: str | None, said: str
) -> None:
    finish(tmp_path, "scan-1", patient="p-7")
    path = tmp_path / "brain" / "scan-1" / "current"
    path.unlink()
    if pointer is not None:
        path.write_text(pointer)
    (line,) = CaseIndex(tmp_path).lines(["brain"])
    assert said in line.problem
    assert (line.n_results, line.n_unreadable, line.patient) == (1, 0, None)


def test_a_disk_that_fails_for_a_moment_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(tmp_path, "scan-1")
    index = CaseIndex(tmp_path, clock_ns=much_later)
    with monkeypatch.context() as broken:

        def fail(self: Path) -> bytes:
            raise OSError(errno.EIO, "Input/output error", str(self))

        broken.setattr(Path, "read_bytes", fail)
        assert "Input/output error" in index.lines(["brain"])[0].problem
        broken.setattr(Path, "iterdir", fail)
        assert "Input/output error" in index.lines(["brain"])[0].problem
    assert index.lines(["brain"])[0].problem == ""


def test_cases_come_and_go_and_folders_without_a_result_are_not_listed(tmp_path: Path) -> None:
    index = CaseIndex(tmp_path, clock_ns=much_later)
    assert index.lines(["brain"]) == ()
    many(tmp_path, 3)
    (tmp_path / "brain" / "empty").mkdir()
    (tmp_path / "brain" / ".draft-x").mkdir()
    (tmp_path / "brain" / "history.jsonl").write_text("")
    assert [line.case for line in index.lines(["brain"])] == [f"scan-0000{i}" for i in range(3)]
    shutil.rmtree(tmp_path / "brain" / "scan-00001")
    assert [line.case for line in index.lines(["brain"])] == ["scan-00000", "scan-00002"]


def test_only_the_studies_that_are_named_are_listed(tmp_path: Path) -> None:
    finish(tmp_path, "scan-1", study="brain")
    finish(tmp_path, "scan-1", study="heart")
    index = CaseIndex(tmp_path)
    assert [line.study for line in index.lines(["heart", "brain", "brain"])] == ["brain", "heart"]
    assert [line.study for line in index.lines(["brain"])] == ["brain"]
    with pytest.raises(RefusedInputError, match="not a safe name"):
        index.lines(["../brain"])


def test_what_was_read_stays_when_the_page_is_left_half_way(tmp_path: Path) -> None:
    many(tmp_path, 6)
    index = CaseIndex(tmp_path, clock_ns=much_later)

    def leave(done: int, n_cases: int) -> None:
        if (done, n_cases) == (4, 6):
            msg = "the page was left"
            raise KeyboardInterrupt(msg)

    with pytest.raises(KeyboardInterrupt, match="the page was left"):
        index.lines(["brain"], told=leave)
    told: list[tuple[int, int]] = []
    assert len(index.lines(["brain"], told=lambda done, n: told.append((done, n)))) == 6
    assert told == [(1, 2), (2, 2)]


def test_threads_that_ask_at_once_get_the_same_list_and_read_it_once(
    tmp_path: Path, opened: list[str]
) -> None:
    many(tmp_path, 40)
    index = CaseIndex(tmp_path, clock_ns=much_later)
    opened.clear()
    with ThreadPoolExecutor(8) as pool:
        lists = list(pool.map(index.lines, [["brain"]] * 8))
    assert all(found == lists[0] for found in lists)
    assert opened.count("result.json") == 40
