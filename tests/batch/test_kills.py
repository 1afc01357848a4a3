"""Workers and drivers killed: nothing is lost, nothing is stored twice, nothing differs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from medconsist.batch import local
from medconsist.batch.engine import Event, Limits
from medconsist.batch.local import LocalEngine
from medconsist.batch.run import run_batch
from medconsist.batch.states import batch_folder
from medconsist.batch.work import Case, Finished
from tests.batch.toy import STUDY, Toy, ToyWorker, act, case_of, cases_in, runs

LOOP = Path(__file__).with_name("kill_loop.py")


def loop(tmp_path: Path, *words: object) -> dict[str, object]:
    """Run the kill loop and return what it says."""
    command = [sys.executable, str(LOOP), "--folder", str(tmp_path), *map(str, words)]
    root = LOOP.parents[2]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_a_worker_that_dies_is_replaced_and_its_case_runs_again(tmp_path: Path) -> None:
    root = tmp_path / "out"
    root.mkdir()
    cases = cases_in(tmp_path / "in", 4)
    cases.append(case_of(tmp_path / "in", 9, fault="die", once=str(tmp_path / "died")))

    report = run_batch(
        Toy(root), cases, engine=LocalEngine(workers=2), folder=batch_folder(root, STUDY)
    )

    assert (report.exit_code, report.counts["done"]) == (0, 5)
    assert sorted(runs(root)) == sorted([*(case.id for case in cases), "toy-009"])


def test_a_case_that_kills_every_worker_is_set_aside_with_what_happened(tmp_path: Path) -> None:
    root = tmp_path / "out"
    root.mkdir()
    cases = [*cases_in(tmp_path / "in", 2), case_of(tmp_path / "in", 9, fault="die")]

    report = run_batch(
        Toy(root),
        cases,
        engine=LocalEngine(workers=1),
        folder=batch_folder(root, STUDY),
        limits=Limits(deaths=2),
    )

    (failure,) = report.failures
    assert (report.exit_code, report.counts["done"]) == (3, 2)
    assert (failure.deaths, failure.attempts, failure.state) == (2, 0, "quarantined")
    assert "signal 9 (SIGKILL) while it was busy" in failure.sentence


def test_a_worker_that_hangs_is_ended_and_the_case_runs_once_more(tmp_path: Path) -> None:
    root = tmp_path / "out"
    root.mkdir()
    cases = cases_in(tmp_path / "in", 2)
    cases.append(case_of(tmp_path / "in", 8, fault="hang", once=str(tmp_path / "hung")))
    cases.append(case_of(tmp_path / "in", 9, fault="hang"))

    report = run_batch(
        Toy(root),
        cases,
        engine=LocalEngine(workers=2),
        folder=batch_folder(root, STUDY),
        limits=Limits(case_seconds=3),
    )

    (failure,) = report.failures
    assert (failure.case, failure.attempts) == ("toy-009", 2)
    assert "longer than --case-seconds 3" in failure.sentence
    assert report.counts["done"] == 3


def test_a_worker_that_hangs_before_its_first_case_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_START_S", 3.0)
    root = tmp_path / "out"
    root.mkdir()

    report = run_batch(
        SlowToLoad(root),
        cases_in(tmp_path / "in", 2),
        engine=LocalEngine(workers=1),
        folder=batch_folder(root, STUDY),
    )

    assert (report.exit_code, report.counts["done"]) == (0, 2)
    assert (root / "loaded").exists()


class SlowToLoad(Toy):
    """A work whose first import never ends."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        act("hang", self.root / "loaded")


def test_a_dead_worker_is_noticed_though_its_child_lives(tmp_path: Path) -> None:
    root = tmp_path / "out"
    root.mkdir()
    begin = time.monotonic()

    report = run_batch(
        WithChild(root),
        [case_of(tmp_path, 1, fault="die")],
        engine=LocalEngine(workers=1),
        folder=batch_folder(root, STUDY),
        limits=Limits(deaths=1),
    )

    assert (report.counts["quarantined"], report.failures[0].deaths) == (1, 1)
    assert time.monotonic() - begin < CHILD_S
    child = Path("/proc", (root / "child").read_text())
    while child.exists() and time.monotonic() - begin < CHILD_S:
        time.sleep(0.05)
    assert not child.exists()


CHILD_S = 15.0


