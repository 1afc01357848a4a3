"""What a batch promises, with cases that take no time: reasons, reports, exit codes, refusals."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import medconsist
from medconsist._ids import is_id
from medconsist.batch.attempt import Station
from medconsist.batch.driver import one_driver
from medconsist.batch.engine import Engine, Limits
from medconsist.batch.inline import InlineEngine
from medconsist.batch.local import LocalEngine
from medconsist.batch.report import read_report
from medconsist.batch.run import run_batch
from medconsist.batch.states import FailureFolder, batch_folder
from medconsist.batch.work import Case, Work, file_case
from medconsist.errors import (
    CorruptInputError,
    MedconsistError,
    MissingInputError,
    RefusedInputError,
    StorageError,
)
from tests.batch.toy import FAULTS, STUDY, Toy, ToyWorker, case_of, cases_in, runs, stored


@pytest.fixture(params=["inline", "local"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return InlineEngine() if request.param == "inline" else LocalEngine(workers=2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def folder_of(root: Path) -> Path:
    return batch_folder(root, STUDY)


def test_every_case_gets_its_result_and_a_rerun_computes_nothing(
    engine: Engine, tmp_path: Path, root: Path
) -> None:
    cases = cases_in(tmp_path / "in", 5)
    first = run_batch(Toy(root), cases, engine=engine, folder=folder_of(root))
    again = run_batch(Toy(root), cases, engine=engine, folder=folder_of(root))
    assert (first.exit_code, first.counts["done"], len(stored(root))) == (0, 5, 5)
    assert (again.exit_code, again.counts["found"], again.counts["done"]) == (0, 5, 0)
    assert len(runs(root)) == 5


def test_poisoned_cases_are_named_with_their_class_and_the_others_complete(
    engine: Engine, tmp_path: Path, root: Path
) -> None:
    cases = cases_in(tmp_path / "in", 4)
    cases += [
        case_of(tmp_path / "in", 10 + number, fault=fault) for number, fault in enumerate(FAULTS)
    ]
    report = run_batch(Toy(root), cases, engine=engine, folder=folder_of(root))
    assert report.exit_code == 3
    assert {failure.reason for failure in report.failures} == set(FAULTS)
    assert report.counts == {
        "done": 4,
        "found": 0,
        "failed": 0,
        "quarantined": len(FAULTS),
        "pending": 0,
    }
    attempts = {failure.reason: failure.attempts for failure in report.failures}
    assert attempts == {
        "corrupt": 1,
        "no mpp": 1,
        "no tissue": 1,
        "unsupported": 1,
        "out of memory": 2,
        "failed": 2,
    }
    assert "KeyError: 'rows'" in {failure.sentence for failure in report.failures}


def test_what_was_set_aside_stays_aside_until_it_is_asked_for_or_has_changed(
    tmp_path: Path, root: Path
) -> None:
    toy, folder = Toy(root), folder_of(root)
    bad = case_of(tmp_path, 1, fault="corrupt")
    for _ in range(2):
        assert run_batch(toy, [bad], engine=InlineEngine(), folder=folder).exit_code == 3
    assert len(runs(root)) == 1
    run_batch(toy, [bad], engine=InlineEngine(), folder=folder, retry_quarantined=True)
    assert len(runs(root)) == 2
    repaired = case_of(tmp_path, 1)
    report = run_batch(toy, [repaired], engine=InlineEngine(), folder=folder)
    assert (report.exit_code, report.failures) == (0, ())
    assert list(FailureFolder(folder).all()) == []


def test_a_case_set_aside_that_got_its_result_in_another_way_is_done(
    tmp_path: Path, root: Path
) -> None:
    toy, folder = Toy(root), folder_of(root)
    bad = case_of(tmp_path, 1, fault="corrupt")
    assert run_batch(toy, [bad], engine=InlineEngine(), folder=folder).exit_code == 3
    toy.open("cpu").run(case_of(tmp_path, 1))
    report = run_batch(toy, [bad], engine=InlineEngine(), folder=folder)
    assert (report.exit_code, report.counts["found"], report.failures) == (0, 1, ())


def test_a_batch_stops_when_too_many_cases_are_set_aside(
    engine: Engine, tmp_path: Path, root: Path
) -> None:
    cases = [case_of(tmp_path, number, fault="corrupt") for number in range(8)]
    report = run_batch(
        Toy(root), cases, engine=engine, folder=folder_of(root), limits=Limits(max_failures=2)
    )
    aside = report.counts["quarantined"]
    assert (report.exit_code, len(report.pending)) == (1, 8 - aside)
    assert 3 <= aside <= 2 + engine.workers  # the other worker may have just set one aside
    assert "--max-failures allows 2" in report.stopped


def test_two_drivers_on_one_study_are_one_too_many(tmp_path: Path, root: Path) -> None:
    cases = cases_in(tmp_path / "in", 2)
    with one_driver(make(folder_of(root))), pytest.raises(RefusedInputError, match="another batch"):
        run_batch(Toy(root), cases, engine=InlineEngine(), folder=folder_of(root))
    assert not (root / "runs.log").exists()
    run_batch(Toy(root), cases, engine=InlineEngine(), folder=folder_of(root))


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", ["file", "proc"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_runs(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    root = {"file": tmp_path / "file", "proc": Path("/proc")}[name]  # root may write elsewhere
    ran = list[str]()

    class Never(InlineEngine):
        def run(self, *words: object, **more: object) -> None:  # noqa: ARG002
            ran.append("run")

    cases = cases_in(tmp_path / "in", 1)
    with pytest.raises(StorageError, match="Could not write"):
        run_batch(Toy(root), cases, engine=Never(), folder=folder_of(root))
    assert ran == []


def test_a_full_disk_stops_the_batch_and_sets_no_case_aside(tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from pathlib import Path
from medconsist.batch.local import LocalEngine
from medconsist.batch.report import read_report
from medconsist.batch.run import run_batch
from medconsist.batch.states import batch_folder
from tests.batch.toy import STUDY, Toy, cases_in
if __name__ == "__main__":
    root = Path(sys.argv[1]) / "out"
    root.mkdir()
    cases = cases_in(Path(sys.argv[1]) / "in", 2)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error instead of a death, as a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (1200, 1200))
    report = run_batch(Toy(root), cases, engine=LocalEngine(workers=2),
                       folder=batch_folder(root, STUDY))
    print(report.exit_code, report.counts["quarantined"], report.stopped)
"""
    script = tmp_path / "full.py"
    script.write_text(program)
    path = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, env=path
    )
    assert done.stdout.startswith("1 0 Could not write"), done.stdout + done.stderr
    assert "ulimit -f" in done.stdout


