"""The driver says how far it is and shows it; its workers do not outlive it."""

import os
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest

from medconsist.batch.engine import Event
from medconsist.batch.progress import Progress, ProgressLine, Tally
from medconsist.batch.report import read_report
from medconsist.batch.states import batch_folder
from medconsist.batch.work import Case
from tests.batch.kill_loop import TAG, remaining
from tests.batch.toy import STUDY

LOOP = Path(__file__).with_name("kill_loop.py")


class Terminal(StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_and_a_file_plain_ones() -> None:
    terminal, file = Terminal(), StringIO()
    for stream in (terminal, file):
        line = ProgressLine(stream)
        for done in range(4):
            line.show(Progress(cases=3, done=done))
    assert file.getvalue() == ("0 of 3 cases, 0 items/s\n3 of 3 cases, 0 items/s\n")
    assert terminal.getvalue().startswith("\r\x1b[K0 of 3")
    assert terminal.getvalue().count("\n") == 1


def test_the_time_left_follows_the_bytes_that_are_left() -> None:
    tally = Tally([Case(id="a", size=30), Case(id="b", size=10), Case(id="c", size=20)], workers=2)
    tally.take(Event(kind="started", case="a"))
    assert tally.progress().running == ("a",)
    assert tally.progress().eta_s is None
    tally.take(Event(kind="done", case="a", key="k", items=5, seconds=60.0))
    tally.take(Event(kind="failed", case="b"))
    progress = tally.progress()
    assert (progress.done, progress.retrying, progress.items) == (1, 1, 5)
    assert progress.eta_s == 30.0  # 2 s a byte, 30 bytes, two workers
    tally.take(Event(kind="found", case="b", key="k"))
    tally.take(Event(kind="quarantined", case="c"))
    assert tally.progress().ended == 3
    assert "1 done before, 1 set aside" in tally.progress().text


def begun(folder: Path, engine: str = "local") -> "subprocess.Popen[bytes]":
    """Start a driver, and return when its workers are busy."""
    (folder / "in").mkdir()
    words = [sys.executable, str(LOOP), "--folder", str(folder), "--drive", "out"]
    tagged = os.environ | {TAG: str(os.getpid())}
    words += ["--engine", engine, "--cases", "400"]
    driver = subprocess.Popen(words, env=tagged, cwd=LOOP.parents[2])
    log = folder / "out" / "runs.log"
    end = time.monotonic() + 90
    while not log.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert log.exists()
    return driver


def test_workers_leave_when_their_driver_is_killed(tmp_path: Path) -> None:
    driver = begun(tmp_path)
    driver.kill()
    driver.wait()
    assert remaining("local") == 0


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_sigterm_ends_the_workers_and_leaves_a_report(tmp_path: Path, engine: str) -> None:
    driver = begun(tmp_path, engine)
    driver.terminate()
    driver.wait(60)
    assert remaining(engine) == 0
    report = read_report(batch_folder(tmp_path / "out", STUDY))
    assert (report.stopped.split(";")[0], report.exit_code) == ("interrupted", 130)
    assert report.pending