class WithChild(Toy):
    """A work whose worker forks a child, which holds what its parent held."""

    def open(self, device: str) -> ToyWorker:
        child = os.fork()
        if child == 0:
            time.sleep(2 * CHILD_S)
            os._exit(0)
        (self.root / "child").write_text(str(child))
        return super().open(device)


def test_an_error_on_a_device_harms_no_other_case(tmp_path: Path) -> None:
    root = tmp_path / "out"
    root.mkdir()
    cases = [*cases_in(tmp_path / "in", 3), case_of(tmp_path / "in", 9, fault="failed")]

    report = run_batch(
        Sticky(root),
        cases,
        engine=LocalEngine(workers=1, device="meta"),
        folder=batch_folder(root, STUDY),
        limits=Limits(attempts=1),
    )

    assert (report.counts["done"], [one.case for one in report.failures]) == (3, ["toy-009"])


class Sticky(Toy):
    """A work whose process fails for ever once it has failed, as one does after a CUDA error."""

    def open(self, device: str) -> ToyWorker:
        assert device == "meta"
        return StickyWorker(self)


class StickyWorker(ToyWorker):
    failed = False

    def run(self, case: Case) -> Finished:
        if self.failed:
            msg = "CUDA error: an illegal memory access was encountered"
            raise RuntimeError(msg)
        self.failed = case.spec.get("fault") == "failed"
        return super().run(case)


def test_memory_that_ran_out_is_tried_again_while_nothing_else_runs(tmp_path: Path) -> None:
    root = tmp_path / "out"
    root.mkdir()
    cases = cases_in(tmp_path / "in", 6, seconds=0.0)
    hungry = case_of(tmp_path / "in", 9, fault="out of memory", once=str(tmp_path / "once"))
    events = list[Event]()

    LocalEngine(workers=2).run(
        Toy(root, seconds=0.05),
        [hungry, *cases],
        folder=batch_folder(root, STUDY),
        report=events.append,
        limits=Limits(),
    )

    assert [event.kind for event in events[-2:]] == ["started", "done"]
    assert {event.case for event in events[-2:]} == {hungry.id}
    assert sum(event.kind == "done" for event in events) == 7


def test_kills_of_workers_and_of_the_driver_change_no_byte(tmp_path: Path) -> None:
    said = loop(tmp_path, "--work", "toy", "--cases", 30, "--every", 0.8, "--seed", 1, "--kills", 3)
    assert said["kills_of_workers"] == 3
    assert said["kills_of_drivers"] == 1
    assert (said["exit_code"], said["results"], said["equal"]) == (0, 30, True)
    assert said["left_workers"] == 0


class ShowsThreads(Toy):
    """A work whose worker writes down how many threads it may take."""

    def open(self, device: str) -> ToyWorker:
        import torch

        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        said = [torch.get_num_threads(), *(int(os.environ[name]) for name in names)]
        (self.root / "threads").write_text(json.dumps(said))
        return super().open(device)


@pytest.mark.parametrize(
    ("environment", "asked", "threads"),
    [
        ({"OMP_NUM_THREADS": "2"}, None, [2, 2, 2, 2]),
        ({"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}, 1, [1, 1, 1, 1]),
    ],
)
def test_one_number_of_threads_holds_for_all_libraries_of_a_worker(
    environment: dict[str, str],
    asked: int | None,
    threads: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    engine = LocalEngine(workers=1, threads=asked)
    run_batch(
        ShowsThreads(tmp_path),
        cases_in(tmp_path / "in", 1),
        engine=engine,
        folder=batch_folder(tmp_path, STUDY),
    )
    assert json.loads((tmp_path / "threads").read_text()) == threads


ENGINES = ["local", pytest.param("ray", marks=pytest.mark.ray), "slurm"]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("work", ["slides", "scans"])
def test_two_hundred_slides_and_scans_survive_kills(tmp_path: Path, work: str, engine: str) -> None:
    words = ("--engine", engine, "--cases", 200, "--every", 4, "--seed", 1)
    said = loop(tmp_path, "--work", work, *words)
    assert (said["exit_code"], said["results"], said["equal"]) == (0, 200, True)
    assert said["remembered"] == 200
    assert said["left_workers"] == 0


@pytest.mark.slow
def test_a_thousand_kills(tmp_path: Path) -> None:
    words = ("--cases", 600, "--every", 0.3, "--seed", 2, "--kills", 1000)
    said = loop(tmp_path, "--work", "toy", *words)
    assert (said["exit_code"], said["results"], said["equal"]) == (0, 600, True)
    assert said["kills_of_workers"] == 1000
