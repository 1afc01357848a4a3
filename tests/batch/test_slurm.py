"""SLURM through the stand-in: what happens to tasks, and that no case is lost by it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from medconsist.batch.engine import Event, Limits
from medconsist.batch.slurm import SlurmEngine, SlurmParameters, _Array
from medconsist.batch.slurm_shard import EventFile, begun, shares
from medconsist.batch.work import Case
from medconsist.errors import RefusedInputError
from tests.batch.conftest import FakeSlurm, Told
from tests.batch.drive_slurm import main
from tests.batch.toy import Toy, case_of, cases_in, runs, stored

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"poll_s": 0.05, "sacct_s": 0.3}


def engine(**parameters: Any) -> SlurmEngine:
    asked = SlurmParameters(**{"shards": 1, **QUICK, **parameters})
    return SlurmEngine(workers=2, parameters=asked)


def run(root: Path, slurm: SlurmEngine, cases: list[Case]) -> Told:
    told = Told()
    (root / "batch").mkdir(exist_ok=True)
    slurm.run(Toy(root), cases, folder=root / "batch", report=told, limits=Limits())
    return told


def and_one_that_hangs_once(root: Path) -> list[Case]:
    """Return four cases and a bigger one, that goes first and waits for what befalls its task."""
    return [
        *cases_in(root / "in", 4),
        case_of(root / "in", 9, fault="hang", once=str(root / "once")),
    ]


def when_it_hangs(root: Path, command: str) -> "subprocess.Popen[bytes]":
    """Run a command as soon as a worker has begun with the case that hangs."""
    script = f"until [ -e {root / 'once'} ]; do sleep 0.05; done; {command}"
    return subprocess.Popen(["sh", "-c", script])


def assert_all_done(told: Told, root: Path) -> None:
    assert sorted(told.of("done")) == ["toy-000", "toy-001", "toy-002", "toy-003", "toy-009"]
    assert told.of("failed") == ["toy-009"]
    assert sorted(runs(root)) == sorted([*told.of("done"), "toy-009"])
    assert len(stored(root)) == 5
    assert not list((root / "batch/failures").glob("*.json"))


def test_shares_hold_every_case_once_and_are_the_same_in_any_order() -> None:
    cases = [Case(id=f"c{number}") for number in range(200)]
    found = shares(cases, 8)
    assert sorted(case.id for share in found for case in share) == sorted(c.id for c in cases)
    assert [set(share) for share in map(ids, shares(cases[::-1], 8))] == [
        set(share) for share in map(ids, found)
    ]
    assert max(map(len, found)) < 3 * 200 / 8


def ids(share: tuple[Case, ...]) -> list[str]:
    return [case.id for case in share]


def test_a_line_that_was_cut_off_hides_no_other_one(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "0.jsonl")
    file.add(Event(kind="started", case="a"))
    with file.path.open("a") as raw:
        raw.write('{"kind": "done", "ca')
    file.open_again()
    file.add(Event(kind="started", case="b"))
    events, end = file.since(0)
    assert [event.case for event in events] == ["a", "b"]
    assert file.since(end) == ([], end)
    assert begun(events) == {"a", "b"}


@pytest.mark.parametrize("linger", ["0", "0.3"])
def test_a_preempted_task_goes_back_to_the_queue_and_carries_on(
    fake_slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linger: str
) -> None:
    # SLURM ends all of the task, and so the scontrol that asked for it, if that is still there.
    monkeypatch.setenv("FAKE_SLURM_LINGER", linger)
    preempting = when_it_hangs(tmp_path, "scancel 100 --signal USR2")
    told = run(tmp_path, engine(time_min=600), and_one_that_hangs_once(tmp_path))
    assert preempting.wait() == 0
    assert_all_done(told, tmp_path)
    assert len(fake_slurm.jobs()) == 1
    assert fake_slurm.past(fake_slurm.jobs()[0])[0] == "REQUEUED"


def test_a_task_out_of_time_goes_back_to_the_queue_and_carries_on(
    fake_slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its first start must reach the case, on a busy machine too.
    monkeypatch.setenv("FAKE_SLURM_MINUTE", "8")
    told = run(tmp_path, engine(time_min=1, warning_s=10), and_one_that_hangs_once(tmp_path))
    assert_all_done(told, tmp_path)
    assert fake_slurm.past(fake_slurm.jobs()[0])[0] == "REQUEUED"


@pytest.mark.parametrize("restarts", ["0", "5"])
def test_a_lost_node_costs_the_case_in_flight_one_more_try(
    fake_slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarts: str
) -> None:
    # Without restarts SLURM gives the task up, and the next array takes what is missing.
    monkeypatch.setenv("FAKE_SLURM_RESTARTS", restarts)
    failing = when_it_hangs(tmp_path, f"kill -9 $(cat {fake_slurm.root}/jobs/100/steps/0)")
    told = run(tmp_path, engine(), and_one_that_hangs_once(tmp_path))
    assert failing.wait() == 0
    assert_all_done(told, tmp_path)
    assert fake_slurm.past(fake_slurm.jobs()[0])[0] == "NODE_FAIL"
    assert len(fake_slurm.jobs()) == (2 if restarts == "0" else 1)


def test_a_driver_that_was_killed_leaves_its_tasks_to_the_next_one(
    fake_slurm: FakeSlurm, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.batch.drive_slurm", str(tmp_path), "6"]
    driver = subprocess.Popen(command, cwd=ROOT)
    until = time.monotonic() + 30
    while not (tmp_path / "runs.log").exists() and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    told = main(tmp_path, 6)
    everyone = [f"toy-{number:03d}" for number in range(6)]
    assert sorted(told.of("done", "found")) == everyone
    assert sorted(runs(tmp_path)) == everyone  # none twice


def test_an_error_in_the_driver_takes_the_array_from_slurm(
    fake_slurm: FakeSlurm, tmp_path: Path
) -> None:
    def refuse(event: Event) -> None:
        if event.kind == "done":
            msg = f"no more after {event.case}"
            raise KeyboardInterrupt(msg)

    (tmp_path / "batch").mkdir()
    cases = [*cases_in(tmp_path / "in", 3)[1:], case_of(tmp_path / "in", 0, fault="hang")]
    with pytest.raises(KeyboardInterrupt, match="no more after toy-"):
        engine().run(
            Toy(tmp_path), cases, folder=tmp_path / "batch", report=refuse, limits=Limits()
        )
    assert fake_slurm.await_end(fake_slurm.jobs()[0]) == ["CANCELLED by 0"]


def test_ctrl_c_also_takes_an_array_from_slurm_that_was_joined(
    fake_slurm: FakeSlurm, tmp_path: Path
) -> None:
    (tmp_path / "batch").mkdir()
    cases = cases_in(tmp_path / "in", 4)

    def refuse(event: Event) -> None:
        raise KeyboardInterrupt(event.case)

    def drive() -> None:
        slow = Toy(tmp_path, seconds=1.0)
        engine().run(slow, cases, folder=tmp_path / "batch", report=refuse, limits=Limits())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Array, "cancel", lambda _: None)  # as if the driver had been killed
        with pytest.raises(KeyboardInterrupt, match="toy-"):
            drive()
    with pytest.raises(KeyboardInterrupt, match="toy-"):
        drive()
    assert fake_slurm.await_end(fake_slurm.jobs()[0]) == ["CANCELLED by 0"]
    assert len(fake_slurm.jobs()) == 1


def test_a_task_that_slurm_halts_for_a_while_is_waited_for(
    fake_slurm: FakeSlurm, tmp_path: Path
) -> None:
    script = (
        f"until [ -e {tmp_path}/runs.log ]; do sleep 0.05; done; "
        "scontrol suspend 100; sleep 3; scontrol resume 100"
    )
    halting = subprocess.Popen(["sh", "-c", script])
    (tmp_path / "batch").mkdir()
    told, cases = Told(), cases_in(tmp_path / "in", 3)
    engine().run(
        Toy(tmp_path, seconds=1.0), cases, folder=tmp_path / "batch", report=told, limits=Limits()
    )
    assert halting.wait() == 0
    assert sorted(told.of("done")) == [case.id for case in cases]
    assert not told.of("failed")
    assert len(fake_slurm.jobs()) == 1


def test_tasks_that_cannot_even_start_end_the_batch_after_the_last_round(
    fake_slurm: FakeSlurm, tmp_path: Path
) -> None:
    (tmp_path / "batch").mkdir()
    told = Told()
    engine(rounds=2).run(
        Unreadable(tmp_path),
        cases_in(tmp_path / "in", 2),
        folder=tmp_path / "batch",
        report=told,
        limits=Limits(),
    )
    assert [event.kind for event in told.events] == ["stopped"]
    assert "2 cases are not done after 2 arrays" in told.events[0].sentence
    assert len(fake_slurm.jobs()) == 2


class Unreadable(Toy):
    """Work that a node cannot read, as where another version is installed."""

    def __setstate__(self, state: object) -> None:
        msg = "no such version"
        raise ImportError(msg)


def test_sacct_is_asked_for_all_tasks_at_once_and_seldom(
    fake_slurm: FakeSlurm, tmp_path: Path
) -> None:
    begin = time.monotonic()
    run(tmp_path, engine(shards=2, sacct_s=1.0), cases_in(tmp_path / "in", 4))
    assert fake_slurm.calls() <= (time.monotonic() - begin) / 1.0


def test_nothing_is_written_to_stdout(fake_slurm: FakeSlurm, tmp_path: Path) -> None:
    driver = subprocess.run(
        [sys.executable, "-m", "tests.batch.drive_slurm", tmp_path, "1"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    assert (driver.stdout, driver.stderr) == (b"", b"")


def test_a_node_without_slurm_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RefusedInputError, match="from which jobs are submitted"):
        run(tmp_path, engine(), cases_in(tmp_path / "in", 1))


def test_what_slurm_refuses_is_said_in_one_sentence_and_it_was_asked_by_its_own_names(
    fake_slurm: FakeSlurm, tmp_path: Path
) -> None:
    slurm = engine(
        partition="nowhere",
        account="lab",
        mem_gb=1.5,
        gpus=2,
        shards=2,
        extra={"constraint": "a100"},
    )
    with pytest.raises(RefusedInputError, match=r"invalid partition specified: nowhere\. Look at"):
        run(tmp_path, slurm, cases_in(tmp_path / "in", 8))
    assert not fake_slurm.jobs()
    (script,) = (path.read_text() for path in tmp_path.glob("batch/slurm/*/.submission_file*"))
    for option in (
        "partition=nowhere",
        "account=lab",
        "mem=1536MB",
        "constraint=a100",
        "gpus-per-node=2",
        "time=240",
        "signal=USR2@120",
        "array=0-1%2",
        "requeue",
    ):
        assert f"#SBATCH --{option}\n" in script


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"shards": 1001}, "shards must be 1 to 1000, got 1001"),
        ({"time_min": 0}, "time_min must be 1 or more, got 0"),
        ({"time_min": 1, "warning_s": 60}, "warning_s 60 must be less than time_min 1 minutes"),
    ],
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RefusedInputError, match=sentence):
        SlurmParameters(**wrong)