def test_a_model_that_cannot_be_loaded_stops_the_batch(tmp_path: Path, root: Path) -> None:
    report = run_batch(
        Broken(root), cases_in(tmp_path, 3), engine=LocalEngine(workers=1), folder=folder_of(root)
    )
    assert report.exit_code == 2
    assert report.stopped == "the weights are gone."
    assert len(report.pending) == 3


class Broken(Toy):
    """A work whose model is not there."""

    def open(self, device: str) -> ToyWorker:  # noqa: ARG002
        msg = "the weights are gone."
        raise MissingInputError(msg)


def test_an_engine_that_fails_leaves_a_report_of_what_was_done(tmp_path: Path, root: Path) -> None:
    class Fails(InlineEngine):
        def run(self, work: Work, cases: Sequence[Case], **more: Any) -> None:
            super().run(work, cases[:1], **more)
            msg = "the workers are gone."
            raise MedconsistError(msg)

    with pytest.raises(MedconsistError, match="workers are gone"):
        run_batch(Toy(root), cases_in(tmp_path, 3), engine=Fails(), folder=folder_of(root))
    report = read_report(folder_of(root))
    assert (report.counts["done"], report.counts["pending"], report.exit_code) == (1, 2, 1)
    assert report.stopped == "the workers are gone."


class UnsayableError(Exception):
    """Fails again when it is shown."""

    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (CorruptInputError("a\udcff.svs ends early."), "a\\udcff.svs ends early."),
        (ValueError("\x1b[2Jgone"), "ValueError: \\x1b[2Jgone"),
        (UnsayableError(), "UnsayableError: <exception str() failed>"),
    ],
)
def test_an_error_that_no_file_can_hold_is_recorded_all_the_same(
    error: Exception, says: str, tmp_path: Path
) -> None:
    class Raises(Toy):
        def find(self, case: Case) -> str | None:  # noqa: ARG002
            raise error

    event = Station(Raises(tmp_path), folder=tmp_path, limits=Limits(attempts=1)).attempt(
        Case(id="c7")
    )
    (failure,) = FailureFolder(tmp_path).all()
    assert (event.kind, event.sentence, failure.sentence) == ("quarantined", says, says)


def test_a_path_that_is_not_utf8_makes_a_case(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    (folder / "a.svs").write_bytes(b"x")
    case = file_case(folder / "a.svs", case="a", item=None, config={}, spec={})
    assert (case.size, len(case.digest)) == (1, 64)


def test_items_of_one_file_are_cases_of_their_own_under_a_long_name() -> None:
    ids = {
        file_case(Path("/a/1.h5"), case="c" * 120, item=f"frame-{n}", config={}, spec={}).id
        for n in range(3)
    }
    assert len(ids) == 3
    assert all(map(is_id, ids))


def test_one_file_twice_and_two_files_for_one_item_are_refused(tmp_path: Path, root: Path) -> None:
    (case,) = cases_in(tmp_path, 1)
    twin = replace(case, id="other")
    for cases, says in (([case, case], "is named twice"), ([case, twin], "same item 'file'")):
        with pytest.raises(RefusedInputError, match=says):
            run_batch(Toy(root), cases, engine=InlineEngine(), folder=folder_of(root))


def test_big_cases_go_first(tmp_path: Path, root: Path) -> None:
    run_batch(
        Toy(root),
        cases_in(tmp_path, 4),
        engine=LocalEngine(workers=1),
        folder=folder_of(root),
    )
    assert runs(root) == ["toy-003", "toy-002", "toy-001", "toy-000"]


def test_a_clock_that_is_set_back_ends_no_case(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    report = run_batch(
        Toy(root),
        cases_in(tmp_path, 4),
        engine=LocalEngine(workers=1),
        folder=folder_of(root),
        limits=Limits(case_seconds=60),
    )
    assert (report.exit_code, report.seconds >= 0) == (0, True)


def test_the_page_escapes_every_text_and_has_no_script(tmp_path: Path, root: Path) -> None:
    toy, folder = Hostile(root), folder_of(root)
    run_batch(toy, cases_in(tmp_path, 1), engine=InlineEngine(), folder=folder)
    page = (folder / "report.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert "http" not in page
    assert medconsist.RESEARCH_USE_ONLY in page
    said = json.loads((folder / "report.json").read_text())
    assert "<script>" in said["failures"][0]["sentence"]


class Hostile(Toy):
    """A work whose errors are markup."""

    def find(self, case: Case) -> str | None:  # noqa: ARG002
        msg = "<script>alert(1)</script>"
        raise CorruptInputError(msg)
